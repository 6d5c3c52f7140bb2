"""Documents in rows of their own, for tasks that must not see where two documents meet."""

from __future__ import annotations

import numpy as np

from wenlu.corpus.packing import PADDING, Ids, PackedRow, TokenRows
from wenlu.corpus.shards import TokenData
from wenlu.errors import DataError


class Passages(TokenRows):
    """Each document in rows of at most `length` tokens, without its begin and end, padded on the right.

    A document is cut where a row is full; a rest of fewer than `least` tokens is left out. What pads is the token
    that ends a text, and its segment is PADDING.

    Attributes:
        documents: (R,) which document the row is of.

    Raises DataError where no document is so long.
    """

    def __init__(self, data: TokenData, length: int, *, least: int = 2) -> None:
        assert 0 < least <= length, f"rows of {length} tokens, of which {least} must be there"
        super().__init__(data, length)
        sizes = np.diff(data.document_starts) - 2
        full, rest = np.divmod(sizes, length)
        counts = full + (rest >= least)
        self.documents: Ids = np.repeat(np.arange(data.num_documents), counts)
        order = np.arange(len(self.documents)) - np.repeat(np.cumsum(counts) - counts, counts)
        self._starts: Ids = data.document_starts[:-1][self.documents] + 1 + order * length
        self._sizes: Ids = np.minimum(length, sizes[self.documents] - order * length)
        if not len(self.documents):
            raise DataError(f"{data.folder}: no document has {least} tokens; give longer texts")

    def __len__(self) -> int:
        return len(self.documents)

    def read(self, indices: Ids) -> PackedRow:
        """(B, length)."""
        ids = np.full((len(indices), self.length), self.data.eos_id, np.int64)
        segments = np.full_like(ids, PADDING)
        for row, index in enumerate(indices.tolist()):
            start, size = int(self._starts[index]), int(self._sizes[index])
            ids[row, :size] = self.data.tokens(start, start + size)
            segments[row, :size] = 0
        return PackedRow(ids, segments)
