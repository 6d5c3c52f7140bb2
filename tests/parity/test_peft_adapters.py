"""Adapters answer as peft's do with the same weights, in both directions."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

from wenlu.models import LanguageModel
from wenlu.models.adapters import Form, assemble, attach, chosen, draw, write_adapter
from wenlu.models.weights import load_model

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

VOCAB = 41
SIZES: dict[str, dict[str, Any]] = {
    "llama": {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 44},
    "gpt2": {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 64, "bos_token_id": 1, "eos_token_id": 1},
    "bert": {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 44},
    "phi3": {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 44},
}
SIZES["llama"]["num_hidden_layers"] = SIZES["phi3"]["num_hidden_layers"] = 2
SIZES["phi3"]["pad_token_id"] = 0
CLASSES = {"bert": transformers.AutoModelForMaskedLM}
KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
}
PATTERNS = {
    "llama": ("q_proj", "down_proj"),
    "gpt2": ("c_attn", "mlp.c_proj"),
    "bert": ("query", "intermediate.dense"),
    "phi3": ("qkv_proj", "gate_up_proj"),
}


def base(kind: str, folder: Path) -> Any:
    """A tiny model of theirs with random weights, saved."""
    config = transformers.AutoConfig.for_model(kind, vocab_size=VOCAB, initializer_range=0.2, **SIZES[kind])
    torch.manual_seed(5)
    model = CLASSES.get(kind, transformers.AutoModelForCausalLM).from_config(config).eval()
    model.save_pretrained(folder / "base")
    return model


def ids() -> Tensor:
    return torch.randint(3, VOCAB, (2, 9), generator=torch.Generator().manual_seed(2))


def shaken(model: nn.Module) -> None:
    """Give the adapters weights as if they were trained."""
    torch.manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
            elif "magnitude" in name:
                weight.mul_(torch.rand_like(weight) + 0.5)


@pytest.mark.parametrize("more", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("kind", SIZES)
def test_adapters_of_peft_answer_alike_here_and_go_back_unchanged(
    kind: str, more: dict[str, Any], tmp_path: Path
) -> None:
    plain = base(kind, tmp_path)
    first, second = PATTERNS[kind]
    config = peft.LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=[first, second],
        fan_in_fan_out=kind == "gpt2",
        rank_pattern={second: 3},
        alpha_pattern={first: 10},
        **more,
    )
    theirs = peft.get_peft_model(plain, config).eval()
    shaken(theirs)
    theirs.save_pretrained(tmp_path / "adapter")
    family, model = load_model(tmp_path / "base")
    ours = assemble(tmp_path / "adapter", family, model)
    with torch.no_grad():
        torch.testing.assert_close(ours(ids()), theirs(ids()).logits, rtol=1e-5, atol=1e-5)
    (tmp_path / "again").mkdir()
    write_adapter(tmp_path / "again", ours, family, base=str(tmp_path / "base"))
    before, after = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("adapter", "again"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("form", [Form(4, 6.0), Form(3, 6.0, is_stabilised=True), Form(4, 6.0, is_dora=True)], ids=str)
@pytest.mark.parametrize("kind", SIZES)
def test_adapters_of_ours_answer_alike_in_peft(kind: str, form: Form, tmp_path: Path) -> None:
    """Each of our maps has an A of its own, and one of those that theirs joins has none."""
    plain = base(kind, tmp_path)
    family, ours = load_model(tmp_path / "base")
    names = [name for name in chosen(ours, "all-linear") if not name.endswith("k_proj")]
    attach(ours, draw(ours, names, form))
    shaken(ours)
    (tmp_path / "adapter").mkdir()
    write_adapter(tmp_path / "adapter", ours, family, base=str(tmp_path / "base"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # peft warns of keys without a place
        warnings.filterwarnings("ignore", category=FutureWarning)
        theirs = peft.PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(ids()), theirs(ids()).logits, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours(ids()), again(tmp_path)(ids()), rtol=1e-5, atol=1e-5)


def again(folder: Path) -> LanguageModel:
    family, model = load_model(folder / "base")
    return assemble(folder / "adapter", family, model)


def test_a_classifier_that_peft_saved_whole_comes_with_its_adapter(tmp_path: Path) -> None:
    torch.manual_seed(5)
    transformers.BertModel(transformers.BertConfig(vocab_size=VOCAB, **SIZES["bert"])).save_pretrained(
        tmp_path / "base"
    )
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=3)
    config = peft.LoraConfig(r=4, target_modules="all-linear", task_type="SEQ_CLS", bias="lora_only")
    theirs = peft.get_peft_model(plain, config).eval()
    shaken(theirs)
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            if weight.requires_grad and "lora" not in name:
                weight.add_(torch.randn_like(weight) / 10)
    theirs.save_pretrained(tmp_path / "adapter")
    family, model = load_model(tmp_path / "base")
    ours = assemble(tmp_path / "adapter", family, model)
    with torch.no_grad():
        torch.testing.assert_close(ours(ids()), theirs(ids()).logits, rtol=1e-5, atol=1e-5)


def test_what_is_unknown_is_refused_by_name(tmp_path: Path) -> None:
    plain = base("llama", tmp_path)
    peft.get_peft_model(plain, peft.LoraConfig(r=4, target_modules=["q_proj"])).save_pretrained(tmp_path / "adapter")
    family, model = load_model(tmp_path / "base")
    path = tmp_path / "adapter" / "adapter_config.json"
    content = json.loads(path.read_text())
    for change, message in (
        ({"peft_type": "IA3"}, "peft_type is 'IA3'; Wenlu reads adapters of peft_type LORA"),
        ({"turbo": 3}, "unknown key 'turbo' = 3: it may change what the adapter computes"),
        ({"trainable_token_indices": [1]}, r"trainable_token_indices = \[1\] is nothing that Wenlu does"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights = 'pissa' changes the base's own weights"),
        ({"alpha_pattern": {"(a+)+": 3}}, "is a pattern; Wenlu reads names of modules there"),
        ({"base_model_name_or_path": "https://example.org/x"}, "is an address; name a folder or a hub id"),
        ({"lora_alpha": "big"}, "lora_alpha = 'big' is no such number"),
        (
            {"use_dora": True},
            "layers.0.self_attn.q_proj: has lora_A, lora_B, but its adapter consists of lora_A, lora_B and",
        ),
    ):
        path.write_text(json.dumps(content | change))
        with pytest.raises(Exception, match=message):
            assemble(tmp_path / "adapter", family, model)
