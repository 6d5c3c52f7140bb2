"""An answer in Markdown as it comes: what is complete stands, what is still growing is drawn again below it."""

from __future__ import annotations

import re
import time

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment

DRAWN_SECONDS = 1 / 12
"""The growing end is drawn again after so long: smooth, and no terminal flickers of it."""
_THEME = "ansi_dark"
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


class MarkdownStream:
    """Writes an answer to a terminal, piece by piece.

    Paragraphs, lists and code that are complete are printed once and scroll away like any output. Only the part behind
    them is drawn anew as it grows, and of one that is taller than the terminal its last lines.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._growing = ""
        self._is_first = True
        self._drawn = 0.0
        self._live: Live | None = None

    def push(self, text: str) -> None:
        """Show more of the answer."""
        self._growing += text
        while end := complete_until(self._growing):
            self._erase()
            self._print(self._growing[:end])
            self._growing = self._growing[end:]
        if self.console.is_terminal and self._growing.strip() and time.monotonic() - self._drawn >= DRAWN_SECONDS:
            self._draw()

    def finish(self) -> None:
        """Print what is left; the answer is at its end, or was stopped."""
        self._erase()
        self._print(self._growing)
        self._growing = ""

    def _draw(self) -> None:
        if self._live is None:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(_Lines(self._growing, max(1, self.console.height - 2)), refresh=True)
        self._drawn = time.monotonic()

    def _erase(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, text: str) -> None:
        if not text.strip():
            return
        if not self._is_first:
            self.console.print()
        self.console.print(_Lines(text), end="")
        self._is_first = False


class _Lines:
    """What Markdown looks like without blank lines at its ends, or the last lines of it."""

    def __init__(self, text: str, most: int | None = None) -> None:
        self.content = rendered(text)
        self.most = most

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self.content, options, pad=False)
        written = [number for number, line in enumerate(lines) if "".join(part.text for part in line).strip()]
        kept = lines[written[0] : written[-1] + 1] if written else []
        for line in kept if self.most is None else kept[-self.most :]:
            yield from line
            yield Segment.line()


def rendered(text: str) -> Markdown:
    """Markdown in which a line ends where the model ended it, and nothing of which is a link to be clicked."""
    return Markdown(_with_line_ends(text.strip("\n")), code_theme=_THEME, hyperlinks=False)


def complete_until(text: str) -> int:
    """Where the first blank lines end behind which something new begins, 0 where none does yet; code in fences and what
    is indented goes on."""
    place, fence, after_blank = 0, "", False
    for line in text.splitlines(keepends=True):
        if after_blank and not line[0].isspace():
            return place
        fence = _fence_after(line, fence)
        after_blank = not fence and not line.strip()
        place += len(line)
    return 0


def _fence_after(line: str, fence: str) -> str:
    """The fence that is open behind a line."""
    match = _FENCE.match(line)
    if match is None:
        return fence
    if not fence:
        return match[1]
    closes = match[1].startswith(fence) and not line[match.end() :].strip()
    return "" if closes else fence


def _with_line_ends(text: str) -> str:
    """Two blanks at the end of each line outside of code, which Markdown takes for the end of a line."""
    lines, fence = [], ""
    for line in text.split("\n"):
        was, fence = fence, _fence_after(line, fence)
        lines.append(line if was or fence or not line.strip() else f"{line.rstrip()}  ")
    return "\n".join(lines)
