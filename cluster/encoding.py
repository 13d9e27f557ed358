"""The encoder of a job: its ladder, the trials on the nodes, and the next rung after a failure.

Not for: the decision (`scheduler.encoders`) or the trials themselves (`actors.trials`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from actors.trials import RunningTrials, start_trials
from cluster.inventory import ask_nodes
from farm.errors import EncoderError
from farm.files import mark_folder, sees_folder, unmark_folder
from farm.job_folder import JobFolder, default_job_dir, encoder_failures
from farm.media.index import VideoIndex
from farm.media.ladder import EncoderLadder, encoder_ladder
from farm.media.reshape import output_stream, reshape_of
from farm.media.stream import StreamParameters
from farm.settings import RenderSettings
from scheduler.encoders import EncoderPlan, plan_encoder

PickEncoder = Callable[[str, StreamParameters, Collection[str]], EncoderPlan]
"""Chooses the encoder of the request with this fingerprint, for this stream and these nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderPicker:
    """What the choice of an encoder rests on; `pick` may be asked again after a failure."""

    settings: RenderSettings
    output: StreamParameters
    """What the trials encode."""
    ladder: EncoderLadder
    trials: RunningTrials
    home: str

    def pick(self, request: str, output: StreamParameters, renders: Collection[str]) -> EncoderPlan:
        """Choose the best encoder that works and has not broken in this job before.

        Args:
            request: Fingerprint of what is asked.
            output: The stream as it is encoded.
            renders: Ids of the nodes of the workers; empty ones stand for any node.

        Raises:
            SetupError: There is none.
        """
        folder = self.settings.job_dir or default_job_dir(self.settings.output)
        return self._plan(encoder_failures(folder, request), output, renders)

    def after(
        self,
        failed: EncoderPlan,
        error: EncoderError,
        folder: JobFolder,
        output: StreamParameters,
        renders: Collection[str],
    ) -> EncoderPlan:
        """Choose the encoder that follows one that broke.

        Raises:
            EncoderError: The one given, where no other can take its place.
        """
        if len(self.ladder.rungs) == 1 or failed.choice == self.ladder.rungs[-1]:
            raise error
        broken = failed.choice.encoder
        folder.record_failure(broken, f"broke in this job: {error.message}")
        return self._plan(folder.encoder_failures, output, renders)

    def _plan(
        self, failed: Mapping[str, str], output: StreamParameters, renders: Collection[str]
    ) -> EncoderPlan:
        plan = plan_encoder(
            self.ladder,
            self.trials.results(),
            self.home,
            self.settings.encode_on,
            renders=renders if all(renders) else self.trials.nodes,
            finals=_finals(self.settings, self.trials.nodes, self.home),
            whole=self.settings.encoding.needs_whole,
            failed=failed,
        )
        # Parameter sets hold the frame rate: those of another one say nothing.
        return plan if output == self.output else replace(plan, parameter_sets=b"")


def _finals(settings: RenderSettings, nodes: Sequence[str], home: str) -> frozenset[str]:
    """Return the nodes that can run the final task: they see the source and the output's folder."""
    others = [node for node in nodes if node != home]
    if not others:
        return frozenset((home,))
    folder, source = settings.output.absolute().parent, settings.target.absolute()
    mark = mark_folder(folder)
    try:
        answers = ask_nodes(others, sees_job, folder, mark, source, source.stat().st_size)
    finally:
        unmark_folder(folder)
    seeing = (node for node, sees in zip(others, answers, strict=True) if sees is True)
    return frozenset((home, *seeing))


def sees_job(folder: Path, mark: str, source: Path, source_bytes: int) -> bool:
    """Tell whether this machine sees the same folder and source as the driver."""
    same = source.is_file() and source.stat().st_size == source_bytes
    return same and sees_folder(folder, mark)


def start_picker(
    settings: RenderSettings, index: VideoIndex, nodes: tuple[str, ...], home: str
) -> EncoderPicker:
    """Begin to try the encoders that may do the job.

    Args:
        settings: What was asked for.
        index: The video.
        nodes: Ids of all nodes.
        home: That of the driver.

    Raises:
        SettingsError: The encoder that is named cannot do what is asked.
    """
    output = output_stream(index.stream, reshape_of(index.stream, settings.shape))
    output = replace(output, frame_rate=settings.time.fps or output.frame_rate)
    ladder = encoder_ladder(
        settings.video_encoder,
        settings.video_quality,
        output,
        settings.encoding,
        hdr=index.hdr,
    )
    doubtful = len(ladder.rungs) > 1 or ladder.rungs[0].family or settings.encoding.insists
    trials = start_trials(ladder.rungs if doubtful else (), output, nodes, home)
    return EncoderPicker(settings=settings, output=output, ladder=ladder, trials=trials, home=home)
