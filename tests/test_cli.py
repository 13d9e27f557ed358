from __future__ import annotations

import json
import logging
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import cli
from farm.errors import Interrupted, JobError, SetupError
from farm.observer import RenderObserver
from farm.report import Damage, RenderReport, Stage, WorkerReport
from farm.settings import AnonymizeMethod, EncodeOn, MaskShape, RenderSettings, VerifyLevel
from farm.stop import StopRequest

ROOT = Path(__file__).resolve().parent.parent
ANONYMIZE = ("--frame-processor", "face_anonymizer")


class FakeRender:
    """Stands in for the farm: writes the output and reports what it was told to."""

    def __init__(self) -> None:
        self.settings: RenderSettings | None = None
        self.span: tuple[float, int] | None = None
        self.damage: tuple[Damage, ...] = ()
        self.error: BaseException | None = None
        self.prints = ""

    def __call__(
        self,
        settings: RenderSettings,
        observer: RenderObserver,
        *,
        span: tuple[float, int] | None = None,
        stop: StopRequest,
        finished: Callable[[RenderReport], None],
        again: object = None,
    ) -> RenderReport:
        self.settings, self.span = settings, span
        observer.stage(Stage.INDEX)
        observer.planned(10, 2, 1, "cpu", 2, "libx264")
        logging.getLogger("cluster.render").debug("a detail")
        logging.getLogger("cluster.render").warning("a warning")
        sys.stdout.write(self.prints)
        observer.frames_done(10)
        if self.error is not None:
            raise self.error
        settings.output.write_bytes(b"video")
        report = replace(_report(settings.output), damage=self.damage)
        finished(report)
        return report


def _report(output: Path) -> RenderReport:
    worker = WorkerReport(
        worker="w0",
        node="n0",
        provider="CPUExecutionProvider",
        threads=2,
        chunks=2,
        frames=10,
        peak_memory_bytes=1 << 20,
    )
    return RenderReport(
        output=output,
        frames=10,
        faces=9,
        frames_without_face=1,
        chunks=2,
        encoder="libx264",
        pix_fmt="yuv420p",
        provider="CPUExecutionProvider",
        detector="cascade",
        stage_s={"index": 0.1, "total": 2.0},
        fps=5.0,
        peak_memory_bytes=1 << 30,
        input_sha256="1" * 64,
        output_sha256="2" * 64,
        private=False,
        workers=(worker,),
    )


@pytest.fixture
def farm(monkeypatch: pytest.MonkeyPatch) -> FakeRender:
    fake = FakeRender()
    module = types.ModuleType("cluster.render")
    module.__dict__["render_video"] = fake
    monkeypatch.setitem(sys.modules, "cluster.render", module)
    return fake


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"looks like a clip")
    return path


def run(*arguments: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli.main, [str(a) for a in arguments], env=env)


def test_every_option_reaches_the_settings(farm: FakeRender, clip: Path, tmp_path: Path) -> None:
    face, output = tmp_path / "me.jpg", tmp_path / "out.mp4"
    face.write_bytes(b"a face")
    arguments = (
        f"render -s {face} -t {clip} -o {output} --frame-processor face_swapper"
        " --frame-processor face_enhancer --many-faces --execution-provider cuda"
        " --execution-threads 16 --video-encoder libx265 --video-quality 20 --max-memory 2G"
        " --no-audio --keep-frames --workers 3 --chunk-seconds 1.5 --encode-on final"
        f" --address auto --job-dir {tmp_path}/job --overwrite --video-stream 1"
        f" --models-dir {tmp_path}/models --model swapper=s.onnx --allow-unverified-models"
        " --detector yunet --verify full --anonymizer-method solid --anonymizer-shape box"
        " --anonymizer-padding 0.5 --enhancer-blend 0.25"
    )
    assert run(*arguments.split()).exit_code == 0
    got = farm.settings
    assert got is not None
    assert got.processors.names == ("face_swapper", "face_enhancer")
    assert got.processors.many_faces
    assert got.processors.detector == "yunet"
    assert got.processors.anonymize_method is AnonymizeMethod.SOLID
    assert got.processors.anonymize_shape is MaskShape.BOX
    assert (got.processors.anonymize_padding, got.processors.enhancer_blend) == (0.5, 0.25)
    assert got == replace(
        got,
        target=clip,
        output=output,
        sources=(face,),
        execution_provider="cuda",
        execution_threads=16,
        video_encoder="libx265",
        video_quality=20,
        max_memory_bytes=2 << 30,
        keep_audio=False,
        keep_frames=True,
        workers=3,
        chunk_seconds=1.5,
        encode_on=EncodeOn.FINAL,
        address="auto",
        job_dir=tmp_path / "job",
        overwrite=True,
        video_stream=1,
        models_dir=tmp_path / "models",
        models=(("swapper", Path("s.onnx")),),
        allow_unverified_models=True,
        verify=VerifyLevel.FULL,
    )


def test_defaults_are_those_of_the_settings(farm: FakeRender, clip: Path, tmp_path: Path) -> None:
    face = tmp_path / "me.jpg"
    face.write_bytes(b"a face")
    assert run("render", "-s", face, "-t", clip, "-o", tmp_path / "o.mp4").exit_code == 0
    assert farm.settings == RenderSettings(target=clip, output=tmp_path / "o.mp4", sources=(face,))


def test_command_line_beats_environment_beats_file_beats_default(
    farm: FakeRender, clip: Path, tmp_path: Path
) -> None:
    config = tmp_path / "night.toml"
    config.write_text("video-quality = 30\nworkers = 4\nchunk_seconds = 3\nkeep-audio = false\n")
    env = {"FACEFARM_VIDEO_QUALITY": "25", "FACEFARM_WORKERS": "5"}
    arguments = ("-t", clip, "-o", tmp_path / "o.mp4", "--config", config, *ANONYMIZE)
    assert run("render", *arguments, "--video-quality", 10, env=env).exit_code == 0
    assert farm.settings is not None
    assert farm.settings.video_quality == 10
    assert farm.settings.workers == 5
    assert farm.settings.chunk_seconds == 3
    assert not farm.settings.keep_audio
    assert farm.settings.video_encoder == "libx264"


def test_a_whole_render_can_stand_in_the_file(farm: FakeRender, clip: Path, tmp_path: Path) -> None:
    config = tmp_path / "job.toml"
    config.write_text(
        'target = "clip.mp4"\noutput = "out.mp4"\nframe-processor = ["none"]\n'
        '[model]\ndetector = "d.onnx"\n'
    )
    result = run("render", env={"FACEFARM_CONFIG": str(config)})
    assert result.exit_code == 0, result.output
    assert farm.settings is not None
    assert farm.settings.target == clip
    assert farm.settings.output == tmp_path / "out.mp4"
    assert farm.settings.models == (("detector", tmp_path / "d.onnx"),)


def test_environment_takes_several_processors(farm: FakeRender, clip: Path, tmp_path: Path) -> None:
    env = {"FACEFARM_FRAME_PROCESSOR": "none face_anonymizer"}
    assert run("render", "-t", clip, "-o", tmp_path / "o.mp4", env=env).exit_code == 0
    assert farm.settings is not None
    assert farm.settings.processors.names == ("none", "face_anonymizer")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--frame-processor", "face_swaper"), "did you mean 'face_swapper'?"),
        ((*ANONYMIZE, "--video-encoder", "h264_nvnec"), "did you mean 'h264_nvenc'?"),
        ((*ANONYMIZE, "--execution-provider", "cudda"), "did you mean 'cuda'?"),
        ((*ANONYMIZE, "--detector", "scrdf"), "did you mean 'scrfd'?"),
        ((*ANONYMIZE, "--wrokers", "3"), "Did you mean '--workers'?"),
        ((*ANONYMIZE, "--video-quality", "52"), "must be between 0 and 51"),
        ((*ANONYMIZE, "--workers", "0"), "must be between 1 and 1024"),
        ((*ANONYMIZE, "--chunk-seconds", "0"), "must be more than 0"),
        ((*ANONYMIZE, "--max-memory", "lots"), "write GiB (4) or a size like 500M"),
        ((*ANONYMIZE, "--model", "swapper"), "write KIND=PATH"),
        ((*ANONYMIZE, "--encode-on", "moon"), "'worker', 'final'"),
        ((), "face_swapper needs a face to put in"),
        (("-s", "nobody.jpg"), "nobody.jpg: there is no such file"),
    ],
)
def test_wrong_options_are_one_line_and_exit_code_2(
    farm: FakeRender, clip: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = run("render", "-t", clip, "-o", tmp_path / "o.mp4", *arguments)
    _assert_refused(result, said)
    assert farm.settings is None
    assert sorted(tmp_path.iterdir()) == [clip]


def _assert_refused(result: Result, said: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("facefarm: error: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


def test_a_missing_option_says_what_it_is_for(clip: Path) -> None:
    _assert_refused(run("render", "-t", clip), "-o/--output is missing: File to write")


def test_an_unknown_command_says_the_nearest() -> None:
    _assert_refused(run("rendr"), "Did you mean 'render'?")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("clip.mp4", "is the input"),
        ("link.mp4", "is the input"),
        ("there.mp4", "is there already"),
        ("nowhere/o.mp4", "there is no such folder"),
        ("folder.mp4", "is a folder"),
        ("o", "has no ending"),
        ("o.png", "a video a video"),
        ("o.xyz", "cannot write .xyz"),
        ("o.webm", "WebM does not hold h264"),
        ("clip.mp4/o.mp4", "there is no such folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_anything_starts(
    farm: FakeRender, clip: Path, tmp_path: Path, output: str, said: str
) -> None:
    (tmp_path / "link.mp4").hardlink_to(clip)
    (tmp_path / "there.mp4").write_bytes(b"precious")
    (tmp_path / "folder.mp4").mkdir()
    before = sorted(tmp_path.rglob("*"))
    result = run("render", "-t", clip, "-o", tmp_path / output, *ANONYMIZE)
    _assert_refused(result, said)
    assert farm.settings is None
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"


def test_overwrite_replaces_an_output(farm: FakeRender, clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "o.mp4"
    output.write_bytes(b"old")
    assert run("render", "-t", clip, "-o", output, "--overwrite", *ANONYMIZE).exit_code == 0
    assert output.read_bytes() == b"video"


def test_the_input_is_refused_even_with_overwrite(farm: FakeRender, clip: Path) -> None:
    _assert_refused(
        run("render", "-t", clip, "-o", clip, "--overwrite", *ANONYMIZE), "is the input"
    )


def test_a_missing_and_an_empty_target_are_refused(farm: FakeRender, tmp_path: Path) -> None:
    output = tmp_path / "o.mp4"
    (tmp_path / "empty.mp4").touch()
    for name, said in (("no.mp4", "there is no such file"), ("empty.mp4", "is empty")):
        _assert_refused(run("render", "-t", tmp_path / name, "-o", output, *ANONYMIZE), said)


def test_summary_goes_to_stdout_and_progress_to_stderr(
    farm: FakeRender, clip: Path, tmp_path: Path
) -> None:
    result = run("render", "-t", clip, "-o", tmp_path / "o.mp4", *ANONYMIZE)
    assert result.exit_code == 0
    assert "10 frames in 2 chunks" in result.stdout
    assert "facefarm: 10/10 frames" in result.stderr
    assert "facefarm: a warning" in result.stderr
    assert "a detail" not in result.stderr


def test_json_is_all_that_stdout_holds_and_equals_the_manifest(
    farm: FakeRender, clip: Path, tmp_path: Path
) -> None:
    result = run("render", "-t", clip, "-o", tmp_path / "o.mp4", "--json", *ANONYMIZE)
    document = json.loads(result.stdout)
    assert document == json.loads((tmp_path / "o.mp4.facefarm.json").read_text())
    assert document["complete"]
    assert document["altered_by"] == ["face_anonymizer"]


def test_quiet_says_nothing_when_all_is_well(farm: FakeRender, clip: Path, tmp_path: Path) -> None:
    result = run("render", "-t", clip, "-o", tmp_path / "o.mp4", "--quiet", *ANONYMIZE)
    assert (result.exit_code, result.output) == (0, "")


def test_a_damaged_source_gives_output_summary_and_exit_code_4(
    farm: FakeRender, clip: Path, tmp_path: Path
) -> None:
    farm.damage = (Damage(time_s=Fraction(5, 2), frames_lost=3, reason="corrupt packet"),)
    result = run("render", "-t", clip, "-o", tmp_path / "o.mp4", *ANONYMIZE)
    assert result.exit_code == 4
    assert (tmp_path / "o.mp4").exists()
    assert "10 frames" in result.stdout
    assert "its source is damaged (3 frames lost): at 2.500 s" in result.stderr
    manifest = json.loads((tmp_path / "o.mp4.facefarm.json").read_text())
    assert not manifest["complete"]
    assert manifest["damage"] == [{"time_s": 2.5, "frames_lost": 3, "reason": "corrupt packet"}]


def test_a_damaged_source_with_json_gives_one_document(
    farm: FakeRender, clip: Path, tmp_path: Path
) -> None:
    farm.damage = (Damage(time_s=Fraction(0), frames_lost=1, reason="x"),)
    result = run("render", "-t", clip, "-o", tmp_path / "o.mp4", "--json", *ANONYMIZE)
    assert result.exit_code == 4
    assert json.loads(result.stdout)["complete"] is False


@pytest.mark.parametrize(
    ("error", "code"), [(JobError("it broke"), 1), (SetupError("no driver"), 3)]
)
def test_a_farm_error_is_one_line_with_its_exit_code(
    farm: FakeRender, clip: Path, tmp_path: Path, error: JobError | SetupError, code: int
) -> None:
    farm.error = error
    result = run("render", "-t", clip, "-o", tmp_path / "o.mp4", "--quiet", *ANONYMIZE)
    assert result.exit_code == code
    assert result.output == f"facefarm: error: {error.message}\n"
    assert not (tmp_path / "o.mp4.facefarm.json").exists()


def test_an_error_with_json_is_an_object_on_stdout(
    farm: FakeRender, clip: Path, tmp_path: Path
) -> None:
    farm.error = JobError("it broke")
    result = run("render", "-t", clip, "-o", tmp_path / "o.mp4", "--json", *ANONYMIZE)
    error = {"type": "JobError", "message": "it broke", "exit_code": 1}
    assert json.loads(result.stdout) == {"error": error}


def test_debug_shows_the_traceback_and_an_unexpected_error_names_debug(
    farm: FakeRender, clip: Path, tmp_path: Path
) -> None:
    farm.error = RuntimeError("surprise")
    arguments = ("render", "-t", clip, "-o", tmp_path / "o.mp4", *ANONYMIZE)
    plain = run(*arguments, "--quiet")
    assert plain.exit_code == 1
    assert plain.stderr == (
        "facefarm: error: RuntimeError: surprise"
        " (this is a fault of facefarm; --debug shows where)\n"
    )
    assert "Traceback" in run(*arguments, "--debug").stderr


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("4 of 9 chunks are done")])
def test_an_interrupt_prints_the_command_that_goes_on(
    farm: FakeRender, tmp_path: Path, error: BaseException
) -> None:
    clip = tmp_path / "my clip.mp4"
    clip.write_bytes(b"clip")
    farm.error = error
    result = run("render", "-t", clip, "-o", tmp_path / "o.mp4", *ANONYMIZE)
    assert result.exit_code == 130
    assert f"to go on, run: facefarm render -t '{clip}' -o" in result.stderr


def test_a_library_that_cannot_be_loaded_says_what_to_install(
    farm: FakeRender, clip: Path, tmp_path: Path
) -> None:
    farm.error = ImportError("libGL.so.1: cannot open shared object file: No such file")
    result = run("render", "-t", clip, "-o", tmp_path / "o.mp4", *ANONYMIZE)
    assert result.exit_code == 3
    assert "apt-get install libgl1" in result.stderr


def test_log_file_gets_the_details(farm: FakeRender, clip: Path, tmp_path: Path) -> None:
    log = tmp_path / "farm.log"
    run("render", "-t", clip, "-o", tmp_path / "o.mp4", "--log-file", log, *ANONYMIZE)
    assert "DEBUG cluster.render: a detail" in log.read_text()
    assert logging.getLogger("cluster").handlers == []


def test_a_log_file_that_cannot_be_is_refused(farm: FakeRender, clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "o.mp4"
    result = run("render", "-t", clip, "-o", output, "--log-file", tmp_path / "no/l", *ANONYMIZE)
    _assert_refused(result, "cannot write the log")


def test_preview_renders_its_stretch(farm: FakeRender, clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "look.mp4"
    assert (
        run("preview", "-t", clip, "-o", output, "--at", 12.5, "-n", 7, *ANONYMIZE).exit_code == 0
    )
    assert farm.span == (12.5, 7)


def test_a_mistyped_variable_and_key_are_refused_with_the_nearest(
    farm: FakeRender, clip: Path, tmp_path: Path
) -> None:
    arguments = ("render", "-t", clip, "-o", tmp_path / "o.mp4", *ANONYMIZE)
    result = run(*arguments, env={"FACEFARM_WRKERS": "2"})
    _assert_refused(result, "did you mean FACEFARM_WORKERS?")
    config = tmp_path / "c.toml"
    config.write_text("workers = 2\nvideo-qualty = 3\n")
    _assert_refused(
        run(*arguments, "--config", config), "line 2: no option is called 'video-qualty'; did you"
    )


def test_an_image_is_rendered_without_the_farm(farm: FakeRender, tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (40, 50, 3), np.uint8)
    target, output = tmp_path / "a.png", tmp_path / "b.png"
    cv2.imwrite(str(target), picture)
    result = run("render", "-t", target, "-o", output, "--json", *ANONYMIZE)
    assert result.exit_code == 0, result.output
    assert farm.settings is None
    assert json.loads(result.stdout)["report"]["frames"] == 1
    rendered = cv2.imread(str(output))
    assert rendered is not None
    assert np.array_equal(rendered, picture)


def test_help_says_every_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for command in cli.all_commands(cli.main):
        context = click.Context(command, show_default=True)
        for param in command.get_params(context):
            if isinstance(param, click.Option) and "--help" not in param.opts:
                said = param.get_help_record(context)
                assert said is not None
                assert "[default: " in said[1] or "[required]" in said[1], (command.name, said)


def test_doctor_tells_as_json_what_is_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    from farm import doctor
    from farm.doctor import Finding, State

    broken = Finding(section="python", name="x", state=State.BROKEN, value="no", mend="mend it")
    findings: list[Finding] = [broken]
    monkeypatch.setattr(doctor, "examine", lambda _models_dir: findings)
    result = run("doctor", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["findings"][0]["mend"] == "mend it"
    findings[:] = [replace(broken, state=State.OK, mend="")]
    assert run("doctor").stdout == "python\n  + x: no\n"


def test_what_libraries_print_does_not_stand_before_the_result(
    farm: FakeRender, clip: Path, tmp_path: Path
) -> None:
    farm.prints = "(raylet) what a library prints\n"
    result = run("render", "-t", clip, "-o", tmp_path / "o.mp4", "--json", *ANONYMIZE)
    assert result.stdout.startswith("{")
    assert "(raylet) what a library prints" in result.stderr
