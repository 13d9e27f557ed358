"""Recipes of files that are awkward in how their pictures are coded.

Not for: containers (`containers`), hand-made streams (`crafted`) or damage (`broken`).
"""

from __future__ import annotations

from pathlib import Path

from tests.recipes.studio import FRAMES, X264, Recipe, Studio, encoded, remuxed

_X265 = ("-c:v", "libx265", "-preset", "ultrafast")
_QUIET = "log-level=error:pools=none"
VFR_STAMPS = tuple(n for n in range(FRAMES) if not (n % 5 != 0 and n % 3 == 1))
_VFR = ("-vf", "select='not(mod(n,5)*eq(mod(n,3),1))'", "-fps_mode", "vfr", *X264)
_BT2020 = ("-color_primaries", "bt2020", "-colorspace", "bt2020nc")
_MASTERING = (
    "hdr10=1:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):"
    "max-cll=1000,400"
)


def _vp9_hidden_frames(studio: Studio, path: Path) -> None:
    """Alternate reference frames, which only two passes make, inside superframes."""
    log = studio.folder / "vp9_pass"
    rate = ("-b:v", "60k", "-auto-alt-ref", "1", "-lag-in-frames", "20", "-cpu-used", "4")
    for number, target in (("1", ("-f", "null", "-")), ("2", (path,))):
        options = ("-pix_fmt", "yuv420p", *rate, "-pass", number, "-passlogfile", log)
        studio.ffmpeg("-i", studio.raw(), "-c:v", "libvpx-vp9", *options, *target)


RECIPES: tuple[Recipe, ...] = (
    encoded(
        "h264_open_gop.mp4", *X264, "-c:a", "aac",
        "-x264-params", "keyint=12:min-keyint=12:scenecut=0:open-gop=1:bframes=3:b-adapt=0",
        sound=True,
    ),
    encoded(
        "h264_b_pyramid.mp4", *X264,
        "-x264-params", "keyint=20:bframes=7:b-adapt=0:b-pyramid=normal:ref=4",
    ),
    encoded("vfr.mp4", *_VFR, stamps=VFR_STAMPS),
    remuxed("vfr.mkv", "vfr.mp4", stamps=VFR_STAMPS),
    encoded("one_gop.mp4", *X264, "-x264-params", "keyint=infinite:scenecut=0"),
    encoded("intra_refresh.mp4", *X264, "-x264-params", "keyint=15:intra-refresh=1:bframes=0"),
    encoded("interlaced.mp4", *X264, "-flags", "+ildct+ilme", "-x264-params", "tff=1:keyint=15"),
    encoded("bframes.avi", *X264, "-bf", "2", "-x264-params", "b-adapt=0:keyint=15"),
    encoded("raw.264", *X264, "-bf", "2", "-x264-params", "keyint=15"),
    Recipe(name="vp9_hidden_frames.webm", make=_vp9_hidden_frames),
    remuxed("vp9_hidden_packets.avi", "vp9_hidden_frames.webm", "-bsf:v", "vp9_superframe_split"),
    encoded(
        "hevc_open_gop.mp4", *_X265, "-pix_fmt", "yuv420p",
        "-x265-params",
        f"{_QUIET}:keyint=12:min-keyint=12:scenecut=0:open-gop=1:bframes=3:b-adapt=0",
    ),
    encoded(
        "hevc_closed_gop.mp4", *_X265, "-pix_fmt", "yuv420p",
        "-x265-params",
        f"{_QUIET}:keyint=12:min-keyint=12:scenecut=0:open-gop=0:bframes=3:b-adapt=0",
    ),
    encoded(
        "prores.mov", "-c:v", "prores_ks", "-profile:v", "3", "-pix_fmt", "yuv422p10le", frames=15
    ),
    encoded("png.mov", "-c:v", "png", "-pix_fmt", "rgb24", frames=15),
    encoded("rawvideo.avi", "-c:v", "rawvideo", "-pix_fmt", "yuv420p", frames=15),
    encoded("ffv1.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv420p", frames=15),
    encoded("alpha.mov", "-vf", "format=rgba", "-c:v", "qtrle", "-pix_fmt", "argb", frames=15),
    encoded(
        "palette.mkv", "-vf", "split[a][b];[a]palettegen[p];[b][p]paletteuse", "-c:v", "png",
        frames=15,
    ),
    encoded("h264_10bit.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p10le"),
    encoded("h264_422_10bit.mp4", "-c:v", "libx264", "-pix_fmt", "yuv422p10le"),
    encoded("hevc_10bit.mp4", *_X265, "-pix_fmt", "yuv420p10le", "-x265-params", _QUIET),
    encoded("hevc_422_10bit.mp4", *_X265, "-pix_fmt", "yuv422p10le", "-x265-params", _QUIET),
    encoded("hevc_12bit.mp4", *_X265, "-pix_fmt", "yuv420p12le", "-x265-params", _QUIET),
    encoded("gray.mp4", "-c:v", "libx264", "-pix_fmt", "gray"),
    encoded("gray.mkv", "-c:v", "ffv1", "-pix_fmt", "gray", frames=15),
    encoded("gray_10bit.mkv", "-c:v", "ffv1", "-pix_fmt", "gray10le", frames=15),
    encoded("odd_444.mp4", "-c:v", "libx264", "-pix_fmt", "yuv444p", size=(161, 97), frames=30),
    encoded(
        "odd_420.webm", "-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p", "-deadline", "realtime",
        size=(161, 97), frames=30,
    ),
    encoded(
        "mpeg2.ts", "-c:v", "mpeg2video", "-pix_fmt", "yuv420p", "-b:v", "2M", "-bf", "2",
        "-c:a", "mp2", sound=True,
    ),
    encoded("one_frame.mp4", *X264, frames=1),
    encoded(
        "full_range_601.mp4", *X264, "-vf",
        "scale=out_range=pc:out_color_matrix=smpte170m,format=yuv420p,"
        "setparams=colorspace=smpte170m:color_primaries=smpte170m:color_trc=smpte170m",
    ),
    encoded("sar.mp4", *X264, "-aspect", "16:11"),
    encoded("chroma_top_left.mp4", *X264, "-chroma_sample_location", "topleft"),
    encoded(
        "hlg.mp4", *_X265, "-pix_fmt", "yuv420p10le", *_BT2020, "-color_trc", "arib-std-b67",
        "-x265-params", f"{_QUIET}:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc",
    ),
    encoded(
        "pq_mastering.mp4", *_X265, "-pix_fmt", "yuv420p10le", *_BT2020, "-color_trc", "smpte2084",
        "-x265-params",
        f"{_QUIET}:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:chromaloc=2:{_MASTERING}",
    ),
)  # fmt: skip
