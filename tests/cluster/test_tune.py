from __future__ import annotations

from pathlib import Path

import pytest

from cluster.tune import Way, best_way, measure_ways, ways_to_try
from farm.errors import ProviderError
from farm.precision import Precision
from farm.profile import Profile, find_profile, store_profile, with_profile
from farm.settings import ProcessorSettings, RenderSettings

TF32 = Precision.TF32
ANONYMIZE = ProcessorSettings(names=("face_anonymizer",))


def way(workers: int, threads: int = 1, provider: str = "cpu") -> Way:
    return Way(workers=workers, threads=threads, provider=provider, precision=TF32)


def profile(**changes: object) -> Profile:
    fields: dict[str, object] = {
        "workers": 3,
        "threads": 2,
        "provider": "cpu",
        "precision": Precision.FP16,
        "fps": 12.5,
        "clip": "clip.mp4",
        "created": "2026-11-24T12:00:00+00:00",
        "version": "0.1.0",
    }
    return Profile(**(fields | changes))  # type: ignore[arg-type]


def settings(**changes: object) -> RenderSettings:
    fields: dict[str, object] = {"target": Path("a.mp4"), "output": Path("b.mp4")}
    return RenderSettings(**(fields | {"processors": ANONYMIZE} | changes))  # type: ignore[arg-type]


def test_ways_use_all_cores_in_different_splits() -> None:
    ways = ways_to_try(["cpu"], 8, TF32)
    assert len(set(ways)) == len(ways)
    assert {(w.workers, w.threads) for w in ways} >= {(1, 8), (2, 4), (4, 2), (8, 1)}
    assert {w.workers for w in ways_to_try(["cpu"], 1, TF32)} == {1}


def test_half_precision_is_tried_on_devices_only() -> None:
    ways = ways_to_try(["cuda", "cpu"], 4, TF32)
    assert {w.precision for w in ways if w.provider == "cuda"} == {TF32, Precision.FP16}
    assert {w.precision for w in ways if w.provider == "cpu"} == {TF32}


def test_ways_are_measured_in_turns_and_the_median_decides() -> None:
    speeds = {way(1): iter((10.0, 1.0, 10.0)), way(2): iter((8.0, 9.0, 9.0))}
    order: list[Way] = []

    def render(each: Way) -> float:
        order.append(each)
        return next(speeds[each])

    measured = measure_ways(list(speeds), render, 3, lambda _line: None)
    assert order == [way(1), way(2)] * 3
    assert [each.fps for each in measured] == [10.0, 9.0]
    assert best_way(measured).way == way(1)


def test_of_ways_nearly_as_fast_the_one_with_fewer_workers_is_kept() -> None:
    measured = measure_ways(
        [way(1), way(2), way(4)],
        lambda each: {1: 5.0, 2: 9.9, 4: 10.0}[each.workers],
        1,
        lambda _line: None,
    )
    assert best_way(measured).way == way(2)


def test_a_provider_that_does_not_work_is_left_out_and_said() -> None:
    said: list[str] = []

    def render(each: Way) -> float:
        if each.provider == "cuda":
            raise ProviderError("no driver")
        return 3.0

    measured = measure_ways([way(1, provider="cuda"), way(1)], render, 2, said.append)
    assert [each.way.provider for each in measured] == ["cpu"]
    assert "cuda is left out: no driver" in said


def test_a_profile_is_used_where_nothing_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "profiles.json"
    store_profile(settings(), profile(), path)
    tuned, said = with_profile(settings(), path)
    assert (tuned.workers, tuned.execution_threads, tuned.execution_provider) == (3, 2, "cpu")
    assert tuned.processors.precision is Precision.FP16
    assert "as tuned on 2026-11-24 with clip.mp4" in said
    assert find_profile(settings(), path) == profile()


@pytest.mark.parametrize(
    "own",
    [
        {"workers": 1},
        {"execution_threads": 1},
        {"execution_provider": "cpu"},
        {"address": "auto"},
        {"processors": ProcessorSettings(names=("face_swapper",))},
    ],
)
def test_what_the_user_says_and_other_work_is_left_alone(
    tmp_path: Path, own: dict[str, object]
) -> None:
    path = tmp_path / "profiles.json"
    store_profile(settings(), profile(), path)
    asked = settings(**own)
    assert with_profile(asked, path) == (asked, "")


def test_a_damaged_profile_file_costs_nothing_but_its_profiles(tmp_path: Path) -> None:
    path = tmp_path / "profiles.json"
    path.write_text("{damaged")
    assert with_profile(settings(), path) == (settings(), "")
    store_profile(settings(), profile(), path)
    assert find_profile(settings(), path) is not None


def test_a_render_without_tuning_is_measured_with_the_settings_as_they_are() -> None:
    usual = way(0, 0)
    assert usual.untuned
    assert usual.applied(settings()) == settings()
    assert way(2, 1).applied(settings()).workers == 2
