from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from farm.errors import JobError, SettingsError
from scheduler.driver_lease import SILENCE_S
from scheduler.ledger import Ledger
from scheduler.ledger_records import AttemptNote, JobVersion, StoredChunk, Stretch
from scheduler.ledger_tables import LEDGER_NAME, differences, read_summary

FIRST = JobVersion(
    fingerprint="one",
    identity={"input": "ab", "encoder": {"quality": 18, "name": "libx264"}, "frames": "x" * 64},
    settings={"video_quality": 18},
)
SECOND = JobVersion(
    fingerprint="two",
    identity={"input": "ab", "encoder": {"quality": 20, "name": "libx264"}, "frames": "y" * 64},
    settings={"video_quality": 20},
)


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.on_wait: Callable[[], None] = lambda: None

    def now(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds
        self.on_wait()


def chunk(number: int, fingerprint: str = "one", token: int = 1) -> StoredChunk:
    return StoredChunk(chunk_index=number, fingerprint=fingerprint, token=token, sha256="ab")


def note(outcome: str, token: int = 1) -> AttemptNote:
    return AttemptNote(token=token, chunk_index=0, worker=0, node="here", outcome=outcome)


def told(folder: Path, statement: str, *values: object) -> None:
    """Do something behind a ledger's back."""
    base = sqlite3.connect(folder / LEDGER_NAME)
    base.execute(statement, values)
    base.commit()
    base.close()


def hold(folder: Path, holder: str) -> None:
    """Write somebody else's lease into a ledger."""
    with Ledger(folder):
        pass
    told(folder, "INSERT INTO lease VALUES (?, 0)", holder)


def test_what_is_noted_is_there_for_the_next_driver(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        first = ledger.job_id, ledger.run
        ledger.begin(FIRST, replan=False, has_work=False)
        ledger.store(chunk(3))
        ledger.note(note("sent"))
        ledger.note(note("done"))
        assert not ledger.listed
        ledger.note_listed()
    with Ledger(tmp_path) as ledger:
        assert (ledger.job_id, ledger.run) == (first[0], first[1] + 1)
        assert ledger.chunks() == {3: chunk(3)}
        assert ledger.versions() == {"one": FIRST}
        assert [each.outcome for each in ledger.attempts()] == ["sent", "done"]
        assert ledger.listed
        ledger.forget([3])
        assert ledger.chunks() == {}


def test_notes_are_written_about_once_a_second_and_at_the_end(tmp_path: Path) -> None:
    clock = Clock()
    with Ledger(tmp_path, now=clock.now) as ledger:
        ledger.store(chunk(0))
        assert ledger.chunks() == {}
        clock.seconds += 1.5
        ledger.store(chunk(1))
        assert sorted(ledger.chunks()) == [0, 1]
        ledger.store(chunk(2))
    with Ledger(tmp_path) as ledger:
        assert sorted(ledger.chunks()) == [0, 1, 2]


def test_a_job_that_differs_is_refused_with_what_differs(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.begin(FIRST, replan=False, has_work=False)
        ledger.store(chunk(0))
    with (
        Ledger(tmp_path) as ledger,
        pytest.raises(
            SettingsError,
            match=r"encoder.quality was 18 and is 20; frames is not the same.*--replan",
        ),
    ):
        ledger.begin(SECOND, replan=False, has_work=True)


@pytest.mark.parametrize(("replan", "has_work"), [(True, True), (False, False)])
def test_work_is_forgotten_when_told_so_or_where_there_is_none(
    tmp_path: Path, replan: bool, has_work: bool
) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.begin(FIRST, replan=False, has_work=False)
        ledger.store(chunk(0))
        ledger.flush()
        ledger.begin(SECOND, replan=replan, has_work=has_work)
        assert ledger.chunks() == {}
        assert ledger.versions() == {"two": SECOND}
        assert ledger.base_fingerprint == "two"


def test_a_stretch_has_a_version_of_its_own(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.begin(FIRST, replan=False, has_work=False)
        ledger.finish()
        stretch = Stretch(chunk_start=2, chunk_stop=4, fingerprint="two")
        ledger.begin(SECOND, replan=False, has_work=True, stretch=stretch)
        assert ledger.state == "rendering"
        assert ledger.stretches() == [stretch]
        assert ledger.base_fingerprint == "one"
        assert set(ledger.versions()) == {"one", "two"}


def test_two_drivers_on_one_machine_are_told_apart_by_the_process(tmp_path: Path) -> None:
    with (
        Ledger(tmp_path),
        pytest.raises(JobError, match=rf"process {os.getpid()} works on this job"),
        Ledger(tmp_path),
    ):
        pass
    with Ledger(tmp_path):
        pass


def test_the_lease_of_a_killed_driver_is_taken_over_at_once(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from scheduler.ledger import Ledger\n"
        "Ledger(Path(sys.argv[1])).__enter__(); os.kill(os.getpid(), 9)"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", script, tmp_path], cwd=root, check=False)
    clock = Clock()
    with Ledger(tmp_path, wait=clock.wait) as ledger:
        assert ledger.run == 2
    assert clock.seconds == 0


def test_a_driver_elsewhere_whose_heart_stands_still_is_taken_for_dead(tmp_path: Path) -> None:
    hold(tmp_path, "elsewhere 1 2.0 x")
    clock = Clock()
    said: list[str] = []
    with Ledger(tmp_path, say=said.append, now=clock.now, wait=clock.wait):
        assert clock.seconds >= SILENCE_S
    assert "asking whether elsewhere still drives it" in said[0]


def test_a_driver_elsewhere_whose_heart_beats_is_left_alone(tmp_path: Path) -> None:
    hold(tmp_path, "elsewhere 1 2.0 x")
    clock = Clock()
    clock.on_wait = lambda: told(tmp_path, "UPDATE lease SET beat = beat + 1")
    with (
        pytest.raises(JobError, match="a command on elsewhere works on this job"),
        Ledger(tmp_path, now=clock.now, wait=clock.wait),
    ):
        pass
    assert clock.seconds < SILENCE_S


def test_a_driver_that_lost_its_lease_writes_nothing_more(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.store(chunk(0))
        told(tmp_path, "UPDATE lease SET holder = 'elsewhere 1 2.0 x'")
        with pytest.raises(JobError, match="another driver took this job over"):
            ledger.flush()
        with pytest.raises(JobError, match="another driver"):
            ledger.check_lease()
        assert ledger.chunks() == {}
    base = sqlite3.connect(tmp_path / LEDGER_NAME)
    assert base.execute("SELECT holder FROM lease").fetchall() == [("elsewhere 1 2.0 x",)]
    base.close()


def test_a_ledger_that_is_none_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / LEDGER_NAME).write_bytes(b"no database at all, but long enough to be read" * 99)
    with pytest.raises(JobError, match="the ledger cannot be used"), Ledger(tmp_path):
        pass
    with pytest.raises(JobError, match="cannot be read"):
        read_summary(tmp_path)


def test_a_summary_is_read_without_the_lease(tmp_path: Path) -> None:
    assert read_summary(tmp_path) is None
    with Ledger(tmp_path) as ledger:
        ledger.begin(FIRST, replan=False, has_work=False)
        ledger.store(chunk(0))
        for each in (note("sent"), note("failed"), note("sent", 2), note("done", 2)):
            ledger.note(each)
        ledger.flush()
        summary = read_summary(tmp_path)
        assert summary is not None
        assert summary.job_id == ledger.job_id
        assert (summary.state, summary.driven) == ("rendering", True)
        assert (summary.chunks_done, summary.attempts, summary.failures) == (1, 2, 1)
        assert summary.settings == FIRST.settings


def test_differences_name_the_part_and_both_values_where_they_are_short() -> None:
    before = {"a": {"b": 1, "c": None}, "d": "x" * 99, "e": 5}
    after = {"a": {"b": 2, "c": "new"}, "d": "y" * 99, "f": 6}
    assert differences(before, after) == [
        "a.b was 1 and is 2",
        "a.c was nothing and is new",
        "d is not the same",
        "e was 5 and is nothing",
        "f was nothing and is 6",
    ]
