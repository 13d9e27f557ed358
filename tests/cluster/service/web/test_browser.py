from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from scheduler.queue.store import QueueStore
from tests.cluster.service.command import ServiceProcess
from tests.media_maker import Studio

pytestmark = [pytest.mark.browser, pytest.mark.ray, pytest.mark.timeout(600)]
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
    " --window-size=1200,900"
)
_LIMIT_S = 120


@pytest.fixture
def page() -> Iterator[Chrome]:
    options = ChromeOptions()
    for flag in _FLAGS.split():
        options.add_argument(flag)
    browser = Chrome(options=options, service=Driver("/usr/bin/chromedriver"))
    yield browser
    browser.quit()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    config = tmp_path / "service.toml"
    config.write_text(f'[web]\nroots = ["{tmp_path}"]\n')
    started = ServiceProcess(
        tmp_path / "q.sqlite", "--listen", "127.0.0.1:0", "--service-config", config
    )
    yield started
    started.stop()


def seen(page: Chrome, text: str) -> None:
    """Wait until the page shows a text."""
    WebDriverWait(page, _LIMIT_S).until(
        lambda p: text in p.find_element(By.TAG_NAME, "body").text,
        message=f"{text!r} does not appear",
    )


def press(page: Chrome, text: str) -> None:
    """Press a button, which the page may be drawing anew meanwhile."""
    script = (
        "const all = [...document.querySelectorAll('button')];"
        "const b = all.find(b => b.innerText === arguments[0]); if (b) b.click(); return !!b"
    )
    WebDriverWait(page, _LIMIT_S).until(lambda p: p.execute_script(script, text))


def add(page: Chrome, url: str, target: Path, output: Path, processor: str, **more: str) -> None:
    """Fill in the form and send it."""
    page.get(f"{url}/add")
    page.find_element(By.NAME, "targets").send_keys(str(target))
    page.find_element(By.NAME, "output").send_keys(str(output))
    page.find_element(By.CSS_SELECTOR, f"input[value={processor}]").click()
    if more:
        page.execute_script("document.querySelector('details').open = true")
    for name, value in more.items():
        field = page.find_element(By.NAME, f"option-{name}")
        page.execute_script("arguments[0].scrollIntoView()", field)
        field.send_keys(value)
    page.execute_script("document.getElementById('add').click()")


def test_a_job_is_added_watched_shown_cancelled_and_tried_again(
    page: Chrome, service: ServiceProcess, media_studio: Studio, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(media_studio.path("plain.mp4").read_bytes())
    add(page, service.url, clip, tmp_path / "{stem}-out.mp4", "face_anonymizer")
    seen(page, "clip-out.mp4")
    seen(page, "60 of 60 frames")
    seen(page, "1 done")
    page.get(f"{service.url}/jobs/1")
    WebDriverWait(page, _LIMIT_S).until(
        lambda p: p.execute_script("return document.getElementById('preview').naturalWidth > 0")
    )
    page.find_element(By.TAG_NAME, "summary").click()
    seen(page, '"altered_by"')
    page.switch_to.frame(page.find_element(By.CSS_SELECTOR, "iframe.report"))
    seen(page, "clip-out.mp4")
    page.switch_to.default_content()

    slow = {"chunk_seconds": "0.1", "video_encoder": "libvpx-vp9"}
    add(page, service.url, clip, tmp_path / "{stem}-slow.webm", "face_anonymizer", **slow)
    seen(page, "1 running")
    press(page, "cancel")
    seen(page, "1 cancelled")
    assert not (tmp_path / "clip-slow.webm").exists()
    press(page, "retry")
    seen(page, "2 done")
    assert (tmp_path / "clip-slow.webm").exists()

    add(page, service.url, clip, Path("/etc/out.mp4"), "face_anonymizer")
    seen(page, "lies outside of")
    with QueueStore(tmp_path / "q.sqlite") as store:
        assert [job.outcome for job in store.jobs()] == ["done", "done"]
