from __future__ import annotations

import subprocess
import sys

CODE = """
import gc
from fastembed.pipeline.collector import freeze_gc, unfreeze_gc
usual = gc.get_threshold()
loaded = [[] for _ in range(100_000)]
freeze_gc()
frozen = gc.get_freeze_count()
new = [[] for _ in range(1_000)]
assert frozen >= 100_000, frozen
assert len(gc.get_objects()) < 30_000, len(gc.get_objects())
cycle = []; cycle.append(cycle); del cycle
print(gc.collect())
unfreeze_gc()
assert (gc.get_freeze_count(), gc.get_threshold()) == (0, usual)
"""


def test_what_was_loaded_is_left_out_and_what_comes_later_is_still_collected():
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert int(found.stdout) >= 1
