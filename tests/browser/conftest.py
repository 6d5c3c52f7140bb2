"""Debian's Chromium, and the page of the server in it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.browser.scripted_server import Script, scripted_app, serving
from tests.browser.window import Window

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = "axe-core@4.14.1"


@pytest.fixture(scope="module")  # Playwright runs an event loop, beside which tests of other folders start none
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}; install Debian's chromium to run the browser tests")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Script, str]]:
    script = Script()
    with serving(scripted_app(script)) as address:
        yield script, address


@pytest.fixture
def script(served: tuple[Script, str]) -> Script:
    """What the server says, as nobody has changed it yet."""
    script, _ = served
    script.__dict__.update(Script().__dict__)
    return script


@pytest.fixture
def window(browser: Browser, served: tuple[Script, str], script: Script) -> Iterator[Window]:
    """A window on the page; at the end nothing may have been asked of elsewhere, and nothing complained of."""
    window = Window(browser, served[1])
    yield window
    window.close()
    assert window.noted == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, through npm and a cache."""
    folder = Path(".make") / "axe"
    source = folder / AXE / "package" / "axe.min.js"
    if not source.exists():
        source.parent.mkdir(parents=True, exist_ok=True)
        fetch = ["npm", "pack", AXE, "--ignore-scripts", "--silent", "--pack-destination", str(folder)]
        try:
            subprocess.run(fetch, check=True, capture_output=True, timeout=60)
            packed = folder / f"{AXE.replace('@', '-')}.tgz"
            subprocess.run(["tar", "-xzf", str(packed), "-C", str(folder / AXE), "package/axe.min.js"], check=True)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"cannot fetch {AXE} by npm: {error}")
    return source.read_text(encoding="utf-8")
