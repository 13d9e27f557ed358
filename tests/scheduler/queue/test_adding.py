from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.errors import InputError, JobError
from scheduler.queue import schema
from scheduler.queue.adding import add_jobs
from scheduler.queue.claims import claim, finish
from scheduler.queue.records import JobOutcome, JobState
from scheduler.queue.store import JobFilter, QueueStore
from tests.scheduler.queue.made_up import NOW, add, check, new_job


@pytest.fixture
def store(tmp_path: Path) -> Iterator[QueueStore]:
    with QueueStore(tmp_path / "deep" / "queue.sqlite") as opened:
        yield opened
        check(opened)


def test_a_job_comes_back_as_it_was_added(store: QueueStore) -> None:
    (number,) = add(store, new_job(1, tags=("a", "b"), priority=3, windows=("22:00-06:00",)))
    job = store.get(number)
    assert (job.target, job.output) == (Path("/in.mp4"), Path("/out1.mp4"))
    assert job.values == {"target": "/in.mp4", "output": "/out1.mp4"}
    assert (job.tags, job.priority, job.windows) == (("a", "b"), 3, ("22:00-06:00",))
    assert (job.state, job.added, job.attempts) == (JobState.HELD, NOW, 0)


def test_the_same_work_is_noticed_and_added_again_only_if_told(store: QueueStore) -> None:
    (number,) = add(store, new_job(1))
    added = add_jobs(store, [new_job(2), new_job(1)], who="me", now=NOW)
    assert len(added.job_ids) == 1
    assert added.there_already == ((1, number),)
    found = claim(store, "a", NOW)
    assert found is not None
    finish(store, found[0], NOW, JobOutcome.DONE, 0, "")
    assert add_jobs(store, [new_job(1)], who="me", now=NOW).job_ids == ()
    assert len(add_jobs(store, [new_job(1)], who="me", now=NOW, again=True).job_ids) == 1


def test_work_that_failed_may_be_added_again(store: QueueStore) -> None:
    add(store, new_job(1))
    found = claim(store, "a", NOW)
    assert found is not None
    finish(store, found[0], NOW, JobOutcome.FAILED, 1, "broke")
    assert len(add(store, new_job(1))) == 1


def test_an_addition_is_taken_whole_or_not_at_all(store: QueueStore) -> None:
    add(store, new_job(1))
    with pytest.raises(InputError, match="is the output of job 1 already"):
        add(store, new_job(2), new_job(1, digest="other"))
    with pytest.raises(InputError, match="there is no job 99"):
        add(store, new_job(3), new_job(4, after=(99,)))
    with pytest.raises(InputError, match=r"out5.mp4: is the output of /in.mp4 and of /in.mp4"):
        add(store, new_job(5), new_job(5, digest="other"))
    assert len(store.jobs()) == 1


def test_a_circle_is_refused(store: QueueStore) -> None:
    with pytest.raises(InputError, match="must stand before it"):
        add(store, new_job(1, after_new=(1,)), new_job(2, after_new=(0,)))


def test_what_follows_a_job_that_failed_is_refused(store: QueueStore) -> None:
    (number,) = add(store, new_job(1))
    found = claim(store, "a", NOW)
    assert found is not None
    finish(store, found[0], NOW, JobOutcome.FAILED, 1, "broke")
    with pytest.raises(InputError, match="which ended as failed"):
        add(store, new_job(2, after=(number,)))


def test_a_list_can_be_narrowed(store: QueueStore) -> None:
    one, two, three = add(
        store, new_job(1, tags=("x",)), new_job(2, priority=4), new_job(3, tags=("x", "y"))
    )
    claim(store, "a", NOW)

    def numbers(**which: object) -> list[int]:
        return [job.job_id for job in store.jobs(JobFilter(**which))]  # type: ignore[arg-type]

    assert numbers() == [two, one, three]
    assert numbers(states=(JobState.RUNNING,)) == [two]
    assert numbers(tag="x") == [one, three]
    assert numbers(text="out3") == [three]
    assert numbers(newest_first=True, limit=2) == [three, two]
    assert numbers(limit=1, offset=2) == [three]
    assert store.counts() == {"running": 1, "waiting": 2}


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.sqlite"
    QueueStore(path).close()
    with sqlite3.connect(path) as base:
        base.execute("PRAGMA user_version = 99")
    base.close()
    with pytest.raises(InputError, match="written by a newer facefarm"):
        QueueStore(path)


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "q.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match=r"not a database\); name another file with --store"):
        QueueStore(path)


def test_a_full_disk_is_said_and_nothing_is_half_added(store: QueueStore) -> None:
    pages = store.base.execute("PRAGMA page_count").fetchone()[0]
    store.base.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JobError, match=r"cannot be used .*full.*; free its disk"):
        add(store, *(new_job(i, values={"x": "y" * 4000}) for i in range(50)))
    assert store.jobs() == []


def test_a_store_that_another_process_holds_is_said_to_be_busy(store: QueueStore) -> None:
    with sqlite3.connect(store.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        store.base.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(JobError, match=r"locked\); another process has held it"):
            add(store, new_job(1))
        with QueueStore(store.path) as reader:
            assert reader.jobs() == []  # looking needs no turn
    other.close()


def test_a_store_of_the_first_version_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "q.sqlite"
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        with QueueStore(path) as store:
            values = ("waiting", "/in.mp4", "/out.mp4", "{}", "d", 0, 1, "", "[]", "", 0, 0, 0)
            store.base.execute(
                "INSERT INTO jobs (state, target, output, job_values, digest, priority, position,"
                f" tag, tags, windows, not_before, pending, added) VALUES {values}"
            )
    with QueueStore(path) as store:
        (job,) = store.jobs()
        assert (job.deaths, job.owns_output, job.output) == (0, False, Path("/out.mp4"))


def test_migrations_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "q.sqlite"
    with QueueStore(path) as store:
        add(store, new_job(1))
    more = (*schema.MIGRATIONS, "CREATE TABLE later (x);\nINSERT INTO later VALUES (1);")
    monkeypatch.setattr(schema, "MIGRATIONS", more)
    for _ in range(2):
        with QueueStore(path) as store:
            assert store.base.execute("SELECT count(*) FROM later").fetchone()[0] == 1
            assert len(store.jobs()) == 1
