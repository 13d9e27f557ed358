from __future__ import annotations

from pathlib import Path

import av
import pytest

from farm.errors import SettingsError
from farm.media.containers import StreamKind, check_codec, plan_streams, rules_of
from tests.media.finish_case import make_source


def test_every_suffix_has_a_container() -> None:
    for suffix in ("mp4", "m4v", "mov", "mkv", "webm", "ts"):
        assert rules_of(Path(f"x.{suffix}")).encoded


def test_an_unknown_suffix_is_answered_with_those_that_work() -> None:
    with pytest.raises(SettingsError, match=r"\.avi; name it with one of \.mp4"):
        rules_of(Path("x.avi"))


def test_a_codec_that_does_not_fit_is_answered_with_containers_and_codecs() -> None:
    with pytest.raises(SettingsError, match=r"MP4 does not hold ffv1.*\.mkv.*h264"):
        check_codec(Path("x.mp4"), "ffv1")


def test_webm_turns_aac_into_opus_and_says_so(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in.mkv", 3, audio_start_s=0.0)
    with av.open(str(source)) as container:
        plan = plan_streams(container, 0, rules_of(Path("x.webm")), keep_audio=True, private=False)
    assert [each.codec for each in plan.kept] == ["libopus"]
    assert dict(plan.kept[0].options)["b"] == "96000"
    assert "(aac) becomes opus" in plan.notes[0]
    assert ".mkv holds it" in plan.notes[0]


def test_private_leaves_out_what_may_show_a_face(tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as output:
        videos = [output.add_stream("ffv1", rate=25, width=16, height=16) for _ in range(2)]
        output.add_attachment("notes.txt", "text/plain", b"who is in the picture")
        for video in videos:
            output.mux(video.encode(av.VideoFrame(16, 16, "yuv420p")))
            output.mux(video.encode())
    rules = rules_of(Path("x.mkv"))
    with av.open(str(path)) as container:
        public = plan_streams(container, 0, rules, keep_audio=True, private=False)
        private = plan_streams(container, 0, rules, keep_audio=True, private=True)
    assert [each.kind for each in public.kept] == [StreamKind.VIDEO, StreamKind.ATTACHMENT]
    assert private.kept == ()
    assert len(private.notes) == 2
