"""Downloads from a hub: complete and checked or not at all, whatever happens on the way."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import huggingface_hub
import pytest

from fastembed.inference.library.hub.checks import DiskFull, WrongChecksum
from fastembed.inference.library.hub.client import Hub, HubRefused, HubUnreachable
from fastembed.inference.library.hub.gathering import Busy, partial_of, recorded
from fastembed.inference.library.hub.listing import UnusableRepository
from fastembed.inference.library.hub.pull import plan, pull
from fastembed.inference.library.hub.reference import Reference
from tests.integration.loopback_hub import Repository, hub_on_loopback

WEIGHTS = bytes(range(256)) * 8192  # 2 MiB
FILES = {
    "openvino_model.xml": b"<net/>",
    "openvino_model.bin": WEIGHTS,
    "config.json": b'{"architectures": ["BertModel"]}',
    "tokenizer.json": b"{}",
    "README.md": b"# mine",
    "LICENSE": b"MIT",
    "pytorch_model.bin": b"\x80\x04pickle",
    "modeling_mine.py": b"import os",
}
WANTED = {"openvino_model.xml", "openvino_model.bin", "config.json", "tokenizer.json", "README.md", "LICENSE"}
MINE = Reference("acme/mine")


class Notes:
    """What a watcher is told."""

    def __init__(self):
        self.have = None
        self.sizes = {}

    def planned(self, _listing, _files, have):
        self.have = have

    def has(self, file, size):
        self.sizes[file.path] = size


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def hub():
    with hub_on_loopback() as served:
        served.repositories["acme/mine"] = Repository(dict(FILES))
        yield served


def get(served, reference=MINE, *, token=None, notes=None, pauses=None, **options):
    waits = [] if pauses is None else pauses
    return pull(Hub(served.url, token), reference, notes or Notes(), pause=waits.append, **options)


def contents(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {".fastembed.json"}


def test_the_hub_of_these_tests_speaks_what_the_official_client_understands(hub, tmp_path):
    got = huggingface_hub.hf_hub_download(
        "acme/mine", "openvino_model.bin", endpoint=hub.url, local_dir=tmp_path / "official", token=False
    )
    assert Path(got).read_bytes() == WEIGHTS
    info = huggingface_hub.HfApi(endpoint=hub.url, token=False).model_info("acme/mine", files_metadata=True)
    assert {file.rfilename: file.size for file in info.siblings} == {name: len(data) for name, data in FILES.items()}


def test_a_model_lands_with_all_that_openvino_needs_and_nothing_else(hub, home):
    notes = Notes()
    pulled = get(hub, notes=notes)
    assert (pulled.folder, pulled.commit, pulled.fresh) == (home / "acme" / "mine", "c" * 40, True)
    assert contents(pulled.folder) == WANTED
    assert (pulled.folder / "openvino_model.bin").read_bytes() == WEIGHTS
    assert recorded(pulled.folder)["commit"] == "c" * 40
    assert notes.sizes == {name: len(FILES[name]) for name in WANTED}
    assert not partial_of(pulled.folder).exists()


def test_no_request_asks_for_a_pickle_or_for_code(hub):
    get(hub)
    assert not [asked.path for asked in hub.asked if "pytorch" in asked.path or asked.path.endswith(".py")]


def test_what_is_here_is_not_asked_for_again(hub):
    get(hub)
    hub.asked.clear()
    assert get(hub).fresh is False
    assert hub.asked == []


def test_a_lost_connection_is_taken_up_where_it_broke_off(hub):
    hub.cuts["openvino_model.bin"] = [1_000_000, 500_000]
    pauses = []
    pulled = get(hub, pauses=pauses)
    assert (pulled.folder / "openvino_model.bin").read_bytes() == WEIGHTS
    stored = [asked.range for asked in hub.asked if asked.path.startswith("/store/")]
    assert stored == [None, "bytes=1000000-", "bytes=1500000-"]
    assert pauses == [1.0, 1.0]


def test_a_download_that_was_given_up_goes_on_at_the_next_call(hub, home):
    hub.cuts["openvino_model.bin"] = [1_500_000] + [0] * 5
    pauses = []
    with pytest.raises(
        HubUnreachable, match=r"found 1500000 bytes of openvino_model\.bin .* expected 2097152; run the"
    ):
        get(hub, pauses=pauses)
    assert pauses == [1.0, 1.0, 2.0, 4.0, 8.0]
    assert not (home / "acme" / "mine").exists()
    hub.asked.clear()
    notes = Notes()
    pulled = get(hub, notes=notes)
    assert notes.have >= 1_500_000
    assert [asked.range for asked in hub.asked if asked.path.startswith("/store/")] == ["bytes=1500000-"]
    assert (pulled.folder / "openvino_model.bin").read_bytes() == WEIGHTS


def test_a_server_that_cannot_resume_sends_all_of_it_again(hub):
    hub.ignores_ranges = True
    hub.cuts["openvino_model.bin"] = [1_000_000]
    assert (get(hub).folder / "openvino_model.bin").read_bytes() == WEIGHTS


def test_a_busy_hub_is_asked_again_when_it_says(hub):
    hub.statuses["openvino_model.bin"] = [(503, {}), (429, {"Retry-After": "7"})]
    pauses = []
    get(hub, pauses=pauses)
    assert pauses == [1.0, 7.0]


def test_a_wrong_checksum_is_told_with_both_sums_and_nothing_lands(hub, home):
    wrong = WEIGHTS[:-1] + b"\0"
    hub.lies["openvino_model.bin"] = [wrong]
    with pytest.raises(
        WrongChecksum, match=r"found SHA-256 [0-9a-f]{64} of openvino_model\.bin, expected [0-9a-f]{64}"
    ):
        get(hub)
    assert not (home / "acme" / "mine").exists()
    assert not list(partial_of(home / "acme" / "mine").glob("openvino_model.bin*"))
    assert get(hub).fresh


def test_small_files_are_checked_too(hub):
    hub.lies["config.json"] = [b"X" * len(FILES["config.json"])]
    with pytest.raises(WrongChecksum, match=r"found git SHA-1 [0-9a-f]{40} of config\.json"):
        get(hub)


def test_a_resumed_file_that_is_wrong_is_downloaded_once_more_from_its_beginning(hub, home):
    hub.cuts["openvino_model.bin"] = [1_000_000] + [0] * 5
    with pytest.raises(HubUnreachable):
        get(hub)
    [part] = partial_of(home / "acme" / "mine").glob("openvino_model.bin.*.part")
    part.write_bytes(b"\xff" * 1_000_000)  # a disk that lost a write
    assert (get(hub).folder / "openvino_model.bin").read_bytes() == WEIGHTS


def test_parts_of_another_commit_are_not_taken_for_this_one(hub):
    hub.cuts["openvino_model.bin"] = [1_000_000] + [0] * 5
    with pytest.raises(HubUnreachable):
        get(hub)
    newer = bytes(reversed(WEIGHTS))
    hub.repositories["acme/mine"] = Repository({**FILES, "openvino_model.bin": newer}, commit="d" * 40)
    hub.asked.clear()
    pulled = get(hub)
    assert (pulled.folder / "openvino_model.bin").read_bytes() == newer
    assert [asked.range for asked in hub.asked if asked.path.startswith("/store/")] == [None]
    assert contents(pulled.folder) == WANTED


def test_an_update_replaces_the_folder_in_one_step(hub):
    get(hub)
    assert get(hub, update=True).fresh is False
    hub.repositories["acme/mine"] = Repository({**FILES, "tokenizer.json": b'{"new": 1}'}, commit="d" * 40)
    assert get(hub).commit == "c" * 40
    pulled = get(hub, update=True)
    assert (pulled.commit, pulled.fresh) == ("d" * 40, True)
    assert (pulled.folder / "tokenizer.json").read_bytes() == b'{"new": 1}'
    assert sorted(path.name for path in pulled.folder.parent.iterdir()) == [".mine.lock", "mine"]


def test_a_pinned_revision_has_a_folder_of_its_own(hub, home):
    pinned = Reference("acme/mine", "c" * 40)
    assert get(hub, pinned).folder == home / "acme" / f"mine@{'c' * 40}"
    assert hub.asked[0].path == f"/api/models/acme/mine/revision/{'c' * 40}"


def test_an_unknown_revision_is_named(hub):
    with pytest.raises(HubRefused, match=r"found no revision v9 of acme/mine, expected a commit, tag or branch"):
        get(hub, Reference("acme/mine", "v9"))


def test_an_unknown_repository_is_named_with_what_to_check(hub):
    with pytest.raises(
        HubRefused, match=r"found no acme/other on http://127.* check the name; a private one needs HF_TOK"
    ):
        get(hub, Reference("acme/other"))


def test_a_private_repository_opens_with_its_token_and_the_store_never_sees_it(hub):
    hub.repositories["acme/mine"].token = "hf_secret"  # noqa: S105 - a test's
    with pytest.raises(HubRefused, match=r"the token \(HF_TOKEN\) is valid"):
        get(hub, token="hf_wrong")  # noqa: S106 - a test's
    hub.asked.clear()
    get(hub, token="hf_secret")  # noqa: S106 - a test's
    assert {asked.token for asked in hub.asked if asked.path.startswith("/store/")} == {None}
    assert {asked.token for asked in hub.asked if not asked.path.startswith("/store/")} == {"hf_secret"}


def test_a_gated_repository_says_where_to_accept_its_terms(hub):
    hub.repositories["acme/mine"].gated = True
    hub.repositories["acme/mine"].token = "hf_secret"  # noqa: S105 - a test's
    with pytest.raises(
        HubRefused, match=r"found no token, expected one .* terms at http://127.*/acme/mine, make a token"
    ):
        get(hub)
    with pytest.raises(HubRefused, match="found a token whose owner may not read acme/mine"):
        get(hub, token="hf_other")  # noqa: S106 - a test's
    assert get(hub, token="hf_secret").fresh  # noqa: S106 - a test's


def test_a_full_disk_is_noticed_before_the_download(hub, home):
    hub.repositories["acme/mine"].sizes["openvino_model.bin"] = 10**17
    with pytest.raises(DiskFull, match=r"found .* free in .*, expected 100000\.0 TB for acme/mine and 268 MB to spare"):
        get(hub)
    assert [asked.path for asked in hub.asked] == ["/api/models/acme/mine"]
    assert not (home / "acme" / "mine").exists()


def test_a_disk_that_fills_up_meanwhile_is_told_and_what_came_is_kept(hub, home):
    """/dev/full answers writes as a full disk does."""
    partial = partial_of(home / "acme" / "mine")
    partial.mkdir(parents=True)
    part = partial / f"openvino_model.bin.{hashlib.sha256(WEIGHTS).hexdigest()[:12]}.part"
    part.symlink_to("/dev/full")
    with pytest.raises(DiskFull, match=r"disk full: no space for openvino_model\.bin \(2\.1 MB\) .* is kept"):
        get(hub)
    assert (partial / "openvino_model.xml").read_bytes() == FILES["openvino_model.xml"]
    part.unlink()
    assert get(hub).fresh


def test_offline_nobody_is_asked(hub, home):
    offline = Hub(hub.url, offline=True)
    with pytest.raises(HubRefused, match=r"found no files of acme/mine in .* while HF_HUB_OFFLINE is set"):
        pull(offline, MINE, Notes())
    assert hub.asked == []
    get(hub)
    hub.asked.clear()
    assert pull(offline, MINE, Notes(), update=True).folder == home / "acme" / "mine"
    assert hub.asked == []


def test_a_hub_that_is_not_there_is_told_as_such():
    with pytest.raises(HubUnreachable, match=r"found no answer of http://127\.0\.0\.1:9 .* HF_ENDPOINT names another"):
        pull(Hub("http://127.0.0.1:9"), MINE, Notes(), pause=[].append)


def test_a_hub_without_checksums_is_not_trusted(hub):
    hub.repositories["acme/mine"].no_checksums = True
    with pytest.raises(HubRefused, match=r"found no checksum of openvino_model\.xml .* full mirror"):
        get(hub)


def test_weights_that_openvino_does_not_read_lead_to_the_export(hub):
    hub.repositories["acme/torch"] = Repository(
        {"model.safetensors": b"1", "pytorch_model.bin": b"2", "config.json": b"{}"}
    )
    with pytest.raises(
        UnusableRepository, match=r"found model.safetensors, pytorch_model.bin in acme/torch, .* convert acme"
    ):
        get(hub, Reference("acme/torch"))


def test_a_plan_tells_the_sizes_and_downloads_nothing(hub, home):
    listing, files = plan(Hub(hub.url), MINE)
    assert (listing.commit, sum(file.size for file in files)) == ("c" * 40, sum(len(FILES[name]) for name in WANTED))
    assert not home.exists()


def test_two_processes_do_not_write_one_model(hub):
    """The second is told that the first is at it."""
    waiting, go_on = threading.Event(), threading.Event()

    class Slow(Notes):
        def planned(self, *_):
            waiting.set()
            go_on.wait(30)

    first = threading.Thread(target=get, args=(hub,), kwargs={"notes": Slow()})
    first.start()
    try:
        assert waiting.wait(30)
        with pytest.raises(Busy, match="found another process downloading acme/mine"):
            get(hub)
    finally:
        go_on.set()
        first.join()
    assert get(hub).fresh is False
