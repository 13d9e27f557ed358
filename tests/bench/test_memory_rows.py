from __future__ import annotations

from farm.bench.memory_rows import MemoryRow, memory_lines


def row(seconds: float, peak_mib: int, *, bounded: bool = True) -> MemoryRow:
    return MemoryRow(
        name="",
        seconds=seconds,
        bounded=bounded,
        peak_bytes=peak_mib << 20,
        worker_bytes=1 << 20,
        fps=30.0,
    )


def test_each_length_is_compared_with_the_shortest_of_its_kind() -> None:
    rows = [row(600, 150), row(10, 100), row(600, 400, bounded=False), row(10, 200, bounded=False)]
    lines = memory_lines(rows)[2:]
    assert [line.split(" | ")[3] for line in lines] == ["1.50", "1.00", "2.00", "1.00"]
