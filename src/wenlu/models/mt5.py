"""mT5: T5 version 1.1 over a hundred languages, its head always a matrix of its own and never scaled.

Xue et al. 2021, arXiv:2010.11934.
"""

from __future__ import annotations

from wenlu.models.family import Ability, Family
from wenlu.models.layers.relative_encoder_decoder import FeedForward, RelativeConfig, RelativeEncoderDecoder
from wenlu.models.t5 import HARMLESS, IGNORED, PROPORTIONS, RULES
from wenlu.models.weights.rules import OwnCopy


class MT5Config(RelativeConfig):
    """Keys of Hugging Face's `MT5Config`; its `tie_word_embeddings` says nothing, as its files hold both matrices."""

    feed_forward_proj: FeedForward = "gated-gelu"
    decoder_start_token_id: int | None = 0


class MT5(RelativeEncoderDecoder):
    config: MT5Config


FAMILY = Family(
    name="mt5",
    hf_types=("mt5",),
    heads={"seq2seq-lm": "MT5ForConditionalGeneration"},
    reference="mt5",
    abilities=frozenset({Ability.ENCODER_DECODER}),
    config=MT5Config,
    model=MT5,
    proportions=PROPORTIONS,
    rules=(*RULES, OwnCopy("lm_head.weight", "embed_tokens.weight")),
    ignored=IGNORED,
    harmless=HARMLESS | {"tie_word_embeddings"},
)
