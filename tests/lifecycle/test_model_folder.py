"""A saved model folder is whole: stock transformers reads its weights, its tokenizer and its defaults."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import tokenizers
import torch
import transformers

import wenlu
from wenlu.generation import SamplingConfig
from wenlu.lifecycle.model_folder import generation_of, write_bundle
from wenlu.models import FAMILIES, Ability, Family, family, family_of
from wenlu.tokenizers import KINDS, Kind, Tokenizer, TokenizerConfig, train_tokenizer
from wenlu.tokenizers.files import Roles, Settings
from wenlu.tokenizers.gguf.cuts import cut_named

TEXTS = [
    "The miller kept three cats: one for the mice, two for himself.",
    "今天天气很好，我们去公园。《红楼梦》",
    "emoji 🙂👩‍👩‍👧, naïve café",
    "def f(x):\n    return x[::-1]  # 反转\n",
    "",
]
TINY = Path("recipes/tiny.toml")
FAST = ["train.duration=12 steps", "train.allocator=as-is", "check=false", "train.threads=1", "train.dtype=float32"]
CAUSAL = [row for row in FAMILIES if Ability.CAUSAL in row.abilities and row.hf_types]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64}
SIZES |= {"intermediate_size": 24}


def trained(kind: str) -> Tokenizer:
    size: int | str = {"bpe": 300, "unigram": 380, "wordpiece": 130}.get(kind, "auto")
    return train_tokenizer(TokenizerConfig(kind=kind, vocab_size=size, min_frequency=1), TEXTS * 3)  # type: ignore[arg-type]


def bundle_of(row: Family, tokenizer: Tokenizer) -> wenlu.Bundle:
    fitting = {name: size for name, size in SIZES.items() if name in row.config.model_fields}
    fitting |= {"head_dim": 8} if row.name == "gemma3" else {}
    fitting |= {"pad_token_id": tokenizer.pad_id} if row.name == "phi3" else {}
    model = row.build(row.config(vocab_size=tokenizer.vocab_size, **fitting)).eval()
    return wenlu.Bundle(model=model, tokenizer=tokenizer, task=None, config=model.config, path=Path("x"))


@pytest.mark.parametrize("row", CAUSAL, ids=lambda row: row.name)
def test_every_causal_family_is_read_whole_by_transformers(row: Family, tmp_path: Path) -> None:
    bundle = bundle_of(row, trained("bpe"))
    assert family_of(bundle.model) is row
    write_bundle(tmp_path, bundle, name="tiny", run=None, language="en")
    sees = Ability.SEES in row.abilities
    theirs = (transformers.AutoModelForImageTextToText if sees else transformers.AutoModelForCausalLM).from_pretrained(
        tmp_path
    )
    replaced = "PreTrainedTokenizerFast.from_pretrained" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert replaced == (row.name == "qwen2")
    reader = transformers.PreTrainedTokenizerFast if replaced else transformers.AutoTokenizer
    tokens = reader.from_pretrained(tmp_path)
    for text in TEXTS:
        assert tokens.encode(text, add_special_tokens=False) == bundle.tokenizer.encode(text)
    ids = torch.tensor([bundle.tokenizer.encode(TEXTS[0])])
    with torch.no_grad():
        torch.testing.assert_close(bundle.model(ids), theirs(ids).logits, atol=1e-4, rtol=1e-4)
    assert theirs.generation_config.eos_token_id == bundle.tokenizer.eos_id
    assert theirs.generation_config.pad_token_id == bundle.tokenizer.pad_id
    assert theirs.config.architectures == [type(theirs).__name__]
    assert wenlu.load(tmp_path).end_ids == bundle.end_ids


def test_a_tokenizer_that_cuts_as_qwen2_needs_no_warning(tmp_path: Path) -> None:
    cut = cut_named("qwen2")
    assert cut is not None
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.normalizer, inner.pre_tokenizer = tokenizers.normalizers.NFC(), cut.build()
    inner.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False
    )
    inner.train_from_iterator(TEXTS, trainer)
    bundle = bundle_of(family("qwen2"), Tokenizer(inner, Roles(eos="<|endoftext|>")))
    write_bundle(tmp_path, bundle, name="tiny", run=None, language="en")
    assert "AutoTokenizer" not in (tmp_path / "README.md").read_text(encoding="utf-8")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert theirs.encode(text, add_special_tokens=False) == bundle.tokenizer.encode(text)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_tokenizer_gives_its_ids_in_transformers(kind: Kind, tmp_path: Path) -> None:
    bundle = bundle_of(family("llama"), trained(kind.name))
    write_bundle(tmp_path, bundle, name="tiny", run=None, language="zh")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["tokenizer_class"]
    for text in TEXTS:
        assert theirs.encode(text, add_special_tokens=False) == bundle.tokenizer.encode(text), text


def test_a_chat_template_and_the_end_ids_travel_with_the_folder(tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m.content }}<|pad|>{% endfor %}"
    plain = trained("bpe")
    tokenizer = Tokenizer(plain._inner, plain.roles, Settings(plain.settings.config, template))
    bundle = replace(bundle_of(family("llama"), tokenizer), generation={"eos_token_id": [3, 4], "temperature": 0.7})
    write_bundle(tmp_path, bundle, name="tiny", run=None, language="en")
    assert (tmp_path / "chat_template.jinja").read_text(encoding="utf-8") == template
    written = json.loads((tmp_path / "generation_config.json").read_text(encoding="utf-8"))
    assert written["eos_token_id"] == sorted({3, 4, tokenizer.eos_id})
    assert written["temperature"] == 0.7
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    messages = [{"role": "user", "content": "hi"}]
    assert theirs.apply_chat_template(messages, return_dict=False) == wenlu.load(
        tmp_path
    ).tokenizer.apply_chat_template(messages, add_generation_prompt=False)


def test_sampling_defaults_are_those_of_the_recipe() -> None:
    bundle = bundle_of(family("llama"), trained("bpe"))
    greedy = generation_of(bundle.model, bundle.tokenizer, SamplingConfig())
    assert greedy["do_sample"] is False
    assert "temperature" not in greedy
    drawn = generation_of(bundle.model, bundle.tokenizer, SamplingConfig(temperature=0.8, top_p=0.9, top_k=5))
    assert {name: drawn[name] for name in ("do_sample", "temperature", "top_p", "top_k")} == {
        "do_sample": True, "temperature": 0.8, "top_p": 0.9, "top_k": 5,
    }  # fmt: skip


def test_the_card_of_an_unknown_training_says_so(tmp_path: Path) -> None:
    bundle = bundle_of(family("llama"), trained("bpe"))
    write_bundle(tmp_path, bundle, name="tiny", run=None, language="en")
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    count = sum(weight.numel() for weight in bundle.model.parameters())
    assert card.startswith("---\nlicense: ")
    assert f"family llama with {count:,} parameters" in card
    assert card.count("Unknown: the model did not come with the record of its training.") == 2
    assert "| `hidden_size` | 16 |" in card
    assert "/" + "tmp" not in card


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("life") / "run"
    wenlu.run(TINY, out, FAST)
    return out


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_card_of_a_run_tells_its_data_training_and_scores(language: str, life: Path, tmp_path: Path) -> None:
    run = shutil.copytree(life, tmp_path / "run")
    wenlu.run(TINY, run, [*FAST, f"language={language}"])
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    bits = json.loads((run / "evaluation.json").read_text())["bits_per_byte"]
    assert f"bits_per_byte: {bits:.4g}" in card
    assert ("12 步" if language == "zh" else "12 steps") in card
    assert f'language: ["{language}"]' in card
    assert str(run) not in card
    assert str(life) not in card
    generation = json.loads((run / "model" / "generation_config.json").read_text())
    assert generation["max_new_tokens"] == 16
