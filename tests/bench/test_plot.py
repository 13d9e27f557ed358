from __future__ import annotations

from xml.etree import ElementTree

from farm.bench.plot import line_plot


def test_each_series_has_a_line_with_a_point_for_each_place() -> None:
    places = [("1", "worker"), ("2", "workers"), ("4", "workers")]
    plot = line_plot("a < b", places, {"one": [1, 2, 3], "other": [3, 2, 1]}, top=3)
    lines = [each for each in ElementTree.fromstring(plot) if each.tag.endswith("polyline")]
    points = [[int(p.split(",")[1]) for p in line.attrib["points"].split()] for line in lines]
    assert [len(each) for each in points] == [3, 3]
    assert points[0][0] == points[1][2] > points[0][2] == points[1][0]


def test_one_place_and_nothing_but_zeros_can_be_drawn() -> None:
    assert "<polyline" in line_plot("t", [("1",)], {"one": [0.0]})
