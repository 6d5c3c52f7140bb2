"""What transformers makes of the same file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

Oracle = Callable[[Path], transformers.PreTrainedModel]


@pytest.fixture
def oracle() -> Oracle:
    """A causal model of transformers with the weights that transformers itself dequantises, in float32.

    `from_pretrained(…, gguf_file=…)` would ask for accelerate, so its steps are taken one by one.
    """
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()

    def load(path: Path) -> transformers.PreTrainedModel:
        config = transformers.AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
        with torch.device("meta"):
            outline = transformers.AutoModelForCausalLM.from_config(config)
        read = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=outline, torch_dtype=torch.float32)
        model = transformers.AutoModelForCausalLM.from_config(config)
        tensors = {key: torch.as_tensor(value) for key, value in read["tensors"].items()}
        found = model.load_state_dict(tensors, strict=False)
        tied = ["lm_head.weight"] if config.tie_word_embeddings else []
        assert (found.missing_keys, found.unexpected_keys) == (tied, [])
        model.tie_weights()
        return model.eval().float()

    return load
