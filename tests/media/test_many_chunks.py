from __future__ import annotations

from pathlib import Path

import pytest

from farm.media.encoders import choose_encoder, intermediate_encoder
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

MANY = 1009
WAYS = [(EncodeOn.WORKER, "libx264"), (EncodeOn.WORKER, "libx265"), (EncodeOn.FINAL, "libx264")]


@pytest.mark.long
@pytest.mark.parametrize(("encode_on", "encoder"), WAYS)
def test_more_than_a_thousand_chunks_of_one_frame_join(
    tmp_path: Path, encode_on: EncodeOn, encoder: str
) -> None:
    source = make_source(tmp_path / "in.mkv", MANY)
    stream = parameters()
    choice, _ = choose_encoder(encoder, 0, stream)
    chunks_by = intermediate_encoder(stream) if encode_on is EncodeOn.FINAL else choice
    paths = write_chunks(tmp_path / "work", chunks_by, stream, (1,) * MANY)
    request = request_for(
        tmp_path, source, choice, paths, MANY, encode_on=encode_on, verify=VerifyLevel.FULL
    )
    finish(request)
    due = [times(MANY).seconds(number) for number in range(MANY)]
    assert shown(request.output) == list(zip(due, pictures(MANY), strict=True))
