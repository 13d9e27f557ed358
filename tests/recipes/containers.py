"""Recipes of files that are awkward in what their container says or holds.

Not for: coding (`coding`), hand-made streams (`crafted`) or damage (`broken`).
"""

from __future__ import annotations

from pathlib import Path

import av

from tests.recipes.studio import FRAMES, SOUND, SOUND_2, X264, Recipe, Studio, encoded, remuxed

_SUBTITLES = "1\n00:00:00,500 --> 00:00:01,500\nhello\n"
_CHAPTERS = (
    ";FFMETADATA1\ntitle=Stamped\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=one\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=two\n"
)
_GOP = ("-x264-params", "keyint=15:min-keyint=15:scenecut=0")


def _multi(studio: Studio, path: Path, *options: str | Path) -> None:
    """Two audio tracks with languages, subtitles, chapters and a title."""
    subtitles = studio.text("subtitles.srt", _SUBTITLES)
    chapters = studio.text("chapters.txt", _CHAPTERS)
    studio.ffmpeg(
        "-i", studio.path("plain.mp4"), *SOUND_2, "-i", subtitles, "-i", chapters,
        "-map", "0", "-map", "1", "-map", "2", "-map_metadata", "3", "-c:v", "copy",
        *options, "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu", path,
    )  # fmt: skip


def _multi_mkv(studio: Studio, path: Path) -> None:
    attachment = studio.text("attached.txt", "attached\n")
    extra = ("-attach", attachment, "-metadata:s:t", "mimetype=text/plain")
    _multi(studio, path, "-c:a:0", "copy", "-c:a:1", "flac", "-c:s", "srt", *extra)


def _multi_mp4(studio: Studio, path: Path) -> None:
    _multi(studio, path, "-c:a", "aac", "-c:s", "mov_text")


def _late_audio(studio: Studio, path: Path) -> None:
    inputs = ("-i", studio.raw(), "-itsoffset", "0.3", *SOUND)
    studio.ffmpeg(*inputs, *X264, *_GOP, "-c:a", "aac", "-threads", "1", path)


def _cover(studio: Studio, path: Path) -> None:
    """A cover picture, larger than the video, as the first stream."""
    cover = studio.folder / "cover.png"
    raw = studio.raw(size=(320, 192), frames=1, first=1000)
    studio.ffmpeg("-i", raw, "-frames:v", "1", "-c:v", "png", cover)
    maps = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic")
    studio.ffmpeg("-i", cover, "-i", studio.path("plain.mp4"), *maps, path)


def _thumbnail_first(studio: Studio, path: Path) -> None:
    """A tiny second video before the one that matters."""
    tiny = studio.raw(size=(20, 12), frames=5)
    maps = (
        "-map",
        "0:v",
        "-map",
        "1",
        "-c",
        "copy",
        "-c:v:0",
        "libx264",
        "-pix_fmt:v:0",
        "yuv420p",
    )
    disposition = ("-disposition:v:0", "0", "-disposition:v:1", "default")
    studio.ffmpeg("-i", tiny, "-i", studio.path("plain.mp4"), *maps, *disposition, path)


def _joined(studio: Studio, path: Path) -> None:
    """Two recordings one behind the other, as `cat` joins them: the clock restarts."""
    second = studio.folder / "second.ts"
    studio.ffmpeg("-i", studio.raw(first=FRAMES), *X264, *_GOP, "-bf", "2", second)
    path.write_bytes(studio.path("h264.ts").read_bytes() + second.read_bytes())


def _starts_inside_gop(studio: Studio, path: Path) -> None:
    """A recording that was switched on in the middle of a group of pictures."""
    source = studio.path("mpeg2.ts")
    content = source.read_bytes()
    with av.open(str(source)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    path.write_bytes(content[: 3 * 188] + content[places[6] :])


def _skipped_frames(studio: Studio, path: Path) -> None:
    """An AVI whose recorder skipped frames: chunks of zero bytes, the frame before stays."""
    skip = "select='not(eq(mod(n,7),3))'"
    options = ("-vf", skip, "-fps_mode", "passthrough", "-c:v", "mpeg4", "-bf", "0", "-q:v", "2")
    studio.ffmpeg("-i", studio.raw(), *options, "-g", "15", path)


def _turned(name: str, *options: str) -> Recipe:
    return remuxed(name, "plain.mp4", before=options)


RECIPES: tuple[Recipe, ...] = (
    encoded("plain.mp4", *X264, *_GOP, "-bf", "2", "-c:a", "aac", sound=True),
    encoded("no_audio.mp4", *X264, *_GOP, "-bf", "2"),
    _turned("rot90.mp4", "-display_rotation", "90"),
    _turned("rot180.mp4", "-display_rotation", "180"),
    _turned("rot270.mp4", "-display_rotation", "270"),
    _turned("rot90_flipped.mp4", "-display_rotation", "90", "-display_hflip"),
    Recipe(name="multi.mkv", make=_multi_mkv),
    Recipe(name="multi.mp4", make=_multi_mp4),
    remuxed(
        "edit_list.mp4", "h264_open_gop.mp4", before=("-ss", "0.7"), stamps=tuple(range(21, FRAMES))
    ),
    encoded(
        "late_video.mp4", *X264, *_GOP, "-c:a", "aac", sound=True, before=("-itsoffset", "0.452")
    ),
    Recipe(name="late_audio.mp4", make=_late_audio),
    remuxed("late_start.mkv", "plain.mp4", "-output_ts_offset", "10"),
    remuxed("h264.ts", "plain.mp4"),
    remuxed("fragmented.mp4", "plain.mp4", "-movflags", "frag_keyframe+empty_moov"),
    Recipe(name="cover.mp4", make=_cover),
    Recipe(name="joined.ts", make=_joined, stamps=tuple(range(2 * FRAMES))),
    Recipe(name="starts_inside_gop.ts", make=_starts_inside_gop, stamps=tuple(range(12, FRAMES))),
    Recipe(
        name="skipped_frames.avi",
        make=_skipped_frames,
        stamps=tuple(n for n in range(FRAMES) if n % 7 != 3),
    ),
    Recipe(name="thumbnail_first.mp4", make=_thumbnail_first),
)
