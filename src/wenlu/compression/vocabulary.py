"""A vocabulary of the tokens that texts use: tokenizer, embedding and head shrink together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration
from wenlu.compression.layerwise import needed
from wenlu.compression.method import Compressed, Kind, MethodConfig
from wenlu.config import check
from wenlu.errors import UsageError
from wenlu.models import Ability, family_of
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.models.low_rank import low_rank_layers
from wenlu.models.quantised import quantised_layers
from wenlu.models.weights.generation_config import ids_of
from wenlu.progress import QUIET, Progress
from wenlu.tasks import CausalLM, ReadingTask
from wenlu.tokenizers import Tokenizer
from wenlu.tokenizers.narrowing import kept_ids, names_of, narrowed, used_ids

_TABLES = ("embed_tokens.weight", "lm_head.weight", "lm_head.bias", "lm_head.decoder.weight", "lm_head.decoder.bias")
_LISTS = ("suppress_tokens", "begin_suppress_tokens")


class VocabularyConfig(MethodConfig):
    """Only tokens of the training texts stay, with special ones, bytes or characters, and what they are made of."""

    is_calibrated: ClassVar[bool] = True

    method: Literal["vocabulary"] = "vocabulary"

    @property
    def label(self) -> str:
        return self.method

    @property
    def kind(self) -> Kind:
        return "vocabulary"


def narrow_vocabulary(
    bundle: Bundle, config: VocabularyConfig, calibration: Calibration | None = None, progress: Progress = QUIET
) -> Compressed:
    """The bundle with fewer tokens; it reads all training texts, not only those that are drawn for calibration.

    Raises:
        UsageError: a model or a task whose numbers of tokens stand elsewhere too, or a model that is quantised.
        WeightsError: as `narrowed`.
    """
    _check(bundle, config)
    texts = needed(calibration, config.label)
    progress.start(config.label, unit="tokens")
    used = used_ids(bundle.tokenizer, texts.whole or texts.texts)
    named = [
        bundle.tokenizer.eos_id,
        bundle.config.eos_token_id,
        bundle.config.bos_token_id,
        bundle.config.pad_token_id,
    ]
    named += [value for key, value in bundle.generation.items() if key.endswith("_token_id")]
    there = names_of(bundle.tokenizer.document)
    used |= {id for value in named for id in ids_of(value) if id in there}
    kept = kept_ids(bundle.tokenizer, used)
    tokenizer = narrowed(bundle.tokenizer, kept)
    new = {old: place for place, old in enumerate(kept)}
    family, before = family_of(bundle.model), bundle.model.config
    settings = {**before.model_dump(), "vocab_size": len(kept)}
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        settings[key] = _renumbered(settings.get(key), new)
    smaller = check(family.config, settings, where=config.label)
    rows = torch.tensor(kept)
    tensors = {
        key: tensor[rows] if key in _TABLES and tensor.size(0) == before.vocab_size else tensor
        for key, tensor in bundle.model.state_dict().items()
    }
    model = family.build(smaller, dtype=next(bundle.model.parameters()).dtype)
    model.load_state_dict(tensors)
    progress.finish(f"{len(kept):,} of {len(there):,} tokens stay")
    generation = {key: _of_generation(key, value, new) for key, value in bundle.generation.items()}
    return Compressed(replace(bundle, model=model.eval(), config=smaller, tokenizer=tokenizer, generation=generation))


def old_ids(before: Tokenizer, after: Tokenizer) -> Tensor:
    """(V',) by number of a token in the narrowed vocabulary, that in the one before."""
    known = {name: id for id, name in names_of(before.document).items()}
    names = names_of(after.document)
    return torch.tensor([known[names[id]] for id in range(len(names))])


def _check(bundle: Bundle, config: VocabularyConfig) -> None:
    if quantised_layers(bundle.model) or low_rank_layers(bundle.model):
        raise UsageError(f"{bundle.path}: has other maps already; vocabulary goes first, as in vocabulary+rtn-int8")
    if isinstance(bundle.model, EncoderDecoder) or not isinstance(
        getattr(bundle.model, "embed_tokens", None), nn.Embedding
    ):
        raise UsageError(
            f"{bundle.path}: {type(bundle.model).__name__} has more than one table of tokens; {config.method} is for "
            "decoders and encoders"
        )
    if family_of(bundle.model).abilities & {Ability.SEES, Ability.MATCHES}:
        raise UsageError(
            f"{bundle.path}: {type(bundle.model).__name__} knows tokens by their numbers (a picture, the end of "
            "a text), so they stay as they are"
        )
    if bundle.task is not None and not isinstance(bundle.task, CausalLM | ReadingTask):
        raise UsageError(f"{bundle.path}: {bundle.task.name} counts on tokens of its own, so they stay as they are")


def _renumbered(value: Any, new: Mapping[int, int]) -> Any:
    if isinstance(value, list):
        return [new[id] for id in value if id in new] or None
    return None if value is None else new.get(value)


def _of_generation(key: str, value: Any, new: Mapping[int, int]) -> Any:
    if key.endswith("_token_id") or key in _LISTS:
        return _renumbered(value, new)
    if key == "bad_words_ids" and isinstance(value, list):
        return [[new[id] for id in word] for word in value if all(id in new for id in word)] or None
    return value
