"""The model files that the farm knows: where they come from, their size, hash and licence.

Sizes and hashes are those that the publishers and several independent users of the files state.
Where nobody states a hash, it is None: such a file is fetched by `facefarm models pull` only, and
what came first is what is expected from then on (`farm.models.pins`).

There is no swap network of 256 pixels or more here. Those that are published either forbid
commercial use, or come under terms that need a lawyer (HyperSwap), or, free as they are (Ghost,
Apache-2.0), want another network's embeddings than ArcFace's.
Not for: files on this machine (`farm.models.store`) or fetching (`farm.models.download`).
"""

from __future__ import annotations

from farm.models.entry import CatalogueEntry as CatalogueEntry
from farm.models.entry import Download as Download
from farm.models.entry import ModelKind as ModelKind

_PACK_LICENCE = "InsightFace model licence: non-commercial research only"
_GPEN_LICENCE = "non-commercial, academic and educational use only (the publisher's card)"
_PARSER_LICENCE = "MIT (code and weights; trained on CelebAMask-HQ, a non-commercial data set)"
_PACKS = "https://github.com/deepinsight/insightface/releases/download/v0.7/"
_PACK_MIRROR = "https://huggingface.co/vladmandic/insightface-faceanalysis/resolve/main/"
_FACES = "https://huggingface.co/netrunner-exe/Face-Upscalers-onnx/resolve/main/"
_FACES_MIRROR = "https://github.com/visomaster/visomaster-assets/releases/download/v1.0.0/"
_HALF = ("github.com/facefusion/facefusion-assets/releases/download", "models-3.0.0")
_DETECTOR, _RECOGNIZER = ModelKind.DETECTOR, ModelKind.RECOGNIZER
_ENHANCER, _PARSER = ModelKind.ENHANCER, ModelKind.PARSER


def _pack(name: str, size_bytes: int, sha256: str) -> Download:
    """One of InsightFace's packs."""
    return Download(
        url=f"{_PACKS}{name}.zip",
        size_bytes=size_bytes,
        sha256=sha256,
        mirrors=(f"{_PACK_MIRROR}{name}.zip",),
    )


_BUFFALO_L = _pack(
    "buffalo_l",
    288_621_354,
    "80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
)
_BUFFALO_M = _pack(
    "buffalo_m",
    275_951_529,
    "d98264bd8f2dc75cbc2ddce2a14e636e02bb857b3051c234b737bf3b614edca9",
)
_BUFFALO_S = _pack(
    "buffalo_s",
    127_607_557,
    "d85a87f503f691807cd8bb97128bdf7a0660326cd9cd02657127fa978bab8b5e",
)
_BUFFALO_SC = _pack(
    "buffalo_sc",
    14_969_382,
    "57d31b56b6ffa911c8a73cfc1707c73cab76efe7f13b675a05223bf42de47c72",
)


def _packed(
    kind: ModelKind, file_name: str, size_bytes: int, sha256: str, pack: Download
) -> CatalogueEntry:
    """An entry that comes out of one of InsightFace's packs."""
    return CatalogueEntry(
        kind=kind,
        name=f"{pack.file_name.removesuffix('.zip')}/{file_name}",
        licence=_PACK_LICENCE,
        size_bytes=size_bytes,
        sha256=sha256,
        download=pack,
    )


def _single(
    kind: ModelKind,
    urls: tuple[str, ...],
    size_bytes: int | None,
    sha256: str | None,
    licence: str,
    *,
    name: str | None = None,
    other_sha256: tuple[str, ...] = (),
) -> CatalogueEntry:
    """An entry whose file is downloaded as it is; the first address is the publisher's."""
    download = Download(url=urls[0], size_bytes=size_bytes, sha256=sha256, mirrors=urls[1:])
    return CatalogueEntry(
        kind=kind,
        name=name or download.file_name,
        licence=licence,
        size_bytes=size_bytes,
        sha256=sha256,
        download=download,
        other_sha256=other_sha256,
    )


_DET_10G = "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91"
_DET_2G = "041f73f47371333d1d17a6fee6c8ab4e6aecabefe398ff32cca4e2d5eaee0af9"
_DET_500M = "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a"
_R50 = "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43"
_MBF = "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f"

SCRFD = (
    _packed(_DETECTOR, "det_10g.onnx", 16_923_827, _DET_10G, _BUFFALO_L),
    _packed(_DETECTOR, "det_2.5g.onnx", 3_292_009, _DET_2G, _BUFFALO_M),
    _packed(_DETECTOR, "det_500m.onnx", 2_524_817, _DET_500M, _BUFFALO_S),
    _packed(_DETECTOR, "det_500m.onnx", 2_524_817, _DET_500M, _BUFFALO_SC),
)
"""Detectors of the SCRFD family, best first."""

YUNET = (
    _single(
        _DETECTOR,
        (
            "https://github.com/ShiqiYu/libfacedetection.train/raw/"
            "dca340aa082c71081a68d17db8e58b33a58a914b/onnx/yunet_n_dynamic.onnx",
        ),
        322_906,
        "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
        "BSD 3-Clause",
    ),
    _single(
        _DETECTOR,
        (
            "https://github.com/opencv/opencv_zoo/raw/82b38c8f98e7b52aa171400f3e4c722352d0669f/"
            "models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
        ),
        232_589,
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        "MIT",
    ),
)
"""Detectors of the YuNet family, best first."""

RECOGNIZERS = (
    _packed(_RECOGNIZER, "w600k_r50.onnx", 174_383_860, _R50, _BUFFALO_L),
    _packed(_RECOGNIZER, "w600k_r50.onnx", 174_383_860, _R50, _BUFFALO_M),
    _packed(_RECOGNIZER, "w600k_mbf.onnx", 13_616_099, _MBF, _BUFFALO_S),
    _packed(_RECOGNIZER, "w600k_mbf.onnx", 13_616_099, _MBF, _BUFFALO_SC),
)

SWAPPERS = (
    _single(
        ModelKind.SWAPPER,
        (
            "https://huggingface.co/ezioruan/inswapper_128.onnx/resolve/"
            "6ffdf0e83c5996cc425e77b59913fc48d79441be/inswapper_128.onnx",
            "https://huggingface.co/CountFloyd/deepfake/resolve/main/inswapper_128.onnx",
        ),
        554_253_681,
        "e4a3f08c753cb72d04e10aa0f7dbe3deebbf39567d4ead6dce08e98aa49e16af",
        _PACK_LICENCE,
    ),
    _single(
        ModelKind.SWAPPER,
        (
            f"https://{_HALF[0]}/{_HALF[1]}/inswapper_128_fp16.onnx",
            f"https://huggingface.co/facefusion/{_HALF[1]}/resolve/main/inswapper_128_fp16.onnx",
        ),
        277_680_829,
        "c4eccca86ad177586c85c28bf1a64a9d9ed237e283a15818d831f7facfd3f420",
        _PACK_LICENCE,
        other_sha256=("6d51a9278a1f650cffefc18ba53f38bf2769bf4bbff89267822cf72945f8a38b",),
    ),
)

ENHANCERS = (
    _single(
        _ENHANCER,
        (f"{_FACES}GFPGANv1.4.onnx", f"{_FACES_MIRROR}GFPGANv1.4.onnx"),
        340_256_690,
        "6548e54cbcf248af385248f0c1193b359c37a0f98b836282b09cf48af4fd2b73",
        "Apache-2.0",
        other_sha256=("accc4757b26bdb89b32b4d3500d4f79c9dff97c1dd7c7104bf9dcb95e3311385",),
    ),
    _single(
        _ENHANCER,
        (f"{_FACES}GPEN-BFR-512.onnx", f"{_FACES_MIRROR}GPEN-BFR-512.onnx"),
        284_250_449,
        "0960f836488735444d508b588e44fb5dfd19c68fde9163ad7878aa24d1d5115e",
        _GPEN_LICENCE,
        other_sha256=(
            "bf80acb8e91ba8852e3f012505be2c3b6cd6b3eed5ec605e3db87863c4e74d4e",
            "d5f066b9068a8b74217f9712e28e875a6144629b108a6f7355acbdb3a2832c54",
        ),
    ),
    _single(
        _ENHANCER,
        (f"{_FACES}GPEN-BFR-256.onnx", f"{_FACES_MIRROR}GPEN-BFR-256.onnx"),
        75_715_262,
        "aa5bd3ab238640a378c59e4a560f7a7150627944cf2129e6311ae4720e833271",
        _GPEN_LICENCE,
        other_sha256=("bad8bf0426873828df2dbf4e3b3d9ababba9da7965b8b72426569486f7ae5c25",),
    ),
)

PARSERS = (
    _single(
        _PARSER,
        ("https://github.com/yakhyo/face-parsing/releases/download/weights/resnet18.onnx",),
        53_205_364,
        "0d9bd318e46987c3bdbfacae9e2c0f461cae1c6ac6ea6d43bbe541a91727e33f",
        _PARSER_LICENCE,
        name="face_parsing_resnet18.onnx",
    ),
    _single(
        _PARSER,
        (
            f"https://{_HALF[0]}/{_HALF[1]}/bisenet_resnet_34.onnx",
            f"https://huggingface.co/facefusion/{_HALF[1]}/resolve/main/bisenet_resnet_34.onnx",
        ),
        93_632_546,
        "4a0b8c958a3c938913bd06a8365dbb3c8761afba6ecbf0d14b3b1f77eb230c96",
        _PARSER_LICENCE,
    ),
)
"""Networks that say which pixels of a crop are skin, hair, glasses ...; 512x512, 19 classes."""

CLASSIFIERS = (
    _single(
        ModelKind.CLASSIFIER,
        ("https://huggingface.co/deepghs/imgutils-models/resolve/main/nsfw/nsfwjs.onnx",),
        None,
        None,
        "MIT",
        name="nsfwjs_mobilenet_v2.onnx",
        other_sha256=("ac9d9cf12bea1b83c1f1ef3e4cda9ba76ca6615aebcf58a38f14bcd4f53f4c99",),
    ),
)
"""The network of infinitered/nsfwjs; nobody states the hash of the file at the address."""

CATALOGUE: tuple[CatalogueEntry, ...] = (
    *SCRFD,
    *YUNET,
    *RECOGNIZERS,
    *SWAPPERS,
    *ENHANCERS,
    *PARSERS,
    *CLASSIFIERS,
)
"""Everything known; within a kind, the first is what the farm fetches by itself."""


def of_kind(kind: ModelKind) -> tuple[CatalogueEntry, ...]:
    """Entries of one kind, best first."""
    return tuple(entry for entry in CATALOGUE if entry.kind is kind)


def of_pack(name: str) -> tuple[CatalogueEntry, ...]:
    """Entries that one of InsightFace's packs holds, by its name (`buffalo_l`)."""
    return tuple(entry for entry in CATALOGUE if entry.pack == name)


def of_download(download: Download) -> tuple[CatalogueEntry, ...]:
    """Entries that come out of the same download."""
    return tuple(entry for entry in CATALOGUE if entry.download == download)


def known_names() -> list[str]:
    """Names of all packs and all entries."""
    packs = dict.fromkeys(entry.pack for entry in CATALOGUE if entry.pack)
    return [*packs, *(entry.name for entry in CATALOGUE)]


def named(name: str) -> tuple[CatalogueEntry, ...]:
    """Entries with this name, file name, or either without `.onnx`; packs share file names."""
    return tuple(
        entry
        for entry in CATALOGUE
        for names in [(entry.name, entry.file_name)]
        if name in names or f"{name}.onnx" in names
    )


def by_name(name: str) -> CatalogueEntry | None:
    """The first of `named`; None when there is none."""
    return next(iter(named(name)), None)


def by_sha256(sha256: str) -> CatalogueEntry | None:
    """The entry whose file has this hash; None for an unknown file."""
    for entry in CATALOGUE:
        if sha256 == entry.sha256 or sha256 in entry.other_sha256:
            return entry
    return None
