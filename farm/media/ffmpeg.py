"""Finding an ffmpeg program and running it with a command that ffmpeg-python built.

Not for: what the command says (`farm.media.final_task`).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import ffmpeg

from farm.errors import JobError, SetupError

_OLDEST = 5
_VERSION_TIMEOUT_S = 30
_TRIAL_TIMEOUT_S = 60
_LAST_LINES = 4
_NEXT = "install imageio-ffmpeg, or name a program of version 5 or newer"


def find_ffmpeg(chosen: Path | None = None) -> Path:
    """The program to run: the chosen one, the one bundled with imageio-ffmpeg, or the system's.

    Raises:
        SetupError: there is none, or it is too old or does not start.
    """
    if chosen is not None:
        path = chosen
    else:
        found = _bundled() or shutil.which("ffmpeg")
        if found is None:
            raise SetupError(f"there is no ffmpeg program; {_NEXT}")
        path = Path(found)
    major = ffmpeg_version(path)[0]
    if major < _OLDEST:
        raise SetupError(f"{path} is ffmpeg {major}; {_NEXT}")
    return path


@cache
def ffmpeg_version(path: Path) -> tuple[int, int]:
    """Major and minor version; builds without a number count as (999, 0).

    Raises:
        SetupError: the program does not start.
    """
    try:
        done = subprocess.run(
            [str(path), "-version"],
            capture_output=True,
            check=True,
            stdin=subprocess.DEVNULL,
            timeout=_VERSION_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"{path} does not run as ffmpeg ({error}); {_NEXT}") from error
    first = done.stdout.decode(errors="replace").partition("\n")[0]
    match = re.match(r"ffmpeg version n?(\d+)\.(\d+)", first)
    return (int(match[1]), int(match[2])) if match else (999, 0)


def run_ffmpeg(node: Any, binary: Path, extra_output: Sequence[str] = ()) -> None:
    """Run the command of an ffmpeg-python output node and wait for its end.

    Args:
        node: An output node with one output file.
        binary: The program.
        extra_output: Options of the output that repeat, which ffmpeg-python cannot say.

    Raises:
        JobError: ffmpeg failed; the message has its exit code and its last lines.
        SetupError: it could not be started.
    """
    prefix = [str(binary), "-nostdin", "-hide_banner", "-v", "error", "-y"]
    command = ffmpeg.compile(node, cmd=prefix)
    command[-1:-1] = extra_output
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise SetupError(f"{binary} does not start ({error}); {_NEXT}") from error
    try:
        _, complaints = process.communicate()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode != 0:
        lines = complaints.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
        raise JobError(
            f"{binary.name} failed in the final task (exit code {process.returncode}): "
            f"{' | '.join(lines) or 'it said nothing'}"
        )


def can_mux(binary: Path, source: Path, stream_index: int, muxer: str, formats: str) -> bool:
    """Whether a stream of a source goes into a container by copy: tried, nothing is kept.

    Args:
        binary: The program.
        source: The file.
        stream_index: Of the stream.
        muxer: Name of the container's muxer.
        formats: What the source may be, in ffmpeg's names.

    Raises:
        SetupError: the program does not start.
    """
    command = [str(binary), "-nostdin", "-v", "quiet", "-protocol_whitelist", "file"]
    command += ["-format_whitelist", formats]
    command += ["-i", file_url(source), "-map", f"0:{stream_index}", "-c", "copy"]
    command += ["-copy_unknown", "-t", "0.1", "-strict", "experimental"]
    command += ["-movflags", "frag_keyframe+empty_moov"] if muxer in ("mp4", "mov") else []
    command += ["-f", muxer, "-"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=_TRIAL_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return False
    except OSError as error:
        raise SetupError(f"{binary} does not start ({error}); {_NEXT}") from error
    return done.returncode == 0


def file_url(path: Path) -> str:
    """A local path as ffmpeg takes it, whatever characters its name has."""
    return f"file:{path.absolute()}"


def _bundled() -> str | None:
    try:
        import imageio_ffmpeg
    except ImportError:
        return None
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        return None
