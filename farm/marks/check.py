"""Looking at the marks of a file: what they say, and whether they fit the file and each other.

Not for: writing them (`farm.marks.embed`, `farm.marks.signing`, `farm.manifest`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from farm.errors import InputError, SetupError
from farm.manifest import manifest_path
from farm.marks.embed import FoundMarks, read_marks
from farm.marks.mark import Mark
from farm.marks.signing import Signature, read_signature
from farm.models.hashes import sha256_of

_ABSENT = "none"


class Verdict(StrEnum):
    """What a look at the marks came to."""

    INTACT = "intact"
    """The marks fit each other, and a manifest or signature proves that the file is unchanged."""
    MISMATCH = "mismatch"
    """At least one mark does not fit the file or the others."""
    UNPROVEN = "unproven"
    """There are marks, and nothing that proves the file unchanged since."""
    UNMARKED = "unmarked"
    """The file carries no mark of facefarm, and no manifest lies beside it."""

    @property
    def exit_code(self) -> int:
        """What `facefarm verify` returns."""
        return {Verdict.INTACT: 0, Verdict.MISMATCH: 1}.get(self, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkReport:
    """All that `facefarm verify` found, as lines for people and programs."""

    file: Path
    verdict: Verdict
    altered_by: tuple[str, ...]
    digital_source: str
    """Address of IPTC's digital source type, "" for none."""
    marks: dict[str, str]
    """What was found of each kind of mark, in words."""
    problems: tuple[str, ...]
    """What does not fit."""

    @property
    def summary(self) -> str:
        """The verdict in one sentence."""
        by = ", ".join(self.altered_by)
        said = f"altered by facefarm: {by}" if by else "made by facefarm, pictures not altered"
        match self.verdict:
            case Verdict.INTACT:
                return f"{self.file}: {said}; intact"
            case Verdict.MISMATCH:
                return f"{self.file}: {said}; does not fit: {'; '.join(self.problems)}"
            case Verdict.UNPROVEN:
                return f"{self.file}: {said}; nothing here proves that it is unchanged since"
        return f"{self.file}: carries no mark of facefarm; that does not prove that it is unaltered"

    @property
    def lines(self) -> list[str]:
        """The report as a person reads it."""
        return [self.summary, *(f"  {kind:<9} {found}" for kind, found in self.marks.items())]


class _Findings:
    """What is found and what does not fit, while the marks are looked at."""

    def __init__(self) -> None:
        self.marks: dict[str, str] = {}
        self.problems: list[str] = []
        self.proven = False

    def wrong(self, kind: str, problem: str) -> None:
        """Note a mark that does not fit."""
        self.marks[kind] = problem
        self.problems.append(problem)


def check_marks(path: Path, source: Path | None = None) -> MarkReport:
    """Check every mark of a file.

    Args:
        path: The file.
        source: The file that it was rendered from, to be compared with the manifest; None takes
            the one that the manifest names, where it is still there.

    Raises:
        InputError: A file is missing or cannot be read.
    """
    for each in (path, source):
        if each is not None and not each.is_file():
            raise InputError(f"{each}: there is no such file")
    found, manifest = read_marks(path), _read_manifest(manifest_path(path))
    findings = _Findings()
    mark = found.mark.after(Mark(altered_by=_names(manifest)))
    _check_embedded(found, mark, findings)
    _check_manifest(path, manifest, found, findings)
    _check_source(source, manifest, findings)
    _check_signature(path, findings)
    is_marked = bool(mark.altered_by) or manifest is not None or findings.proven
    return MarkReport(
        file=path,
        verdict=_verdict(findings, is_marked),
        altered_by=mark.altered_by,
        digital_source=found.xmp.digital_source if found.xmp else "",
        marks=findings.marks,
        problems=tuple(findings.problems),
    )


def _verdict(findings: _Findings, is_marked: bool) -> Verdict:
    if findings.problems:
        return Verdict.MISMATCH
    if not is_marked:
        return Verdict.UNMARKED
    return Verdict.INTACT if findings.proven else Verdict.UNPROVEN


def _check_embedded(found: FoundMarks, mark: Mark, findings: _Findings) -> None:
    """Compare comment and XMP with what all marks together say."""
    findings.marks["comment"] = found.comment.text if found.comment else _ABSENT
    findings.marks["XMP"] = found.xmp.digital_source or _ABSENT if found.xmp else _ABSENT
    if found.xmp_unreadable:
        findings.wrong("XMP", "the XMP packet cannot be read")
    ours = found.xmp if found.xmp and found.xmp.mark.altered_by else None
    if found.comment and found.xmp and ours is None:
        findings.wrong("XMP", "the XMP packet does not say what the comment says")
    if ours is None:
        return
    if found.comment and set(found.comment.altered_by) != set(ours.mark.altered_by):
        findings.wrong("comment", f"the comment and XMP differ: {', '.join(ours.mark.altered_by)}")
    if ours.digital_source != str(ours.mark.digital_source):
        said = ours.digital_source.rsplit("/", 1)[-1] or "none"
        findings.wrong("XMP", f"the digital source type {said} is not that of its processors")
    if set(mark.altered_by) != set(ours.mark.altered_by):
        findings.wrong("XMP", "the XMP packet does not name every processor of the manifest")


def _check_manifest(
    path: Path, manifest: dict[str, Any] | None, found: FoundMarks, findings: _Findings
) -> None:
    """Compare the file with the hash that was written down when it was made."""
    name = manifest_path(path).name
    if manifest is None:
        findings.marks["manifest"] = f"{_ABSENT} ({name})"
        return
    due, here = _report(manifest).get("output_sha256"), sha256_of(path)
    if due != here:
        findings.wrong("manifest", f"the file is not the one of {name}: its sha256 is {here}")
        return
    findings.proven = True
    findings.marks["manifest"] = f"{name}, sha256 {here[:16]}... fits"


def _check_source(given: Path | None, manifest: dict[str, Any] | None, findings: _Findings) -> None:
    """Compare the input with its hash; one that merely lies where it lay is no problem."""
    due = _report(manifest).get("input_sha256")
    named = str(_part(manifest, "settings").get("target") or "")
    if not isinstance(due, str):
        if given is not None:
            findings.wrong("input", f"no manifest says what was made of {given}")
        return
    place = given or Path(named)
    if not place.is_file():
        findings.marks["input"] = f"{named} is not here: not compared"
    elif sha256_of(place) == due:
        findings.marks["input"] = f"{place}, sha256 {due[:16]}... fits"
    elif given is not None:
        findings.wrong("input", f"{given} is not what the file was made of")
    else:
        findings.marks["input"] = f"{place} is another file by now: not compared"


def _check_signature(path: Path, findings: _Findings) -> None:
    """Check the C2PA statement."""
    try:
        signature = read_signature(path)
    except SetupError as error:
        findings.marks["C2PA"] = f"signed, not checked: {error.message}"
        return
    if signature is None:
        findings.marks["C2PA"] = _ABSENT
    elif not signature.valid:
        why = ", ".join(signature.failures) or "not valid"
        findings.wrong("C2PA", f"the C2PA signature does not hold ({why})")
    else:
        findings.proven = True
        findings.marks["C2PA"] = f"signed by {signature.signer}; {_trust(signature)}"


def _trust(signature: Signature) -> str:
    if signature.trusted:
        return "a certificate that is trusted"
    return "holds, but nothing here vouches for the certificate"


def _read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest beside a file; None where there is none.

    Raises:
        InputError: It is there and cannot be read.
    """
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is no manifest that can be read ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != "facefarm manifest":
        raise InputError(f"{path}: is no manifest of facefarm; move it away")
    return manifest


def _names(manifest: dict[str, Any] | None) -> tuple[str, ...]:
    names = (manifest or {}).get("altered_by")
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def _report(manifest: dict[str, Any] | None) -> dict[str, Any]:
    return _part(manifest, "report")


def _part(manifest: dict[str, Any] | None, name: str) -> dict[str, Any]:
    part = (manifest or {}).get(name)
    return part if isinstance(part, dict) else {}
