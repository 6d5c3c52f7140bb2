"""How smooth the server's page stays: a conversation of 500 messages with an answer at 60 tokens a second.

    python benchmarks/page.py [--quick]

Prints what Chromium measured: the first paint, and the tasks that held the page's one thread for longer than 50 ms
(by the Long Tasks API, which tells none that are shorter) beside the time of every frame, while the conversation is
read back after a reload and while an answer is streamed below it. Goals: first paint within a second, no task over
50 ms at the 95th percentile.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.scripted_server import Script, scripted_app, serving

MESSAGES = 500
TOKENS_A_SECOND = 60
PARAGRAPH = (
    "Boil **fresh** water, then *wait* a minute. 茶要新，水要活；see `steep()` for more.\n\n"
    "1. Warm the pot.\n2. Add the leaves.\n\n```python\ndef steep(minutes: int = 3) -> None: ...\n```\n\n"
)
WATCH = """
window.tasks = [];
window.frames = [];
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) window.tasks.push(entry.duration);
}).observe({ type: "longtask", buffered: true });
let before = performance.now();
const tick = now => {
  window.frames.push(now - before);
  before = now;
  requestAnimationFrame(tick);
};
requestAnimationFrame(tick);
"""


def main(*, is_quick: bool) -> None:
    count, seconds = (100, 3) if is_quick else (MESSAGES, 20)
    said = [{"role": ("user", "assistant")[at % 2], "text": PARAGRAPH, "model": "smollm2"} for at in range(count)]
    script = Script(says=PARAGRAPH * 40, pause=1 / TOKENS_A_SECOND, forever=True)
    with sync_playwright() as playwright, serving(scripted_app(script)) as address:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{address}/#/")
        page.wait_for_selector("main h1")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        print(f"first paint {paint:.0f} ms (goal 1000), Chromium {browser.version}")
        kept = json.dumps({"system": "", "messages": said})
        page.evaluate("kept => { onpagehide = () => sessionStorage.setItem('wenlu.conversation', kept) }", kept)
        page.add_init_script(WATCH)
        page.goto(f"{address}/?again#/chat")
        page.locator(".message").nth(count - 1).wait_for(state="attached")
        page.wait_for_timeout(500)
        report(page.evaluate("[window.tasks, window.frames]"), f"reading {count} messages back")
        page.evaluate("window.tasks.length = window.frames.length = 0")
        page.fill("#composer", "Once more.")
        page.press("#composer", "Enter")
        page.wait_for_timeout(1000 * seconds)
        report(page.evaluate("[window.tasks, window.frames]"), f"an answer of {seconds} s below them")
        browser.close()


def report(measured: list[list[float]], what: str) -> None:
    tasks, frames = (sorted(values) for values in measured)
    late = frames[int(0.95 * (len(frames) - 1))]
    longest = f", the longest {tasks[-1]:.0f} ms" if tasks else ""
    print(f"{what}: {len(tasks)} tasks over 50 ms{longest}; {len(frames)} frames, 95 % within {late:.0f} ms")


if __name__ == "__main__":
    main(is_quick="--quick" in sys.argv)
