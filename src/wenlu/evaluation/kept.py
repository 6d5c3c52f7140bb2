"""What an evaluation keeps so that a later comparison can pair the same examples."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from wenlu.corpus.collect import hash64
from wenlu.errors import DataError
from wenlu.metrics import Columns, Metric
from wenlu.rundir import atomic

FILE = "evaluation.npz"
BESIDE = "baseline.npz"
"""The same of the baseline beside the model."""
DIGESTS, CLUSTERS, IDS = "digest-of-each-example", "cluster-of-each-example", "id-of-each-example"


@dataclass(frozen=True)
class Kept:
    """Attributes:
    columns: what the metrics are computed from, an entry an example.
    digests: of the examples, their right answers included. clusters: which of them stand together.
    ids: by which evaluation.jsonl tells more of each.
    """

    columns: Columns
    digests: tuple[int, ...]
    clusters: tuple[str, ...]
    ids: tuple[str, ...]

    @classmethod
    def of(
        cls,
        metrics: Sequence[Metric],
        columns: Columns,
        examples: Sequence[object],
        clusters: Sequence[str],
        ids: Sequence[str],
    ) -> Self:
        needed = {name: columns[name] for metric in metrics for name in metric.needs}
        return cls(needed, tuple(hash64(repr(example)) for example in examples), tuple(clusters), tuple(ids))

    def save(self, folder: Path, name: str = FILE) -> None:
        packed = io.BytesIO()
        told = {DIGESTS: np.array(self.digests, np.uint64), CLUSTERS: np.array(self.clusters), IDS: np.array(self.ids)}
        np.savez_compressed(packed, allow_pickle=False, **told, **self.columns)
        atomic.write_bytes(folder / name, packed.getvalue())

    @classmethod
    def read(cls, folder: Path, name: str = FILE) -> Self:
        """Raises DataError where the file is damaged."""
        try:
            with np.load(folder / name, allow_pickle=False) as packed:
                columns = {name: packed[name] for name in packed.files}
            digests, clusters, ids = (columns.pop(name).tolist() for name in (DIGESTS, CLUSTERS, IDS))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DataError(f"{folder / name}: damaged ({error}); evaluate again") from error
        return cls(columns, tuple(digests), tuple(clusters), tuple(ids))
