"""How a device multiplies, one way for a whole job.

Not for: copies of models that are stored in fewer bits (`farm.models.half`).
"""

from __future__ import annotations

from enum import StrEnum


class Precision(StrEnum):
    """How a device multiplies in the networks that make pictures; CPUs always take fp32."""

    FP32 = "fp32"
    TF32 = "tf32"
    """Inputs rounded to 19 bits where the device can: what CUDA does by default."""
    FP16 = "fp16"
    """Weights and sums of 16 bits."""
