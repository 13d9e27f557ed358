"""The model files that the farm knows: where they come from, their size, hash and licence.

Sizes and hashes are those that the publishers and several independent users of the files state; an
entry whose hash nobody states has `sha256=None` and needs `--allow-unverified-models`.
Not for: files on this machine (`farm.models.store`) or fetching (`farm.models.download`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ModelKind(StrEnum):
    """What a model does; the KIND of `--model KIND=PATH`."""

    DETECTOR = "detector"
    RECOGNIZER = "recognizer"
    SWAPPER = "swapper"
    ENHANCER = "enhancer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One file to fetch."""

    url: str
    size_bytes: int
    sha256: str | None
    """Lower-case hexadecimal; None where no trustworthy statement of it exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One model file that the farm can use."""

    kind: ModelKind
    name: str
    """Path below the models directory, with `/`."""
    licence: str
    size_bytes: int
    sha256: str | None
    download: Download
    """The file itself, or the archive that holds it."""
    other_sha256: tuple[str, ...] = ()
    """Hashes of other published builds of the same network."""

    @property
    def in_archive(self) -> bool:
        """Whether the download is a zip file that holds the model."""
        return self.download.url.endswith(".zip")


_PACK_LICENCE = "InsightFace model licence: non-commercial research only"
_PACKS = "https://github.com/deepinsight/insightface/releases/download/v0.7/"
_FACES = "https://huggingface.co/netrunner-exe/Face-Upscalers-onnx/resolve/main/"
_BUFFALO_L = Download(
    url=f"{_PACKS}buffalo_l.zip",
    size_bytes=288_621_354,
    sha256="80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
)
_BUFFALO_SC = Download(
    url=f"{_PACKS}buffalo_sc.zip",
    size_bytes=14_969_382,
    sha256="57d31b56b6ffa911c8a73cfc1707c73cab76efe7f13b675a05223bf42de47c72",
)


def _packed(
    kind: ModelKind, name: str, size_bytes: int, sha256: str, pack: Download
) -> CatalogueEntry:
    """An entry that comes out of one of InsightFace's packs."""
    return CatalogueEntry(
        kind=kind,
        name=name,
        licence=_PACK_LICENCE,
        size_bytes=size_bytes,
        sha256=sha256,
        download=pack,
    )


def _single(
    kind: ModelKind,
    url: str,
    size_bytes: int,
    sha256: str,
    licence: str,
    other_sha256: tuple[str, ...] = (),
) -> CatalogueEntry:
    """An entry whose file is downloaded as it is."""
    return CatalogueEntry(
        kind=kind,
        name=url.rsplit("/", 1)[1],
        licence=licence,
        size_bytes=size_bytes,
        sha256=sha256,
        download=Download(url=url, size_bytes=size_bytes, sha256=sha256),
        other_sha256=other_sha256,
    )


SCRFD = (
    _packed(
        ModelKind.DETECTOR,
        "buffalo_l/det_10g.onnx",
        16_923_827,
        "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
        _BUFFALO_L,
    ),
    _packed(
        ModelKind.DETECTOR,
        "buffalo_sc/det_500m.onnx",
        2_524_817,
        "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a",
        _BUFFALO_SC,
    ),
)
"""Detectors of the SCRFD family, best first."""

YUNET = (
    _single(
        ModelKind.DETECTOR,
        "https://github.com/ShiqiYu/libfacedetection.train/raw/"
        "dca340aa082c71081a68d17db8e58b33a58a914b/onnx/yunet_n_dynamic.onnx",
        322_906,
        "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
        "BSD 3-Clause",
    ),
    _single(
        ModelKind.DETECTOR,
        "https://github.com/opencv/opencv_zoo/raw/82b38c8f98e7b52aa171400f3e4c722352d0669f/"
        "models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
        232_589,
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        "MIT",
    ),
)
"""Detectors of the YuNet family, best first."""

RECOGNIZERS = (
    _packed(
        ModelKind.RECOGNIZER,
        "buffalo_l/w600k_r50.onnx",
        174_383_860,
        "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
        _BUFFALO_L,
    ),
    _packed(
        ModelKind.RECOGNIZER,
        "buffalo_sc/w600k_mbf.onnx",
        13_616_099,
        "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f",
        _BUFFALO_SC,
    ),
)

SWAPPERS = (
    _single(
        ModelKind.SWAPPER,
        "https://huggingface.co/ezioruan/inswapper_128.onnx/resolve/"
        "6ffdf0e83c5996cc425e77b59913fc48d79441be/inswapper_128.onnx",
        554_253_681,
        "e4a3f08c753cb72d04e10aa0f7dbe3deebbf39567d4ead6dce08e98aa49e16af",
        _PACK_LICENCE,
    ),
)

ENHANCERS = (
    _single(
        ModelKind.ENHANCER,
        f"{_FACES}GFPGANv1.4.onnx",
        340_256_690,
        "6548e54cbcf248af385248f0c1193b359c37a0f98b836282b09cf48af4fd2b73",
        "Apache-2.0",
    ),
    _single(
        ModelKind.ENHANCER,
        f"{_FACES}GPEN-BFR-512.onnx",
        284_250_449,
        "0960f836488735444d508b588e44fb5dfd19c68fde9163ad7878aa24d1d5115e",
        "non-commercial, academic and educational use only (the publisher's card)",
        ("bf80acb8e91ba8852e3f012505be2c3b6cd6b3eed5ec605e3db87863c4e74d4e",),
    ),
    _single(
        ModelKind.ENHANCER,
        f"{_FACES}GPEN-BFR-256.onnx",
        75_715_262,
        "aa5bd3ab238640a378c59e4a560f7a7150627944cf2129e6311ae4720e833271",
        "non-commercial, academic and educational use only (the publisher's card)",
    ),
)

CATALOGUE: tuple[CatalogueEntry, ...] = (*SCRFD, *YUNET, *RECOGNIZERS, *SWAPPERS, *ENHANCERS)
"""Everything known; within a kind, the first is what the farm fetches by itself."""


def of_kind(kind: ModelKind) -> tuple[CatalogueEntry, ...]:
    """Entries of one kind, best first."""
    return tuple(entry for entry in CATALOGUE if entry.kind is kind)


def by_name(name: str) -> CatalogueEntry | None:
    """The entry with this name, or with this file name; None when there is none."""
    for entry in CATALOGUE:
        if name in (entry.name, entry.name.rsplit("/", 1)[-1]):
            return entry
    return None


def by_sha256(sha256: str) -> CatalogueEntry | None:
    """The entry whose file has this hash; None for an unknown file."""
    for entry in CATALOGUE:
        if sha256 == entry.sha256 or sha256 in entry.other_sha256:
            return entry
    return None
