"""Word vectors in a form that other programs read, which is read again and compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from wenlu.bundle import VectorsBundle, load_any
from wenlu.errors import ParityError, UsageError, WenluError
from wenlu.lifecycle.export_record import refuse_foreign, write_record
from wenlu.models.vectors import ENDINGS, WordVectors, load_text, load_vectors, save_text, save_vectors
from wenlu.progress import QUIET, Progress
from wenlu.rundir import atomic

VectorsFormat = Literal["text", "folder"]


VECTORS_FORMATS: tuple[VectorsFormat, ...] = get_args(VectorsFormat)
"""Word2vec's text format; and a folder with safetensors, which keeps FastText's n-grams as well."""


@dataclass(frozen=True)
class VectorsExport:
    """What was written, which was read again and is equal bit for bit.

    Attributes:
        left_out: what the form cannot hold: "ngrams" of FastText in a text file.
    """

    path: Path
    format: VectorsFormat
    bytes: int
    words: int
    dimensions: int
    equal: bool
    left_out: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}

    def __str__(self) -> str:
        kind = "word2vec's text format" if self.format == "text" else "folder with safetensors"
        without = "; the n-grams stayed behind" if self.left_out else ""
        return (
            f"{self.path}: {kind}, {self.words:,} words × {self.dimensions}, {self.bytes:,} bytes; "
            f"read again, every number is the same{without}"
        )


def export_vectors(
    vectors: str | Path, out: Path, format: VectorsFormat | Literal["auto"] = "auto", *, progress: Progress = QUIET
) -> VectorsExport:
    """Write word vectors to a new text file or folder `out`, unless what it holds reads otherwise.

    Args:
        vectors: what `load_any` takes for word vectors: a run, their folder, a .vec or .txt file.
        out: ends in .vec or .txt for a text file; a folder is new, empty, or an export, which is replaced at once.
        format: "auto" goes by the ending of `out`.

    Raises:
        ParityError: what was written reads otherwise; nothing is left behind.
        UsageError: `out` exists and is no export, or its ending contradicts the format.
        DataError: a line of the source, or a word that the text format cannot hold.
    """
    is_text = out.suffix.lower() in ENDINGS
    if format == "auto":
        format = "text" if is_text else "folder"
    if (format == "text") != is_text:
        expected = f"end in {' or '.join(ENDINGS)}" if format == "text" else "name a folder"
        raise UsageError(f"{out}: with format = {format!r}, --out must {expected}")
    if format == "folder":
        refuse_foreign(out)
    elif out.exists():
        raise UsageError(f"{out}: exists already; delete it, or choose another --out")
    bundle = load_any(vectors)
    assert isinstance(bundle, VectorsBundle), f"{vectors} was told to hold word vectors"
    progress.start("export")
    done = _to_text(bundle.model, out) if format == "text" else _to_folder(bundle, out)
    progress.finish(f"{done.words:,} words × {done.dimensions}")
    return done


def _to_text(vectors: WordVectors, out: Path) -> VectorsExport:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise atomic.failed_to_write(out, error) from error
    save_text(vectors, out)
    try:
        _check_equal(vectors, load_text(out), with_ngrams=False)
    except WenluError:
        out.unlink(missing_ok=True)
        raise
    left_out = () if vectors.ngrams is None else ("ngrams",)
    return VectorsExport(out, "text", out.stat().st_size, len(vectors), vectors.dimensions, True, left_out)


def _to_folder(bundle: VectorsBundle, out: Path) -> VectorsExport:
    vectors = bundle.model
    with atomic.atomic_folder(out) as folder:
        save_vectors(folder, vectors, training=bundle.config.training)
        _check_equal(vectors, load_vectors(folder)[0], with_ngrams=True)
        size = sum(path.stat().st_size for path in folder.iterdir())
        done = VectorsExport(out, "folder", size, len(vectors), vectors.dimensions, True, ())
        write_record(folder, done.to_json(), name=out.name)
    return done


def _check_equal(vectors: WordVectors, again: WordVectors, *, with_ngrams: bool) -> None:
    """Raise ParityError where a word or a bit of a number is another."""
    for number, (word, other) in enumerate(zip(vectors.words, again.words, strict=False)):
        if word != other:
            raise ParityError(f"word {number} is {word!r}, but reads {other!r}; nothing was written")
    pairs = [("vectors", vectors.matrix, again.matrix)]
    if with_ngrams and vectors.ngrams is not None:
        assert again.ngrams is not None, "a folder that names n-grams without them does not load"
        pairs.append(("n-grams", vectors.ngrams.matrix, again.ngrams.matrix))
    for name, mine, read in pairs:
        if mine.shape != read.shape:
            raise ParityError(f"{name}: {mine.shape} numbers, but {read.shape} were read; nothing was written")
        differ = np.ascontiguousarray(mine).view(np.uint32) != np.ascontiguousarray(read).view(np.uint32)
        if differ.any():
            row, column = (int(i) for i in np.argwhere(differ)[0])
            raise ParityError(
                f"{name}: number {column} of row {row} is {mine[row, column]!r}, but reads {read[row, column]!r}; "
                "nothing was written"
            )
