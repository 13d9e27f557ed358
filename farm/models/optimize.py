"""Making an optimised copy of a model: written, compared, raced, and kept only when good enough.

Not for: how copies are believed later (`farm.models.trust`).
"""

from __future__ import annotations

import logging
import os
import platform
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from farm.errors import InputError, ModelError, SettingsError
from farm.faces.detect import choose_detector
from farm.models.catalogue import YUNET
from farm.models.derived import Measurement, OptimizeReport, Precision, report_path, write_report
from farm.models.entry import ModelKind
from farm.models.hashes import sha256_of
from farm.models.int8 import prepare_int8, write_int8
from farm.models.quantize import require_batch_independent, write_fp16
from farm.models.samples import BUILT_IN, Sample, built_in_samples, samples_of
from farm.models.session import SessionSettings, open_session
from farm.models.store import ModelFile, ModelStore
from farm.models.trials import Feeds, RecordingSession, Trial, race, trial_of
from farm.names import require_known
from farm.node.processor import has_instructions, processor_name
from farm.summary import size

log = logging.getLogger(__name__)

_FLOAT_FIRST = (0, 1, 2, 3)
"""Convolutions next to the input that stay float, tried in this order until the aim is met."""
_CALIBRATION, _COMPARISON = 12, 8
_ENOUGH = 6
"""From so many given images on, every third is kept from the calibration and compared on."""
_RUNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeSettings:
    """How a copy is to be made."""

    precision: Precision
    output: Path | None = None
    """None is beside the source, `NAME.int8.onnx`."""
    calibrate: tuple[Path, ...] = ()
    """Images or folders; none is the built-in portrait."""
    threads: int = 1
    provider: str = "cpu"
    """The provider that runs the comparison and the race."""
    overwrite: bool = False


def model_to_optimize(store: ModelStore, what: str, kind: str | None) -> ModelFile:
    """The file to copy: a catalogue name that is here, or a path.

    Args:
        store: The models directory; it says whether unknown files are believed.
        what: Name or path.
        kind: What a file of one's own does; known files say it themselves.

    Raises:
        SettingsError: The name or the kind is unknown, or the file is of another kind.
        ModelError: The file is missing or not believed.
    """
    path = Path(what)
    if not path.is_file():
        return store.find(store.entry_of(what).name)
    sha256 = sha256_of(path)
    known = store.known(sha256)
    if known is None and kind is None:
        raise ModelError(
            f"{path} is not a model that is known here (sha256 {sha256}): say what it does with "
            "--kind, and add --allow-unverified-models"
        )
    if kind is not None:
        require_known("--kind", kind, [str(each) for each in ModelKind])
        if known is not None and known.kind != kind:
            raise SettingsError(f"--kind {kind}: {path} is known here, as a {known.kind}")
    chosen = known.kind if known else ModelKind(str(kind))
    own = replace(store, overrides=((chosen.value, path),))
    file = own.given(chosen)
    assert file is not None
    return file


def optimize(
    file: ModelFile,
    store: ModelStore,
    settings: OptimizeSettings,
    say: Callable[[str], None] = log.debug,
) -> OptimizeReport:
    """Write an optimised copy of a model and the report beside it.

    Raises:
        InputError: The output is there already or cannot be written, or samples show no face.
        SettingsError: Copies of this kind cannot be judged.
        ModelError: The copy is below the floor, depends on its batch, or cannot be made; nothing
            is kept of it.
    """
    target = settings.output or file.path.with_name(
        f"{file.path.name.removesuffix('.onnx')}.{settings.precision}.onnx"
    )
    _require_free(target, file, overwrite=settings.overwrite)
    trial = trial_of(file)
    calibration, comparison = _samples(store, settings)
    try:
        with tempfile.TemporaryDirectory(prefix=".optimize-", dir=target.parent) as folder:
            bench = _Bench(file, trial, settings, comparison, Path(folder), say)
            made = bench.make(calibration)
            report = bench.report(made, target.name, len(calibration))
            made.path.replace(target)
        write_report(report_path(target), report)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}") from error
    return report


def optimize_lines(report: OptimizeReport, folder: Path) -> list[str]:
    """What `facefarm models optimize` says of a copy."""
    lines = [
        f"{folder / report.output}: {report.precision} of {report.source}, "
        f"{size(report.output_bytes)} instead of {size(report.source_bytes)}",
        f"  speed     {report.speed_up:.2f} times, in processor time {report.cpu_speed_up:.2f} "
        f"({report.source_s * 1000:.0f} ms to {report.output_s * 1000:.0f} ms, medians of "
        f"{report.timed_runs} runs in turns, {report.threads} threads, {report.provider})",
        *(f"  quality   {_said(each)}" for each in report.measurements),
        f"  measured  on {report.samples} faces: {report.samples_from}",
        f"  licence   {report.source_licence}",
        f"  use it    --model {report.kind}={folder / report.output}",
    ]
    if report.speed_up < 1:
        lines.append("  note      it is slower than its source here; other hardware may gain")
    return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A copy in the temporary folder, judged."""

    path: Path
    measurements: tuple[Measurement, ...]

    @property
    def is_good(self) -> bool:
        return all(each.is_met for each in self.measurements)

    @property
    def rank(self) -> tuple[bool, float]:
        return self.is_good, self.measurements[0].value


class _Bench:
    """The source at work, and copies held against it."""

    def __init__(
        self,
        file: ModelFile,
        trial: Trial,
        settings: OptimizeSettings,
        comparison: Sequence[Sample],
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self._file, self._trial, self._settings = file, trial, settings
        self._comparison, self._folder, self._say = comparison, folder, say
        self._sessions = SessionSettings(provider=settings.provider, threads=settings.threads)
        self._source = RecordingSession(open_session(file.path, self._sessions))
        say(f"running {file.name} on {len(comparison)} faces")
        self._expected = trial.work(self._source, comparison)
        self._feeds = list(self._source.feeds)
        require_batch_independent(file.path, self._source.session, _single(self._feeds[0]))

    def make(self, calibration: Sequence[Sample]) -> _Made:
        """The first copy that meets the aim, else the best that is above the floor."""
        best: _Made | None = None
        for path in self._written(calibration):
            made = self._judge(path)
            best = made if best is None or made.rank > best.rank else best
            if made.is_good and made.measurements[0].value >= self._trial.aim:
                return made
        if best is None or not best.is_good:
            said = ", ".join(map(_said, best.measurements)) if best else "there is none"
            raise ModelError(
                f"no {self._settings.precision} copy of {self._file.name} is good enough ({said}); "
                "nothing was written"
            )
        return best

    def report(self, made: _Made, name: str, calibrated: int) -> OptimizeReport:
        """Race the copy against its source and put everything down."""
        self._say("racing the copy against its source")
        copy = open_session(made.path, self._sessions)
        raced = race(self._source.session, copy, self._feeds, _RUNS)
        return OptimizeReport(
            kind=self._file.kind.value,
            precision=self._settings.precision.value,
            output=name,
            output_sha256=sha256_of(made.path),
            output_bytes=made.path.stat().st_size,
            source=self._file.name,
            source_sha256=self._file.sha256,
            source_bytes=self._file.path.stat().st_size,
            source_licence=self._file.licence,
            source_verified=self._file.verified,
            measurements=made.measurements,
            samples=len(self._comparison),
            samples_from=", ".join(map(str, self._settings.calibrate)) or BUILT_IN,
            calibration_samples=calibrated if self._settings.precision is Precision.INT8 else 0,
            source_s=round(raced.source_s, 6),
            output_s=round(raced.copy_s, 6),
            speed_up=round(raced.times_faster, 3),
            cpu_speed_up=round(raced.times_less_cpu, 3),
            timed_runs=_RUNS,
            threads=self._settings.threads,
            provider=self._settings.provider,
            machine=f"{platform.system()} {platform.machine()}, {_processor()}",
            onnxruntime=_runtime_version(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _written(self, calibration: Sequence[Sample]) -> Iterable[Path]:
        """Copies to judge, the fastest first."""
        path = self._folder / "copy.onnx"
        if self._settings.precision is Precision.FP16:
            write_fp16(self._file.path, path)
            yield path
            return
        recorder = RecordingSession(self._source.session)
        self._trial.work(recorder, calibration)
        self._say(f"calibrating with {len(recorder.feeds)} runs")
        feeds = [_single(each) for each in recorder.feeds]
        source = prepare_int8(self._file.path, feeds, self._settings.threads)
        for float_first in _FLOAT_FIRST:
            self._say(f"writing a copy with {float_first} layers in float")
            path = self._folder / f"copy{float_first}.onnx"
            write_int8(source, path, float_first=float_first)
            yield path

    def _judge(self, path: Path) -> _Made:
        """The copy at the same work as the source."""
        session = open_session(path, self._sessions)
        require_batch_independent(path, session, _single(self._feeds[0]))
        found = self._trial.work(session, self._comparison)
        made = _Made(path=path, measurements=self._trial.compare(self._expected, found))
        self._say(", ".join(map(_said, made.measurements)))
        return made


def _samples(
    store: ModelStore, settings: OptimizeSettings
) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Faces to calibrate with and faces to compare on; the same where few images are given."""
    if not settings.calibrate:
        return built_in_samples(_CALIBRATION, seed=1), built_in_samples(_COMPARISON, seed=2)
    sessions = SessionSettings(provider="cpu", threads=settings.threads)
    if store.have_first(YUNET) is None:
        store.pull(YUNET[0].name)
    detector = choose_detector("yunet", store, sessions, needs_landmarks=True)
    samples = samples_of(settings.calibrate, detector)
    if settings.precision is not Precision.INT8 or len(samples) < _ENOUGH:
        return samples, samples
    return [each for i, each in enumerate(samples) if i % 3 < 2], samples[2::3]


def _single(feeds: Feeds) -> Feeds:
    return {name: value[:1] for name, value in feeds.items()}


def _require_free(target: Path, file: ModelFile, *, overwrite: bool) -> None:
    if target.resolve() == file.path.resolve():
        raise InputError(f"{target} is the source itself: give another file with -o")
    if target.exists() and not overwrite:
        raise InputError(f"{target} is there already: give another file with -o, or --overwrite")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{target.parent} cannot be written to: give another place with -o")


def _said(each: Measurement) -> str:
    """A measurement in words."""
    bound = "at least" if each.at_least else "at most"
    return f"{each.name} {each.value:g} at worst, {each.mean:g} on average ({bound} {each.floor:g})"


def _processor() -> str:
    """Name of the processor, and whether it has the instructions that make int8 fast."""
    return f"{processor_name()}, {'with' if has_instructions('vnni') else 'without'} VNNI"


def _runtime_version() -> str:
    """Version of the onnxruntime in use, whichever package brought it."""
    for package in ("onnxruntime", "onnxruntime-gpu"):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            log.debug("%s is not installed", package)
    return "unknown"
