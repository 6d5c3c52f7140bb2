"""Set aside records that cannot be read, as long as they are few."""

from __future__ import annotations

from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import Bad
from wenlu.errors import DataError

_HOPELESS = 100


class Quarantine:
    """Counts the bad records of one source against its `max_bad_fraction`.

    The fraction is of all records, so it is known at the end only. A source of which more than half is bad after the
    first hundred bad records is refused at once: it is most likely something else than its name says.
    """

    def __init__(self, name: str, max_bad_fraction: float) -> None:
        self._name, self._limit = name, max_bad_fraction
        self._first: Bad | None = None
        self._bad, self._seen = 0, 0

    def count(self) -> None:
        self._seen += 1

    def drop(self, bad: Bad) -> Drop:
        """The dropped record for `bad`; raises DataError where hope is lost."""
        self._first = self._first or bad
        self._bad += 1
        if self._bad >= _HOPELESS and self._bad * 2 > self._seen and self._limit < 0.5:
            raise self._error()
        return Drop(Record("", bad.id), "source", bad.reason)

    def check(self) -> None:
        """At the source's end: raises DataError, with the first bad record, if there were too many."""
        if self._bad > self._limit * self._seen:
            raise self._error()

    def _error(self) -> DataError:
        assert self._first is not None, "an error needs a bad record"
        return DataError(
            f"{self._first.id}: {self._first.reason}: {self._first.detail}. In {self._name}, {self._bad} of "
            f"{self._seen} records are bad, more than max_bad_fraction = {self._limit:g}; "
            "correct them, or raise it to drop them"
        )
