"""Where in a text the terms stand that a linear model counts: words and runs of them, and parts of words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from wenlu.evaluation.linear.features import Features
from wenlu.evaluation.linear.groups import Item, Terms
from wenlu.explanation.units import placed
from wenlu.tokenizers import Span

Occurrences = Mapping[str, Sequence[Span]]
"""For each term the characters that it counts, one span an occurrence, or one a word of it."""
_WORD = re.compile(r"\S+")


def occurrences(group: Terms, features: Features, text: str) -> Occurrences:
    """As scikit-learn's vectoriser finds them. Where words are cut or cut off in a way that single words do not tell,
    none: then a term is of the text, but of no place."""
    lower, places = _lowered(text)
    low, high = group.ngrams
    found: dict[str, list[Span]] = defaultdict(list)
    if group.kind == "characters":
        for term, start, end in _parts_of_words(lower, low, high):
            found[term].append((places[start], places[end - 1] + 1))
        return found
    tokens = list(_words(group, features, text, lower, places))
    prepared = features.prepared(Item(text)).words
    if [token for token, _ in tokens] != re.findall(group.pattern, (text if prepared is None else prepared).lower()):
        return found
    for size in range(low, high + 1):
        for first in range(len(tokens) - size + 1):
            run = tokens[first : first + size]
            found[" ".join(token for token, _ in run)] += [span for _, span in run]
    return found


def _lowered(text: str) -> tuple[str, list[int]]:
    """In small letters, and for each of them its place in the text: a few letters become two."""
    whole = text.lower()
    if len(whole) == len(text):
        return whole, list(range(len(text)))
    letters = [letter.lower() for letter in text]
    return "".join(letters), [place for place, letter in enumerate(letters) for _ in letter]


def _parts_of_words(lower: str, low: int, high: int) -> Iterator[tuple[str, int, int]]:
    """n-grams of each word with a space at its ends, which counts for the character beside it."""
    for match in _WORD.finditer(lower):
        start, end = match.span()
        padded = f" {match[0]} "
        for size in range(low, high + 1):
            for offset in range(max(1, len(padded) - size + 1)):
                term = padded[offset : offset + size]
                left = min(max(start, start + offset - 1), end - 1)
                right = max(min(end, start + offset - 1 + len(term)), left + 1)
                yield term, left, right
            if len(padded) <= size:  # a short word is counted once
                break


def _words(
    group: Terms, features: Features, text: str, lower: str, places: Sequence[int]
) -> Iterator[tuple[str, Span]]:
    """What each word is counted as, if at all."""
    if features.is_plain:
        for match in re.finditer(group.pattern, lower):
            yield match[0], (places[match.start()], places[match.end() - 1] + 1)
        return
    cut = features.cut(text)
    spans = [match.span() for match in re.finditer(group.pattern, text)] if cut is None else placed(text, cut, 0)
    for start, end in spans:
        for token in re.findall(group.pattern, features.counted(text[start:end]).lower()):
            yield token, (start, end)
