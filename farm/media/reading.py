"""Reading an unknown file to its end in a process of its own: index and listing.

Not for: what they are (`farm.media.index`, `farm.media.listing`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from farm.isolated import STALL_S, IsolatedCall, isolated
from farm.limit_settings import LimitSettings
from farm.media.dolby_vision import check_colours
from farm.media.hdr import read_hdr
from farm.media.index import VideoIndex, build_index
from farm.media.limits import check_length
from farm.media.listing import FrameListing, list_frames, shown_frames
from farm.media.probe import check_limits, check_video

Tell = Callable[[object], None]
_CHECKED = "checked"


class IndexReader:
    """Checks a video and goes on to index it, both in one other process."""

    def __init__(
        self, path: Path, video_stream: int | None, limits: LimitSettings | None = None
    ) -> None:
        """Begin; `check` and `index` wait for what is read.

        Args:
            path: The video.
            video_stream: Index of the stream to render, None for the main one.
            limits: What is refused; None for the usual.
        """
        limits = limits or LimitSettings()
        self._call = IsolatedCall(
            _check_and_index,
            path,
            video_stream,
            limits,
            subject=path,
            stall_s=limits.read_stall_s,
        )

    def check(self) -> None:
        """Wait until it is known that a stream decodes.

        Raises:
            MediaError: It does not, or reading crashed or hung.
        """
        try:
            self._call.message()
        except BaseException:
            self._call.close()
            raise

    def index(self) -> VideoIndex:
        """Wait for the index; to be called once.

        Raises:
            MediaError: The file cannot be read, or reading crashed or hung.
        """
        index: VideoIndex = self._call.result()
        return index


def read_listing(
    index: VideoIndex,
    progress: Callable[[int], None] | None = None,
    *,
    any_shape: bool = False,
    stall_s: float = STALL_S,
) -> FrameListing:
    """List frames as `list_frames` does, in another process.

    Raises:
        MediaError: As `list_frames`, or decoding crashed or hung.
    """
    told = (lambda n: progress(int(n))) if progress is not None else None
    listing: FrameListing = isolated(
        _list, index, any_shape, subject=index.path, told=told, stall_s=stall_s
    )
    return listing


def _check_and_index(
    path: Path, video_stream: int | None, limits: LimitSettings, tell: Tell
) -> VideoIndex:
    check_limits(path, video_stream, limits)
    check_video(path, video_stream)
    tell(_CHECKED)
    index = build_index(path, video_stream, lambda n: tell(n))
    check_length(path, len(index), index.duration_s, limits.max_hours)
    check_colours(path, index.dolby_vision)
    first = next(shown_frames(index), None)
    return index if first is None else replace(index, hdr=read_hdr(first))


def _list(index: VideoIndex, any_shape: bool, tell: Tell) -> FrameListing:
    return list_frames(index, lambda n: tell(n), any_shape=any_shape)
