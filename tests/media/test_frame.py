import subprocess
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.filter
import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.errors import MediaError
from farm.media.frame import EditableFrame
from farm.media.layout import Component, layout_of
from farm.media.orientation import orientation_of
from farm.media.planes import plane_lines
from farm.media.stream import ColorTags

FORMATS = [
    "yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv440p", "yuv410p", "yuvj420p", "yuvj444p",
    "yuv420p9le", "yuv420p10le", "yuv422p10le", "yuv444p12le", "yuv420p16le", "yuva420p",
    "yuva444p10le", "gray", "gray10le", "gray12le", "gray16le", "ya8", "nv12", "nv21", "nv16",
    "nv24", "p010le", "p012le", "p016le", "p210le", "rgb24", "bgr24", "argb", "rgba", "bgra",
    "bgr0", "0rgb", "rgb48le", "rgba64le", "gbrp", "gbrp10le", "gbrp12le", "gbrp16le", "gbrap",
    "gbrap10le", "yuyv422", "uyvy422", "y210le", "vuya", "xv36le",
]  # fmt: skip
COLOR = ColorTags(range=1, space=1)
BOX = (31, 11, 108, 94)


def noise_frame(pix_fmt: str, seed: int, width: int = 131, height: int = 101) -> av.VideoFrame:
    """A frame whose every byte is random, as far as the bit depth allows."""
    layout = layout_of(pix_fmt)
    frame = av.VideoFrame(width, height, pix_fmt)
    rng = np.random.default_rng(seed)
    for plane in range(len(frame.planes)):
        lines = plane_lines(frame, plane).view(layout.dtype)
        lines[...] = rng.integers(0, 2**layout.depth, lines.shape) << layout.shift
    return frame


def copy_planes(frame: av.VideoFrame) -> list[NDArray[np.uint8]]:
    return [plane_lines(frame, p).copy() for p in range(len(frame.planes))]


def samples(lines: NDArray[np.uint8], c: Component, frame: av.VideoFrame) -> NDArray[Any]:
    """View of one component of a copied plane, over the picture only."""
    typed = lines.view(layout_of(frame.format.name).dtype)
    rows, columns = -(-frame.height // c.sub_y), -(-frame.width // c.sub_x)
    return typed[:rows, c.offset :: c.step][:, :columns]


def covered(mask: NDArray[np.bool_], c: Component) -> NDArray[np.bool_]:
    """Whether any pixel under each sample of a component is set."""
    pad = ((0, -mask.shape[0] % c.sub_y), (0, -mask.shape[1] % c.sub_x))
    wide = np.pad(mask, pad)
    rows, columns = wide.shape[0] // c.sub_y, wide.shape[1] // c.sub_x
    return np.asarray(wide.reshape(rows, c.sub_y, columns, c.sub_x).any(axis=(1, 3)), bool)


def add_buffer(graph: av.filter.Graph, frame: av.VideoFrame) -> av.filter.context.FilterContext:
    return graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )


def ellipse() -> NDArray[np.uint8]:
    mask = np.zeros((BOX[3] - BOX[1], BOX[2] - BOX[0]), np.uint8)
    return np.asarray(cv2.ellipse(mask, (38, 41), (33, 35), 20, 0, 360, 255, -1), np.uint8)


def in_picture(mask: NDArray[np.uint8], frame: av.VideoFrame) -> NDArray[np.bool_]:
    whole = np.zeros((frame.height, frame.width), bool)
    whole[BOX[1] : BOX[3], BOX[0] : BOX[2]] = mask > 0
    return whole


@pytest.fixture(params=FORMATS)
def pix_fmt(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("soft", [False, True])
def test_no_byte_changes_outside_the_mask(pix_fmt: str, soft: bool) -> None:
    frame = noise_frame(pix_fmt, 3)
    before = copy_planes(frame)
    mask = ellipse()
    if soft:
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 4), np.uint8)
    region = np.random.default_rng(4).integers(0, 256, (*mask.shape, 3)).astype(np.uint8)
    edited = EditableFrame(frame, color=COLOR)
    edited.write_bgr(region, mask, BOX)
    after = copy_planes(edited.video_frame)
    assert any(not np.array_equal(a, b) for a, b in zip(after, before, strict=True))
    for c in layout_of(pix_fmt).components:
        allowed = covered(in_picture(mask, frame), c)
        old = samples(before[c.plane], c, frame)
        samples(after[c.plane], c, frame)[allowed] = old[allowed]
    assert all(np.array_equal(a, b) for a, b in zip(after, before, strict=True))


def test_a_full_mask_leaves_no_trace_of_what_was_there(pix_fmt: str) -> None:
    mask = ellipse()
    results = []
    for seed in (5, 6):
        frame = noise_frame(pix_fmt, seed)
        edited = EditableFrame(frame, color=COLOR)
        whole = edited.to_bgr()
        region = np.ascontiguousarray(whole[BOX[1] : BOX[3], BOX[0] : BOX[2]])
        region[mask > 0] = np.indices(mask.shape).sum(axis=0)[mask > 0][:, None] % 256
        edited.write_bgr(region, mask, BOX)
        results.append((copy_planes(edited.video_frame), frame))
    for c in layout_of(pix_fmt).components:
        under = covered(in_picture(mask, results[0][1]), c)
        first, second = (samples(planes[c.plane], c, f)[under] for planes, f in results)
        assert np.array_equal(first, second)


def test_a_written_colour_is_read_back(pix_fmt: str) -> None:
    edited = EditableFrame(noise_frame(pix_fmt, 7), color=COLOR)
    mask = np.full((40, 40), 255, np.uint8)
    colour = (90, 90, 90) if layout_of(pix_fmt).model == "gray" else (40, 110, 200)
    edited.write_bgr(np.full((40, 40, 3), colour, np.uint8), mask, (20, 20, 60, 60))
    region, box = edited.read_bgr((24, 24, 52, 52))
    assert box == (24, 24, 52, 52)
    assert region.flags.c_contiguous
    assert int(np.abs(region.astype(int) - colour).max()) <= 2


def test_an_unchanged_region_written_back_moves_444_by_rounding_only() -> None:
    frame = av.VideoFrame(96, 64, "yuv444p")
    for plane, value in enumerate((120, 100, 150)):
        noise = np.random.default_rng(plane).integers(-20, 20, (64, plane_lines(frame, 0).shape[1]))
        plane_lines(frame, plane)[...] = value + noise
    edited = EditableFrame(frame, color=COLOR)
    before, box = edited.read_bgr((10, 10, 80, 50))
    edited.write_bgr(before, np.ones(before.shape[:2], np.float32), box)
    after, _ = edited.read_bgr(box)
    assert int(np.abs(after.astype(int) - before).max()) <= 2


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "nv12", "yuv411p"], indirect=True)
def test_a_region_is_snapped_outwards_to_the_chroma_grid(pix_fmt: str) -> None:
    grid_x, grid_y = layout_of(pix_fmt).grid
    edited = EditableFrame(noise_frame(pix_fmt, 8), color=COLOR)
    region, box = edited.read_bgr((33, 33, 47, 47))
    assert box[0] % grid_x == box[2] % grid_x == box[1] % grid_y == box[3] % grid_y == 0
    assert box[0] <= 33 < 47 <= box[2] < 47 + grid_x
    assert region.shape == (box[3] - box[1], box[2] - box[0], 3)
    whole = edited.to_bgr()
    assert np.array_equal(whole[box[1] : box[3], box[0] : box[2]], region)


def test_boxes_over_the_border_of_an_odd_picture_are_clipped() -> None:
    edited = EditableFrame(noise_frame("yuv420p", 9, 321, 181), color=COLOR)
    region, box = edited.read_bgr((300, 170, 400, 200))
    assert box == (300, 170, 321, 181)
    assert region.shape == (11, 21, 3)
    white = np.full((30, 100, 3), 255, np.uint8)
    edited.write_bgr(white, np.full((30, 100), 255, np.uint8), (300, 170, 400, 200))
    assert int(edited.read_bgr((300, 170, 321, 181))[0].min()) >= 254
    edited.write_bgr(white, np.full((30, 100), 255, np.uint8), (400, 170, 500, 200))
    with pytest.raises(ValueError, match="holds nothing"):
        edited.read_bgr((321, 0, 330, 10))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("flipped", [False, True])
def test_a_turned_odd_picture_is_written_where_it_is_read(rotation: int, flipped: bool) -> None:
    frame = noise_frame("yuv420p", 19)
    edited = EditableFrame(frame, rotation=rotation, flipped=flipped, color=COLOR)
    before = edited.to_bgr()
    full = np.full((31, 17), 255, np.uint8)
    edited.write_bgr(np.full((31, 17, 3), (40, 110, 200), np.uint8), full, (63, 33, 80, 64))
    after = edited.to_bgr()
    assert int(np.abs(after[33:64, 63:80].astype(int) - (40, 110, 200)).max()) <= 2
    after[32:65, 62:81] = before[32:65, 62:81]
    assert np.array_equal(after, before)


def test_a_half_mask_blends_at_native_depth() -> None:
    frame = noise_frame("yuv444p10le", 10)
    old = copy_planes(frame)[0].view(np.uint16)[20, 20]
    edited = EditableFrame(frame, color=COLOR)
    half = np.full((4, 4), 0.5, np.float32)
    edited.write_bgr(np.full((4, 4, 3), 255, np.uint8), half, (20, 20, 24, 24))
    new = plane_lines(edited.video_frame, 0).view(np.uint16)[20, 20]
    assert abs(int(new) - (int(old) + 940) / 2) <= 0.5


def test_an_empty_mask_touches_nothing() -> None:
    edited = EditableFrame(noise_frame("yuv420p", 11), color=COLOR)
    region, box = edited.read_bgr((0, 0, 32, 32))
    edited.write_bgr(region, np.zeros(region.shape[:2], np.uint8), box)
    assert not edited.touched
    edited.write_bgr(region, np.ones(region.shape[:2], np.uint8), box)
    assert edited.touched


def test_region_mask_and_box_must_fit_together() -> None:
    edited = EditableFrame(noise_frame("yuv420p", 12), color=COLOR)
    region = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="for box"):
        edited.write_bgr(region, np.zeros((8, 9), np.uint8), (0, 0, 8, 8))
    with pytest.raises(ValueError, match="float64"):
        edited.write_bgr(region, np.zeros((8, 8), np.float64), (0, 0, 8, 8))  # type: ignore[arg-type]


def test_black_is_black_in_the_range_of_the_frame(pix_fmt: str) -> None:
    edited = EditableFrame(noise_frame(pix_fmt, 13), color=COLOR)
    edited.fill_black()
    assert edited.touched
    assert int(edited.to_bgr().max()) == 0
    layout = layout_of(pix_fmt)
    first = layout.components[0]
    luma = samples(plane_lines(edited.video_frame, first.plane), first, edited.video_frame)
    limited = layout.model != "rgb" and not layout.full_range
    assert int(luma.max()) == ((16 << (layout.depth - 8)) << layout.shift if limited else 0)


def test_the_picture_is_scaled_down_but_never_up() -> None:
    edited = EditableFrame(noise_frame("yuv420p", 14, 320, 180), rotation=90, color=COLOR)
    assert (edited.width, edited.height) == (180, 320)
    assert edited.to_bgr(160).shape == (160, 90, 3)
    assert edited.to_bgr(1000).shape == (320, 180, 3)
    assert edited.read_luma(160).shape == (160, 90)
    assert edited.read_luma().shape == (320, 180)


@pytest.mark.parametrize(
    "pix_fmt", ["yuv420p", "p010le", "bgr24", "gbrp10le", "gray"], indirect=True
)
def test_brightness_runs_from_0_to_255(pix_fmt: str) -> None:
    edited = EditableFrame(noise_frame(pix_fmt, 15), color=COLOR)
    full = np.full((101, 131), 255, np.uint8)
    for level in (0, 128, 255):
        edited.write_bgr(np.full((101, 131, 3), level, np.uint8), full, (0, 0, 131, 101))
        assert np.abs(edited.read_luma().astype(int) - level).max() <= 1
        assert np.abs(edited.read_luma(50).astype(int) - level).max() <= 1


def test_a_frame_stored_bottom_up_is_read_and_written_the_right_way() -> None:
    plain = noise_frame("bgr24", 16)
    graph = av.filter.Graph()
    graph.link_nodes(
        add_buffer(graph, plain),
        graph.add("vflip"),
        graph.add("buffersink"),
    ).configure()
    graph.push(plain)
    mirrored = graph.pull()
    assert isinstance(mirrored, av.VideoFrame)
    assert mirrored.planes[0].line_size < 0
    expected = EditableFrame(plain, color=COLOR).to_bgr()[::-1].copy()
    edited = EditableFrame(mirrored, color=COLOR)
    assert np.array_equal(edited.to_bgr(), expected)
    expected[10:20, 30:50] = 7
    edited.write_bgr(
        np.full((10, 20, 3), 7, np.uint8), np.ones((10, 20), np.float32), (30, 10, 50, 20)
    )
    assert np.array_equal(edited.to_bgr(), expected)


def test_a_write_does_not_reach_frames_that_share_the_memory() -> None:
    source = noise_frame("yuv420p", 17)
    graph = av.filter.Graph()
    buffer = add_buffer(graph, source)
    split, ends = graph.add("split"), [graph.add("buffersink") for _ in range(2)]
    buffer.link_to(split)
    for pad, end in enumerate(ends):
        split.link_to(end, pad)
    graph.configure()
    buffer.push(source)
    first, second = (end.pull() for end in ends)
    assert isinstance(first, av.VideoFrame)
    assert isinstance(second, av.VideoFrame)
    before = copy_planes(second)
    EditableFrame(first, color=COLOR).fill_black()
    assert all(np.array_equal(a, b) for a, b in zip(copy_planes(second), before, strict=True))


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(MediaError, match="pal8"):
        EditableFrame(av.VideoFrame(16, 16, "pal8"), color=COLOR)


TURNS = [
    ["-display_rotation", str(angle), *flip]
    for angle in (0, 90, 180, 270)
    for flip in ([], ["-display_hflip"], ["-display_vflip"])
]


@pytest.mark.parametrize("options", TURNS, ids=lambda o: "".join(o))
def test_a_square_lands_where_a_player_shows_it(options: list[str], tmp_path: Path) -> None:
    blank, turned, squared = (tmp_path / n for n in ("blank.nut", "turned.mov", "squared.nut"))
    write_raw(blank, EditableFrame(noise_frame("bgr24", 18, 96, 64), color=COLOR).video_frame)
    ffmpeg(*options, "-i", str(blank), "-c", "copy", str(turned))
    with av.open(str(turned)) as container:
        frame = next(container.decode(video=0))
    side_data = cast("Mapping[str, bytes]", frame.side_data)
    matrix = np.frombuffer(bytes(side_data.get("DISPLAYMATRIX", b"")), np.int32).tolist()
    rotation, flipped = orientation_of(matrix)
    edited = EditableFrame(frame, rotation=rotation, flipped=flipped, color=COLOR)
    red = np.full((12, 8, 3), (0, 0, 255), np.uint8)
    edited.write_bgr(red, np.full((12, 8), 255, np.uint8), (4, 20, 12, 32))
    write_raw(squared, edited.video_frame)
    shown = ffmpeg(*options, "-i", str(squared), "-f", "rawvideo", "-pix_fmt", "bgr24", "-")
    picture = np.frombuffer(shown, np.uint8).reshape(edited.height, edited.width, 3)
    assert np.array_equal(picture[20:32, 4:12], red)
    assert np.array_equal(picture, edited.to_bgr())


def ffmpeg(*arguments: str) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


def write_raw(path: Path, frame: av.VideoFrame) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "bgr24"
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
