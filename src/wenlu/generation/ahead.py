"""The next piece of work prepared by a thread while the present one is done."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from queue import Full, Queue
from typing import TypeVar

A = TypeVar("A")

_PATIENCE_SECONDS, _FAREWELL_SECONDS = 0.1, 2.0


def prepared_ahead(items: Iterable[A]) -> Generator[A, None, None]:
    """The items in order, one of them made in advance; what making one raises is raised at its turn.

    Close it, also where it was not read to its end: a thread that is at work in C++ while Python ends would abort the
    process. One that waits for input keeps no program from ending.
    """
    ready: Queue[tuple[A] | BaseException | None] = Queue(maxsize=1)
    left = threading.Event()

    def offered(item: tuple[A] | BaseException | None) -> bool:
        while not left.is_set():
            try:
                ready.put(item, timeout=_PATIENCE_SECONDS)
            except Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not offered((item,)):
                    return
        except BaseException as error:  # noqa: BLE001  (raised again where the item is taken)
            offered(error)
        else:
            offered(None)

    thread = threading.Thread(target=make, daemon=True, name="prepared ahead")
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        left.set()
        thread.join(_FAREWELL_SECONDS)
