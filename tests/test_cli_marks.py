"""The options and the command that have to do with marks and content."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import cli
from tests import model_maker

BLUR = ("--frame-processor", "face_anonymizer", "--detector", "cascade", "--quiet")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(each) for each in arguments])


def image(path: Path, colour_bgr: tuple[int, int, int] = (90, 90, 90)) -> Path:
    cv2.imwrite(str(path), np.full((60, 100, 3), colour_bgr, np.uint8))
    return path


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    output = tmp_path / "out.png"
    done = run("render", "-t", image(tmp_path / "in.png"), "-o", output, *BLUR)
    assert done.exit_code == 0, done.output
    return output


def test_an_output_is_verified_as_intact(rendered: Path) -> None:
    done = run("verify", rendered)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{rendered}: altered by facefarm: face_anonymizer; intact\n")


def test_a_changed_output_has_its_own_exit_code(rendered: Path) -> None:
    rendered.write_bytes(rendered.read_bytes() + b"\0")
    done = run("verify", rendered, "--json")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert report["verdict"] == "mismatch"
    assert report["problems"]


def test_a_file_of_somebody_else_has_no_marks(tmp_path: Path) -> None:
    done = run("verify", image(tmp_path / "a.png"))
    assert done.exit_code == 6
    assert "carries no mark" in done.stdout


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    assert run("verify", tmp_path / "gone.mp4").exit_code == 2


def test_the_input_can_be_named(rendered: Path) -> None:
    assert run("verify", rendered, "--rendered-from", rendered.with_name("in.png")).exit_code == 0
    assert run("verify", rendered, "--rendered-from", rendered).exit_code == 1


def test_the_content_filter_refuses_with_its_own_exit_code(tmp_path: Path) -> None:
    model = model_maker.make_classifier(tmp_path / "classifier.onnx")
    target, output = image(tmp_path / "in.png", (0, 0, 255)), tmp_path / "out.png"
    given = ("--nsfw-filter", "--model", f"classifier={model}", "--allow-unverified-models")
    done = run("render", "-t", target, "-o", output, *BLUR, *given)
    assert done.exit_code == 5
    assert "the content filter refuses it" in done.stderr
    assert not output.exists()


def test_half_a_signer_is_refused_before_anything_starts(tmp_path: Path) -> None:
    target, output = image(tmp_path / "in.png"), tmp_path / "out.png"
    done = run("render", "-t", target, "-o", output, *BLUR, "--c2pa-key", tmp_path / "a.key")
    assert done.exit_code == 2
    assert "go together" in done.stderr
