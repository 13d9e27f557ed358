from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from farm.chunk_task import RenderSetup, chunk_name
from farm.errors import EncoderError
from farm.media.chunk_decode import decode_packets
from farm.media.chunk_file import read_header, read_packets
from farm.media.encoders import choose_encoder
from farm.media.signature import picture_md5
from farm.render import ChunkRenderer
from farm.store_chunk import encode_again, has_earlier
from tests.media_maker import Studio
from tests.rendering import Job, blocks_of, job_for, task_of


@pytest.fixture
def job(media_studio: Studio, tmp_path: Path) -> Job:
    """A job whose first chunk an encoder that broke later has left, losslessly."""
    made = job_for(media_studio.path("plain.mp4"), tmp_path / "earlier", request="asked")
    renderer = ChunkRenderer(made.setup)
    try:
        renderer.submit(task_of(made, 0), lambda _: blocks_of(made)).result()
    finally:
        renderer.close()
    return made


def next_setup(job: Job, folder: Path, encoder: str = "libx264", quality: int = 0) -> RenderSetup:
    folder.mkdir()
    return replace(
        job.setup,
        encoder=choose_encoder(encoder, quality, job.index.stream)[0],
        fingerprint="next",
        chunk_dir=folder,
        earlier_dir=job.setup.chunk_dir,
    )


def md5s(folder: Path) -> list[str]:
    path = folder / chunk_name(0)
    return [picture_md5(frame) for frame in decode_packets(read_packets(path), read_header(path))]


def test_a_chunk_of_an_earlier_encoder_becomes_one_of_the_next_with_the_same_pictures(
    job: Job, tmp_path: Path
) -> None:
    setup = next_setup(job, tmp_path / "next")
    assert has_earlier(setup, task_of(job, 0))
    result = encode_again(setup, task_of(job, 0))
    header = read_header(setup.chunk_dir / chunk_name(0))
    assert result is not None
    assert (result.frames, result.bytes > 0) == (job.chunks[0].frame_count, True)
    assert (header.encoder, header.fingerprint) == ("libx264", "next")
    assert header.info["encoded_before_by"] == "ffv1"
    assert md5s(setup.chunk_dir) == md5s(job.setup.chunk_dir)


def test_a_chunk_of_another_request_is_not_taken(job: Job, tmp_path: Path) -> None:
    setup = replace(next_setup(job, tmp_path / "next"), request="other")
    assert encode_again(setup, task_of(job, 0)) is None


def test_a_damaged_chunk_is_not_taken(job: Job, tmp_path: Path) -> None:
    path = job.setup.chunk_dir / chunk_name(0)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    assert encode_again(next_setup(job, tmp_path / "next"), task_of(job, 0)) is None


def test_without_an_earlier_chunk_there_is_nothing_to_encode_again(
    job: Job, tmp_path: Path
) -> None:
    setup = next_setup(job, tmp_path / "next")
    (job.setup.chunk_dir / chunk_name(0)).unlink()
    assert not has_earlier(setup, task_of(job, 0))
    assert encode_again(setup, task_of(job, 0)) is None


def test_a_chunk_that_would_not_join_is_an_error_of_its_encoder(job: Job, tmp_path: Path) -> None:
    setup = replace(next_setup(job, tmp_path / "next"), parameter_sets=b"of another GPU")
    with pytest.raises(EncoderError, match="its chunks do not join"):
        encode_again(setup, task_of(job, 0))
    assert not list(setup.chunk_dir.iterdir())


def test_an_analysis_takes_no_chunk_of_an_earlier_encoder_for_its_own(
    job: Job, tmp_path: Path
) -> None:
    setup = next_setup(job, tmp_path / "next")
    assert has_earlier(setup, task_of(job, 0))
    assert not has_earlier(replace(setup, analyse=True), task_of(job, 0))
