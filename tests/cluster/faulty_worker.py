"""A chunk worker that dies, stands still or fails at a stated place, for tests of faults.

What it does is in `fault.json` in the folder that FACEFARM_FAULTS names: `stage` (decode, process,
encode), `chunk`, `action` (kill, stop, raise, full, hold) and `times`. `hold` takes any chunk from
that one on, and holds it until there is a file `release`. Not for: the product.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.worker import ChunkWorker
from farm.encode_stage import EncodeStage
from farm.render import ChunkRenderer

VARIABLE = "FACEFARM_FAULTS"
_STAGES: dict[str, tuple[Any, str]] = {
    "decode": (ChunkRenderer, "_decode"),
    "process": (ChunkRenderer, "_process_chunk"),
    "encode": (EncodeStage, "_encode"),
}


class FaultyWorker(ChunkWorker):
    """Has the fault that the folder says, if there is one."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        folder = Path(os.environ[VARIABLE])
        if (folder / "fault.json").exists():
            _install(folder, json.loads((folder / "fault.json").read_text()))


def _install(folder: Path, fault: dict[str, Any]) -> None:
    """Put the fault before a stage of the renderer."""
    owner, name = _STAGES[fault["stage"]]
    original: Callable[..., Any] = getattr(owner, name)

    def faulty(self: Any, *arguments: Any) -> Any:
        work = next(each for each in arguments if hasattr(each, "task"))
        number, holds = work.task.chunk_index, fault["action"] == "hold"
        due = number >= fault["chunk"] if holds else number == fault["chunk"]
        if due and _is_due(folder, fault["times"]):
            _hold(folder) if holds else _act(fault["action"])
        return original(self, *arguments)

    setattr(owner, name, faulty)


def _is_due(folder: Path, times: int) -> bool:
    """Tell whether the fault has not happened as often as it should, and count it."""
    for number in range(times):
        try:
            (folder / f"happened-{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False


def _hold(folder: Path) -> None:
    while not (folder / "release").exists():
        time.sleep(0.05)


def _act(action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "raise":
        raise RuntimeError("made to fail")
    else:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
