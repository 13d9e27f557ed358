from __future__ import annotations

from dataclasses import replace

import pytest

from farm.report import FlickerReport
from farm.summary import (
    damage_message,
    flicker_line,
    probe_lines,
    seconds,
    size,
    summary_lines,
    table,
)
from tests.farm.reports import DAMAGE, make_report


def test_summary_holds_every_fact_of_the_report() -> None:
    assert summary_lines(make_report(damage=(DAMAGE,))) == [
        "out.mp4: 100 frames in 5 chunks, 12.3 fps, 1 min 05 s in all",
        "  faces     120; 1 frame without a face (detector: cascade)",
        "  encoder   libx264, yuv420p10le",
        "  provider  CPUExecutionProvider, 1 worker of 4 threads",
        "  stages    index 0.25 s, decode 1.50 s",
        "  memory    1.5 GiB at its peak",
        "  note      one subtitle stream was left out",
        "  damage    at 0.333 s: 2 frames lost (corrupt packet)",
    ]


def test_faces_that_nobody_saw_are_told_of() -> None:
    many = summary_lines(make_report(faces_filled=12, frames_filled=5))
    assert many[2] == (
        "  filled    12 faces of these in 5 frames were not seen there, but before and after"
    )
    one = summary_lines(make_report(faces_filled=1, frames_filled=1))
    assert one[2].startswith("  filled    1 face of these in 1 frame was not seen there")


def test_frames_that_stayed_on_a_gpu_are_counted() -> None:
    (worker,) = make_report().workers
    stayed = (replace(worker, frames_on_device=40), replace(worker, frames_on_device=20), worker)
    lines = summary_lines(make_report(workers=stayed))
    assert "  frames    60 stayed on the GPU from decoder to encoder" in lines


def test_damage_is_one_line_however_many_places_there_are() -> None:
    message = damage_message(make_report(damage=(DAMAGE,) * 5))
    assert "10 frames lost" in message
    assert message.endswith("and 2 more, all in the manifest")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.004, "0.00 s"),
        (12.34, "12.3 s"),
        (65, "1 min 05 s"),
        (119.9, "2 min 00 s"),
        (7620, "2 h 07 min"),
    ],
)
def test_seconds_are_written_for_people(value: float, text: str) -> None:
    assert seconds(value) == text


def test_sizes_are_written_in_binary_units() -> None:
    assert [size(n) for n in (5, 2048, 3 << 20, 5 << 40)] == ["5 B", "2 KiB", "3.0 MiB", "5.0 TiB"]


def test_a_table_is_as_wide_as_its_cells() -> None:
    assert table([("a", 1), ("bbb", 22)]) == ["  a    1", "  bbb  22"]
    assert table([]) == []


def test_a_probe_shows_records_as_a_table_and_cuts_long_lists() -> None:
    document = {
        "container": "mp4",
        "language": None,
        "streams": [{"index": 0, "codec": "h264"}, {"index": 1, "codec": "aac"}],
        "chunks": [[n, n + 1] for n in range(20)],
        "reasons": [],
    }
    lines = probe_lines(document)
    assert lines[:3] == ["container: mp4", "language: -", "streams: 2"]
    assert lines[3:6] == ["  index  codec", "  0      h264", "  1      aac"]
    assert lines[6].endswith("(20 in all)")
    assert lines[7] == "reasons: -"


def test_flicker_is_said_where_it_was_measured() -> None:
    assert not any("flicker" in line for line in summary_lines(make_report()))
    calm = FlickerReport(inside=0.8, inside_pairs=9, borders=0.9, border_pairs=3)
    lines = summary_lines(make_report(flicker=calm))
    said = "  flicker   0.80 of 255 levels from frame to frame, 0.90 at borders of chunks"
    assert said in lines
    assert flicker_line(replace(calm, borders=4.0)).endswith("(the borders may be seen)")
    assert flicker_line(replace(calm, border_pairs=0)) == "0.80 of 255 levels from frame to frame"
