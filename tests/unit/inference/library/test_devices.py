"""The machine's devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastembed.inference.library.devices import check_sysfs
from fastembed.pipeline.errors import Unavailable


@pytest.mark.skipif("sys.platform != 'linux'")
def test_a_root_without_sysfs_is_told_before_openvino_looks_for_devices(tmp_path: Path) -> None:
    check_sysfs()
    with pytest.raises(Unavailable, match=r"found no .*/cpu, expected sysfs there: .* mount it"):
        check_sysfs(tmp_path / "cpu")
