"""Nothing leaves the machine: every engine at work, every look-up of a name and every connection noted."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

WATCH = """
    import sys, time

    seen = []

    def note(event, arguments):
        if event == "socket.getaddrinfo" and arguments[0] not in (None, "localhost", "127.0.0.1", b"127.0.0.1"):
            seen.append((event, str(arguments[0])))
        if event == "socket.connect" and isinstance(arguments[1], tuple) and not arguments[1][0].startswith("127."):
            seen.append((event, str(arguments[1])))

    sys.addaudithook(note)
"""

TELL = """
time.sleep(0.3)
seen += [name for name, module in sys.modules.items() if name == "openvino_telemetry" and module is not None]
print(seen)
"""

USES = {
    "embeddings": """
        import asyncio
        from fastembed.inference.serving.models import Models

        async def main():
            models = Models.from_sections({}, base=None)
            async with models.lend("auto", "embedding") as model:
                vectors, _ = await model.embed(["quiet please"])
            assert vectors.shape == (1, 384)
            await models.close()

        asyncio.run(main())
    """,
    "voice": "from fastembed.inference.engines.vad import VoiceModel; VoiceModel()",
    "recognition of pages": """
        import numpy as np
        from fastembed.documents.ocr import *
        from fastembed.documents import ocr
        import rapidocr
        ocr._engine(1)
    """,
    "documents": "import docling.document_converter, docling_parse, fastembed.documents.convert",
    "the command line": "import fastembed.cli, fastembed.runtime, fastembed.assembly",
    "chat": "import fastembed.inference.serving.models, openvino_genai, openvino_tokenizers",
}


def test_no_engine_talks_to_anybody():
    for use, code in USES.items():
        script = textwrap.dedent(WATCH) + textwrap.dedent(code) + TELL
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (use, done.stderr[-2000:])
        assert done.stdout.strip().splitlines()[-1] == "[]", use


def test_the_watch_would_see_openvino_talk():
    script = textwrap.dedent(WATCH) + "import openvino\n" + TELL
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert "openvino_telemetry" in done.stdout
