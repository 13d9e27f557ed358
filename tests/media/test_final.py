from __future__ import annotations

import errno
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from farm.errors import JobError, SettingsError, SetupError
from farm.media import final
from farm.media.encoders import choose_encoder, intermediate_encoder
from farm.media.ffmpeg import find_ffmpeg
from farm.media.final import finish
from farm.settings import EncodeOn, VerifyLevel
from tests.media.finish_case import (
    make_source,
    parameters,
    pictures,
    request_for,
    shown,
    times,
    write_chunks,
)

COUNT = 23
CASES = [
    ("libx264", "yuv420p", "mp4"),
    ("libx264", "yuv420p10le", "mkv"),
    ("libx265", "yuv420p", "mov"),
    ("libx265", "yuv420p10le", "mp4"),
    ("libvpx-vp9", "yuv420p", "webm"),
    ("ffv1", "yuv420p10le", "mkv"),
    ("libx264", "yuv420p", "ts"),
]


def due_seconds(count: int = COUNT) -> list[Fraction]:
    return [times(count).seconds(number) for number in range(count)]


@pytest.mark.parametrize(("encoder", "pix_fmt", "suffix"), CASES)
def test_lossless_chunks_come_out_frame_for_frame(
    tmp_path: Path, encoder: str, pix_fmt: str, suffix: str
) -> None:
    source = make_source(tmp_path / "in.mkv", COUNT, pix_fmt=pix_fmt)
    stream = parameters(pix_fmt)
    choice, _ = choose_encoder(encoder, 0, stream)
    paths = write_chunks(tmp_path / "work", choice, stream, (9, 1, 2, 11))
    output = tmp_path / f"out.{suffix}"
    finish(request_for(tmp_path, source, choice, paths, COUNT, output=output, stream=stream))
    seen = shown(output)
    assert [samples for _, samples in seen] == pictures(COUNT, pix_fmt)
    tolerance = 0 if suffix in ("mp4", "mov") else Fraction(1, 1800)
    for (here, _), there in zip(seen, due_seconds(), strict=True):
        assert abs(here - seen[0][0] - there) <= tolerance


def test_encoding_in_one_stream_shows_the_same(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in.mkv", COUNT)
    stream = parameters()
    choice, _ = choose_encoder("libx264", 0, stream)
    paths = write_chunks(tmp_path / "work", intermediate_encoder(stream), stream, (10, 13))
    seen_progress: list[tuple[int, int]] = []
    request = request_for(
        tmp_path, source, choice, paths, COUNT, encode_on=EncodeOn.FINAL, verify=VerifyLevel.FULL
    )
    finish(request, lambda done, total: seen_progress.append((done, total)))
    assert shown(request.output) == list(zip(due_seconds(), pictures(COUNT), strict=True))
    assert seen_progress[-1] == (COUNT, COUNT)
    assert sorted(request.work_dir.iterdir()) == sorted(paths)


@pytest.mark.parametrize("start_s", [0.0, 0.3])
def test_audio_is_untouched_and_stays_in_place(tmp_path: Path, start_s: float) -> None:
    source = make_source(tmp_path / "in.mkv", COUNT, audio_start_s=start_s)
    choice, _ = choose_encoder("libx264", 0, parameters())
    paths = write_chunks(tmp_path / "work", choice, parameters(), (12, 11))
    request = request_for(tmp_path, source, choice, paths, COUNT)
    finish(request)

    def sound(path: Path) -> tuple[list[bytes], Fraction]:
        with av.open(str(path)) as container:
            found = [p for p in container.demux(container.streams.audio[0]) if p.size]
            first = found[0]
            assert first.pts is not None
            return [bytes(p) for p in found], first.pts * Fraction(first.time_base)

    before, after = sound(source), sound(request.output)
    assert before[0] == after[0]
    assert abs(after[1] - shown(request.output)[0][0] - before[1]) <= Fraction(1, 1000)


def test_no_audio_leaves_it_out(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in.mkv", COUNT, audio_start_s=0.0)
    choice, _ = choose_encoder("libx264", 0, parameters())
    paths = write_chunks(tmp_path / "work", choice, parameters(), (COUNT,))
    request = request_for(tmp_path, source, choice, paths, COUNT, keep_audio=False)
    finish(request)
    with av.open(str(request.output)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_the_output_is_the_same_whatever_the_run(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in.mkv", COUNT, audio_start_s=0.0)
    choice, _ = choose_encoder("libx264", 18, parameters())
    paths = write_chunks(tmp_path / "work", choice, parameters(), (12, 11))
    hashes = set()
    for name in ("a.mkv", "b.mkv"):
        request = request_for(tmp_path, source, choice, paths, COUNT, output=tmp_path / name)
        hashes.add(finish(request).output_sha256)
    assert len(hashes) == 1


def test_tags_say_what_altered_the_pictures(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in.mkv", COUNT)
    choice, _ = choose_encoder("libx264", 18, parameters())
    paths = write_chunks(tmp_path / "work", choice, parameters(), (COUNT,))
    request = request_for(tmp_path, source, choice, paths, COUNT, altered_by=("face_anonymizer",))
    finish(request)
    with av.open(str(request.output)) as container:
        assert container.metadata["comment"] == "altered by facefarm: face_anonymizer"


def test_shape_colour_and_turn_reach_the_output(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in.mkv", COUNT)
    quarter = (0, 65536, 0, -65536, 0, 0, 0, 0, 1073741824)
    stream = parameters(
        display_matrix=quarter,
        rotation=270,
        sample_aspect_ratio=Fraction(9, 11),
        color=replace(parameters().color, range=1, space=1, primaries=1, trc=1),
    )
    choice, _ = choose_encoder("libx264", 18, stream)
    paths = write_chunks(tmp_path / "work", choice, stream, (COUNT,))
    request = request_for(tmp_path, source, choice, paths, COUNT, stream=stream)
    finish(request)
    with av.open(str(request.output)) as container:
        video = container.streams.video[0]
        assert video.sample_aspect_ratio == Fraction(9, 11)
        frame = next(container.decode(video))
        assert (frame.colorspace, frame.color_primaries, frame.color_trc) == (1, 1, 1)
        assert frame.rotation == -90


def test_a_first_frame_before_zero_is_moved_into_view(tmp_path: Path) -> None:
    source = make_source(tmp_path / "in.mkv", COUNT)
    choice, _ = choose_encoder("libx264", 18, parameters())
    paths = write_chunks(tmp_path / "work", choice, parameters(), (COUNT,))
    early = replace(times(COUNT), pts=times(COUNT).pts - 4004)
    request = request_for(tmp_path, source, choice, paths, COUNT, times=early)
    finish(request)
    assert [seconds for seconds, _ in shown(request.output)] == due_seconds()


def test_a_name_with_awkward_characters_works(tmp_path: Path) -> None:
    source = make_source(tmp_path / "-in 'a' \"b\" %d ü\n.mkv", COUNT)
    choice, _ = choose_encoder("libx264", 18, parameters())
    paths = write_chunks(tmp_path / "work", choice, parameters(), (COUNT,))
    output = tmp_path / "-out 'a' %03d ü.mp4"
    finish(request_for(tmp_path, source, choice, paths, COUNT, output=output))
    assert len(shown(output)) == COUNT


class TestRefusals:
    @pytest.fixture
    def request_(self, tmp_path: Path) -> Any:
        source = make_source(tmp_path / "in.mkv", 6)
        choice, _ = choose_encoder("libx264", 18, parameters())
        paths = write_chunks(tmp_path / "work", choice, parameters(), (3, 3))
        return request_for(tmp_path, source, choice, paths, 6)

    def left_over(self, request: Any) -> list[str]:
        names = [each.name for each in request.output.parent.iterdir()]
        work = [each.name for each in request.work_dir.iterdir()]
        return sorted(set(names) - {"in.mkv", "work"}) + sorted(
            set(work) - {each.name for each in request.chunk_paths}
        )

    def test_an_output_that_is_there_is_kept(self, request_: Any) -> None:
        request_.output.write_text("mine")
        with pytest.raises(SettingsError, match="is there already"):
            finish(request_)
        assert request_.output.read_text() == "mine"

    def test_overwrite_replaces_it(self, request_: Any) -> None:
        request_.output.write_text("mine")
        finish(replace(request_, overwrite=True))
        assert len(shown(request_.output)) == 6

    def test_a_missing_chunk_is_named_by_its_frame(self, request_: Any) -> None:
        with pytest.raises(JobError, match="3 of 6 frames"):
            finish(replace(request_, chunk_paths=request_.chunk_paths[:1]))
        with pytest.raises(JobError, match="where frame 0 is due"):
            finish(replace(request_, chunk_paths=request_.chunk_paths[::-1]))
        assert self.left_over(request_) == []

    def test_chunks_of_another_encoder_do_not_join(self, request_: Any, tmp_path: Path) -> None:
        other, _ = choose_encoder("libx264", 40, parameters())
        foreign = write_chunks(tmp_path / "work2", other, parameters(), (3, 3))
        paths = (request_.chunk_paths[0], foreign[1])
        with pytest.raises(JobError, match="parameter sets"):
            finish(replace(request_, chunk_paths=paths))

    def test_a_failing_ffmpeg_is_one_line_with_its_exit_code(
        self, request_: Any, tmp_path: Path
    ) -> None:
        program = tmp_path / "work" / "ffmpeg"
        program.write_text(
            '#!/bin/sh\ncase "$1" in -version) echo "ffmpeg version 7.1";; '
            "*) echo first >&2; echo it broke >&2; exit 69;; esac\n"
        )
        program.chmod(0o755)
        with pytest.raises(JobError, match=r"exit code 69.*it broke") as caught:
            finish(replace(request_, ffmpeg=program))
        assert "\n" not in caught.value.message
        program.unlink()
        assert self.left_over(request_) == []

    def test_a_full_disk_is_said_and_leaves_nothing(
        self, request_: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", "/somewhere")

        monkeypatch.setattr(final, "run_final_task", full)
        with pytest.raises(JobError, match="the disk is full"):
            finish(request_)
        assert self.left_over(request_) == []

    def test_a_missing_folder_is_said(self, request_: Any, tmp_path: Path) -> None:
        with pytest.raises(SetupError, match="no such folder"):
            finish(replace(request_, output=tmp_path / "none" / "out.mp4"))

    def test_a_container_that_cannot_hold_the_codec_is_refused(
        self, request_: Any, tmp_path: Path
    ) -> None:
        with pytest.raises(SettingsError, match=r"WebM does not hold h264.*\.mp4"):
            finish(replace(request_, output=tmp_path / "out.webm"))


def test_the_system_ffmpeg_works_too(tmp_path: Path) -> None:
    import shutil

    found = shutil.which("ffmpeg")
    if found is None:
        pytest.skip("not run: no ffmpeg on the path")
    source = make_source(tmp_path / "in.mkv", COUNT, audio_start_s=0.1)
    choice, _ = choose_encoder("libx264", 0, parameters())
    paths = write_chunks(tmp_path / "work", choice, parameters(), (12, 11))
    program = find_ffmpeg(Path(found))
    request = request_for(tmp_path, source, choice, paths, COUNT, ffmpeg=program)
    finish(request)
    assert shown(request.output) == list(zip(due_seconds(), pictures(COUNT), strict=True))
