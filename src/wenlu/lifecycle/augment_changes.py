"""What the ways of augmentation look up and ask: tables of synonyms, and models."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wenlu import hub
from wenlu.bundle import Bundle, VectorsBundle, load, load_any, vectors_path
from wenlu.corpus.augment import Synonyms, Tables, WayConfig, way_kind
from wenlu.corpus.augment.cedict import Cedict, cedict
from wenlu.corpus.augment.synonyms import SynonymGroups
from wenlu.corpus.augment.ways.back_translation import BackTranslationConfig
from wenlu.corpus.augment.ways.masked_lm import MaskedLmConfig
from wenlu.corpus.augment.wordnet import wordnet
from wenlu.corpus.record import Record
from wenlu.errors import DataError, UsageError
from wenlu.generation.answering import answers_to, sampling_of
from wenlu.generation.substitution import require_masked, substituted
from wenlu.models.vectors import WordVectors
from wenlu.tasks import GenerativeTask
from wenlu.tasks.translation import Translation

NEAREST = 5
"""Words of a vector's surroundings that count as its synonyms."""

Changes = Callable[[Sequence[str], Sequence[random.Random], int], list[str]]
"""Changed texts of many, each with random numbers of its own, for the copy of this number; a text itself where nothing
could be changed."""


def changes_of(config: WayConfig, seed: int) -> Changes:
    """What a way makes of texts; loads the models that it asks.

    Args:
        seed: of what an engine draws, with the number of the copy.

    Raises:
        UsageError: a model of another task, or something that is not installed or cannot be fetched.
        DataError, WeightsError: a table or a model cannot be read.
    """
    match config:
        case BackTranslationConfig():
            return _back_translated(config, seed)
        case MaskedLmConfig():
            bundle = load(config.model)
            require_masked(bundle)

            def fill_in(texts: Sequence[str], drawn: Sequence[random.Random], _copy: int) -> list[str]:
                pairs = zip(texts, drawn, strict=True)
                return [substituted(bundle, text, own, alpha=config.alpha, top_k=config.top_k) for text, own in pairs]

            return fill_in
    build = way_kind(config.way).build
    assert build is not None, f"{config.way} asks a model that nobody loads"
    change = build(config, Tables(open_synonyms))
    return lambda texts, drawn, _copy: [change(text, own) for text, own in zip(texts, drawn, strict=True)]


def open_synonyms(source: str) -> Mapping[str, Synonyms]:
    """By language: what "auto" stands for, a file of groups, or the neighbours in word vectors.

    Raises UsageError, DataError, ResourceError where there is none.
    """
    if source == "auto":
        return _Automatic()
    table: Synonyms
    if _is_vectors(source):
        found = load_any(source)
        assert isinstance(found, VectorsBundle), "its path is of word vectors"
        table = Neighbours(found.model)
    else:
        table = SynonymGroups.read(hub.resolve(source).path)
    return {"en": table, "zh": table}


def _is_vectors(source: str) -> bool:
    """A folder of vectors, or a file that begins with numbers of words and dimensions: groups are .txt files, too."""
    path = vectors_path(source)
    if path is None or path.is_dir():
        return path is not None
    with path.open(encoding="utf-8", errors="replace") as file:
        return re.fullmatch(r"\d+ \d+\s*", file.readline()) is not None


class _Automatic(dict[str, Synonyms]):
    """Each language's table is opened when it is first asked for, so that English texts need no Chinese dictionary."""

    def __missing__(self, language: str) -> Synonyms:
        self[language] = wordnet() if language == "en" else _BothScripts(cedict(), cedict(traditional=True))
        return self[language]


@dataclass(frozen=True)
class _BothScripts:
    simplified: Cedict
    traditional: Cedict

    def of(self, word: str) -> tuple[str, ...]:
        return self.simplified.of(word) or self.traditional.of(word)


@dataclass(frozen=True)
class Neighbours:
    """The nearest words of a word, in vectors that were trained on text; antonyms are often among them."""

    vectors: WordVectors
    known: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, word: str) -> tuple[str, ...]:
        if word not in self.known:
            try:
                found = self.vectors.neighbours([word], count=NEAREST) if word in self.vectors else []
            except DataError:  # a vector of zeros
                found = []
            self.known[word] = tuple(neighbour.word for neighbour in found)
        return self.known[word]


def _back_translated(config: BackTranslationConfig, seed: int) -> Changes:
    there, back = _translator(config.there), _translator(config.back)
    drawing = {"temperature": config.temperature, "top_k": config.top_k, "num_beams": 1}
    sampling_of(there, drawing)  # what does not fit is said before anything is read

    def change(texts: Sequence[str], _drawn: Sequence[random.Random], copy: int) -> list[str]:
        first = sampling_of(there, {**drawing, "seed": (seed + copy) % 2**63})
        sizes = [len(ids) for ids in there.tokenizer.encode_batch(list(texts))]
        short = [place for place, size in enumerate(sizes) if size <= config.most_tokens]
        foreign = _translated(there, [texts[place] for place in short], first)
        again = _translated(back, foreign, None)
        made = list(texts)
        for place, text in zip(short, again, strict=True):
            made[place] = text.strip() or texts[place]
        return made

    return change


def _translator(name: str) -> Bundle:
    bundle = load(name)
    if not isinstance(bundle.task, Translation):
        trained = "nothing that its folder tells" if bundle.task is None else bundle.task.name
        raise UsageError(
            f"{name}: was trained for {trained}, and back-translation asks two translators: runs of "
            "recipes/translate.toml, one for each direction"
        )
    return bundle


def _translated(bundle: Bundle, texts: Sequence[str], sampling: Any) -> list[str]:
    task = bundle.task
    assert isinstance(task, GenerativeTask), "a translator writes"
    examples = [type(task).example_of(Record(text, str(number)), task.config) for number, text in enumerate(texts)]
    context = task.config.trained_context or min(bundle.config.context or 512, 512)
    answers = answers_to(bundle, examples, context, sampling)
    return [str(task.told(answer)["prediction"]) for answer in answers]


def models_of(config: WayConfig) -> list[Path | str]:
    """Names of the models, and of tables of the user's own, that the way reads."""
    names = [getattr(config, key) for key in way_kind(config.way).models]
    tables = [getattr(config, key, "auto") for key in ("synonyms", "table")]
    return [*names, *(table for table in tables if table != "auto")]
