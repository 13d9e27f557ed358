"""Writing the marks into a finished file, and reading them out of any file.

The comment and Matroska's tag are written by the final ffmpeg task, which `tags_for` tells them.
Not for: the manifest beside the file (`farm.manifest`) or the signature (`farm.marks.signing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from farm.errors import MediaError
from farm.image_names import is_image
from farm.marks import boxes, image_file
from farm.marks.mark import Mark, mark_in
from farm.marks.xmp import XmpFacts, build_packet, read_packet
from farm.media.probe import open_container

SOURCE_TYPE_TAG = "DIGITAL_SOURCE_TYPE"
"""Matroska has no place for XMP: the digital source type stands in a tag of this name."""
_BOXED = frozenset({".mp4", ".m4v", ".mov"})
_TAGGED = frozenset({".mkv", ".webm"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMarks:
    """The marks that a file carries."""

    comment: Mark | None
    """From the comment tag; None where there is none, or no comments in this kind of file."""
    xmp: XmpFacts | None
    """From the XMP packet, or from Matroska's tag, which repeats the comment's mark."""
    xmp_unreadable: bool = False
    """Whether there is a packet that cannot be read."""

    @property
    def mark(self) -> Mark:
        """All that the marks say, as one."""
        seen = self.xmp.mark if self.xmp else Mark()
        return seen.after(self.comment or Mark())


def tags_for(target: Path, mark: Mark) -> dict[str, str]:
    """Tags that the muxer has to write beside the comment."""
    source = mark.digital_source
    holds = source is not None and target.suffix.lower() in _TAGGED
    return {SOURCE_TYPE_TAG: str(source)} if holds else {}


def embed_mark(path: Path, mark: Mark) -> str | None:
    """Write the XMP packet of a mark into a finished file.

    Returns:
        What is to be said where this kind of file does not hold the mark.

    Raises:
        JobError: The file is damaged.
        OSError: It cannot be read or written.
    """
    suffix = path.suffix.lower()
    if mark.digital_source is None or suffix in _TAGGED:
        return None
    if suffix in _BOXED:
        boxes.append_xmp(path, build_packet(mark))
        return None
    marked = image_file.embed(path.read_bytes(), build_packet(mark)) if is_image(path) else None
    if marked is None:
        return f"{suffix} files hold no mark of what was altered: only the manifest says it"
    path.write_bytes(marked)
    return None


def read_marks(path: Path) -> FoundMarks:
    """The marks of a file.

    Raises:
        MediaError: It is no media file that can be read.
    """
    if is_image(path):
        return _with_packet(None, image_file.extract(_bytes_of(path)))
    with open_container(path) as container:
        tags = {name.upper(): value for name, value in container.metadata.items()}
    comment = mark_in(tags.get("COMMENT", ""))
    found = comment if comment.altered_by else None
    packet = boxes.read_box(path, boxes.XMP_BOX) if path.suffix.lower() in _BOXED else None
    if packet is None and SOURCE_TYPE_TAG in tags:
        facts = XmpFacts(digital_source=tags[SOURCE_TYPE_TAG], mark=comment)
        return FoundMarks(comment=found, xmp=facts)
    return _with_packet(found, packet)


def mark_of_source(path: Path) -> Mark:
    """What a file that is to be rendered says of earlier alterations; an empty mark for nothing."""
    try:
        return read_marks(path).mark
    except MediaError:
        return Mark()


def _with_packet(comment: Mark | None, packet: bytes | None) -> FoundMarks:
    if packet is None:
        return FoundMarks(comment=comment, xmp=None)
    facts = read_packet(packet)
    return FoundMarks(comment=comment, xmp=facts, xmp_unreadable=facts is None)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror})") from error
