"""A whole model folder: weights, tokenizer, where answers end, how to sample, and the card."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from wenlu.bundle import Bundle, load
from wenlu.corpus.pictures.processing import holds_processing, read_processing, write_processing
from wenlu.generation import SamplingConfig
from wenlu.lifecycle.model_card import CARD, Subject, model_card
from wenlu.lifecycle.report.words import Language
from wenlu.models import Ability, Family, LanguageModel, family_of
from wenlu.models.adapters import (
    BaseFacts,
    adapter_names,
    base_named,
    merged_model,
    read_base,
    whole_in,
    write_adapter,
)
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.models.weights import save_config, save_model
from wenlu.models.weights.digest import weights_digest
from wenlu.models.weights.files import ASSEMBLED
from wenlu.models.weights.generation_config import ids_of, write_generation_config
from wenlu.rundir import atomic
from wenlu.tasks import CausalLM, Dialogue, GenerativeTask, PicturedTask, Preference, Reward, Task, WritingTask
from wenlu.tasks.corruption.seq2seq import Seq2SeqObjective
from wenlu.tokenizers import Tokenizer


def write_model_folder(
    folder: Path,
    model: LanguageModel,
    family: Family,
    tokenizer: Tokenizer,
    *,
    generation: Mapping[str, Any],
    card: str,
    base: BaseFacts | None = None,
    whole: Collection[str] = (),
) -> None:
    """Write all that Wenlu and, for a family with `hf_types`, stock `transformers` need into an existing folder.

    Args:
        base: beside which the model's adapter was trained; only the adapter is written then, for peft too.
        whole: names of the other weights that were trained with it.
    """
    if base is None:
        save_model(folder, model, family)
    else:
        write_adapter(folder, model, family, base=base.base, whole=whole)
        base.save(folder)
        save_config(folder, model, family, file=ASSEMBLED)
    tokenizer.save(folder)
    if family.abilities & {Ability.CAUSAL, Ability.ENCODER_DECODER}:
        write_generation_config(folder, generation)
    atomic.write_text(folder / CARD, card)


def generation_of(
    model: LanguageModel, tokenizer: Tokenizer, sampling: SamplingConfig, task: Task | None = None
) -> dict[str, Any]:
    """What generation_config.json says of a model that was trained here: its tokens, and the recipe's sampling."""
    config = model.config
    tokens: dict[str, Any] = {
        "bos_token_id": config.bos_token_id if tokenizer.bos_id is None else tokenizer.bos_id,
        "eos_token_id": config.eos_token_id if tokenizer.eos_id is None else tokenizer.eos_id,
        "pad_token_id": config.pad_token_id if tokenizer.pad_id is None else tokenizer.pad_id,
    }
    if isinstance(task, GenerativeTask | Preference) and task.end_id not in ids_of(tokens["eos_token_id"]):
        tokens["eos_token_id"] = [*ids_of(tokens["eos_token_id"]), task.end_id]
    if isinstance(model, EncoderDecoder):
        start = model.config.decoder_start_token_id
        tokens["decoder_start_token_id"] = config.bos_token_id if start is None else start
    draws = sampling.temperature > 0
    drawing = {
        "temperature": sampling.temperature,
        "top_k": sampling.top_k or 0,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p or None,
    }
    penalty, beams = sampling.repetition_penalty, sampling.num_beams
    return {
        **tokens,
        "do_sample": draws,
        **(drawing if draws else {}),
        **({"num_beams": beams, "length_penalty": sampling.length_penalty} if beams > 1 else {}),
        "repetition_penalty": penalty if penalty != 1 else None,
        "max_new_tokens": sampling.max_new_tokens,
    }


def write_bundle(folder: Path, bundle: Bundle, *, name: str, run: Path | None, language: Language) -> None:
    """Write a loaded model as a folder that loads alike; `run` is the directory that tells of its training.

    A model with an adapter becomes the adapter's folder again.
    """
    family, is_adapted = family_of(bundle.model), bool(adapter_names(bundle.model))
    base = base_of(bundle.path) if is_adapted else None
    card = model_card(subject_of(bundle, name), run, language)
    write_model_folder(
        folder,
        bundle.model,
        family,
        tokenizer_kept(bundle.tokenizer, bundle.task),
        generation=generation_kept(bundle),
        card=card,
        base=base,
        whole=whole_in(bundle.path, family, bundle.config) if is_adapted else (),
    )
    if bundle.task is not None and not isinstance(bundle.task, CausalLM):
        bundle.task.save(folder, bundle.model, family)
    keep_sight(folder, bundle.path, family, bundle.task)


def keep_sight(folder: Path, source: Path, family: Family, task: Task | None) -> None:
    """How a model that sees wants its pictures stays beside it, also where it was trained for words alone.

    Args:
        source: the folder that it came from.
    """
    looks = family.abilities & {Ability.SEES, Ability.MATCHES}
    if looks and not isinstance(task, PicturedTask) and holds_processing(source):
        write_processing(folder, read_processing(source))


def base_of(folder: Path) -> BaseFacts:
    """Of an adapter's folder; of one that peft wrote the digest is of the base as it is now."""
    facts = read_base(folder)
    if facts is not None:
        return facts
    named = base_named(folder)
    return BaseFacts(named, weights_digest(merged_model(load(named).model)))


def subject_of(bundle: Bundle, name: str) -> Subject:
    """What a card says of a loaded model."""
    base = base_named(bundle.path) if adapter_names(bundle.model) else None
    return Subject(name, bundle.model, family_of(bundle.model), bundle.tokenizer, base)


def tokenizer_kept(tokenizer: Tokenizer, task: Task | None) -> Tokenizer:
    """As it is saved beside a model: one that was trained here to read sources with an end says so to others too, and
    one for conversations has the chat template that they were written by."""
    if isinstance(task, Dialogue | Preference | Reward):
        return task.tokenizer
    reads_sources = isinstance(task, Seq2SeqObjective) or (isinstance(task, WritingTask) and task.has_encoder)
    return tokenizer.closing() if reads_sources else tokenizer


def generation_kept(bundle: Bundle) -> dict[str, Any]:
    """What generation_config.json says of a model that was loaded: as before, with every token that ends an answer."""
    ends = sorted(bundle.end_ids)
    return {
        **generation_of(bundle.model, bundle.tokenizer, SamplingConfig()),
        **bundle.generation,
        "eos_token_id": ends[0] if len(ends) == 1 else ends or None,
    }
