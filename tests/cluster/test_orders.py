"""What workers are told of a job."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster import orders
from farm.media.index import IndexClass
from farm.settings import HardwareDecode, RenderSettings

ASKED = RenderSettings(
    target=Path("in.mp4"), output=Path("out.mp4"), hardware_decode=HardwareDecode.AUTO
)


@pytest.mark.parametrize(
    ("index_class", "damage", "told"),
    [
        (IndexClass.TRUSTED, (), HardwareDecode.AUTO),
        (IndexClass.UNTRUSTED, (), HardwareDecode.OFF),
        (IndexClass.TRUSTED, ("cut off",), HardwareDecode.OFF),
    ],
)
def test_no_device_decodes_what_may_decode_with_errors(
    index_class: IndexClass, damage: tuple[str, ...], told: HardwareDecode
) -> None:
    plan: Any = SimpleNamespace(index=SimpleNamespace(index_class=index_class, damage=damage))
    assert orders._device(ASKED, plan) is told
