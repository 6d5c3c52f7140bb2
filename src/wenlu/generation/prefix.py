"""What prompts begin with, read once: pages of whole units, found again by the tokens up to their end."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from wenlu.models.layers.paged_cache import PagePool


def digests(prompt: Sequence[int], unit: int, *, adapter: str | None, salt: str) -> tuple[bytes, ...]:
    """One for each whole unit of a prompt; it tells all tokens up to the unit's end, the adapter, and the salt."""
    parent = blake2b(repr((adapter, salt)).encode()).digest()
    found = []
    for end in range(unit, len(prompt) + 1, unit):
        parent = blake2b(parent + array("q", prompt[end - unit : end]).tobytes()).digest()
        found.append(parent)
    return tuple(found)


class PrefixCache:
    """Units that were read, each an owner of its pages; the longest unused goes first.

    Whoever uses a unit uses those before it later still, so a unit goes before what it continues.
    """

    def __init__(self, pool: PagePool) -> None:
        self._pool = pool
        self._units: OrderedDict[bytes, tuple[int, ...]] = OrderedDict()  # longest unused first

    @property
    def idle(self) -> int:
        """How many pages are of units that nobody reads from."""
        return sum(len(pages) for pages in self._units.values() if self._is_idle(pages))

    def find(self, digests: Sequence[bytes]) -> list[tuple[int, ...]]:
        """The pages of the first units, as many in a row as are known; the caller becomes an owner of them."""
        found = []
        for digest in digests:
            if digest not in self._units:
                break
            found.append(self._units[digest])
        self._use(digests[: len(found)])
        for pages in found:
            self._pool.retain(pages)
        return found

    def add(self, digests: Sequence[bytes], pages: Sequence[tuple[int, ...]]) -> None:
        """Remember the last units of a prompt, those that `pages` are of; what is known stays where it is."""
        for digest, own in zip(digests[len(digests) - len(pages) :], pages, strict=True):
            if digest not in self._units:
                self._units[digest] = own
                self._pool.retain(own)
        self._use(digests)

    def shrink(self, free: int) -> None:
        """Forget idle units until so many pages are free, or none of them is left."""
        for digest in list(self._units):
            if self._pool.free >= free:
                return
            if self._is_idle(self._units[digest]):
                self._pool.release(self._units.pop(digest))

    def clear(self) -> None:
        """Forget everything."""
        for pages in self._units.values():
            self._pool.release(pages)
        self._units.clear()

    def _is_idle(self, pages: tuple[int, ...]) -> bool:
        return all(self._pool.owners(page) == 1 for page in pages)

    def _use(self, digests: Sequence[bytes]) -> None:
        for digest in reversed(digests):
            if digest in self._units:
                self._units.move_to_end(digest)
