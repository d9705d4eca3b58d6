"""Engines, devices, schedules. Nothing here talks to anybody outside of this machine unless it is told to.

`import openvino` sends an event to an analytics service, from a process of its own, unless the package that does so
cannot be imported; OpenVINO then uses its own silent stand-in. This holds for everything that imports this package
before openvino, the document readers' processes included, and it is why this file is not empty.
"""

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None: "cannot be imported" (import system)
