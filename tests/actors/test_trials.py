from __future__ import annotations

import pytest
from ray.exceptions import WorkerCrashedError

from actors import trials
from actors.trials import start_trials, try_rungs
from farm.encoder_trial import Trial
from farm.media.encoders import choose_encoder
from farm.media.ladder import encoder_ladder
from farm.settings import EncoderSettings
from tests.actors.fake_ray import NODE, FakeRay
from tests.media.broken_encoders import pretend_hardware
from tests.media.finish_case import parameters

RUNGS = encoder_ladder("libx264", 18, parameters(), EncoderSettings()).rungs


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setattr(trials, "ray", fake)
    monkeypatch.setattr(trials, "_has_devices", lambda: True)
    return fake


def test_software_is_tried_where_no_hardware_works() -> None:
    found = try_rungs(RUNGS, parameters())
    assert [trial.encoder for trial in found] == [rung.encoder for rung in RUNGS]
    assert [trial.problem is None for trial in found] == [False, False, False, True]


def test_software_is_not_tried_where_hardware_works(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_hardware(monkeypatch)
    found = try_rungs(RUNGS, parameters())
    assert (found[0].encoder, found[0].problem) == ("h264_nvenc", None)
    assert "libx264" not in [trial.encoder for trial in found]


def test_every_node_is_asked_and_the_task_is_pinned_to_it(ray: FakeRay) -> None:
    other = "cd" * 28
    rungs = (choose_encoder("ffv1", 0, parameters())[0],)
    running = start_trials(rungs, parameters(), [NODE, other], NODE)
    assert [each["scheduling_strategy"].node_id for each in ray.options] == [NODE, other]
    assert all(each["num_cpus"] == each["max_retries"] == 0 for each in ray.options)
    works = (Trial(encoder="ffv1", problem=None, parameter_sets=b""),)
    found = running.results()
    assert [(t.encoder, t.problem) for t in found[NODE]] == [(works[0].encoder, None)]
    assert list(found) == [NODE, other]


def test_an_encoder_that_brings_its_process_down_counts_as_broken(
    ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(ref: object) -> None:
        raise WorkerCrashedError

    running = start_trials(RUNGS, parameters(), [NODE], NODE)
    monkeypatch.setattr(ray, "get", crash)
    problems = {trial.problem for trial in running.results()[NODE]}
    assert problems == {"its trial brought the process down (WorkerCrashedError)"}


def test_an_encoder_that_hangs_counts_as_broken(
    ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start_trials(RUNGS, parameters(), [NODE], NODE)
    monkeypatch.setattr(ray, "wait", lambda refs, **_: ([], refs))
    problems = {trial.problem for trial in running.results()[NODE]}
    assert problems == {"did not answer within 60 s"}


def test_a_single_node_without_devices_needs_no_process_for_its_trial(
    ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "_has_devices", lambda: False)
    found = start_trials(RUNGS, parameters(), [NODE], NODE).results()
    assert [trial.encoder for trial in found[NODE]] == [rung.encoder for rung in RUNGS]
    assert ray.options == []
