"""Makes `models/silero`: takes the networks and the licence out of Silero's own wheel, unchanged.

    pip download --no-deps --dest /tmp silero-vad==6.2.3
    python training/silero.py /tmp/silero_vad-6.2.3-py3-none-any.whl models/silero

(`--no-deps`, because the package asks for torch; only its files are read.)
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

TAKEN = ("silero_vad_openvino_16k.onnx", "LICENSE")


def main() -> None:
    """Read the wheel, write the model's folder."""
    wheel, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if Path(name).name in TAKEN:
                (folder / Path(name).name).write_bytes(archive.read(name))


if __name__ == "__main__":
    main()
