from __future__ import annotations

from farm.start_clock import StartClock


def test_parts_add_up_from_the_begin_to_the_last_in_the_order_of_their_ends() -> None:
    clock = StartClock()
    begin_s = clock.began_s
    clock.mark_at("first frame", begin_s + 6.0)
    clock.mark_at("Ray", begin_s + 2.0)
    clock.mark_at("index", begin_s + 2.5)
    assert list(clock.parts().items()) == [("Ray", 2.0), ("index", 0.5), ("first frame", 3.5)]


def test_only_the_first_time_counts() -> None:
    clock = StartClock()
    clock.mark_at("Ray", clock.began_s + 1.0)
    clock.mark_at("Ray", clock.began_s + 9.0)
    assert clock.parts() == {"Ray": 1.0}


def test_a_clock_of_another_node_that_is_behind_takes_no_time() -> None:
    clock = StartClock()
    clock.mark_at("first frame", clock.began_s - 3.0)
    clock.mark("workers")
    assert clock.parts()["first frame"] == 0.0
