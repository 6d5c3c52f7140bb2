"""A config.json of several parts: `text_config` and `vision_config`, each with keys of any Hugging Face config.

Our settings of the text stand beside each other as those of a language model do; those of the pictures are one of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from wenlu.config import Config
from wenlu.models.weights.layout import HARMLESS

TEXT = "text_config"
VISION = "vision_config"
_OF_ANY = HARMLESS | {
    "_attn_implementation_autoset",
    "bad_words_ids",
    "begin_suppress_tokens",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "initializer_factor",
    "length_penalty",
    "max_length",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_scores",
    "prefix",
    "projection_dim",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict_in_generate",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tie_word_embeddings",
    "top_k",
    "top_p",
    "typical_p",
    "use_bfloat16",
}
"""Keys that transformers 4 wrote into every part. `projection_dim` of a part is not read: that of the whole is."""
_ONLY_AS: Mapping[str, tuple[object, ...]] = {
    "add_cross_attention": (False,),
    "dropout": (0, None),
    "is_decoder": (False,),
    "pruned_heads": ({}, None),
    "qk_layer_norms": (False,),
    "rope_interleaved": (False,),
    "use_resampler": (False,),
}
"""Keys that say nothing where they have one of these values; with another they are an error."""
_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


def with_meaning(part: Mapping[str, Any], schema: type[Config], harmless: Collection[str] = ()) -> dict[str, Any]:
    """The keys of one part but for those that say nothing of what a model computes."""
    known = schema.model_fields.keys() | {field.alias for field in schema.model_fields.values()}
    return {
        key: value
        for key, value in part.items()
        if key in known or not (key in _OF_ANY or key in harmless or (key in _ONLY_AS and value in _ONLY_AS[key]))
    }


def lifted(
    data: Mapping[str, Any], schema: type[Config], *, whole: Collection[str], harmless: Collection[str] = ()
) -> dict[str, Any]:
    """Settings with those of the text beside the others, as ours are; what has no `text_config` is so already.

    As in transformers, the whole says what is in `whole`, and the text which tokens are special.

    Args:
        schema: of the settings. harmless: keys of the text that say nothing in this family.

    Raises:
        ValueError: a part is none.
    """
    if TEXT not in data and f"{TEXT}_dict" not in data:
        return dict(data)
    text, vision = (_part(data, name) for name in (TEXT, VISION))
    told = {key: value for key, value in with_meaning(text, schema, harmless).items() if key not in whole}
    gone = (*_TOKENS, TEXT, f"{TEXT}_dict", f"{VISION}_dict")
    return {**told, **{key: value for key, value in data.items() if key not in gone}, VISION: vision}


def _part(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The settings under `name`; older CLIPs write some again under another name, which wins there."""
    part: dict[str, Any] = {}
    for key in (name, f"{name}_dict"):
        value = data.get(key)
        if value is not None and not isinstance(value, dict):
            raise ValueError(f"{key} is {type(value).__name__}, not an object of settings")
        part |= value or {}
    return part


def grouped(settings: Mapping[str, Any], *, whole: Collection[str], text_type: str, vision_type: str) -> dict[str, Any]:
    """The inverse of `lifted`; `text_type` and `vision_type` are the parts' `model_type`."""
    text = {key: value for key, value in settings.items() if key not in (*whole, VISION)}
    return {
        **{key: settings[key] for key in whole if key in settings},
        TEXT: {"model_type": text_type, **text},
        VISION: {"model_type": vision_type, **settings[VISION]},
    }
