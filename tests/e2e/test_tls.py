"""HTTPS by a certificate of the machine's own, and what cannot be one."""

import json
import re
import ssl
from pathlib import Path

import httpx2
import pytest
from websockets.sync.client import connect

from fastembed.pipeline.errors import ConfigError
from fastembed.server.http.tls import TlsFiles, chosen_tls
from tests.e2e.serving import Serving

PIPELINES = """
version: 1
pipelines:
  transcription:
    source: {websocket: /v1/realtime}
    operators:
      - decode
      - vad
      - transcribe: {model: whisper-pocket}
        order: none
        latest: not item.final
    sink: reply
"""


def test_the_page_and_the_socket_are_served_encrypted(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "pipelines.yaml").write_text(PIPELINES)
    monkeypatch.setattr("tests.e2e.serving.READY", re.compile(r"FastEmbed is ready at (https://\S+)"))
    server = Serving(tmp_path, "--tls-self-signed", environ={"FASTEMBED_HOME": str(tmp_path / "home")})
    try:
        trust = ssl.create_default_context(cafile=tmp_path / "home" / "tls" / "certificate.pem")
        assert httpx2.get(f"{server.url}/healthz", verify=trust).status_code == 200
        address = f"wss{server.url.removeprefix('https')}/v1/realtime?intent=transcription"
        with connect(address, ssl=trust) as socket:
            assert json.loads(socket.recv())["type"] == "session.created"
    finally:
        server.close()


def test_a_certificate_is_made_once_and_its_key_is_the_owners(tmp_path: Path) -> None:
    first = chosen_tls(None, None, self_signed=True, folder=tmp_path)
    assert first is not None
    made = first.certificate.read_bytes()
    assert first.key.stat().st_mode & 0o077 == 0
    assert chosen_tls(None, None, self_signed=True, folder=tmp_path) == first
    assert first.certificate.read_bytes() == made
    assert chosen_tls(None, None, self_signed=False, folder=tmp_path) is None


def test_what_cannot_be_a_certificate_is_told_before_anything_starts(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    with pytest.raises(ConfigError, match="expected PEM files"):
        TlsFiles(wrong, wrong)
    with pytest.raises(ConfigError, match="expected both"):
        chosen_tls(wrong, None, self_signed=False, folder=tmp_path)
    with pytest.raises(ConfigError, match="one or the other"):
        chosen_tls(wrong, wrong, self_signed=True, folder=tmp_path)
