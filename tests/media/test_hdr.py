from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from farm.media.chroma import NAMES, chroma_location
from farm.media.encode import ChunkEncoder
from farm.media.encoders import choose_encoder
from farm.media.hdr import HdrMetadata, hdr_notes, read_hdr
from farm.media.index import build_index
from farm.media.reading import IndexReader
from tests.media_maker import Studio, serial_decode

STATIC = HdrMetadata(
    mastering_display="G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)",
    content_light=(1000, 400),
)


def test_static_metadata_is_part_of_what_is_read_of_a_file(media_studio: Studio) -> None:
    index = IndexReader(media_studio.path("pq_mastering.mp4"), None).index()
    assert index.hdr == STATIC


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libsvtav1"])
def test_encoders_write_the_static_metadata(media_studio: Studio, encoder: str) -> None:
    path = media_studio.path("pq_mastering.mp4")
    stream = build_index(path).stream
    choice = choose_encoder(encoder, 20, stream, hdr=STATIC)[0]
    made = ChunkEncoder(choice, stream)
    packets = made.encode(next(serial_decode(path)), 0) + made.flush()
    decoder = {"h264": "h264", "hevc": "hevc", "av1": "libdav1d"}[choice.codec]
    context: Any = av.CodecContext.create(decoder, "r")
    frames = [*context.decode(av.Packet(packets[0].data)), *context.decode(None)]
    found = read_hdr(frames[0])
    assert found is not None
    assert found.content_light == STATIC.content_light
    if encoder == "libsvtav1":  # AV1 keeps other fractions
        assert found.mastering_display.startswith("G(13250,345")
    else:
        assert found.mastering_display == STATIC.mastering_display


def test_what_an_encoder_leaves_out_is_said() -> None:
    assert hdr_notes(None, "libx265") == hdr_notes(STATIC, "libx265") == ()
    assert "libvpx-vp9 does not write" in hdr_notes(STATIC, "libvpx-vp9")[0]
    dynamic = HdrMetadata(dynamic=("HDR10+", "Dolby Vision"))
    notes = hdr_notes(dynamic, "libx265")
    assert [note.split(":")[0] for note in notes] == ["HDR10+", "Dolby Vision"]


def test_the_place_of_chroma_samples_is_read_and_written(
    media_studio: Studio, tmp_path: Path
) -> None:
    for name, encoder in (("chroma_top_left.mp4", "libx264"), ("pq_mastering.mp4", "libx265")):
        path = media_studio.path(name)
        stream = build_index(path).stream
        assert NAMES[stream.chroma_location] == "topleft"
        options = dict(choose_encoder(encoder, 20, stream)[0].options)
        assert options["chroma_sample_location"] == "topleft"
    assert chroma_location(media_studio.path("plain.mp4"), 0) == 0
