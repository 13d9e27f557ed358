from __future__ import annotations

import pytest

from farm.bench.limits import Cost
from farm.bench.rows import Limits, compare_lines, machine_facts, make_row, table_lines
from farm.errors import InputError


def limits(decode_s: float, encode_s: float, sessions_s: float) -> Limits:
    return Limits(
        decode=Cost(wall_s=decode_s, cpu_s=decode_s),
        decode_encode=Cost(wall_s=encode_s, cpu_s=2 * encode_s),
        sessions=Cost(wall_s=sessions_s, cpu_s=sessions_s),
    )


def test_ratios_are_taken_within_a_round_and_then_the_median() -> None:
    rounds = [
        (Cost(wall_s=10, cpu_s=20), limits(1, 8, 4)),
        (Cost(wall_s=100, cpu_s=22), limits(10, 90, 40)),  # a round that was disturbed as a whole
        (Cost(wall_s=10, cpu_s=24), limits(1, 7, 4)),
    ]
    slow = [Cost(wall_s=each.wall_s * 2, cpu_s=0) for each, _ in rounds]
    row = make_row("pipeline", 300, 2, slow, rounds)
    assert row.fps == 30
    assert row.speed_up == 2
    assert row.ratio_to_decode == pytest.approx(0.1)
    assert row.ratio_to_decode_encode == pytest.approx(0.8)
    assert row.ratio_to_sessions == pytest.approx(0.4)
    # Work of the three rounds: 20, 220 and 18 seconds of processor time, on two cores.
    assert row.wall_to_work == pytest.approx(1.0)
    assert row.cpu_to_work == pytest.approx(1.0)


def test_the_table_has_a_line_for_each_row() -> None:
    row = make_row(
        "a", 10, 1, [Cost(wall_s=1, cpu_s=1)], [(Cost(wall_s=1, cpu_s=1), limits(1, 1, 1))]
    )
    lines = table_lines([row, row])
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {9}


def test_two_results_are_compared_by_the_names_of_their_rows() -> None:
    before = {"rows": [{"name": "a", "fps": 10.0}, {"name": "gone", "fps": 1.0}]}
    after = {"rows": [{"name": "a", "fps": 15.0}, {"name": "new", "fps": 1.0}]}
    lines = compare_lines(before, after)
    assert [line for line in lines if "+50 %" in line] == [lines[-1]]
    with pytest.raises(InputError, match="no row in common"):
        compare_lines(before, {"rows": []})


def test_the_facts_of_the_machine_name_processor_cores_and_versions() -> None:
    facts = machine_facts()
    assert facts["cores"] >= 1
    assert facts["processor"]
    assert "av" in facts["versions"]
