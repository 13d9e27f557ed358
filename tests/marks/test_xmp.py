from __future__ import annotations

import pytest

from farm.marks.mark import Mark
from farm.marks.xmp import build_packet, read_packet

SWAP = Mark(altered_by=("face_swapper", "face_enhancer"))
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
IPTC = 'xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'


def test_a_packet_says_what_it_was_made_of() -> None:
    facts = read_packet(build_packet(SWAP))
    assert facts is not None
    assert facts.mark == SWAP
    assert facts.digital_source == SWAP.digital_source
    assert facts.digital_source.endswith("/compositeWithTrainedAlgorithmicMedia")


def test_the_same_mark_makes_the_same_packet() -> None:
    assert build_packet(SWAP) == build_packet(Mark(altered_by=SWAP.altered_by))


def test_pictures_that_nothing_altered_have_no_packet() -> None:
    with pytest.raises(ValueError, match="nothing altered"):
        build_packet(Mark())


def test_a_packet_of_another_program_is_read_too() -> None:
    packet = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}>'
        f'<rdf:Description {IPTC} i:DigitalSourceType="http://x/print"/></rdf:RDF></x:xmpmeta>'
    )
    facts = read_packet(packet.encode())
    assert facts is not None
    assert facts.digital_source == "http://x/print"
    assert facts.mark == Mark()


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"no xml",
        b"<rdf:RDF><a></rdf:RDF>",
        b'<!DOCTYPE x [<!ENTITY a "aa">]><rdf:RDF></rdf:RDF>',
        b"<rdf:RDF>" + bytes(1 << 20) + b"</rdf:RDF>",
    ],
)
def test_what_is_no_packet_is_told_as_such(packet: bytes) -> None:
    assert read_packet(packet) is None
