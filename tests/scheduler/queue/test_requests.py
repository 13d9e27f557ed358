from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from farm.errors import FarmError, InputError
from scheduler.queue.manifest_file import parse_time, read_manifest
from scheduler.queue.requests import JobRequest, build_jobs, settings_of
from scheduler.queue.watch import FolderWatch, is_written, watch

NONE = {"frame_processor": ["none"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "people" / "ann").mkdir(parents=True)
    for name in ("in/a.mp4", "in/b.mkv", "in/notes.txt", "people/ann/1.png", "people/ann/2.png"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "people" / "bob.png").write_bytes(b"bob")
    return tmp_path


def jobs_of(folder: Path, **fields: Any) -> list[tuple[str, str]]:
    request = JobRequest(**({"targets": ("in",), "output": "{stem}.mp4", "values": NONE} | fields))
    return [(job.target.name, job.output.name) for job in build_jobs(request, folder)]


def test_a_folder_gives_its_videos_and_a_pattern_what_fits(folder: Path) -> None:
    assert jobs_of(folder) == [("a.mp4", "a.mp4"), ("b.mkv", "b.mp4")]
    assert jobs_of(folder, targets=("in/*.mkv",)) == [("b.mkv", "b.mp4")]
    assert jobs_of(folder, targets=("in/a.mp4",)) == [("a.mp4", "a.mp4")]


def test_every_target_goes_with_every_source_and_a_folder_is_one_person(folder: Path) -> None:
    sources = ("people/ann", "people/bob.png")
    made = jobs_of(folder, sources=sources, output="{stem}-{source}-{number}.mp4")
    assert [output for _, output in made] == [
        "a-ann-0001.mp4",
        "a-bob-0002.mp4",
        "b-ann-0003.mp4",
        "b-bob-0004.mp4",
    ]
    request = JobRequest(targets=("in/a.mp4",), sources=sources[:1], output="x.mp4", values={})
    assert len(settings_of(build_jobs(request, folder)[0].values).sources) == 2


def test_two_spellings_of_one_output_are_one_name(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "in")
    request = JobRequest(targets=("in/a.mp4",), output="link/../in/x.mp4", values=NONE)
    other = JobRequest(targets=("in/a.mp4",), output="link/x.mp4", values=NONE)
    (first,), (second,) = (build_jobs(each, folder) for each in (request, other))
    assert second.output == folder / "in" / "x.mp4"
    assert first.output == folder / "in" / "x.mp4"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"values": {"frame_processor": ["face_swaper"]}}, "did you mean 'face_swapper'"),
        ({"values": {"frame_processor": ["face_swapper"]}}, "needs a face to put in"),
        ({"values": {**NONE, "execution_provider": "cdua"}}, "did you mean 'cuda'"),
        ({"values": {**NONE, "video_encoder": "libvpx-vp8"}}, "did you mean 'libvpx-vp9'"),
        ({"output": "{stem}.png"}, "an image becomes an image and a video a video"),
        ({"output": "{stem}"}, "has no ending that names a format"),
        ({"output": "out.mp4"}, "put {stem} or {number} in"),
        ({"output": "{stem}.mp4", "sources": ("people/*.png", "people/ann")}, "put {source} in"),
        ({"output": "{stm}.mp4"}, "did you mean 'stem'"),
        ({"output": "{stem.mp4"}, "--output"),
        ({"targets": ("no.mp4",)}, "there is no such file"),
        ({"targets": ("in/*.avi",)}, "no file fits this pattern"),
        ({"targets": ("people",)}, "holds no file that can be a target"),
        ({"values": {"video_quality": 77}}, "must be between 0 and 51"),
        ({"windows": ("night",)}, "write like"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_added(
    folder: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(FarmError, match=said):
        jobs_of(folder, **fields)


def test_a_file_with_new_content_is_new_work(folder: Path) -> None:
    request = JobRequest(targets=("in/a.mp4",), output="x.mp4", values=NONE)
    first, same = (build_jobs(request, folder)[0].digest for _ in range(2))
    (folder / "in" / "a.mp4").write_bytes(b"something else")
    assert first == same != build_jobs(request, folder)[0].digest


MANIFESTS = {
    "jobs.toml": """
[defaults]
frame-processor = "none"
[[job]]
name = "first"
target = "in/a.mp4"
output = "a-out.mp4"
priority = 3
[[job]]
target = ["in/b.mkv"]
output = "b-out.mp4"
after = "first"
video-quality = 20
""",
    "jobs.json": """{"defaults": {"frame-processor": ["none"]}, "job": [
 {"name": "first", "target": "in/a.mp4", "output": "a-out.mp4", "priority": 3},
 {"target": "in/b.mkv", "output": "b-out.mp4", "after": "first", "video-quality": 20}]}""",
    "jobs.csv": """name,target,output,after,priority,video-quality,frame-processor
first,in/a.mp4,a-out.mp4,,3,,none
,in/b.mkv,b-out.mp4,first,,20,none
""",
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_says_the_same_in_each_format(folder: Path, name: str) -> None:
    (folder / name).write_text(MANIFESTS[name])
    first, second = read_manifest(folder / name, {})
    assert (first.target, first.output) == (folder / "in/a.mp4", folder / "a-out.mp4")
    assert (first.priority, second.priority) == (3, 0)
    assert second.after_new == (0,)
    assert settings_of(second.values).video_quality == 20
    assert settings_of(first.values).processors.names == ("none",)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "j.toml",
            '[[job]]\ntarget="in/a.mp4"\n[[job]]\ntraget="x"',
            "line 4: .*'traget'; did you mean 'target'",
        ),
        ("j.toml", '[[job]]\ntarget="in/a.mp4"', "line 1: this job has no output"),
        ("j.toml", '[[jobs]]\ntarget="in/a.mp4"', "line 1: 'jobs' is neither"),
        ("j.toml", "", "holds no job"),
        ("j.toml", "[[job]", "is no valid toml"),
        (
            "j.json",
            '{"job": [{"target": "in/a.mp4",\n"outptu": "x"}]}',
            "line 2: .*did you mean 'output'",
        ),
        ("j.json", "[]", "must be an object"),
        ("j.csv", "target,outptu\na,b", "line 1: .*did you mean 'output'"),
        ("j.csv", "target,output\nin/a.mp4,x.mp4,extra", "line 2: has more cells"),
        ("j.csv", "target,output,video-quality\nin/a.mp4,x.mp4,hi", "line 2: video-quality must"),
        ("j.csv", "target,output,after\nin/a.mp4,x.mp4,late", "no job before this one is called"),
        (
            "j.csv",
            "name,after,target,output\nx,y,in/a.mp4,a.mp4\ny,x,in/b.mkv,b.mkv",
            "line 2: waits for 'y', which does not stand before it",
        ),
        ("j.csv", "target,output\nin/no.mp4,x.mp4", "line 2: .*there is no such file"),
    ],
)  # fmt: skip
def test_a_wrong_manifest_says_line_and_nearest_name(
    folder: Path, name: str, text: str, said: str
) -> None:
    (folder / name).write_text(text)
    with pytest.raises(FarmError, match=said):
        read_manifest(folder / name, NONE)


def test_a_manifest_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="cannot read this manifest"):
        read_manifest(folder / "no.toml", {})


def test_times_are_aware(folder: Path) -> None:
    assert parse_time("2026-11-24T22:00+01:00").isoformat() == "2026-11-24T21:00:00+00:00"
    with pytest.raises(FarmError, match="write a date and time"):
        parse_time("tonight")


def test_a_watched_file_is_taken_once_when_it_is_complete(folder: Path) -> None:
    busy: set[str] = {"b.mkv"}
    watch = FolderWatch(folder / "in", 10, lambda path: path.name in busy)
    assert watch.complete(0) == []
    (folder / "in" / "a.mp4").write_bytes(b"it grows")
    assert watch.complete(11) == []
    assert watch.complete(20) == []
    assert [path.name for path in watch.complete(21)] == ["a.mp4"]
    busy.clear()
    assert [path.name for path in watch.complete(22)] == ["b.mkv"]
    assert watch.complete(99) == []
    (folder / "in" / "a.mp4").unlink()
    assert watch.complete(100) == []
    (folder / "in" / "a.mp4").write_bytes(b"another one")
    watch.complete(101)
    assert [path.name for path in watch.complete(111)] == ["a.mp4"]


def test_a_file_that_a_process_writes_is_known(folder: Path) -> None:
    path = folder / "in" / "a.mp4"
    assert not is_written(path)
    with path.open("ab"):
        assert is_written(path)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert not is_written(path)
    finally:
        os.close(descriptor)


def test_a_folder_that_goes_is_said(folder: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        FolderWatch(folder / "no", 1).complete(0)


def test_a_watch_with_an_unknown_processor_does_not_begin(folder: Path) -> None:
    with pytest.raises(FarmError, match="did you mean 'face_anonymizer'"):
        watch(
            folder=folder / "in",
            to="{stem}.mp4",
            values={"frame_processor": ["face_anonymiser"]},
            store=folder / "q.sqlite",
            say=lambda _: None,
        )
