"""Training that starts from word vectors: where they are, and how many tokens they know."""

from __future__ import annotations

from wenlu.bundle import VectorsBundle, load_any
from wenlu.corpus.source import SourceSpec
from wenlu.errors import ConfigError
from wenlu.lifecycle.inputs import inputs_fingerprint
from wenlu.lifecycle.life import Life
from wenlu.models import LanguageModel
from wenlu.tokenizers import Tokenizer
from wenlu.training import TrainConfig, check_vectors_start, start_from_vectors


def begin_with_vectors(life: Life, model: LanguageModel, tokenizer: Tokenizer) -> None:
    """Give the model's embedding the vectors of `train.vectors`, and say how many tokens got one.

    Raises:
        ConfigError: the path holds something else.
        UsageError: another number of dimensions. DataError: no token is a word.
    """
    name = life.recipe.train.vectors
    assert name is not None, "the settings demand a path"
    bundle = load_any(name)
    if not isinstance(bundle, VectorsBundle):
        raise ConfigError(
            f"train.vectors={name!r}: a language model; give word vectors, as recipes/word2vec.toml makes"
        )
    check_vectors_start(model, bundle.model, name=name)
    life.progress.start("vectors", tokenizer.vocab_size, "tokens")
    count = start_from_vectors(model, tokenizer, bundle.model, name=name)
    life.run.log("tokens_with_vectors", count, "tokens", step=0, tokens=0, seconds=0)
    life.progress.finish(f"{count:,} of {tokenizer.vocab_size:,} tokens are words of {name}")


def vectors_fingerprint(train: TrainConfig) -> list[str]:
    """What the key of the training stage says of the vectors that it starts from."""
    return [] if train.vectors is None else [inputs_fingerprint([SourceSpec(path=train.vectors)])]
