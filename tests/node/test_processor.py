from __future__ import annotations

from pathlib import Path

from farm.node.processor import has_instructions, processor_name, usable_cores


def test_the_processor_is_named_as_the_system_names_it(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(
        "processor\t: 0\nmodel name\t: Some 9000\nflags\t\t: avx vnni\nmodel name\t: b\n"
    )
    assert processor_name(info) == "Some 9000"
    assert has_instructions("vnni", info)
    assert not has_instructions("amx", info)


def test_a_system_that_says_nothing_has_a_name_all_the_same(tmp_path: Path) -> None:
    assert processor_name(tmp_path / "none")
    assert not has_instructions("vnni", tmp_path / "none")
    assert usable_cores() >= 1


def test_the_share_of_a_container_counts_as_its_cores(tmp_path: Path) -> None:
    quota, cores = tmp_path / "cpu.max", usable_cores(tmp_path / "none")
    for text, expected in (("50000 100000", 1), ("max 100000", cores), ("9900000 100000", cores)):
        quota.write_text(text)
        assert usable_cores(quota) == expected
