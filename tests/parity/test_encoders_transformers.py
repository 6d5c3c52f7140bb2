"""BERT and its heirs answer as Hugging Face's do with the same weights, under every head, in both directions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.models.modernbert import modeling_modernbert

from wenlu.errors import WeightsError
from wenlu.models import family
from wenlu.models.bert import Bert
from wenlu.models.layers.encoder import Encoder
from wenlu.models.weights import load_model, save_model

VOCAB, PAD = 41, 1
LABELS = {"id2label": {0: "坏", 1: "good", 2: "so-so"}, "label2id": {"坏": 0, "good": 1, "so-so": 2}}

SIZES = {
    "bert": {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 3, "intermediate_size": 44},
    "roberta": {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 3, "intermediate_size": 44},
    "distilbert": {"dim": 32, "n_heads": 4, "n_layers": 3, "hidden_dim": 44},
    "modernbert": {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_hidden_layers": 4,
        "intermediate_size": 44,
        "local_attention": 8,
        "cls_token_id": 2,
        "sep_token_id": 3,
    },
}
LEARNED_POSITIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "odd heads": {"hidden_size": 35, "num_attention_heads": 5},
    "one head": {"hidden_size": 13, "num_attention_heads": 1, "num_hidden_layers": 1},
    "untied": {"tie_word_embeddings": False},
    "relu": {"hidden_act": "relu"},
    "tanh gelu": {"hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-3},
    "one type": {"type_vocab_size": 1},
    "five types": {"type_vocab_size": 5, "hidden_size": 33, "num_attention_heads": 3},
    "wide": {"intermediate_size": 130, "hidden_act": "silu", "tie_word_embeddings": False},
}
CASES: dict[str, dict[str, dict[str, Any]]] = {
    "bert": LEARNED_POSITIONS,
    "roberta": {**LEARNED_POSITIONS, "other padding": {"pad_token_id": 3}},
    "distilbert": {
        "plain": {},
        "odd heads": {"dim": 35, "n_heads": 5},
        "one head": {"dim": 13, "n_heads": 1, "n_layers": 1},
        "untied": {"tie_word_embeddings": False},
        "relu": {"activation": "relu"},
        "tanh gelu": {"activation": "gelu_pytorch_tanh"},
        "sinusoidal": {"sinusoidal_pos_embds": True},
        "wide": {"hidden_dim": 130, "activation": "silu", "tie_word_embeddings": False},
    },
    "modernbert": {
        "plain": {},
        "odd heads": {"hidden_size": 50, "num_attention_heads": 5},
        "one head": {"hidden_size": 14, "num_attention_heads": 1, "num_hidden_layers": 1},
        "untied": {"tie_word_embeddings": False},
        "biases": {"attention_bias": True, "mlp_bias": True, "norm_bias": True, "classifier_bias": True},
        "no decoder bias": {"decoder_bias": False},
        "mean": {"classifier_pooling": "mean", "classifier_activation": "silu"},
        "odd window": {"local_attention": 5, "layer_types": ["sliding_attention"] * 3 + ["full_attention"]},
        "other bases": {
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 97.0},
                "sliding_attention": {"rope_type": "linear", "rope_theta": 31.0, "factor": 2.0},
            },
            "hidden_activation": "silu",
            "norm_eps": 1e-3,
        },
    },
}
cases = pytest.mark.parametrize(
    ("name", "case"),
    [(name, case) for name, each in CASES.items() for case in each.values()],
    ids=[f"{name}, {case}" for name, each in CASES.items() for case in each],
)
heads = pytest.mark.parametrize(
    ("name", "head"), [(name, head) for name in CASES for head in family(name).heads], ids=lambda word: word
)
families = pytest.mark.parametrize("name", list(CASES))


@pytest.fixture(autouse=True)
def _quiet() -> None:
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def theirs(name: str, case: dict[str, Any], folder: Path, head: str = "masked-lm") -> transformers.PreTrainedModel:
    """A random model of transformers, saved to `folder`; its biases and norms are random too."""
    settings: dict[str, Any] = {"vocab_size": VOCAB, "max_position_embeddings": 50, "pad_token_id": PAD}
    settings |= {"initializer_range": 0.2, "bos_token_id": 2, "eos_token_id": 3, **SIZES[name], **case}
    settings |= LABELS if head in ("sequence-classification", "token-classification") else {}
    kind = getattr(transformers, family(name).heads[head])
    model = kind(kind.config_class(**settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_((0.3 if parameter.ndim == 1 else 0.1) * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model


def ours(folder: Path, dtype: torch.dtype | None = None) -> Encoder:
    _, model = load_model(folder, dtype=dtype)
    assert isinstance(model, Encoder)
    return model


def ids(rows: int = 2, length: int = 37) -> Tensor:
    """Without the padding token, by which RoBERTa of transformers counts its positions."""
    return torch.randint(4, VOCAB, (rows, length), generator=torch.Generator().manual_seed(1))


def answer(output: Any) -> Tensor:
    """What a call of transformers returns under any head, as ours would."""
    if "start_logits" in output:
        return torch.stack((output.start_logits, output.end_logits), dim=-1)
    return output[0]


def tensors(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def gap(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> Callable[[nn.Module], nn.Module]:
    """The oracle in fp64; ModernBERT's rotation, which casts to fp32, without the cast."""

    def rotated(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, **_: Any) -> tuple[Tensor, Tensor]:
        turn = modeling_modernbert.rotate_half
        return q * cos[:, None] + turn(q) * sin[:, None], k * cos[:, None] + turn(k) * sin[:, None]

    monkeypatch.setattr(modeling_modernbert, "apply_rotary_pos_emb", rotated)
    return lambda model: model.double()


@cases
def test_logits_differ_by_less_than_1e_4_in_fp32(name: str, case: dict[str, Any], tmp_path: Path) -> None:
    reference = theirs(name, case, tmp_path)
    with torch.no_grad():
        assert gap(ours(tmp_path)(ids()), reference(ids()).logits) < 1e-4


@cases
def test_logits_differ_by_less_than_1e_9_in_fp64(
    name: str, case: dict[str, Any], exact: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    reference = exact(theirs(name, case, tmp_path))
    model = ours(tmp_path, torch.float64)
    expected = reference(ids()).logits
    assert gap(model(ids()), expected) < 1e-9  # with gradients: our own attention
    with torch.no_grad():
        assert gap(model(ids()), expected) < 1e-9  # without: torch's


@cases
def test_every_layer_passes_on_the_same_hidden_states(
    name: str, case: dict[str, Any], exact: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    reference = exact(theirs(name, case, tmp_path))
    model = ours(tmp_path, torch.float64)
    seen: list[Tensor] = []
    first = model.get_submodule("layers.0")
    first.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    for layer in model.get_submodule("layers").children():
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    final = model.hidden(ids())
    expected = reference(ids(), output_hidden_states=True).hidden_states
    assert len(expected) == len(seen)
    for index, hidden in enumerate([*seen[:-1], final]):
        assert gap(hidden, expected[index]) < 1e-9, f"layer {index}"


@cases
def test_gradients_of_all_weights_are_equal(
    name: str, case: dict[str, Any], exact: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    """In the checkpoint's names, by the rules that save weights."""
    reference = exact(theirs(name, case, tmp_path))
    model = ours(tmp_path, torch.float64)
    reference(ids()).logits.cos().sum().backward()
    model(ids()).cos().sum().backward()
    expected = {key: each.grad for key, each in reference.named_parameters() if each.grad is not None}
    for parameter in model.parameters():
        assert parameter.grad is not None
        parameter.data = parameter.grad
    gradients = tmp_path / "gradients"
    gradients.mkdir()
    save_model(gradients, model, family(name))
    found = {key: each for key, each in tensors(gradients).items() if key in expected}
    assert all("decoder" in key for key in expected.keys() - found.keys())  # those tied are stored under another name
    for key, gradient in found.items():
        padding_rows = key.endswith(("word_embeddings.weight", "position_embeddings.weight", "tok_embeddings.weight"))
        rows = [row for row in range(len(gradient)) if not padding_rows or row not in (PAD, case.get("pad_token_id"))]
        torch.testing.assert_close(gradient[rows], expected[key][rows], rtol=1e-8, atol=1e-8)


@heads
def test_every_head_answers_alike(
    name: str, head: str, exact: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    reference = exact(theirs(name, {}, tmp_path, head))
    model = ours(tmp_path, torch.float64)
    assert model.config.head == head
    assert gap(model(ids()), answer(reference(ids()))) < 1e-9
    mask = torch.ones_like(ids())
    mask[1, 20:] = 0
    seen = mask.bool() if answer(reference(ids())).size(1) == mask.size(1) else torch.tensor([True, True])
    expected = answer(reference(ids(), attention_mask=mask))
    assert gap(model(ids(), attention_mask=mask)[seen], expected[seen]) < 1e-9


@heads
def test_transformers_loads_what_we_save(name: str, head: str, tmp_path: Path) -> None:
    for tied in (True, False):
        given, written = tmp_path / f"{tied} given", tmp_path / f"{tied} written"
        given.mkdir()
        written.mkdir()
        theirs(name, {"tie_word_embeddings": tied}, given, head)
        model = ours(given)
        save_model(written, model, family(name), shard_bytes=4000)
        kind = getattr(transformers, family(name).heads[head])
        reference, report = kind.from_pretrained(written, output_loading_info=True)
        assert not any(report.values()), report
        with torch.no_grad():
            assert gap(model(ids()), answer(reference(ids()))) < 1e-4
        again = tmp_path / f"{tied} again"
        reference.save_pretrained(again)
        assert ours(again).config == model.config
        before, after = tensors(given), tensors(again)
        # without a tie, transformers stores a second bias, which nothing reads
        unused = set() if tied else {"cls.predictions.bias", "lm_head.bias"}
        assert after.keys() == before.keys()
        assert all(torch.equal(after[key], before[key]) for key in before.keys() - unused)


@heads
def test_a_fresh_model_is_what_transformers_expects(name: str, head: str, tmp_path: Path) -> None:
    row = family(name)
    model = row.build(row.config(vocab_size=VOCAB, head=head, **SIZES[name])).eval()
    save_model(tmp_path, model, row)
    automatic = {
        "masked-lm": transformers.AutoModelForMaskedLM,
        "none": transformers.AutoModel,
        "pretraining": transformers.AutoModelForPreTraining,
        "sequence-classification": transformers.AutoModelForSequenceClassification,
        "token-classification": transformers.AutoModelForTokenClassification,
        "question-answering": transformers.AutoModelForQuestionAnswering,
    }[head]
    reference, report = automatic.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    assert type(reference).__name__ == row.heads[head]
    with torch.no_grad():
        assert gap(model(ids()), answer(reference(ids()))) < 1e-4


@families
def test_labels_are_read_and_written_as_transformers_does(name: str, tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    theirs(name, {}, tmp_path, "token-classification")
    model = ours(tmp_path)
    assert model.config.id2label == LABELS["id2label"]
    save_model(tmp_path / "ours", model, family(name))
    written = transformers.AutoConfig.from_pretrained(tmp_path / "ours")
    assert (written.id2label, written.label2id, written.num_labels) == (*LABELS.values(), 3)


@families
def test_a_padded_batch_answers_as_single_texts_do(
    name: str, exact: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    reference = exact(theirs(name, {}, tmp_path))
    model, lengths = ours(tmp_path, torch.float64), [5, 21, 37]
    batch, mask = torch.full((3, 37), PAD), torch.zeros(3, 37, dtype=torch.int64)
    for row, length in enumerate(lengths):
        batch[row, :length], mask[row, :length] = ids(3)[row, :length], 1
    together, theirs_together = model(batch, attention_mask=mask), reference(batch, attention_mask=mask).logits
    for row, length in enumerate(lengths):
        alone = reference(batch[row : row + 1, :length]).logits[0]
        assert gap(together[row, :length], alone) < 1e-9
        assert gap(together[row, :length], theirs_together[row, :length]) < 1e-9


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_token_types_tell_two_texts_apart(name: str, exact: Callable[[nn.Module], nn.Module], tmp_path: Path) -> None:
    reference = exact(theirs(name, {}, tmp_path))
    model = ours(tmp_path, torch.float64)
    types = (torch.arange(37) > 17).long().expand(2, 37)
    assert gap(model(ids(), token_types=types), reference(ids(), token_type_ids=types).logits) < 1e-9
    assert gap(model(ids(), token_types=types), model(ids())) > 1e-3


@pytest.mark.parametrize("head", ["none", "pretraining"])
def test_the_pooled_vector_and_the_next_sentence_are_theirs(
    head: str, exact: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    reference = exact(theirs("bert", {}, tmp_path, head))
    model = ours(tmp_path, torch.float64)
    hidden, expected = model.hidden(ids()), reference(ids())
    assert isinstance(model, Bert)
    if head == "none":
        assert gap(model.pooled(hidden), expected.pooler_output) < 1e-9
    else:
        assert gap(model.sentence_logits(hidden), expected.seq_relationship_logits) < 1e-9


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_bare_model_without_a_pooler_must_say_so(name: str, tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    kind = getattr(transformers, family(name).heads["none"])
    reference = kind(kind.config_class(vocab_size=VOCAB, pad_token_id=PAD, **SIZES[name]), add_pooling_layer=False)
    reference.eval().save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match='no weights of a pooler; if there is none, say "has_pooler": false'):
        load_model(tmp_path)
    edit_config(tmp_path, has_pooler=False)
    model = ours(tmp_path)
    with torch.no_grad():
        assert gap(model(ids()), reference(ids())[0]) < 1e-4
        assert torch.equal(model.pooled(model(ids())), model(ids())[:, 0])
    save_model(tmp_path / "ours", model, family(name))
    again, report = kind.from_pretrained(tmp_path / "ours", add_pooling_layer=False, output_loading_info=True)
    assert not any(report.values()), report
    assert ours(tmp_path / "ours").config == model.config
    assert again.pooler is None


def test_a_file_of_the_first_bert_is_read_with_its_old_names_and_other_heads(tmp_path: Path) -> None:
    """As published in 2018: gamma and beta, all heads of the pretraining in a file that names the masked one."""
    reference = theirs("bert", {}, tmp_path, "pretraining")
    older = {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for key, tensor in tensors(tmp_path).items()
    }
    save_file(older | {"bert.embeddings.position_ids": torch.arange(50)[None]}, tmp_path / "model.safetensors")
    edit_config(tmp_path, architectures=["BertForMaskedLM"])
    with torch.no_grad():
        assert gap(ours(tmp_path)(ids()), reference(ids()).prediction_logits) < 1e-4


def test_modernbert_configs_of_transformers_4_are_read_as_transformers_reads_them(tmp_path: Path) -> None:
    other = CASES["modernbert"]["other bases"]["rope_parameters"]["full_attention"]
    local = {"rope_type": "default", "rope_theta": 31.0}
    rope = {"full_attention": other, "sliding_attention": local}
    kinds = ["full_attention", "sliding_attention"] * 2
    reference = theirs("modernbert", {"rope_parameters": rope, "layer_types": kinds}, tmp_path)
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    del content["rope_parameters"], content["layer_types"]
    content |= {"global_rope_theta": 97.0, "local_rope_theta": 31.0, "global_attn_every_n_layers": 2}
    content |= {"position_embedding_type": "absolute", "reference_compile": None, "layer_norm_eps": 1e-5}
    path.write_text(json.dumps(content))
    with torch.no_grad():
        assert gap(ours(tmp_path)(ids()), reference(ids()).logits) < 1e-4
