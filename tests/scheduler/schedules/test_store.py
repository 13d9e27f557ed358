from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from farm.errors import InputError
from scheduler.queue.store import QueueStore
from scheduler.schedules.rule import Missed, Rule
from scheduler.schedules.store import (
    add_schedule,
    enable,
    fire_due,
    get_schedule,
    remove_schedule,
    schedules,
)
from tests.scheduler.queue.made_up import NOW

HOURLY = Rule(cron="0 * * * *", missed=Missed.ALL)
HOUR = timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[QueueStore]:
    with QueueStore(tmp_path / "queue.sqlite") as opened:
        yield opened


@pytest.fixture
def request_fields(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"a")
    return {
        "targets": ["videos"],
        "output": "done/{stem}.mp4",
        "values": {"frame_processor": ["none"]},
        "folder": str(tmp_path),
    }


def test_a_schedule_adds_what_is_new_in_its_folder(
    store: QueueStore, request_fields: dict[str, object], tmp_path: Path
) -> None:
    add_schedule(store, "nightly", HOURLY, request_fields, NOW)
    assert fire_due(store, NOW) == []
    assert len(fire_due(store, NOW + HOUR)) == 1
    assert fire_due(store, NOW + HOUR) == []
    (tmp_path / "videos" / "b.mp4").write_bytes(b"b")
    assert len(fire_due(store, NOW + 2 * HOUR)) == 1
    outputs = [job.output.name for job in store.jobs()]
    assert outputs == ["a.mp4", "b.mp4"]
    assert store.jobs()[0].output == tmp_path / "done" / "a.mp4"


def test_two_services_carry_out_a_fire_once(
    store: QueueStore, request_fields: dict[str, object]
) -> None:
    add_schedule(store, "nightly", HOURLY, {**request_fields, "again": True}, NOW)
    with QueueStore(store.path) as other:
        both = [fire_due(each, NOW + HOUR) for each in (store, other)]
    assert [len(ids) for ids in both] == [1, 0]


def test_why_nothing_was_added_is_kept(
    store: QueueStore, request_fields: dict[str, object], tmp_path: Path
) -> None:
    add_schedule(store, "nightly", HOURLY, request_fields, NOW)
    (tmp_path / "videos" / "a.mp4").unlink()
    assert fire_due(store, NOW + HOUR) == []
    assert "holds no file" in get_schedule(store, "nightly").message


def test_a_disabled_schedule_does_not_fire_and_misses_nothing(
    store: QueueStore, request_fields: dict[str, object]
) -> None:
    add_schedule(store, "nightly", HOURLY, request_fields, NOW)
    enable(store, "nightly", False, NOW)
    assert fire_due(store, NOW + 5 * HOUR) == []
    enable(store, "nightly", True, NOW + 5 * HOUR)
    assert fire_due(store, NOW + 5 * HOUR) == []
    assert len(fire_due(store, NOW + 6 * HOUR)) == 1


def test_a_clock_that_had_run_ahead_does_not_silence_a_schedule(
    store: QueueStore, request_fields: dict[str, object]
) -> None:
    add_schedule(store, "nightly", HOURLY, request_fields, NOW)
    fire_due(store, NOW + 9000 * HOUR)
    assert fire_due(store, NOW + HOUR / 10) == []
    following = get_schedule(store, "nightly").next_fire
    assert following is not None
    assert following <= NOW + 2 * HOUR
    fire_due(store, following)
    assert get_schedule(store, "nightly").last_fire == following


def test_a_clock_that_is_set_back_a_little_fires_nothing_twice(
    store: QueueStore, request_fields: dict[str, object]
) -> None:
    add_schedule(store, "nightly", HOURLY, request_fields, NOW)
    fire = get_schedule(store, "nightly").next_fire
    assert fire is not None
    assert len(fire_due(store, fire)) == 1
    for seconds in (-60, 0, 60):
        assert fire_due(store, fire + timedelta(seconds=seconds)) == []


def test_names_are_unique_and_known(store: QueueStore, request_fields: dict[str, object]) -> None:
    add_schedule(store, "nightly", HOURLY, request_fields, NOW)
    assert schedules(store) == [get_schedule(store, "nightly")]
    assert get_schedule(store, "nightly").rule == HOURLY
    with pytest.raises(InputError, match="is there already"):
        add_schedule(store, "nightly", HOURLY, request_fields, NOW)
    with pytest.raises(InputError, match="never fires"):
        add_schedule(store, "never", Rule(cron="0 0 31 2 *"), request_fields, NOW)
    remove_schedule(store, "nightly")
    with pytest.raises(InputError, match="there is no schedule nightly"):
        remove_schedule(store, "nightly")
