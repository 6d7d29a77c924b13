"""One photograph in, one cut-out out. Knows no folder, no socket, no user."""

import os

# ONNX Runtime's published builds carry telemetry that identifies the machine. Everything stays here, so it is switched
# off, which only counts before it is imported: this is the first module of the room that does.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
