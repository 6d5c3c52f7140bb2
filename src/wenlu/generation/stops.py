"""Stop strings in a text that arrives in pieces."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Passes text on up to the first stop string; no part of that string ever gets out.

    The stop string that is complete first ends the text (of several that end at the same character, the longest),
    so the result does not depend on where the pieces are cut.

    Attributes:
        found: the string that ended it.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = tuple(stops)
        self.found: str | None = None
        self._held = ""

    @property
    def stopped(self) -> bool:
        return self.found is not None

    def push(self, piece: str) -> str:
        """What may be shown after `piece`; text that may begin a stop string is held back."""
        if self.stopped:
            return ""
        text = self._held + piece
        found = [(text.find(stop) + len(stop), -len(stop), stop) for stop in self.stops if stop in text]
        if found:
            self._held = ""
            end, negative_length, self.found = min(found)
            return text[: end + negative_length]
        hold = self._doubtful(text)
        self._held = text[len(text) - hold :]
        return text[: len(text) - hold]

    def flush(self) -> str:
        """The held text, which turned out to begin no stop string."""
        text, self._held = self._held, ""
        return text

    def _doubtful(self, text: str) -> int:
        """Length of the longest end of `text` that begins a stop string."""
        longest = max((len(stop) - 1 for stop in self.stops), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self.stops):
                return length
        return 0
