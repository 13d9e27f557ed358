"""Options that several commands share, each said once; `farm.settings` puts them together.

Not for: what an option is (`farm.options`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from farm.options import Option, OptionKind

DETECTORS = ("auto", "scrfd", "yunet", "cascade")

Overwrite = Annotated[
    bool, Option(off="no-overwrite", help="Replace an output that is there already.")
]
VideoStreamIndex = Annotated[
    int | None,
    Option(unset="the main one", help="Index of the video stream among all streams of the file."),
]
Detector = Annotated[
    str, Option(metavar="NAME", choices=DETECTORS, help="auto, scrfd, yunet or cascade.")
]
TurnedFaces = Annotated[
    bool,
    Option(help="Also find faces that lie or are upside down; takes 4 times the detection."),
]
ModelsDir = Annotated[
    Path | None, Option(unset="below the user's cache", help="Where model files lie.")
]
Models = Annotated[
    tuple[tuple[str, Path], ...],
    Option(
        name="model",
        kind=OptionKind.PAIRS,
        metavar="KIND=PATH",
        unset="from --models-dir",
        help="Model file for detector, recognizer, swapper, enhancer, parser, classifier or "
        "interpolator.",
    ),
]
"""These stand before the models directory."""
AllowUnverified = Annotated[bool, Option(help="Take model files of unknown hash.")]
Provider = Annotated[
    str | None,
    Option(
        metavar="NAME",
        unset="the best that loads",
        help="tensorrt, cuda, migraphx, rocm, coreml, openvino, directml or cpu.",
    ),
]
SameProvider = Annotated[
    bool, Option(help="Leave out nodes that lack the best provider of the cluster.")
]
Threads = Annotated[
    int | None,
    Option(
        unset="by provider and cores",
        help="Threads of each worker's networks, 1 to 1024.",
        low=1,
        high=1024,
    ),
]
MaxMemory = Annotated[
    int | None,
    Option(
        name="max-memory",
        kind=OptionKind.SIZE,
        unset="1 GiB",
        help="Memory for one worker's frames: GiB (4), or 500M, 2G.",
    ),
]
Workers = Annotated[
    int | None, Option(unset="by cores and GPUs", help="1 to 1024.", low=1, high=1024)
]
ChunkSeconds = Annotated[
    float | None, Option(unset="about a keyframe distance", help="Length of a chunk.", above=0)
]
Address = Annotated[str | None, Option(unset="a local one for this run", help="Ray to render on.")]
JobDir = Annotated[
    Path | None, Option(unset="beside the output", help="Folder for the job's chunks.")
]
