from __future__ import annotations

from scheduler.attempt_book import AttemptBook
from scheduler.ledger_records import AttemptNote


def tell(book: AttemptBook, now_s: float, token: int, worker: int, outcome: str) -> None:
    note = AttemptNote(
        token=token, chunk_index=token % 10, worker=worker, node="n", outcome=outcome
    )
    book.note(note, now_s)


def test_time_without_faults_is_not_lost() -> None:
    book = AttemptBook(0.0, 2)
    tell(book, 1.0, 0, 0, "sent")
    tell(book, 3.0, 1, 1, "sent")
    tell(book, 5.0, 0, 0, "done")
    tell(book, 9.0, 1, 1, "done")
    time = book.worker_time(10.0)
    assert (time.places_s, time.starting_s, time.lost_s) == (20.0, 4.0, 0.0)
    assert book.faults == ()
    assert book.tries(0) == 1


def test_a_lost_worker_costs_what_it_did_since_its_last_answer_and_the_time_without_it() -> None:
    book = AttemptBook(0.0, 1)
    for token in (0, 1, 2):
        tell(book, 0.0, token, 0, "sent")
    tell(book, 4.0, 0, 0, "done")
    tell(book, 7.0, 1, 0, "lost")  # 3 s of work,
    tell(book, 7.0, 2, 0, "lost")  # not begun,
    tell(book, 9.0, 11, 1, "sent")  # 2 s without a worker
    tell(book, 12.0, 11, 1, "done")
    time = book.worker_time(12.0)
    assert (time.places_s, time.starting_s, time.lost_s) == (12.0, 0.0, 5.0)
    assert [(each.chunk_index, each.seconds) for each in book.faults] == [(1, 3.0), (2, 0.0)]
    assert (book.tries(0), book.tries(1)) == (1, 2)


def test_a_place_that_nobody_takes_again_is_lost_to_the_end() -> None:
    book = AttemptBook(0.0, 2)
    tell(book, 0.0, 0, 0, "sent")
    tell(book, 0.0, 1, 1, "sent")
    tell(book, 2.0, 1, 1, "stopped")
    assert book.worker_time(10.0).lost_s == 2.0 + 8.0


def test_a_worker_that_never_came_up_was_starting_all_the_time() -> None:
    book = AttemptBook(0.0, 2)
    tell(book, 1.0, 0, 0, "sent")
    assert book.worker_time(10.0).starting_s == 1.0 + 10.0


def test_a_result_that_came_second_is_no_fault() -> None:
    book = AttemptBook(0.0, 1)
    tell(book, 0.0, 0, 0, "sent")
    tell(book, 1.0, 0, 0, "dropped")
    assert book.faults == ()
