"""A driver on a cluster, in a process of its own: `python driver.py ADDRESS TARGET OUTPUT MODEL`.

No worker sees the mark that it leaves in the job's folder, as if the disk were not shared. Not for:
the command line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import cluster.crew  # noqa: E402
from cluster.render import render_video  # noqa: E402
from farm.manifest import to_jsonable  # noqa: E402
from farm.observer import NullObserver  # noqa: E402
from farm.settings import ProcessorSettings, RenderSettings  # noqa: E402


def main(address: str, target: str, output: str, model: str) -> None:
    """Render and print the report."""
    module: Any = cluster.crew
    module.mark_folder = lambda _folder: "another folder's"
    settings = RenderSettings(
        target=Path(target),
        output=Path(output),
        processors=ProcessorSettings(names=("face_anonymizer",), detector="scrfd"),
        models=(("detector", Path(model)),),
        allow_unverified_models=True,
        video_quality=0,
        chunk_seconds=0.5,
        keep_frames=True,
        workers=2,
        address=address,
    )
    report = render_video(settings, NullObserver())
    sys.stdout.write(json.dumps(to_jsonable(report)))


if __name__ == "__main__":
    main(*sys.argv[1:])
