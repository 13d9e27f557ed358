from __future__ import annotations

import threading
from collections import deque

import pytest

from farm.turns import Turns


def test_work_is_handed_on_in_the_order_of_taking_whoever_is_done_first() -> None:
    turns, waiting, handed = Turns(), deque(range(40)), list[int]()
    together = threading.Barrier(2, timeout=30)
    odd_is_at_its_turn = threading.Event()

    def work() -> None:
        for _ in range(20):
            turn, number = turns.take(waiting.popleft)
            together.wait()  # Both have work in hand at this moment.
            if number % 2 == 0:
                odd_is_at_its_turn.wait(30)  # Whoever took first comes last to hand on.
                odd_is_at_its_turn.clear()
            else:
                odd_is_at_its_turn.set()
            with turns.in_turn(turn):
                handed.append(number)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handed == list(range(40))


def test_a_turn_that_fails_is_over_all_the_same() -> None:
    turns = Turns()
    first, _ = turns.take(lambda: None)
    second, _ = turns.take(lambda: None)
    with pytest.raises(RuntimeError), turns.in_turn(first):
        raise RuntimeError
    with turns.in_turn(second):
        pass
