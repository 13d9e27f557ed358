"""Which encoder a job takes, and where: a pure function of the ladder and of trials on the nodes.

All chunks of a job come from one encoder with one set of parameters. Not for: the trials
(`actors.trials`) or what comes after a failure during the job (`cluster.render`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from farm.encoder_trial import Trial
from farm.errors import SetupError
from farm.media.encoders import EncoderChoice
from farm.media.ladder import EncoderLadder
from farm.settings import EncodeOn


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderPlan:
    """The encoder of a job."""

    choice: EncoderChoice
    encode_on: EncodeOn
    node: str | None
    """Where the final task encodes, None for the driver's node."""
    parameter_sets: bytes
    """What every chunk of a hardware encoder must begin with; empty where nothing is expected."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the trials say of one rung."""

    works_on: tuple[str, ...]
    alike: bool
    """Whether it writes the same parameter sets on all nodes of workers that it works on."""
    problems: tuple[str, ...]
    parameter_sets: bytes


def plan_encoder(
    ladder: EncoderLadder,
    trials: Mapping[str, Sequence[Trial]],
    home: str,
    encode_on: EncodeOn | None,
    *,
    renders: Collection[str],
    finals: Collection[str],
    whole: bool,
    failed: Mapping[str, str],
) -> EncoderPlan:
    """Choose the best rung that works where it has to.

    Args:
        ladder: The encoders that may do the job.
        trials: By node, one per encoder that was tried there.
        home: The driver's node, preferred for the final task.
        encode_on: What the user asked for, None to leave it to the plan.
        renders: Nodes of the workers.
        finals: Nodes that see source and output, so that the final task can run there.
        whole: Whether the encoder must see the whole video.
        failed: Encoders that broke in this job already, with the reason.

    Raises:
        SetupError: No encoder works where it has to.
    """
    if whole:
        encode_on = EncodeOn.FINAL
    passed: list[str] = [f"{name} ({reason})" for name, reason in failed.items()]
    for place, rung in enumerate(ladder.rungs):
        if rung.encoder in failed:
            continue
        found = _look(rung.encoder, trials, renders)
        lowest = place + 1 == len(ladder.rungs)
        able = [node for node in found.works_on if node in finals]
        made = _place(rung, found, renders, able, home, encode_on, lowest=lowest)
        if made is not None:
            notes = (*_passed_note(rung.encoder, passed), *ladder.left_out, *ladder.notes[place])
            return _with_notes(made, notes)
        passed.append(f"{rung.encoder} ({_why(found, len(trials))})")
    raise SetupError(f"no encoder works: {', '.join(passed)}; choose another --video-encoder")


def _place(
    rung: EncoderChoice,
    found: _Found,
    renders: Collection[str],
    able: Sequence[str],
    home: str,
    encode_on: EncodeOn | None,
    *,
    lowest: bool,
) -> EncoderPlan | None:
    """Say where a rung can do the job, None where it cannot."""
    everywhere = set(renders) <= set(found.works_on) and found.alike
    if encode_on is not EncodeOn.FINAL and everywhere:
        sets = found.parameter_sets if rung.family else b""
        return EncoderPlan(
            choice=rung, encode_on=EncodeOn.WORKER, node=None, parameter_sets=sets, notes=()
        )
    if not able or encode_on is EncodeOn.WORKER or (encode_on is None and not lowest):
        return None
    node = home if home in able else able[0]
    note = () if encode_on else (f"{rung.encoder} does not work on every node: one node encodes",)
    return EncoderPlan(
        choice=rung, encode_on=EncodeOn.FINAL, node=node, parameter_sets=b"", notes=note
    )


def _look(encoder: str, trials: Mapping[str, Sequence[Trial]], renders: Collection[str]) -> _Found:
    """Put together what all nodes say of an encoder."""
    works_on, problems, sets = [], [], set()
    for node, tried in trials.items():
        trial = next((each for each in tried if each.encoder == encoder), None)
        if trial is None:  # software, where hardware works: it is part of the same library
            works_on.append(node)
        elif trial.problem is None:
            works_on.append(node)
            if node in renders:
                sets.add(trial.parameter_sets)
        else:
            problems.append(trial.problem)
    return _Found(
        works_on=tuple(works_on),
        alike=len(sets) <= 1,
        problems=tuple(dict.fromkeys(problems)),
        parameter_sets=min(sets, default=b""),
    )


def _why(found: _Found, nodes: int) -> str:
    """Say why a rung was not taken."""
    if found.problems and not found.works_on:
        return found.problems[0]
    if found.problems:
        return (
            f"works on {len(found.works_on)} of {nodes} nodes; --encode-on final would use it: "
            f"{found.problems[0]}"
        )
    if found.alike:
        return "works only on nodes that do not see the source and the output's folder"
    return "its chunks of different nodes do not join; --encode-on final would use it"


def _passed_note(encoder: str, passed: Sequence[str]) -> tuple[str, ...]:
    return (f"{encoder} encodes; passed over: {', '.join(passed)}",) if passed else ()


def _with_notes(plan: EncoderPlan, notes: Sequence[str]) -> EncoderPlan:
    return EncoderPlan(
        choice=plan.choice,
        encode_on=plan.encode_on,
        node=plan.node,
        parameter_sets=plan.parameter_sets,
        notes=(*notes, *plan.notes),
    )
