"""The caption of the training picture that looks most alike, colour by colour: what a captioner has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wenlu.corpus.pictures.sight import Gallery, Sight
from wenlu.corpus.ragged import Values
from wenlu.tasks.captioning import Captioning
from wenlu.tasks.labelled import WrittenText
from wenlu.tasks.pictured.writing import PicturedPair

_SIDE = 8
"""Parts of a picture's side of which the mean colours are compared."""


@dataclass(frozen=True)
class NearestPicture:
    """A Predictor of `Captioning`."""

    sight: Sight
    known: Values
    captions: Sequence[str]

    def answer(self, examples: Sequence[PicturedPair]) -> list[WrittenText]:
        gallery = self.sight.gallery([example.picture for example in examples])
        seen = _colours(gallery)[gallery.numbers]
        found = []
        for colours in seen:
            found.append(int(((self.known - colours) ** 2).sum(axis=1).argmin()))
        return [WrittenText(self.captions[place]) for place in found]


def fit(task: Captioning, examples: Sequence[PicturedPair]) -> NearestPicture:
    known = [example for example in examples if example.target is not None]
    gallery = task.seeing.gallery([example.picture for example in known])
    return NearestPicture(task.seeing, _colours(gallery)[gallery.numbers], [example.target or "" for example in known])


def _colours(gallery: Gallery) -> Values:
    """(n, 3 x _SIDE x _SIDE) mean colours of the parts of each distinct picture."""
    return np.stack([_parts(gallery.tiles(number).pixel_values[-1]) for number in range(len(gallery))])


def _parts(values: Values) -> Values:
    """Of (3, H, W)."""
    rows, columns = (np.linspace(0, size, _SIDE + 1).astype(int) for size in values.shape[1:])
    return np.array(
        [
            values[:, top : max(bottom, top + 1), left : max(right, left + 1)].mean(axis=(1, 2))
            for top, bottom in pairwise(rows)
            for left, right in pairwise(columns)
        ]
    ).ravel()
