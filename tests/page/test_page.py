from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from farm.errors import InputError
from farm.manifest import build_manifest, manifest_path, write_manifest
from farm.page.charts import faces_over_clip, frames_per_second, timeline
from farm.page.page import _pictures, page_path, read_manifest_of, write_page
from farm.page.pictures import keyframe_times, quality_jump, strips
from farm.report import ChunkReport, LostAttempt, StageTime, WorkerTime
from farm.settings import ProcessorSettings, RenderSettings
from tests.farm.reports import make_report
from tests.media_maker import Studio


def chunk(number: int, worker: str, begin_s: float) -> ChunkReport:
    def stage(offset_s: float) -> StageTime:
        begin = begin_s + offset_s
        return StageTime(begin_s=begin, end_s=begin + 2, busy_s=1.5)

    return ChunkReport(
        chunk_index=number,
        worker=worker,
        frame_start=30 * number,
        frames=30,
        faces=45,
        bytes=1000,
        cpu_s=3.0,
        peak_memory_bytes=1 << 28,
        stages={"decode": stage(0), "process": stage(0.5), "encode": stage(1)},
    )


CHUNKS = (chunk(0, "worker-0", 0), chunk(1, "worker-1", 0.2), chunk(2, "worker-0", 3))


def manifest_of(source: Path, output: Path, names: tuple[str, ...]) -> dict[str, Any]:
    settings = RenderSettings(
        target=source, output=output, processors=ProcessorSettings(names=names)
    )
    report = make_report(
        output=output,
        frames=60,
        frame_rate=30.0,
        chunk_reports=CHUNKS,
        private="face_anonymizer" in names,
        bottleneck="bound by <faces>",
        lost_attempts=(
            LostAttempt(
                chunk_index=1, worker="worker-7", node="n", outcome="false_keyframe", seconds=2.5
            ),
        ),
        worker_time=WorkerTime(places_s=10.0, lost_s=4.5),
    )
    return build_manifest(settings, report, created=datetime(2026, 1, 1, tzinfo=UTC))


def test_the_page_of_a_render_shows_all_and_loads_nothing(
    media_studio: Studio, tmp_path: Path
) -> None:
    source = media_studio.path("plain.mp4")
    manifest = manifest_of(source, source, ("face_swapper",))
    write_page(manifest, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    for said in (
        "bound by &lt;faces&gt;",
        "worker-1",
        "<svg",
        "chunk 00002, encode",
        "Notes",
        "false keyframe",
        "4.50 s of 10.00 s",
    ):
        assert said in text
    assert text.count("data:image/jpeg;base64,") == 12
    for loading in ("http://", "https://", "<script", "url("):
        assert loading not in text.replace("http-equiv", "")


def test_where_faces_are_hidden_only_results_are_shown(
    media_studio: Studio, tmp_path: Path
) -> None:
    source = media_studio.path("plain.mp4")
    write_page(manifest_of(source, source, ("face_anonymizer",)), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.count("data:image/jpeg;base64,") == 6
    assert "Only results: faces were hidden." in text


def test_a_manifest_that_does_not_say_whether_faces_were_hidden_shows_only_results(
    media_studio: Studio, tmp_path: Path
) -> None:
    source = media_studio.path("plain.mp4")
    manifest = manifest_of(source, source, ("somebodys_anonymizer",))
    del manifest["report"]["private"]
    write_page(manifest, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count("data:image/jpeg;base64,") == 6


def test_what_was_trimmed_is_shown_beside_what_it_was_and_not_measured(
    media_studio: Studio, tmp_path: Path
) -> None:
    source = media_studio.path("plain.mp4")
    manifest = manifest_of(source, source, ("face_swapper",))
    whole = _pictures(manifest)
    manifest["settings"]["time"]["start"] = "1/2"
    trimmed = _pictures(manifest)
    assert whole[1] is not None
    assert trimmed[1] is None
    assert [strip.after for strip in trimmed[0]] == [strip.after for strip in whole[0]]
    assert trimmed[0][0].before != whole[0][0].before


def test_a_page_does_without_files_that_have_gone(tmp_path: Path) -> None:
    manifest = manifest_of(Path("gone.mp4"), Path("gone-too.mp4"), ("none",))
    write_page(manifest, tmp_path / "page.html")
    assert "gone-too.mp4" in (tmp_path / "page.html").read_text()


def test_the_manifest_is_found_beside_the_output(tmp_path: Path) -> None:
    output = tmp_path / "o.mp4"
    manifest = manifest_of(Path("in.mp4"), output, ("none",))
    write_manifest(manifest_path(output), manifest)
    assert read_manifest_of(output) == read_manifest_of(manifest_path(output)) == manifest
    assert page_path(output) == tmp_path / "o.mp4.facefarm.html"
    manifest_path(output).write_text("{}")
    with pytest.raises(InputError, match="is no manifest of a render"):
        read_manifest_of(output)


def test_numbers_over_time_follow_the_chunks() -> None:
    chunks = json.loads(json.dumps([_plain(each) for each in CHUNKS]))
    assert [s for s, _ in frames_per_second(chunks)] == [3, 3.2, 6]
    assert faces_over_clip(chunks, 30.0) == [(0.0, 1.5), (1.0, 1.5), (2.0, 1.5)]
    assert timeline(chunks).count("<rect") == 9 + 4
    assert frames_per_second([]) == []


def _plain(each: ChunkReport) -> dict[str, Any]:
    from farm.manifest import to_jsonable

    plain: dict[str, Any] = to_jsonable(each)
    return plain


def test_a_file_against_itself_does_not_jump(media_studio: Studio) -> None:
    source = media_studio.path("plain.mp4")
    jump = quality_jump(source, source, [0.5, 1.0], [])
    assert (jump.borders_db, jump.keyframes_db) == (0.0, None)
    assert keyframe_times(source, 5)[0] == 0.0
    assert [strip.before is None for strip in strips(source, source, [0.1], hidden=True)] == [True]
