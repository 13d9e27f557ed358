"""C2PA: a signed statement in the file of what was done to it, by the optional c2pa-python.

Nothing is fetched from the network, and no thumbnail is written: it could show a covered face. Not
for: marks that need no certificate (`farm.marks.embed`).
"""

from __future__ import annotations

import importlib
import io
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from farm.environment import farm_version
from farm.errors import InputError, JobError, SettingsError, SetupError
from farm.marks import boxes
from farm.marks.mark import Mark

HOLD_C2PA = (".mp4", ".m4v", ".mov", ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
_MISSING = (
    "signing and checking signatures need c2pa-python: pip install --no-deps -r "
    "requirements/c2pa.txt in a checkout, else pip install 'c2pa-python>=0.38'"
)
_OPTIONS = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}
_CURVES = {256: b"es256", 384: b"es384", 521: b"es512"}
_SOURCE_LABEL = "source"
_NO_FORMAT = "application/octet-stream"
_UNTRUSTED = "signingCredential.untrusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningFiles:
    """With what an output is signed."""

    certificate: Path
    """PEM: the signer's certificate, then those that vouch for it, without the root."""
    key: Path
    """PEM: the private key, without a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a file's C2PA statement says, once checked."""

    valid: bool
    """Whether the file is still the one that was signed."""
    trusted: bool
    """Whether the certificate is on the library's list of trusted ones."""
    signer: str
    failures: tuple[str, ...]
    """Why it is not valid."""


def check_signing(certificate: Path | None, key: Path | None, output: Path) -> None:
    """See that the output can be signed, by signing a picture of one pixel.

    Raises:
        SettingsError: One of the files is missing, or the output's format holds no C2PA.
        InputError: They cannot be read, or are no certificate and key of a signer.
        SetupError: c2pa-python is not installed.
    """
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        raise SettingsError("--c2pa-certificate and --c2pa-key go together: give both or none")
    if output.suffix.lower() not in HOLD_C2PA:
        raise SettingsError(
            f"--c2pa-certificate: {output.suffix} files hold no C2PA; "
            f"name the output with one of {' '.join(HOLD_C2PA)}"
        )
    library, files = _library(), SigningFiles(certificate=certificate, key=key)
    try:
        _sign(library, files, Mark(), None, ("png", io.BytesIO(_one_pixel()), io.BytesIO()))
    except library.C2paError as error:
        raise InputError(
            f"{certificate}: cannot sign with it and {key} ({_line(error)}); C2PA wants a chain "
            "of certificates whose first is the signer's own, and the key of that one"
        ) from error


def sign_file(
    path: Path, scratch: Path, files: SigningFiles, mark: Mark, parent: Path | None
) -> None:
    """Sign a finished file in its place.

    Args:
        path: The file.
        scratch: A name that is free; nothing is left there.
        files: Certificate and key.
        mark: What was done to the pictures.
        parent: The file that they come from, whose own statement is taken over; None where it
            must not be, as it may hold thumbnails of faces.

    Raises:
        JobError: It cannot be signed.
        InputError: Certificate or key cannot be read.
        SetupError: c2pa-python is not installed.
    """
    library = _library()
    try:
        with path.open("rb") as source, scratch.open("w+b") as target:
            _sign(library, files, mark, parent, (path.suffix.lower()[1:], source, target))
        shutil.move(scratch, path)
    except library.C2paError as error:
        raise JobError(f"the output cannot be signed: {_line(error)}") from error
    finally:
        scratch.unlink(missing_ok=True)


def has_signature(path: Path) -> bool:
    """Whether a file carries a C2PA statement, told without the library.

    Source: C2PA specification, embedding: the box type of the store's content is "c2pa".
    """
    if path.suffix.lower() in (".mp4", ".m4v", ".mov"):
        return boxes.read_box(path, boxes.C2PA_BOX) is not None
    is_held = path.suffix.lower() in HOLD_C2PA
    return is_held and b"jumdc2pa" in path.read_bytes()


def read_signature(path: Path) -> Signature | None:
    """Check the C2PA statement of a file; None where it has none.

    Raises:
        SetupError: It has one, and c2pa-python is not installed.
    """
    if not has_signature(path):
        return None
    library = _library()
    try:
        with (
            library.Context.from_dict(_OPTIONS) as context,
            library.Reader(str(path), context=context) as reader,
        ):
            state = reader.get_validation_state() or ""
            active = (reader.get_validation_results() or {}).get("activeManifest") or {}
            info = (reader.get_active_manifest() or {}).get("signature_info") or {}
    except library.C2paError as error:
        return Signature(valid=False, trusted=False, signer="", failures=(_line(error),))
    failures = [each.get("code", "") for each in active.get("failure", ())]
    return Signature(
        valid=state in ("Valid", "Trusted"),
        trusted=state == "Trusted",
        signer=" / ".join(str(info[k]) for k in ("issuer", "common_name") if info.get(k)),
        failures=tuple(code for code in failures if code != _UNTRUSTED),
    )


def _sign(
    library: ModuleType,
    files: SigningFiles,
    mark: Mark,
    parent: Path | None,
    streams: tuple[str, Any, Any],
) -> None:
    """Sign a stream: its format, where it is read and where the signed one is written."""
    certificate, key = _read(files.certificate), _read(files.key)
    info = library.C2paSignerInfo(_algorithm(key, files.key), certificate, key, None)
    with (
        library.Context.from_dict(_OPTIONS) as context,
        library.Signer.from_info(info) as signer,
        library.Builder(_statement(mark), context=context) as builder,
    ):
        _add_parent(builder, parent)
        builder.sign(signer, *streams)


def _statement(mark: Mark) -> dict[str, Any]:
    """The C2PA manifest: the source was opened, and edited or only coded again.

    Source: C2PA specification, actions assertion.
    """
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [_SOURCE_LABEL]}}
    done: dict[str, Any] = {"action": "c2pa.transcoded"}
    if mark.digital_source is not None:
        done = {"action": "c2pa.edited", "digitalSourceType": str(mark.digital_source)}
        done["description"] = mark.text
    return {
        "claim_generator_info": [{"name": "facefarm", "version": farm_version()}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [opened, done]}}],
    }


def _add_parent(builder: Any, parent: Path | None) -> None:
    """Name the source without its file name, which may hold that of a person."""
    about = {"title": _SOURCE_LABEL, "relationship": "parentOf", "label": _SOURCE_LABEL}
    if parent is None or parent.suffix.lower() not in HOLD_C2PA:
        builder.add_ingredient(about, _NO_FORMAT, io.BytesIO(b"\0"))
        return
    with parent.open("rb") as file:
        builder.add_ingredient(about, parent.suffix.lower()[1:], file)


def _algorithm(key: bytes, path: Path) -> bytes:
    """The signature algorithm that goes with a private key."""
    try:
        serialization: Any = importlib.import_module("cryptography.hazmat.primitives.serialization")
        loaded = serialization.load_pem_private_key(key, password=None)
    except ImportError as error:
        raise SetupError(_MISSING) from error
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: is no private key as PEM without a password") from error
    kind = type(loaded).__name__.lower()
    if "ed25519" in kind:
        return b"ed25519"
    if "rsa" in kind:
        return b"ps256"
    curve = _CURVES.get(loaded.curve.key_size) if hasattr(loaded, "curve") else None
    if curve is None:
        raise InputError(f"{path}: C2PA takes keys of the kinds P-256, P-384, P-521, RSA, Ed25519")
    return curve


def _library() -> ModuleType:
    try:
        return importlib.import_module("c2pa")
    except ImportError as error:
        raise SetupError(_MISSING) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _one_pixel() -> bytes:
    """A black PNG of one pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        size, check = len(body).to_bytes(4, "big"), zlib.crc32(kind + body).to_bytes(4, "big")
        return size + kind + body + check

    head = bytes((0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0))
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
