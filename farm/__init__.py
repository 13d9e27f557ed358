"""Everything that works without Ray: media, faces, models, processors, settings, reports."""

import os

# onnxruntime makes files for telemetry while it loads, whoever loads it first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
