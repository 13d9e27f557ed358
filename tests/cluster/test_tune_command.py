"""`facefarm tune` over a real clip; it starts a Ray of its own, so it runs as a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.command import ROOT, temporary_folder
from tests.media_maker import Studio


@pytest.mark.ray
@pytest.mark.long
def test_a_real_clip_is_tuned_for_and_the_next_render_follows(
    media_studio: Studio, tmp_path: Path
) -> None:
    clip = media_studio.path("plain.mp4")
    with temporary_folder() as folder:
        variables = {"TMPDIR": str(folder), "XDG_CONFIG_HOME": str(tmp_path / "config")}

        def facefarm(*arguments: object) -> str:
            done = subprocess.run(
                [sys.executable, ROOT / "cli.py", *map(str, arguments)],
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=200,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout + done.stderr

        anonymize = ("--frame-processor", "face_anonymizer", "--video-encoder", "libx264")
        said = facefarm("tune", clip, "--frames", 24, "--rounds", 1, *anonymize)
        assert "kept for later renders" in said
        assert "without tuning a render reaches" in said
        (profile,) = json.loads((tmp_path / "config/facefarm/profiles.json").read_text()).values()
        assert profile["clip"] == "plain.mp4"
        assert profile["fps"] > 0
        output = tmp_path / "o.mp4"
        assert "as tuned on" in facefarm("render", "-t", clip, "-o", output, *anonymize)
        report = json.loads((tmp_path / "o.mp4.facefarm.json").read_text())["report"]
        assert {worker["threads"] for worker in report["workers"]} == {profile["threads"]}
