"""Tone maps: HDR signals as the standard-range pictures that networks know, and back.

Each is a chain of monotone steps, so that what a network gives goes back to the brightness of what
surrounds it. Not for: colour matrices and ranges (`farm.media.convert`), or pictures for display.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32]
"""[..., 3] BGR in 0..1, as the stream codes it or as a standard screen takes it."""

PQ, HLG = 16, 18
"""Transfer characteristics. Source: ITU-T H.273, table 3."""
_BT2020 = 9
_WHITE_NITS = 203.0
"""Diffuse white. Source: ITU-R BT.2408."""
_PEAK_NITS = 4000.0
_PQ_NITS = 10_000.0
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
"""Source: SMPTE ST 2084."""
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073
"""Source: ITU-R BT.2100, table 5."""
_HLG_WHITE = 0.75
_HLG_GAMMA = 1.2
_SCREEN_GAMMA = 2.2
_KNEE = 0.6
"""Share of the screen's range in which light is kept as it is; above it is compressed."""
_STEPS = 4096
_BGR_709_FROM_2020 = np.array(
    [[1.11873, -0.10058, -0.01815], [-0.00835, 1.13290, -0.12455], [-0.07285, -0.58764, 1.66049]],
    np.float32,
)
"""Source: ITU-R BT.2087, the inverse of its matrix M2, in the order B, G, R."""
_BGR_2020_FROM_709 = np.linalg.inv(_BGR_709_FROM_2020)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ToneMap:
    """Both directions between the signal of an HDR stream and that of a standard screen."""

    light_of: NDArray[np.float32]
    """[4096] light by signal, 1 being diffuse white."""
    peak: float
    """The most light that is told apart."""
    wide: bool
    """Whether primaries are those of BT.2020."""
    signal_of: Callable[[Signal], Signal]
    """The signal of an amount of light."""

    def to_screen(self, signal: Signal) -> Signal:
        """The stream's signal as a new signal for a standard screen."""
        light = self._light(signal)
        return self._shown(_transformed(light, _BGR_709_FROM_2020) if self.wide else light)

    def to_screen_gray(self, signal: Signal) -> Signal:
        """The same for a picture of brightness alone, [h, w]."""
        return self._shown(self._light(signal))

    def to_signal(self, screen: Signal) -> Signal:
        """The inverse of `to_screen`, up to its clipping."""
        light = _expanded(np.clip(screen, 0, 1) ** np.float32(_SCREEN_GAMMA), self.peak)
        if self.wide:
            light = _transformed(light, _BGR_2020_FROM_709)
        return self.signal_of(np.clip(light, 0, self.peak))

    def _light(self, signal: Signal) -> Signal:
        places = np.clip(signal * np.float32(_STEPS - 1) + np.float32(0.5), 0, _STEPS - 1)
        return np.asarray(self.light_of[places.astype(np.int32)], np.float32)

    def _shown(self, light: Signal) -> Signal:
        low = _compressed(np.clip(light, 0, self.peak), self.peak)
        return np.asarray(low ** np.float32(1 / _SCREEN_GAMMA), np.float32)


@cache
def tone_map(transfer: int, primaries: int) -> ToneMap | None:
    """The tone map of a stream with these tags; None where its range is the standard one."""
    signal = np.linspace(0, 1, _STEPS)
    if transfer == PQ:
        light, peak, back = _pq_light(signal), _PEAK_NITS / _WHITE_NITS, _pq_signal
    elif transfer == HLG:
        light, back = _hlg_light(signal), _hlg_signal
        peak = float(light[-1])
    else:
        return None
    return ToneMap(
        light_of=light.astype(np.float32), peak=peak, wide=primaries == _BT2020, signal_of=back
    )


def _transformed(light: Signal, matrix: NDArray[np.float32]) -> Signal:
    return np.asarray(cv2.transform(light, matrix), np.float32)


def _compressed(light: Signal, peak: float) -> Signal:
    """Light 0..peak in 0..1: kept up to the knee, then rolled off with the same slope."""
    bend = np.float32((peak - _KNEE) / (1 - _KNEE) - 1)
    over = np.maximum(light - np.float32(_KNEE), 0) / np.float32(peak - _KNEE)
    rolled = over * (1 + bend) / (1 + bend * over)
    return np.where(light <= _KNEE, light, _KNEE + (1 - _KNEE) * rolled).astype(np.float32)


def _expanded(screen: Signal, peak: float) -> Signal:
    """The inverse of `_compressed`."""
    bend = np.float32((peak - _KNEE) / (1 - _KNEE) - 1)
    rolled = np.maximum(screen - np.float32(_KNEE), 0) / np.float32(1 - _KNEE)
    over = rolled / (1 + bend - bend * rolled)
    return np.where(screen <= _KNEE, screen, _KNEE + (peak - _KNEE) * over).astype(np.float32)


def _pq_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    root = signal ** (1 / _M2)
    nits = (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1) * _PQ_NITS
    return np.asarray(nits / _WHITE_NITS)


def _pq_signal(light: Signal) -> Signal:
    power = (light * np.float32(_WHITE_NITS / _PQ_NITS)) ** np.float32(_M1)
    return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** np.float32(_M2), np.float32)


def _hlg_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The system gamma is taken for each colour by itself, so that it can be undone."""
    return np.asarray((_hlg_scene(signal) / _hlg_scene(np.array(_HLG_WHITE))) ** _HLG_GAMMA)


def _hlg_scene(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    high = (np.exp((signal - _HLG_C) / _HLG_A) + _HLG_B) / 12
    return np.asarray(np.where(signal <= 0.5, signal**2 / 3, high))


def _hlg_signal(light: Signal) -> Signal:
    white = np.float32(_hlg_scene(np.array(_HLG_WHITE)))
    scene = light ** np.float32(1 / _HLG_GAMMA) * white
    high = _HLG_A * np.log(np.maximum(12 * scene - np.float32(_HLG_B), 1e-6)) + _HLG_C
    low = np.sqrt(3 * scene)
    return np.asarray(np.where(scene <= 1 / 12, low, high), np.float32)
