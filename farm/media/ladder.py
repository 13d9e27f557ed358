"""The ladder of a job: every encoder that may do it, the best first.

Not for: whether they work (`farm.encoder_trial`) or which one a job takes (`scheduler.encoders`).
"""

from __future__ import annotations

from dataclasses import dataclass

from farm.errors import SettingsError
from farm.media.encoder_names import is_listed, rung_names
from farm.media.encoders import EncoderChoice, choose_encoder
from farm.media.hdr import STATIC_HDR_ENCODERS, HdrMetadata
from farm.media.stream import StreamParameters
from farm.settings import EncoderSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderLadder:
    """The encoders that may do a job, the best first; whether they work is another question."""

    rungs: tuple[EncoderChoice, ...]
    notes: tuple[tuple[str, ...], ...]
    """What is to be said of each rung where it is taken."""
    left_out: tuple[str, ...]
    """Why hardware encoders are no rungs."""


def encoder_ladder(
    video_encoder: str,
    quality: int,
    stream: StreamParameters,
    settings: EncoderSettings,
    hdr: HdrMetadata | None = None,
) -> EncoderLadder:
    """Choose the parameters of every encoder that may do the job.

    A hardware encoder takes the place of a software encoder only where it keeps all that this one
    keeps, and where nothing is asked that only the named encoder understands.

    Raises:
        SettingsError: The named encoder does not exist, or cannot do what is asked.
        SetupError: It is not part of the installed PyAV.
    """
    named, notes = choose_encoder(video_encoder, quality, stream, hdr=hdr, settings=settings)
    rungs, said, left_out = [], [], []
    upgrade = settings.hardware and not settings.insists
    for name in rung_names(video_encoder, hardware=upgrade)[:-1]:
        if not is_listed(name):
            continue
        try:
            rung, its_notes = choose_encoder(name, quality, stream, hdr=hdr, settings=settings)
        except SettingsError as error:
            left_out.append(error.message)
            continue
        if lost := _loses(rung, named, hdr):
            left_out.append(f"{name} {lost}")
        else:
            rungs.append(rung)
            said.append(its_notes)
    return EncoderLadder(rungs=(*rungs, named), notes=(*said, notes), left_out=tuple(left_out))


def _loses(rung: EncoderChoice, named: EncoderChoice, hdr: HdrMetadata | None) -> str:
    """What a hardware encoder would lose that the named one keeps; empty for nothing."""
    if named.exact and not rung.exact:
        return f"has no pixel format for what {named.encoder} keeps"
    if named.interlaced and not rung.interlaced:
        return "does not mark interlaced frames"
    if hdr is not None and named.encoder in STATIC_HDR_ENCODERS:
        return "does not keep the HDR metadata"
    return ""
