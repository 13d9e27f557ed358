"""A chunk worker and a final task whose hardware encoder breaks in mid-job, on a real Ray.

Not for: the product.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from actors.finisher import Finisher
from actors.worker import ChunkWorker
from tests.media.broken_encoders import Fault, dying, going_green, pretend_hardware

AFTER = 12
"""Frames that the final task's encoder takes before it breaks."""
AFTER_IN_WORKER = 6
"""Frames that each worker's encoder takes before it breaks.

So few that workers that take the places of others cannot do a whole clip in turns.
"""


class DyingEncoderWorker(ChunkWorker):
    """Its encoder raises an error."""

    fault: Fault = staticmethod(dying(AFTER_IN_WORKER))

    def __init__(self, *arguments: Any) -> None:
        # Never undone: the process ends with the worker.
        pretend_hardware(pytest.MonkeyPatch(), fault=type(self).fault)
        super().__init__(*arguments)


class GreenEncoderWorker(DyingEncoderWorker):
    """Its encoder turns out green pictures and no error."""

    fault: Fault = staticmethod(going_green(AFTER_IN_WORKER))


class DyingEncoderFinisher(Finisher):
    """A final task whose encoder raises an error."""

    fault: Fault = staticmethod(dying(AFTER))

    def __init__(self, *arguments: Any) -> None:
        # Never undone: the process ends with the final task.
        pretend_hardware(pytest.MonkeyPatch(), fault=type(self).fault)
        super().__init__(*arguments)


class GreenEncoderFinisher(DyingEncoderFinisher):
    """A final task whose encoder turns out green pictures and no error."""

    fault: Fault = staticmethod(going_green(AFTER))


class CrashingEncoderFinisher(DyingEncoderFinisher):
    """A final task whose encoder takes its process down."""

    fault: Fault = staticmethod(lambda number, frame: os._exit(1) if number >= AFTER else frame)
