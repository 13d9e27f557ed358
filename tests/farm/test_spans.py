from __future__ import annotations

from farm.chunk_report import chunk_report, since_begin
from farm.chunk_task import ChunkResult
from farm.meters import ProcessMeter
from farm.spans import SpanBook


def test_a_stage_reaches_from_its_first_to_its_last_work() -> None:
    book = SpanBook()
    book.note_wait("process", 0.0, 5.0)
    assert book.spans == {}
    book.note("process", 10.0, 11.0)
    book.note_wait("process", 11.0, 12.0)
    book.note("process", 12.0, 14.0)
    span = book.spans["process"]
    assert (span.begin_s, span.end_s, span.waited_s) == (10.0, 14.0, 1.0)


def test_blocks_are_noted_as_work_and_as_waiting() -> None:
    book = SpanBook()
    with book.working("decode"), book.waiting("decode"):
        pass
    span = book.spans["decode"]
    assert 0 <= span.waited_s <= span.end_s - span.begin_s


def test_processor_time_is_counted_between_takes() -> None:
    meter = ProcessMeter()
    sum(range(200_000))
    used, peak = meter.take()
    assert used > 0
    assert peak > 1 << 20
    assert meter.take()[0] < used


def test_reports_count_from_the_first_work_of_any_chunk() -> None:
    book = SpanBook()
    book.note("encode", 105.0, 107.0, 0.5)
    late = ChunkResult(chunk_index=1, frames=5, spans=book.spans)
    book = SpanBook()
    book.note("decode", 100.0, 101.0)
    early = ChunkResult(chunk_index=0, frames=5, spans=book.spans)
    reports = since_begin([chunk_report("w", late, 5), chunk_report("w", early, 0)])
    assert [report.chunk_index for report in reports] == [0, 1]
    assert reports[0].stages["decode"].begin_s == 0.0
    encode = reports[1].stages["encode"]
    assert (encode.begin_s, encode.end_s, encode.busy_s) == (5.0, 7.0, 1.5)
