from __future__ import annotations

import pytest

from farm.bottleneck import busiest_stage, name_bottleneck
from farm.report import WorkerTime


@pytest.mark.parametrize(
    ("stage_s", "said"),
    [
        ({"decode": 9.5, "encode": 2}, "bound by decoding: busy for 95% of the time"),
        ({"detect": 4, "process": 5, "encode": 8}, "bound by faces: busy for 90%"),
        ({"decode": 1, "encode": 9}, "a hardware encoder, a faster --preset"),
        ({"decode": 1, "encode": 2}, "no stage was busy for more than 20%"),
        ({"encode": 9, "total": 40, "start": 20}, "75% of the time went by around the rendering"),
        ({}, ""),
    ],
)
def test_what_holds_a_render_up_is_named_with_what_helps(
    stage_s: dict[str, float], said: str
) -> None:
    found = name_bottleneck(stage_s, 10.0, 1, "libx264")
    assert said in found
    assert bool(found) == bool(said)


def test_a_hardware_encoder_is_not_advised_where_there_is_one() -> None:
    assert "hardware" not in name_bottleneck({"encode": 9}, 10.0, 1, "h264_nvenc")


def test_several_workers_share_the_time() -> None:
    assert "busy for 45%" not in name_bottleneck({"encode": 9}, 10.0, 2, "libx264")
    assert "more than 45%" in name_bottleneck({"encode": 9}, 10.0, 2, "libx264")


LOST = WorkerTime(places_s=20.0, starting_s=1.0, lost_s=9.0)


def test_time_lost_with_workers_is_named_and_not_blamed_on_others() -> None:
    found = name_bottleneck({"encode": 8}, 10.0, 2, "libx264", LOST)
    assert "no stage was busy for more than 40% of the workers' time" in found
    assert "45% of it was lost with attempts that came to nothing" in found
    assert "other work" not in found
    assert "started" not in found  # 5 %


def test_lost_time_is_said_where_a_stage_was_busy_all_the_same() -> None:
    found = name_bottleneck({"encode": 11}, 10.0, 2, "libx264", LOST)
    assert found.startswith("bound by encoding: busy for 55%")
    assert found.endswith("45% of the workers' time was lost with attempts that came to nothing")


def test_waiting_for_packets_and_for_workers_are_told_apart() -> None:
    time = WorkerTime(places_s=10.0, starting_s=4.0)
    found = name_bottleneck({"encode": 1, "fetch": 5}, 10.0, 1, "libx264", time)
    assert found.endswith(
        "50% of it went by waiting for packets and 40% of it went by until they had started"
    )


def test_the_busiest_stage_is_named_while_it_runs() -> None:
    assert busiest_stage({"decode": 1.0, "detect": 0.7, "process": 0.7}) == "faces"
    assert busiest_stage({}) == ""
