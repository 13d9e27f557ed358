"""A driver whose workers may have faults: `python fault_driver.py ADDRESS JSON`.

The JSON says target, output, model and options. Prints the report, or the error and its exit code.
Not for: the command line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import actors.crew  # noqa: E402
from cluster.render import render_video  # noqa: E402
from farm.errors import FarmError  # noqa: E402
from farm.fault_settings import FaultSettings  # noqa: E402
from farm.manifest import to_jsonable  # noqa: E402
from farm.observer import NullObserver  # noqa: E402
from farm.settings import EncodeOn, EncoderSettings, ProcessorSettings, RenderSettings  # noqa: E402
from tests.cluster.faulty_worker import FaultyWorker  # noqa: E402


class Speaker(NullObserver):
    """Says aloud what is noted."""

    def note(self, message: str) -> None:
        sys.stderr.write(f"note: {message}\n")
        sys.stderr.flush()


def main(address: str, order: dict[str, Any]) -> int:
    """Render and print the report, or the error."""
    module: Any = actors.crew
    module.ChunkWorker = FaultyWorker
    settings = RenderSettings(
        target=Path(order["target"]),
        output=Path(order["output"]),
        processors=ProcessorSettings(names=("face_anonymizer",), detector="scrfd"),
        models=(("detector", Path(order["model"])),),
        allow_unverified_models=True,
        video_quality=0,
        encoding=EncoderSettings(hardware=False),
        chunk_seconds=0.2,
        encode_on=EncodeOn(order.get("encode_on", "worker")),
        job_dir=Path(order["job_dir"]) if "job_dir" in order else None,
        ffmpeg=Path(order["ffmpeg"]) if "ffmpeg" in order else None,
        workers=order.get("workers", 2),
        address=address,
        faults=FaultSettings(
            keep_job=True, stall_s=order.get("stall_s", 60.0), attempts=order.get("attempts", 3)
        ),
    )
    try:
        report = render_video(settings, Speaker())
    except FarmError as error:
        sys.stdout.write("\n" + json.dumps({"error": error.message}))
        return error.exit_code
    sys.stdout.write("\n" + json.dumps(to_jsonable(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
