"""A device on which decoded frames stay: what is read of them, and what is put back into them.

Frames keep the memory that the decoder gave them, and are edited in place. They are not made anew
of dlpack tensors, because NVENC as libavcodec drives it is told of one address and one pitch,
behind which it expects the chroma where the decoder's own pool has put it. (onnxruntime takes no
dlpack tensor with padded lines either; dlpack only tells where a frame lies.) An encoder refers to
the frames that it still reads, and a frame to which somebody else refers is copied before an edit.
Not for: pixel arithmetic (`farm.media.device_frame`) or choosing this way (`farm.staying`).
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.media.blend import Pixels
from farm.media.device_area import Average, exact_average
from farm.media.device_graphs import (
    PLANES,
    Strand,
    average_graph,
    cut_graph,
    pick_graph,
    put_graph,
)
from farm.media.device_runs import DeviceError, GraphRuns, Lines
from farm.media.layout import PixelLayout, layout_of
from farm.media.orientation import Box
from farm.media.planes import component_view
from farm.media.signature import sample_places, signatures_of

log = logging.getLogger(__name__)

LAYOUTS = {"yuv420p": "nv12", "yuvj420p": "nv12", "nv12": "nv12", "yuv420p10le": "p010le"}
"""Format of a stream to that of its frames on a device, which holds the same samples."""
_STRANDS = (
    Strand(plane="luma", offset=0, step=1),
    Strand(plane="chroma", offset=0, step=2),
    Strand(plane="chroma", offset=1, step=2),
)
_NAMES = ("y", "u", "v")
_ENDS = ("from", "to")


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _gives_up(work: _Method) -> _Method:
    """The same method of a `FrameDevice`, after whose failure frames stay no more."""

    @functools.wraps(work)
    def guarded(device: FrameDevice, *args: Any, **kwargs: Any) -> Any:
        try:
            return work(device, *args, **kwargs)
        except DeviceError as error:
            raise device.give_up(error.message) from error

    return cast(_Method, guarded)


class FrameDevice:
    """One device, for the frames of one stream; may be called from any thread."""

    def __init__(
        self,
        pix_fmt: str,
        size: tuple[int, int],
        *,
        provider: str = "cuda",
        device_id: int = 0,
        frame_format: str = "cuda",
    ) -> None:
        """Open the graphs that every frame needs.

        Args:
            pix_fmt: Of the stream, a key of `LAYOUTS`.
            size: Width and height of the stored picture, both even.
            provider: Of onnxruntime, for the graphs: `cuda` or `cpu`.
            device_id: Which device.
            frame_format: What PyAV calls the format of frames there.

        Raises:
            DeviceError: The graphs do not run there.
        """
        self.pix_fmt, self.size, self.device_id = pix_fmt, size, device_id
        self.layout: PixelLayout = layout_of(LAYOUTS[pix_fmt])
        self.alive = True
        """Whether frames stay; once that has failed they are brought to memory for good."""
        self.read_bytes = self.put_bytes = 0
        """Samples that went over the border, in bytes."""
        self.whole_frames = 0
        """How often all of a frame came to memory at once."""
        self._frame_format = frame_format
        self._runs = GraphRuns(provider, device_id)
        self._counting = threading.Lock()
        self._runs.open("cut", cut_graph)
        self._runs.open("put", put_graph)

    def holds(self, frame: VideoFrame) -> bool:
        """Whether a decoded frame lies on the device."""
        return frame.format.name == self._frame_format

    def give_up(self, reason: str) -> DeviceError:
        """Let frames stay no more, and say why, once; returns what is to be raised."""
        if self.alive:
            self.alive = False
            log.warning("frames on the device: %s; they are brought to memory from now on", reason)
        return DeviceError(reason)

    @_gives_up
    def warm_up(self) -> None:
        """Run something, after which onnxruntime's context is that of the calling thread.

        Raises:
            DeviceError: It does not run.
        """
        corners = {f"{name}_{end}": np.zeros(2, np.int64) for name in PLANES for end in _ENDS}
        planes = {name: np.zeros((2, 2), np.uint8) for name in PLANES}
        results = {f"{name}_cut": np.empty((0, 0), np.uint8) for name in PLANES}
        self._runs.run(self._runs.open("cut", cut_graph), {}, planes | corners, results)

    @_gives_up
    def read(self, frame: VideoFrame, box: Box) -> list[Pixels]:
        """Samples of each component inside an even box, without unused low bits.

        Raises:
            DeviceError: The device failed.
        """
        arrays: dict[str, NDArray[np.int64]] = {}
        cuts: dict[str, NDArray[np.uint8]] = {}
        for name, (left, top, right, bottom) in zip(PLANES, self._byte_boxes(box), strict=True):
            arrays[f"{name}_from"] = np.array([top, left], np.int64)
            arrays[f"{name}_to"] = np.array([bottom, right], np.int64)
            cuts[f"{name}_cut"] = np.empty((bottom - top, right - left), np.uint8)
        planes = dict(zip(PLANES, self._runs.planes(frame, np.uint8), strict=True))
        self._runs.run(self._runs.open("cut", cut_graph), planes, arrays, cuts)
        whole = (box[2] - box[0], box[3] - box[1]) == self.size
        self._count(read=list(cuts.values()), whole=whole)
        return self._components(list(cuts.values()))

    @_gives_up
    def put(self, frame: VideoFrame, box: Box, components: Sequence[Pixels]) -> None:
        """Put samples of each component into an even box, in place.

        Raises:
            DeviceError: The device failed.
        """
        self._own(frame)
        patches = self._interleaved(components)
        planes: dict[str, Lines] = {}
        arrays: dict[str, NDArray[np.generic]] = {}
        for name, lines, patch, (left, top, right, bottom) in zip(
            PLANES,
            self._runs.planes(frame, np.uint8),
            patches,
            self._byte_boxes(box),
            strict=True,
        ):
            planes[name] = lines.band(top, bottom)
            arrays[f"{name}_patch"] = patch
            arrays[f"{name}_left"] = np.array([bottom - top, left], np.int64)
            arrays[f"{name}_right"] = np.array([0, right], np.int64)
        results = {f"{name}_new": lines for name, lines in planes.items()}
        self._runs.run(self._runs.open("put", put_graph), planes, arrays, results)
        self._count(put=patches)

    @_gives_up
    def averaged(self, frame: VideoFrame, size: tuple[int, int], count: int) -> list[Pixels]:
        """The first `count` components, those of `size` that are averaged to the bits of OpenCV.

        The others come as they are, in full size. None has unused low bits.

        Raises:
            DeviceError: The device failed.
        """
        averages = [self._average(index, size) for index in range(count)]
        named = dict(zip(_NAMES, zip(_STRANDS, averages, strict=False), strict=False))
        planes = dict(zip(PLANES, self._runs.planes(frame, self.layout.dtype), strict=True))
        pitches = {name: lines.columns for name, lines in planes.items()}

        def graph() -> bytes:
            return average_graph(named, pitches, self.layout.dtype, self.layout.shift)

        session = self._runs.open(("average", size, count, *pitches.values()), graph)
        results = {
            name: np.empty(self._shape(strand, average, pitches[strand.plane]), self.layout.dtype)
            for name, (strand, average) in named.items()
        }
        used = {strand.plane for strand, _ in named.values()}
        self._runs.run(session, {name: planes[name] for name in used}, {}, results)
        self._count(read=list(results.values()))
        return [
            found if average is not None else self._trimmed(index, found)
            for index, (found, average) in enumerate(zip(results.values(), averages, strict=True))
        ]

    @_gives_up
    def signatures(self, frame: VideoFrame) -> bytes:
        """What `component_signatures` gives of the picture.

        Raises:
            DeviceError: The device failed.
        """
        places = [sample_places(each, *self.size) for each in self.layout.components]
        planes = dict(zip(PLANES, self._runs.planes(frame, self.layout.dtype), strict=True))

        def graph() -> bytes:
            three = zip(_NAMES, _STRANDS, places, strict=True)
            named = {name: (strand, *place) for name, strand, place in three}
            return pick_graph(named, self.layout.dtype)

        picked = {
            name: np.empty((len(rows), len(columns)), self.layout.dtype)
            for name, (rows, columns) in zip(_NAMES, places, strict=True)
        }
        self._runs.run(self._runs.open("pick", graph), planes, {}, picked)
        self._count(read=list(picked.values()))
        return signatures_of(list(picked.values()), self.layout)

    def brought(self, frame: VideoFrame) -> VideoFrame:
        """The whole frame in memory, in the stream's format.

        Raises:
            DeviceError: The device failed.
        """
        copy = self.like(frame)
        for number, samples in enumerate(self.read(frame, (0, 0, *self.size))):
            component_view(copy, number)[...] = samples
        return copy

    def like(self, frame: VideoFrame) -> VideoFrame:
        """A frame in memory, in the stream's format, with nothing in it yet."""
        empty = VideoFrame(*self.size, self.pix_fmt)
        empty.pts = frame.pts
        if frame.time_base is not None:
            empty.time_base = frame.time_base
        empty.color_range = frame.color_range
        return empty

    def _average(self, index: int, size: tuple[int, int]) -> Average | None:
        component = self.layout.components[index]
        before = (self.size[0] // component.sub_x, self.size[1] // component.sub_y)
        return exact_average(before, size, self.layout.depth)

    def _shape(self, strand: Strand, average: Average | None, pitch: int) -> tuple[int, int]:
        """Rows and columns of a component that was averaged, or comes with its padding."""
        if average is not None:
            return average.after[1], average.after[0]
        rows = self.size[1] if strand.step == 1 else self.size[1] // 2
        return rows, -(-(pitch - strand.offset) // strand.step)

    def _trimmed(self, index: int, samples: Pixels) -> Pixels:
        """A component without padding and unused low bits."""
        columns = self.size[0] // self.layout.components[index].sub_x
        found: Pixels = samples[:, :columns]
        return found >> self.layout.shift if self.layout.shift else np.ascontiguousarray(found)

    def _own(self, frame: VideoFrame) -> None:
        """See that nobody else refers to the frame's memory; it is copied where somebody does.

        Raises:
            DeviceError: The copy has another size: libavutil gives it that of the decoder's pool.
        """
        frame.make_writable()
        if (frame.width, frame.height) != self.size:
            raise DeviceError("a frame is held elsewhere, and its copy has another size")

    def _byte_boxes(self, box: Box) -> tuple[Box, Box]:
        """A box of the picture in lines and bytes of each plane."""
        left, top, right, bottom = box
        size = np.dtype(self.layout.dtype).itemsize
        luma = (left * size, top, right * size, bottom)
        return luma, (left * size, top // 2, right * size, bottom // 2)

    def _components(self, cuts: Sequence[NDArray[np.uint8]]) -> list[Pixels]:
        luma, chroma = (each.view(self.layout.dtype) for each in cuts)
        found: list[Pixels] = [luma, chroma[:, 0::2], chroma[:, 1::2]]
        return [each >> self.layout.shift for each in found] if self.layout.shift else found

    def _interleaved(self, components: Sequence[Pixels]) -> list[NDArray[np.uint8]]:
        """The components as they lie in both planes."""
        luma, first, second = components
        planes = [luma, np.stack([first, second], -1).reshape(len(first), -1)]
        return [
            np.ascontiguousarray(each << self.layout.shift, self.layout.dtype).view(np.uint8)
            for each in planes
        ]

    def _count(
        self,
        read: Sequence[NDArray[np.generic]] = (),
        put: Sequence[NDArray[np.generic]] = (),
        *,
        whole: bool = False,
    ) -> None:
        with self._counting:
            self.read_bytes += sum(each.nbytes for each in read)
            self.put_bytes += sum(each.nbytes for each in put)
            self.whole_frames += whole
