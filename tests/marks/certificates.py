"""A test signer: a certificate that a made-up authority vouches for, and its key, as PEM files.

Not for: anything but tests that have c2pa-python, which brings `cryptography`.
"""

from __future__ import annotations

import importlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from farm.marks.signing import SigningFiles

_USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def make_signer(folder: Path, name: str = "signer") -> SigningFiles:
    """Write `<name>.pem`, the chain, and `<name>.key`."""
    folder.mkdir(parents=True, exist_ok=True)
    curves: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ec")
    coding: Any = importlib.import_module("cryptography.hazmat.primitives.serialization")
    root, key = (curves.generate_private_key(curves.SECP256R1()) for _ in range(2))
    chain = _certificate("signer", key, root), _certificate("authority", root, root)
    certificate, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(b"".join(each.public_bytes(coding.Encoding.PEM) for each in chain))
    plain = coding.NoEncryption()
    key_file.write_bytes(key.private_bytes(coding.Encoding.PEM, coding.PrivateFormat.PKCS8, plain))
    return SigningFiles(certificate=certificate, key=key_file)


def _certificate(name: str, key: Any, root: Any) -> Any:
    """A certificate for `key`, signed by `root`."""
    x509: Any = importlib.import_module("cryptography.x509")
    oid: Any = importlib.import_module("cryptography.x509.oid")
    hashes: Any = importlib.import_module("cryptography.hazmat.primitives.hashes")
    is_root, now = key is root, datetime.now(UTC)
    uses = {"key_cert_sign", "crl_sign"} if is_root else {"digital_signature"}
    names = [
        x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, each)])
        for each in (name, "authority")
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(is_root, None), critical=True)
        .add_extension(x509.KeyUsage(**{use: use in uses for use in _USES}), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False
        )
    )
    if not is_root:
        purpose = [oid.ExtendedKeyUsageOID.EMAIL_PROTECTION]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purpose), critical=True)
    return builder.sign(root, hashes.SHA256())
