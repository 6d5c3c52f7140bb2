"""The tiny Llama of these tests as a model of `transformers`."""

from __future__ import annotations

from transformers import LlamaConfig, LlamaForCausalLM

from wenlu.models import LanguageModel

END = 2


def to_transformers(model: LanguageModel) -> LlamaForCausalLM:
    config = model.config
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            num_key_value_heads=config.num_key_value_heads,
            max_position_embeddings=config.max_position_embeddings,
            rms_norm_eps=config.rms_norm_eps,
            bos_token_id=1,
            eos_token_id=END,
            pad_token_id=0,
        )
    )
    weights = model.state_dict()
    theirs.load_state_dict({k if k == "lm_head.weight" else f"model.{k}": v for k, v in weights.items()})
    return theirs.to(next(model.parameters()).dtype).eval()
