"""The verb `evaluate` for word vectors: on the sets of `[word_tests]`, and on the text that their run held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wenlu.bundle import VectorsBundle, load_any
from wenlu.config import Config, check, override, read_toml
from wenlu.corpus.prepare import read_split
from wenlu.corpus.split import SPLITS
from wenlu.corpus.word_sentences import WordsConfig, sentences
from wenlu.evaluation import EvaluateConfig, Evaluation
from wenlu.evaluation.words import TextWords, WordTestsConfig, evaluate_words
from wenlu.models.vectors import MAX_SENTENCE_WORDS
from wenlu.progress import QUIET, Progress

_SECTIONS = ("evaluate", "word_tests", "words")


class WordEvaluateSettings(Config):
    """What `wenlu evaluate` takes for word vectors; a run's own settings come first."""

    evaluate: EvaluateConfig = EvaluateConfig()
    word_tests: WordTestsConfig = WordTestsConfig()
    words: WordsConfig = WordsConfig()


def evaluate_word_model(target: str, overrides: Sequence[str] = (), *, progress: Progress = QUIET) -> Evaluation:
    """Score the word vectors of a run, folder or text file; raises ConfigError, DataError, WeightsError."""
    path = Path(target)
    file = path / "config.toml"
    own: dict[str, Any] = read_toml(file) if file.is_file() else {}
    chosen = override({name: own[name] for name in _SECTIONS if name in own}, overrides)
    settings = check(WordEvaluateSettings, chosen, where=f"evaluate {target}")
    bundle = load_any(target)
    assert isinstance(bundle, VectorsBundle), f"{target} was told to hold word vectors"
    return evaluate_words(
        bundle.model,
        settings.word_tests,
        settings.evaluate,
        held_out=list(held_out_words(path, settings.words)),
        progress=progress,
    )


def held_out_words(run: Path, words: WordsConfig) -> Iterator[TextWords]:
    """The words of each held-out text of a run: of the test split, else of the validation split, else none."""
    split = next(
        (name for name in reversed(SPLITS) if name != "train" and (run / "data" / f"{name}.jsonl").exists()), None
    )
    if split is None:
        return
    for record in read_split(run / "data", split):
        found = [word for part in sentences(record.text, words, longest=MAX_SENTENCE_WORDS) for word in part]
        yield TextWords(record.id, record.meta.get("cluster") or record.id, found)
