from __future__ import annotations

from pathlib import Path

from cluster.job import seen_before
from farm.faces.observe import Sight
from farm.faces.sight_file import write_sights
from farm.faces.table import Origin
from farm.job_folder import JobFolder
from scheduler.chunks import cut_at_anchors
from tests.scheduler.made_up import made_up_index, made_up_plan

SIGHTS = [Sight(faces=(), origin=Origin.DETECTED)] * 12


def test_what_an_earlier_run_has_looked_at_is_taken_where_it_is_of_the_same_job(
    tmp_path: Path,
) -> None:
    index = made_up_index([40 * i for i in range(36)], [0])
    chunks = cut_at_anchors(
        index, made_up_plan(range(36), [40 * i for i in range(36)]), 0.3, 12, (0, 36)
    )
    assert [chunk.frame_start for chunk in chunks] == [0, 12, 24]
    folder = JobFolder(tmp_path / "job", "fingerprint")
    write_sights(folder.sights_path(0), "pixels", 0, SIGHTS)
    write_sights(folder.sights_path(1), "of another job", 12, SIGHTS)
    folder.sights_path(2).write_text("{")
    assert list(seen_before(chunks, folder, "pixels")) == [0]
    assert folder.has_chunks
    folder.remove()
    assert not (tmp_path / "job").exists()
