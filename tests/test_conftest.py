import subprocess
import sys
from pathlib import Path

INNER = """
import logging

def test_silent():
    logging.getLogger("farm").warning("only a warning")

def test_of_damaged_media():
    logging.getLogger("libav.h264").error("broken slice")

def test_loud():
    logging.getLogger("farm").error("something broke")

def test_loud_on_purpose(allow_error_logs):
    logging.getLogger("farm").error("something broke")
"""


def test_a_test_that_logs_an_error_fails(tmp_path: Path) -> None:
    inner = tmp_path / "test_inner.py"
    inner.write_text(INNER)
    options = ["-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-c", "/dev/null", str(inner)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "4 passed, 1 error" in done.stdout
    assert "ERROR at teardown of test_loud " in done.stdout
    assert "farm logged: something broke" in done.stdout
