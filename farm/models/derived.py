"""Optimised copies of models, and the report beside each that says what it was made from.

A copy is believed as far as its report fits: it names the copy's own hash and that of a model that
is known here, and every measurement reached its floor. The report is no signature: whoever can
write both files can make one up, so optimised copies are taken from oneself only.
Not for: making copies (`farm.models.optimize`).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from farm.errors import ModelError

REPORT_FORMAT = "facefarm optimised model"
REPORT_VERSION = 1


class Precision(StrEnum):
    """Numbers that an optimised copy computes with."""

    FP16 = "fp16"
    INT8 = "int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One number that says how near the copy comes to its source."""

    name: str
    """`psnr_db`, `cosine`, `iou` ..."""
    value: float
    """The worst over all samples."""
    mean: float
    floor: float
    at_least: bool = True
    """Whether `floor` is the least that is allowed; else the most."""

    @property
    def is_met(self) -> bool:
        """Whether the worst value is on the right side of the floor."""
        return self.value >= self.floor if self.at_least else self.value <= self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeReport:
    """What was made from what, how good it is, and how fast."""

    kind: str
    precision: str
    output: str
    """File name of the copy, beside which the report lies."""
    output_sha256: str
    output_bytes: int
    source: str
    """Name of the source in the catalogue, or its file name."""
    source_sha256: str
    source_bytes: int
    source_licence: str
    source_verified: bool
    measurements: tuple[Measurement, ...]
    samples: int
    """Crops or pictures that were compared."""
    samples_from: str
    calibration_samples: int
    source_s: float
    """Median seconds of one run of the source."""
    output_s: float
    speed_up: float
    """Median of the ratios of neighbouring runs, source by copy."""
    cpu_speed_up: float
    """The same in processor time, which other work on the machine hardly touches."""
    timed_runs: int
    threads: int
    provider: str
    machine: str
    onnxruntime: str
    created: str

    @property
    def is_good(self) -> bool:
        """Whether every measurement reached its floor."""
        return bool(self.measurements) and all(each.is_met for each in self.measurements)


def report_path(model: Path) -> Path:
    """Where the report of an optimised copy lies: `NAME.onnx.json`."""
    return model.with_name(f"{model.name}.json")


def write_report(path: Path, report: OptimizeReport) -> None:
    """Write the report whole or not at all."""
    document = {"format": REPORT_FORMAT, "format_version": REPORT_VERSION, **asdict(report)}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(f"{json.dumps(document, indent=2)}\n", "utf-8")
    temporary.replace(path)


def read_report(model: Path) -> OptimizeReport | None:
    """The report beside a model; None when there is none.

    Raises:
        ModelError: There is a report that cannot be read.
    """
    path = report_path(model)
    try:
        document = json.loads(path.read_text("utf-8"))
        if not isinstance(document, dict) or document.get("format") != REPORT_FORMAT:
            return None
        if document.get("format_version") != REPORT_VERSION:
            raise ValueError(f"its version is {document.get('format_version')}")
        return _to_report(document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} is not a report that can be read ({error})") from error


def _to_report(document: dict[str, Any]) -> OptimizeReport:
    """The record of a parsed report."""
    values = {field.name: document[field.name] for field in fields(OptimizeReport)}
    values["measurements"] = tuple(Measurement(**each) for each in values["measurements"])
    return OptimizeReport(**values)
