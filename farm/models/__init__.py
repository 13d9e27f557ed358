"""Model files: catalogue, store, onnxruntime sessions."""
