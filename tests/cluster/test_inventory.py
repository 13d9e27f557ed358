from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError

from cluster.crew import without_nodes
from cluster.inventory import _answer, ask_nodes, node_notes, questions_for, version_problem
from cluster.runtime import RayRuntime
from farm.errors import ClusterError
from farm.settings import ProcessorSettings, RenderSettings
from scheduler.workers import WorkerWish, plan_workers
from tests.actors.fake_ray import task_error
from tests.rendering import NOTHING
from tests.scheduler.offers import gpu, node

OURS = {"facefarm": "1", "av": "18", "numpy": "2", "onnxruntime": "1.31", "opencv": "4.14"}


def test_versions_that_pixels_could_show_must_agree() -> None:
    assert version_problem(OURS, OURS | {"ray": "9", "python": "3.11.4"}) == ""
    said = version_problem(OURS, OURS | {"av": "17", "facefarm": "2"})
    assert said.startswith("facefarm 2 there, 1 here, av 17 there, 18 here; install the same")
    assert "opencv none there" in version_problem(OURS, {k: OURS[k] for k in OURS if k != "opencv"})


@pytest.mark.parametrize(
    ("ahead_s", "said"), [(0.5, ""), (90.0, "90 s ahead"), (-7.0, "7 s behind")]
)
def test_a_clock_that_is_off_is_said_and_nothing_else_follows(ahead_s: float, said: str) -> None:
    notes = node_notes(node(clock_s=1000.0 + ahead_s).facts, 1000.0)
    assert [said in note for note in notes] == ([True] if said else [])


def test_a_broken_driver_and_a_broken_gpu_are_said() -> None:
    facts = node(gpus=(gpu(0), gpu(1, broken=True)), gpu_problem="it does not answer").facts
    assert node_notes(facts, 1e9) == [
        "node one: it does not answer; its GPUs are not used",
        "GPU 1 of node one is not used: no kernel runs",
    ]


def test_only_what_the_job_may_use_is_tried(tmp_path: Path) -> None:
    files: dict[str, Any] = {"target": tmp_path / "a.mp4", "output": tmp_path / "b.mp4"}
    asked = questions_for(RenderSettings(**files, execution_provider="CUDA"))
    assert asked.providers == ("cuda",)
    assert questions_for(RenderSettings(**files, processors=NOTHING)).providers == ("cpu",)
    others = ProcessorSettings(names=("face_anonymizer",))
    assert questions_for(RenderSettings(**files, processors=others)).providers is None


def test_a_node_that_breaks_while_it_is_asked_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [task_error(ValueError("a\nb")), RayActorError()]

    def get(_ref: object) -> None:
        raise errors.pop(0)

    monkeypatch.setattr("cluster.inventory.ray.get", get)
    assert _answer(None) == "asking it failed (a b)"
    assert "it is lost" in str(_answer(None))


def add(one: int, other: int) -> int:
    return one + other


def as_number(text: str) -> int:
    return int(text)


@pytest.mark.ray
def test_a_node_is_asked_in_a_process_that_ends_afterwards(runtime: RayRuntime) -> None:
    del runtime
    (entry,) = ray.nodes()  # type: ignore[no-untyped-call]
    assert ask_nodes([entry["NodeID"]], add, 3, 7) == [10]
    (said,) = ask_nodes([entry["NodeID"]], as_number, "no number")
    assert "no number" in str(said)
    (gone,) = ask_nodes(["a" * len(entry["NodeID"])], add, 3, 7)
    assert "it is lost" in str(gone)


def test_nodes_without_models_lose_their_seats() -> None:
    plan = plan_workers([node("a"), node("b")], WorkerWish(chunks=9))
    said: list[str] = []
    left = without_nodes(plan, {"id-b": "the disk is full"}, said.append)
    assert [seat.node for seat in left.seats] == ["a"]
    assert said == ["node b is left out: the disk is full"]
    with pytest.raises(ClusterError, match=r"node a .*; node b"):
        without_nodes(plan, {"id-a": "x", "id-b": "y"}, said.append)
