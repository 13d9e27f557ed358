from __future__ import annotations

from typing import Any

import pytest

from farm.encoder_trial import Trial
from farm.errors import SetupError
from farm.media.ladder import encoder_ladder
from farm.settings import EncodeOn, EncoderSettings
from scheduler.encoders import EncoderPlan, plan_encoder
from tests.media.finish_case import parameters

SOFTWARE = EncoderSettings(hardware=False)


def works(encoder: str, sets: bytes = b"sets") -> Trial:
    return Trial(encoder=encoder, problem=None, parameter_sets=sets)


def broken(encoder: str, problem: str = "no device") -> Trial:
    return Trial(encoder=encoder, problem=problem)


def planned(
    *nodes: tuple[Trial, ...],
    asked: str = "libx264",
    encode_on: EncodeOn | None = None,
    settings: EncoderSettings | None = None,
    **more: Any,
) -> EncoderPlan:
    ladder = encoder_ladder(asked, 18, parameters(), settings or EncoderSettings())
    trials = {f"node{number}": tried for number, tried in enumerate(nodes)}
    values: dict[str, Any] = {"whole": False, "failed": {}, "renders": trials} | more
    values.setdefault("finals", trials)
    return plan_encoder(ladder, trials, "node0", encode_on, **values)


NOTHING = tuple(broken(name) for name in ("h264_nvenc", "h264_amf", "h264_qsv"))
NVENC = (works("h264_nvenc"), *NOTHING[1:])


def test_the_best_encoder_that_works_everywhere_is_taken() -> None:
    plan = planned(NVENC, NVENC)
    assert (plan.choice.encoder, plan.encode_on, plan.node) == (
        "h264_nvenc",
        EncodeOn.WORKER,
        None,
    )
    assert plan.parameter_sets == b"sets"


def test_listed_hardware_that_does_not_work_is_passed_over_and_said() -> None:
    plan = planned((*NOTHING, works("libx264")))
    assert plan.choice.encoder == "libx264"
    assert plan.notes[0] == (
        "libx264 encodes; passed over: h264_nvenc (no device), h264_amf (no device), "
        "h264_qsv (no device)"
    )


def test_where_only_some_nodes_have_hardware_all_take_software_and_the_other_way_is_named() -> None:
    plan = planned((*NOTHING, works("libx264")), NVENC)
    assert (plan.choice.encoder, plan.encode_on) == ("libx264", EncodeOn.WORKER)
    assert "works on 1 of 2 nodes; --encode-on final would use it" in plan.notes[0]


def test_hardware_of_one_node_encodes_the_whole_where_that_is_asked_for() -> None:
    plan = planned((*NOTHING, works("libx264")), NVENC, encode_on=EncodeOn.FINAL)
    assert (plan.choice.encoder, plan.encode_on, plan.node) == (
        "h264_nvenc",
        EncodeOn.FINAL,
        "node1",
    )


def test_the_final_task_stays_at_home_where_the_encoder_works_there() -> None:
    assert planned(NVENC, NVENC, encode_on=EncodeOn.FINAL).node == "node0"


def test_an_encoder_that_is_named_and_lacks_on_a_node_encodes_the_whole_on_another() -> None:
    plan = planned((NOTHING[0],), (NVENC[0],), asked="h264_nvenc")
    assert (plan.choice.encoder, plan.encode_on, plan.node) == (
        "h264_nvenc",
        EncodeOn.FINAL,
        "node1",
    )
    assert "does not work on every node" in plan.notes[-1]


def test_an_encoder_that_is_named_and_works_nowhere_is_an_error_that_says_why() -> None:
    with pytest.raises(SetupError, match=r"no encoder works: h264_nvenc \(no device\)"):
        planned((NOTHING[0],), asked="h264_nvenc")


def test_workers_that_lack_an_encoder_they_are_told_to_use_are_an_error() -> None:
    with pytest.raises(SetupError, match="works on 1 of 2 nodes"):
        planned((NOTHING[0],), (NVENC[0],), asked="h264_nvenc", encode_on=EncodeOn.WORKER)


def test_nodes_whose_chunks_would_not_join_do_not_share_an_encoder() -> None:
    other = (works("h264_nvenc", b"other"), *NOTHING[1:])
    plan = planned(NVENC, other)
    assert plan.choice.encoder == "libx264"
    assert "do not join" in plan.notes[0]


def test_a_rate_is_kept_by_one_encoder_over_the_whole() -> None:
    assert planned(NVENC, NVENC, whole=True).encode_on is EncodeOn.FINAL


def test_what_broke_in_the_job_is_not_taken_again() -> None:
    plan = planned(NVENC, NVENC, failed={"h264_nvenc": "the driver is gone"})
    assert plan.choice.encoder == "libx264"
    assert "h264_nvenc (the driver is gone)" in plan.notes[0]


def test_software_needs_no_trial_where_hardware_works() -> None:
    assert planned((), asked="libx264", settings=SOFTWARE).choice.encoder == "libx264"
    assert planned((), asked="libx264", settings=SOFTWARE).notes == ()


def test_only_nodes_with_workers_must_have_the_encoder() -> None:
    plan = planned((*NOTHING, works("libx264")), NVENC, renders={"node1"})
    assert (plan.choice.encoder, plan.encode_on) == ("h264_nvenc", EncodeOn.WORKER)


def test_the_final_task_runs_only_where_source_and_output_are_seen() -> None:
    plan = planned((*NOTHING, works("libx264")), NVENC, encode_on=EncodeOn.FINAL, finals={"node0"})
    assert (plan.choice.encoder, plan.node) == ("libx264", "node0")
    with pytest.raises(SetupError, match="works on 1 of 2 nodes"):
        planned((NOTHING[0],), (NVENC[0],), asked="h264_nvenc", finals={"node0"})
    with pytest.raises(SetupError, match="do not see the source"):
        planned((NVENC[0],), asked="h264_nvenc", encode_on=EncodeOn.FINAL, finals=())
