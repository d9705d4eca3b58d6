"""The architecture document's samples, word for word, on a server that fetches their models from a hub on loopback.

`tests/assets/samples` holds them as they stand there. What is added: `async def` around the fragment that awaits at the
top level, the server's real address, and the two files that a sample names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image, ImageDraw

from fastembed.server_address import find_server
from tests.e2e.serving import READY
from tests.integration.documents import make_pdf
from tests.integration.loopback_hub import LoopbackHub, Repository, hub_on_loopback
from tests.integration.test_downloads import BGE, GEMMA, bge, files_of

SAMPLES = Path(__file__).parents[1] / "assets" / "samples"
BACKWARD, STARTED, ADVANCED = (
    (SAMPLES / f"{name}.py.txt").read_text()
    for name in ("backward-compatibility", "getting-started", "advanced-configuration")
)
INSTALL, STARTUP, USAGE = (STARTED.split(mark)[at] for mark, at in (("# Zero", 0), ("# Zero", 1), ("# Immediate", 1)))


@pytest.fixture(scope="module")
def hub() -> Iterator[LoopbackHub]:
    with hub_on_loopback() as found:
        found.repositories[BGE] = bge()
        found.repositories[GEMMA] = Repository(files_of("vision-pocket"))
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the samples name."""
    folder = tmp_path_factory.mktemp("samples")
    image = Image.new("RGB", (200, 200), (235, 235, 235))
    ImageDraw.Draw(image).ellipse([40, 40, 160, 160], fill=(215, 35, 35))
    image.save(folder / "photo.jpg")
    return folder


@pytest.fixture(scope="module")
def environ(folder: Path, hub: LoopbackHub) -> dict[str, str]:
    """No server's, and nobody's token; any free port; models are fetched."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "FASTEMBED_", "OPENAI_"))}
    home = {"FASTEMBED_HOME": str(folder / "home"), "HF_HOME": str(folder / "hf"), "HF_ENDPOINT": hub.url}
    return {**found, **home, "FASTEMBED_PORT": "0", "FASTEMBED_PULL": "1"}


@pytest.fixture(scope="module")
def url(folder: Path, environ: dict[str, str]) -> Iterator[str]:
    """The sample's own server: `FastEmbedServer().start()`."""
    code = f"# Zero{STARTUP.split('# Immediate')[0]}"
    log = (folder / "server.log").open("w")
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=log, text=True) as server:
        assert server.stdout is not None
        ready = next((found for line in server.stdout if (found := READY.search(line))), None)
        assert ready, (folder / "server.log").read_text()
        yield ready[1]
        server.terminate()
        assert server.wait(30) == 0
    log.close()


def run(code: str, folder: Path, environ: Mapping[str, str], names: tuple[str, ...]) -> dict[str, Any]:
    """Run a program; return some of its coroutine's variables, as JSON."""
    shown = f"    print(__import__('json').dumps([one.to_dict() for one in ({', '.join(names)},)]))\n"
    head, end, tail = code.partition("\nasyncio.run(main())")
    assert end
    command = [sys.executable, "-c", f"{head.rstrip()}\n{shown}{end}{tail}"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return dict(zip(names, json.loads(done.stdout), strict=True))


def test_the_copies_are_whole() -> None:
    assert "pip install fastembed[multimodal]" in INSTALL
    assert "server.start()" in STARTUP
    assert 'model="bge-small-en-v1.5"' in BACKWARD
    assert '"documents": "granite-docling-258m"' in ADVANCED


def test_getting_started(url: str, folder: Path, environ: dict[str, str]) -> None:
    make_pdf(folder / "document.pdf")
    found = run(f"# Immediate{USAGE}", folder, environ, ("response", "doc_analysis", "analysis"))
    assert url == find_server(folder / "pipelines.yaml")  # the client found it so
    assert found["response"]["model"] == "gemma-3n-4b"
    assert found["response"]["choices"][0]["message"]["content"]
    assert "Annual Report" in found["doc_analysis"]["content"]
    assert found["analysis"]["analysis"] == "a red circle"


def test_backward_compatibility(url: str, folder: Path, environ: dict[str, str]) -> None:
    body = textwrap.indent(BACKWARD.replace("http://localhost:8000", url), "    ")
    code = f"import asyncio\nfrom fastembed import FastEmbedClient\n\nasync def main():\n{body}\nasyncio.run(main())\n"
    found = run(code, folder, environ, ("embeddings", "chat_response"))
    assert found["embeddings"]["model"] == "bge-small-en-v1.5"
    assert len(found["embeddings"]["data"]) == 2
    assert found["chat_response"]["model"] == "gemma-3n-4b"


def test_the_server_says_what_it_fetched(url: str, folder: Path, hub: LoopbackHub) -> None:
    log = (folder / "server.log").read_text()
    assert "fetching bge-small-en-v1.5: " in log
    assert "gemma-3n-4b is here after" in log
    with openai.OpenAI(base_url=f"{url}/v1", api_key="-") as client:
        states = {model.id: model.to_dict()["state"] for model in client.models.list()}
        with pytest.raises(openai.NotFoundError, match="fastembed convert granite-docling-258m"):
            client.post(
                "/documents/process",
                cast_to=object,
                body={
                    "document": {"type": "md", "source": "base64", "content": "IyBB"},
                    "model": "granite-docling-258m",
                },
            )
    assert states["gemma-3n-4b"] == states["bge-small-en-v1.5"] == "ready"
    assert len([one for one in hub.asked if one.path == f"/api/models/{GEMMA}"]) == 1


def test_advanced_configuration(folder: Path, environ: dict[str, str]) -> None:
    asked = """
with server:
    client = SyncFastEmbedClient(server.url)
    chat = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "hello"}])
    print(chat.model, client.embeddings.create(model="auto", input="a").model)
    client.close()
"""
    code = f"from fastembed import FastEmbedServer, SyncFastEmbedClient\n{ADVANCED}\n{asked}"
    command = [sys.executable, "-c", code]
    (folder / "advanced").mkdir()  # the other server holds the database of its folder
    done = subprocess.run(
        command, cwd=folder / "advanced", env=environ, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.stdout == "gemma-3n-4b bge-small-en-v1.5\n", done.stderr
    assert "documents are read by rules until granite-docling-258m is here" in done.stderr
