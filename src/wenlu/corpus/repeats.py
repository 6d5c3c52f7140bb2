"""The training part as it is learnt from: small sources repeated, so that they are met as often as the settings say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from wenlu.corpus.collect import hash64
from wenlu.corpus.prepare import DataSummary, read_split
from wenlu.corpus.record import Record
from wenlu.corpus.sources import SourceSpec, name_of
from wenlu.corpus.turns import chances


def training_records(folder: Path) -> Iterator[Record]:
    """The records of the training part, each as often as its source's share asks for; all once by default.

    Those that come again follow when all have been met, so that copies do not stand beside each other.
    """
    settings = DataSummary.open(folder).settings
    temperature, shares = settings.get("temperature"), settings.get("shares") or {}
    if temperature is None and not shares:
        yield from read_split(folder, "train")
        return
    sizes = Counter(record.meta["source"] for record in read_split(folder, "train"))
    specs = [SourceSpec.model_validate(spec) for spec in settings["train"]]
    weights = {name_of(spec): spec.weight for spec in specs} if temperature is not None else {}
    times = copies(sizes, temperature or 1.0, weights, shares)
    for number in range(math.ceil(max(times.values()))):
        for record in read_split(folder, "train"):
            wanted = times[record.meta["source"]] - number
            if wanted >= 1 or (wanted > 0 and hash64(record.id) < wanted * 2**64):
                yield record


def copies(
    sizes: Mapping[str, int],
    temperature: float,
    weights: Mapping[str, float],
    shares: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """How often a record of each source is met: p_i ∝ w_i n_i^(1/T) is the share of source i, and none is met less than
    once.

    A fraction is of the records: 1.25 meets a quarter of them twice.

    Args:
        shares: of some sources, fixed; they may be met less than once. The rest is for the others, as said above.
    """
    fixed = {name: share for name, share in (shares or {}).items() if name in sizes}
    others = {name: size for name, size in sizes.items() if name not in fixed}
    drawn = chances([*others.values()], temperature).tolist()
    often = {name: weights.get(name, 1.0) * share / others[name] for name, share in zip(others, drawn, strict=True)}
    least = min(often.values())
    times = {name: round(value / least, 9) for name, value in often.items()}
    met = sum(times[name] * size for name, size in others.items())
    left = 1 - sum(fixed.values())
    return times | {name: share / left * met / sizes[name] for name, share in fixed.items()}
