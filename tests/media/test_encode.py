from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest

from farm.errors import EncoderError
from farm.media.chunk_decode import decode_packets
from farm.media.encode import ChunkEncoder
from farm.media.encoders import choose_encoder
from farm.media.planes import plane_lines
from farm.media.signature import picture_md5, picture_signature, signature_distance
from tests.media.finish_case import encode_chunk, parameters, picture

LOSSLESS = [
    ("libx264", "yuv420p"),
    ("libx264", "yuv420p10le"),
    ("libx265", "yuv420p"),
    ("libx265", "yuv420p10le"),
    ("libvpx-vp9", "yuv420p"),
    ("ffv1", "yuv420p10le"),
]


@pytest.mark.parametrize(("name", "pix_fmt"), LOSSLESS)
def test_quality_0_gives_back_every_sample(name: str, pix_fmt: str) -> None:
    choice, _ = choose_encoder(name, 0, parameters(pix_fmt))
    chunk = encode_chunk(choice, parameters(pix_fmt), 0, 0, 12)
    shown = [picture_md5(frame) for frame in decode_packets(chunk.packets, chunk.header)]
    assert shown == [picture_md5(picture(number, pix_fmt)) for number in range(12)]


@pytest.mark.parametrize("name", ["libx264", "libx265", "libvpx-vp9"])
@pytest.mark.parametrize("count", [1, 2, 10])
def test_packets_show_each_frame_once_and_begin_with_a_keyframe(name: str, count: int) -> None:
    choice, _ = choose_encoder(name, 23, parameters())
    chunk = encode_chunk(choice, parameters(), 0, 0, count)
    assert sorted(packet.frame for packet in chunk.packets) == list(range(count))
    assert chunk.packets[0].is_keyframe
    assert len(chunk.header.signatures) == 64 * count


@pytest.mark.parametrize("name", ["libx264", "libx265"])
def test_chunks_of_a_job_have_the_same_parameter_sets_in_band(name: str) -> None:
    choice, _ = choose_encoder(name, 23, parameters())
    chunks = [encode_chunk(choice, parameters(), i, i * 5, 5) for i in range(2)]
    assert chunks[0].header.parameter_sets
    assert chunks[0].header.parameter_sets == chunks[1].header.parameter_sets
    assert chunks[0].header.extradata == b""


@pytest.mark.parametrize("threads", [1, 4])
def test_encoding_again_gives_the_same_bytes(threads: int) -> None:
    stream = parameters(width=96, height=64)
    choice = replace(choose_encoder("libx264", 23, stream)[0], threads=threads)
    assert encode_chunk(choice, stream, 0, 0, 12) == encode_chunk(choice, stream, 0, 0, 12)


def test_what_the_source_decided_about_frames_does_not_matter() -> None:
    choice, _ = choose_encoder("libx264", 23, parameters())
    encoder = ChunkEncoder(choice, parameters())
    packets = []
    for number in range(6):
        frame = picture(number)
        frame.pict_type, frame.pts = 1, 7000 - number
        packets += encoder.encode(frame, number)
    packets += encoder.flush()
    assert tuple(packets) == encode_chunk(choice, parameters(), 0, 0, 6).packets


def test_the_first_picture_decodes_by_itself() -> None:
    choice, _ = choose_encoder("libx264", 0, parameters())
    chunk = encode_chunk(choice, parameters(), 0, 3, 8)
    assert chunk.header.first_picture_md5 == picture_md5(picture(3))


def test_gray_and_full_range_keep_their_samples_in_other_formats() -> None:
    for pix_fmt in ("gray", "yuvj420p"):
        choice, _ = choose_encoder("libvpx-vp9", 0, parameters(pix_fmt))
        chunk = encode_chunk(choice, parameters(pix_fmt), 0, 0, 3)
        frames = list(decode_packets(chunk.packets, chunk.header))
        assert frames[2].format.name == "yuv420p"
        luma = plane_lines(frames[2], 0)[:, :96]
        due = plane_lines(picture(2, pix_fmt), 0)[:, :96]
        assert (luma == due).all()


def test_an_encoder_that_cannot_open_says_which_one() -> None:
    choice, _ = choose_encoder("libx264", 23, parameters())
    with pytest.raises(EncoderError, match=r"libx264 cannot encode yuv444p12le 96x64"):
        ChunkEncoder(replace(choice, pix_fmt="yuv444p12le"), parameters())


def test_signatures_tell_pictures_apart_and_cost_the_same_for_any_depth() -> None:
    flat = [
        picture_signature(
            av.VideoFrame.from_ndarray(np.full((1080, 1920), value, np.uint8), format="gray")
        )
        for value in (10, 200)
    ]
    assert signature_distance(flat[0], flat[1]) == (190, 190.0)
    assert len(picture_signature(picture(0, "yuv420p10le"))) == 64
