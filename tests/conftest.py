"""Fixtures of all tests.

Not for: making media (`tests.media_maker`) or models.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.media_maker import RECIPES, Studio


@pytest.fixture(scope="session")
def media_studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """Makes the test media by name, each once per session: `media_studio.path("vfr.mp4")`."""
    return Studio(tmp_path_factory.mktemp("media"), RECIPES)


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what the farm remembers of jobs out of the user's own folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def allow_error_logs() -> None:
    """Asked for by a test that expects an ERROR in the log."""


@pytest.fixture(autouse=True)
def no_error_logs(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Fails a test that logged an ERROR; what libav says about damaged media does not count."""
    yield
    if "allow_error_logs" in request.fixturenames:
        return
    records = [r for phase in ("setup", "call") for r in caplog.get_records(phase)]
    errors = [r for r in records if r.levelno >= logging.ERROR and not r.name.startswith("libav")]
    if errors:
        pytest.fail("; ".join(f"{r.name} logged: {r.getMessage()}" for r in errors))
