"""ONNX Runtime with its telemetry off. Nothing else in the program imports `onnxruntime` itself.

From 1.29 on its Linux builds tell their maker, from a thread of their own and by default, which models are loaded and
run, and keep an identifier of the machine under the user's cache folder. ORT_DISABLE_TELEMETRY is read once, when the
library is loaded; `onnxruntime.disable_telemetry_events` comes too late to stop the first report.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime"]
