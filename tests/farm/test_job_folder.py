from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from farm.chunk_task import attempt_name
from farm.errors import ChunkError, InputError
from farm.job_folder import (
    JobFolder,
    accept_attempt,
    default_job_dir,
    encoder_failures,
    file_sha256,
    fingerprint,
    has_work,
    make_folder,
    plain,
    remove_empty,
)
from farm.media.chunk_file import ChunkHeader, EncodedPacket, write_chunk

RANGES = ((0, 10), (10, 20), (20, 25))


def put_chunk(
    folder: JobFolder,
    number: int,
    job: str = "job",
    frames: int = 10,
    request: str = "",
    data: bytes = b"abc",
    token: int | None = None,
) -> Path:
    header = ChunkHeader(
        chunk_index=number,
        frame_start=10 * number,
        frame_count=frames,
        fingerprint=job,
        codec="ffv1",
        encoder="ffv1",
        pix_fmt="gray",
        width=8,
        height=8,
        info={"request": request, "token": token},
    )
    packets = [EncodedPacket(data=data, frame=0, duration=1, is_keyframe=True)]
    path = folder.chunk_path(number)
    write_chunk(path, header, packets)
    return path


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


def test_finished_chunks_of_the_same_job_are_found_again(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path, "job")
    put_chunk(folder, 1)
    assert not JobFolder(tmp_path / "other", "job").has_chunks
    assert folder.has_chunks
    assert list(JobFolder(tmp_path, "job").finished(RANGES)) == [1]


def test_chunks_of_another_job_or_plan_and_damaged_ones_are_deleted(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path, "job")
    put_chunk(folder, 0, job="another")
    put_chunk(folder, 2, frames=10)
    flipped = put_chunk(folder, 1)
    content = bytearray(flipped.read_bytes())
    content[-1] ^= 1
    flipped.write_bytes(content)
    put_chunk(folder, 7)
    assert folder.finished(RANGES) == {}
    assert not folder.has_chunks


def test_a_chunk_under_the_name_of_another_one_is_deleted(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path, "job")
    put_chunk(folder, 0).rename(folder.chunk_path(1))
    assert folder.finished(RANGES) == {}


def test_what_a_killed_run_left_half_written_is_deleted(tmp_path: Path) -> None:
    (tmp_path / ".00003.chunk.x7a8b").write_bytes(b"half")
    (tmp_path / "..00003.chunk.t1f.x7a8b").write_bytes(b"half")
    (JobFolder(tmp_path, "job").make_final_dir() / "joined-1.mp4").write_bytes(b"half")
    JobFolder(tmp_path, "job")
    assert names(tmp_path) == []
    (tmp_path / attempt_name(3, 31)).write_bytes(b"half")
    assert JobFolder(tmp_path, "job").finished(RANGES) == {}
    assert names(tmp_path) == []


def test_a_whole_file_of_an_attempt_that_nobody_could_note_becomes_its_chunks(
    tmp_path: Path,
) -> None:
    folder = JobFolder(tmp_path, "job")
    for token in (7, 9):
        put_chunk(folder, 1, token=token).rename(tmp_path / attempt_name(1, token))
    put_chunk(folder, 0, job="another", token=3).rename(tmp_path / attempt_name(0, 3))
    put_chunk(folder, 2, frames=5, token=4).rename(tmp_path / attempt_name(2, 5))
    assert has_work(tmp_path)
    assert list(JobFolder(tmp_path, "job").finished(RANGES)) == [1]
    assert names(tmp_path) == ["00001.chunk"]


def test_the_file_of_an_attempt_counts_when_it_is_accepted_and_never_before(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path, "job")
    put_chunk(folder, 1, token=7).rename(tmp_path / attempt_name(1, 7))
    assert not folder.chunk_path(1).exists()
    accept_attempt(tmp_path, 1, 7)
    assert names(tmp_path) == ["00001.chunk"]
    with pytest.raises(ChunkError, match="left no file"):
        accept_attempt(tmp_path, 1, 8)


def test_a_chunk_that_is_whole_and_not_what_was_noted_is_deleted(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path, "job")
    noted = {1: file_sha256(put_chunk(folder, 1))}
    assert list(folder.finished(RANGES, noted)) == [1]
    put_chunk(folder, 1, data=b"xyz")
    assert folder.finished(RANGES, noted) == {}


def test_a_folder_without_work_goes_with_its_ledger_and_stays_with_the_users_files(
    tmp_path: Path,
) -> None:
    folder = make_folder(tmp_path / "job")
    (folder / "ledger.sqlite").write_bytes(b"x")
    (folder / "notes.txt").write_text("mine")
    remove_empty(folder)
    assert names(folder) == ["notes.txt"]
    (folder / "notes.txt").unlink()
    remove_empty(folder)
    assert not folder.exists()


def test_what_json_does_not_know_is_kept_as_text() -> None:
    assert plain({"a": Fraction(1, 3), "b": (None, 2, True)}) == {"a": "1/3", "b": [None, 2, True]}


def test_removing_deletes_the_folder_with_all_that_the_farm_made(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path / "made" / "here", "job")
    put_chunk(folder, 0)
    (folder.make_final_dir() / "part").write_bytes(b"x")
    folder.remove()
    assert not (tmp_path / "made" / "here").exists()
    folder.remove()


@pytest.mark.parametrize("name", ["notes.txt", "12345-take.chunk", "00001.chunk.bak", "a.chunk"])
def test_files_that_the_user_keeps_in_the_folder_stay(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    folder = JobFolder(tmp_path, "job")
    put_chunk(folder, 0)
    assert list(folder.finished(RANGES)) == [0]
    folder.remove()
    assert names(tmp_path) == [name]


def test_a_folder_that_cannot_be_made_is_refused_with_the_option_that_helps(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written .*--job-dir"):
        JobFolder(tmp_path / "file" / "job", "job")


def test_the_default_folder_lies_hidden_beside_the_output() -> None:
    assert default_job_dir(Path("a/out.mp4")) == Path("a/.out.mp4.facefarm")


@dataclass(frozen=True)
class Part:
    number: int
    data: bytes


@pytest.mark.parametrize(
    "other",
    [
        (Part(1, b"ab"), {"k": [2.0]}),
        (Part(1, b"a"), {"k": [2.5]}),
        (Part(2, b"a"), {"k": [2.0]}),
        (Part(1, b"a"),),
    ],
)
def test_a_fingerprint_changes_with_every_part(other: Sequence[object]) -> None:
    first = fingerprint((Part(1, b"a"), {"k": [2.0]}))
    assert first == fingerprint((Part(1, b"a"), {"k": [2.0]}))
    assert first != fingerprint(other)


def test_chunks_of_the_same_request_by_another_encoder_are_kept_to_be_encoded_again(
    tmp_path: Path,
) -> None:
    put_chunk(JobFolder(tmp_path, "nvenc", "asked"), 0, job="nvenc", request="asked")
    put_chunk(JobFolder(tmp_path, "nvenc", "asked"), 1, job="nvenc", request="other")
    folder = JobFolder(tmp_path, "x264", "asked")
    put_chunk(folder, 2, job="x264", frames=5, request="asked")
    assert list(folder.finished(RANGES)) == [2]
    assert folder.earlier_dir is not None
    assert names(folder.earlier_dir) == ["00000.chunk"]
    assert folder.has_chunks
    folder.remove()
    assert not tmp_path.exists()


def test_of_two_earlier_encoders_the_chunk_of_the_first_is_kept(tmp_path: Path) -> None:
    first = put_chunk(JobFolder(tmp_path, "nvenc", "asked"), 0, job="nvenc", request="asked")
    made = first.read_bytes()
    JobFolder(tmp_path, "amf", "asked").finished(RANGES)
    put_chunk(JobFolder(tmp_path, "amf", "asked"), 0, job="amf", request="asked")
    folder = JobFolder(tmp_path, "x264", "asked")
    folder.finished(RANGES)
    assert folder.earlier_dir is not None
    assert (folder.earlier_dir / "00000.chunk").read_bytes() == made


def test_encoders_that_broke_are_remembered_for_their_request_alone(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path, "job", "asked")
    folder.record_failure("h264_nvenc", "driver")
    folder.record_failure("h264_amf", "device")
    both = {"h264_nvenc": "driver", "h264_amf": "device"}
    assert folder.encoder_failures == encoder_failures(tmp_path, "asked") == both
    assert encoder_failures(tmp_path, "other") == {}
    (tmp_path / ".facefarm-encoders.json").write_text("[")
    assert encoder_failures(tmp_path, "asked") == {}
