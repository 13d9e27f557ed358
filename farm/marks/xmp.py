"""The XMP packet that says what IPTC calls the pictures, and reading it back.

The same pictures get the same packet: it holds no date and no random number. Not for: where packets
stand in files (`farm.marks.boxes`, `farm.marks.image_file`).
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from farm.marks.mark import Mark, mark_in

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_SOURCE_TYPE = f"{{{_IPTC}}}DigitalSourceType"
_MOST_BYTES = 1 << 20
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="{rdf}">
  <rdf:Description rdf:about="" xmlns:dc="{dc}" xmlns:Iptc4xmpExt="{iptc}">
   <Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>
   <dc:description><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></dc:description>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class XmpFacts:
    """What a packet says."""

    digital_source: str
    """Address of the digital source type, "" where the packet names none."""
    mark: Mark
    """From its description; empty where another program wrote the packet."""


def build_packet(mark: Mark) -> bytes:
    """The packet of a mark, UTF-8.

    Source: XMP specification part 1, 7.3; IPTC Photo Metadata Standard, Digital Source Type.

    Raises:
        ValueError: The mark says nothing.
    """
    if mark.digital_source is None:
        raise ValueError("pictures that nothing altered have no packet")
    return _PACKET.format(
        rdf=_RDF, dc=_DC, iptc=_IPTC, source=mark.digital_source.value, text=escape(mark.text)
    ).encode()


def read_packet(packet: bytes) -> XmpFacts | None:
    """What a packet of any program says; None where it cannot be read."""
    if len(packet) > _MOST_BYTES or b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        return None  # XMP has neither, and both can make a parser work for ever
    begin, end = packet.find(b"<rdf:RDF"), packet.rfind(b"</rdf:RDF>")
    if begin < 0 or end < begin:
        return None
    try:
        root = ElementTree.fromstring(packet[begin : end + len(b"</rdf:RDF>")])
    except ElementTree.ParseError:
        return None
    described = "; ".join(
        item.text or "" for item in root.iterfind(f".//{{{_DC}}}description//{{{_RDF}}}li")
    )
    return XmpFacts(digital_source=_source_type(root), mark=mark_in(described))


def _source_type(root: ElementTree.Element) -> str:
    """The digital source type, written as an element or as an attribute."""
    for element in root.iter():
        if element.tag == _SOURCE_TYPE:
            return (element.text or element.get(f"{{{_RDF}}}resource") or "").strip()
        if _SOURCE_TYPE in element.attrib:
            return element.attrib[_SOURCE_TYPE].strip()
    return ""
