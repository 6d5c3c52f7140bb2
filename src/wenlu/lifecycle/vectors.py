"""The life of word vectors: data → words → vectors → evaluation and neighbours → report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from wenlu.bundle import VectorsBundle, load_any
from wenlu.corpus.prepare import read_split
from wenlu.corpus.source import SourceSpec
from wenlu.corpus.word_sentences import SentenceFile, sentences
from wenlu.errors import ConfigError, DataError
from wenlu.evaluation.words import evaluate_words
from wenlu.lifecycle.cache import stage_key
from wenlu.lifecycle.inputs import inputs_fingerprint
from wenlu.lifecycle.life import Life
from wenlu.lifecycle.stages import data_stage, report_stage
from wenlu.lifecycle.word_evaluation import held_out_words
from wenlu.models.vectors import MAX_SENTENCE_WORDS, WordVectors, ask, save_vectors, train_vectors
from wenlu.rundir import atomic

_SENTENCES = "train.txt"
_FOREIGN = ("task", "tokenizer", "model", "architectures", "optimizer", "schedule", "tracking", "verse")
_CODE = ("evaluation", "metrics", "tasks", "models/vectors", "corpus")


def vectors_life(life: Life) -> Life:
    """The whole life, as `wenlu run` takes it."""
    return report_stage(neighbours_stage(word_evaluation_stage(vectors_until_model(life))))


def vectors_until_model(life: Life) -> Life:
    """The life up to the vectors in `model/`; raises ConfigError for a section that has no part in it."""
    for name in _FOREIGN:
        if getattr(life.recipe, name) != type(life.recipe).model_fields[name].default:
            raise ConfigError(
                f"[{name}]: has no part in a recipe with [vectors], which trains no such thing; remove one"
            )
    return vectors_stage(words_stage(data_stage(life)))


def words_stage(life: Life) -> Life:
    """`data/` → `words/`: the training part as sentences of words, one a line."""
    key = stage_key([life.recipe.words], code=("corpus",), inputs=[life.key("data")])
    if not life.cache.is_done("words", key):
        with life.working("words", key):
            life.progress.start("segmentation", unit="texts")
            with atomic.atomic_folder(life.out / "words") as folder:
                count, words = SentenceFile(folder / _SENTENCES).write(_training_sentences(life))
            life.cache.choose("words", {"sentences": count, "words": words})
            life.progress.finish(f"{words:,} words in {count:,} sentences")
    return life.with_key("words", key)


def vectors_stage(life: Life) -> Life:
    """`words/` → `model/`."""
    recipe = life.recipe
    assert recipe.vectors is not None, "the stage runs only for recipes that ask for it"
    key = stage_key(
        [recipe.vectors, recipe.words], code=("models/vectors",), inputs=[life.key("words"), str(recipe.seed)]
    )
    if not life.cache.is_done("vectors", key):
        with life.working("vectors", key):
            life.run.forget_after(-1)
            begin = time.perf_counter()
            vectors = train_vectors(
                recipe.vectors,
                SentenceFile(life.out / "words" / _SENTENCES),
                min_count=recipe.words.min_count,
                seed=recipe.seed,
                progress=life.progress,
            )
            seconds = time.perf_counter() - begin
            settings = {**recipe.vectors.model_dump(mode="json"), **recipe.words.model_dump(mode="json")}
            with atomic.atomic_folder(life.out / "model") as folder:
                save_vectors(folder, vectors, training={**settings, "seed": recipe.seed})
            read = life.cache.facts("words")["words"] * recipe.vectors.epochs
            life.run.finish(step=recipe.vectors.epochs, tokens=read, seconds=seconds)
    return life.with_key("vectors", key)


def word_evaluation_stage(life: Life) -> Life:
    """`model/` → `evaluation.json`: the sets of `[word_tests]`, and how much of the held-out text is known."""
    recipe = life.recipe
    tests = recipe.word_tests
    named = [SourceSpec(path=name) for name in (*tests.similarity, *tests.analogies)]
    inputs = [life.key("vectors"), life.key("data"), inputs_fingerprint(named)]
    key = stage_key([recipe.evaluate, tests, recipe.words], code=_CODE, inputs=inputs)
    if not life.cache.is_done("evaluate", key):
        with life.working("evaluate", key):
            held_out = list(held_out_words(life.out, recipe.words))
            evaluation = evaluate_words(
                _vectors(life), tests, recipe.evaluate, held_out=held_out, progress=life.progress
            )
            evaluation.save(life.out)
    return life.with_key("evaluate", key)


def neighbours_stage(life: Life) -> Life:
    """`model/` → `samples.json`: the neighbours of `word_tests.neighbours_of`, by default of some frequent words."""
    tests = life.recipe.word_tests
    key = stage_key([tests], code=("models/vectors",), inputs=[life.key("vectors")])
    if not life.cache.is_done("samples", key):
        with life.working("samples", key):
            vectors = _vectors(life)
            samples = [
                {
                    "prompt": query,
                    "text": f" → {_neighbours(vectors, query, tests.neighbours)}",
                    "settings": {"neighbours": tests.neighbours},
                }
                for query in tests.neighbours_of or _some_words(vectors)
            ]
            atomic.write_text(life.out / "samples.json", json.dumps(samples, ensure_ascii=False, indent=2) + "\n")
    return life.with_key("samples", key)


def _training_sentences(life: Life) -> Iterator[list[str]]:
    for number, record in enumerate(read_split(life.out / "data", "train")):
        yield from sentences(record.text, life.recipe.words, longest=MAX_SENTENCE_WORDS)
        if number % 1000 == 0:
            life.progress.update(number)


def _vectors(life: Life) -> WordVectors:
    bundle = load_any(life.out / "model")
    assert isinstance(bundle, VectorsBundle), "the stage before wrote word vectors"
    return bundle.model


def _neighbours(vectors: WordVectors, query: str, count: int) -> str:
    try:
        return ", ".join(f"{found.word} {found.score:.2f}" for found in ask(vectors, query, count=count))
    except DataError as error:
        return str(error)


def _some_words(vectors: WordVectors, count: int = 5) -> list[str]:
    """Words that are frequent, but not the most frequent, which are like everything."""
    return list(vectors.words[100 : 100 + count] or vectors.words[:count])
