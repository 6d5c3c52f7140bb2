"""Folders of encoder–decoders as other versions of `transformers` and other tools wrote them, and those we refuse."""

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

from wenlu.errors import WeightsError
from wenlu.models import LanguageModel
from wenlu.models.weights import load_model

VOCAB = 41
T5 = {"d_model": 24, "d_kv": 6, "d_ff": 44, "num_layers": 2, "num_heads": 4}
BART = {
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 44,
    "decoder_ffn_dim": 40,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 3,
    "max_position_embeddings": 50,
    "init_std": 0.2,
}
MARIAN = {**BART, "activation_function": "swish", "pad_token_id": VOCAB - 1, "decoder_start_token_id": VOCAB - 1}
SIZES: dict[str, dict[str, Any]] = {"t5": T5, "mt5": T5, "bart": BART, "marian": MARIAN}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def theirs(kind: str, case: dict[str, Any], folder: Path) -> transformers.PreTrainedModel:
    """A random model of transformers, saved to `folder`; an untied head is its own."""
    torch.manual_seed(5)
    config = transformers.AutoConfig.for_model(kind, **{"vocab_size": VOCAB, **SIZES[kind], **case})
    model = transformers.AutoModelForSeq2SeqLM.from_config(config).eval()
    if case.get("tie_word_embeddings") is False:
        model.lm_head.weight = nn.Parameter(0.3 * torch.randn_like(model.lm_head.weight))
    model.save_pretrained(folder)
    return model


def ours(folder: Path) -> LanguageModel:
    return load_model(folder)[1]


def ids(rows: int = 2, length: int = 40) -> Tensor:
    return torch.randint(4, VOCAB - 1, (rows, length), generator=torch.Generator().manual_seed(1))


def edit_config(folder: Path, drop: tuple[str, ...] = (), **changes: Any) -> None:
    path = folder / "config.json"
    content = {key: value for key, value in json.loads(path.read_text()).items() if key not in drop}
    path.write_text(json.dumps(content | changes))


@pytest.mark.parametrize("tied", [True, False])
def test_a_t5_config_of_transformers_4_is_read_as_it_was(tied: bool, tmp_path: Path) -> None:
    case = {"feed_forward_proj": "relu" if tied else "gated-gelu", "tie_word_embeddings": tied}
    reference = theirs("t5", case, tmp_path)
    edit_config(
        tmp_path,
        ("scale_decoder_outputs", "dense_act_fn", "is_gated_act"),
        tie_word_embeddings=tied,
        n_positions=512,
        output_past=True,
        task_specific_params={"summarization": {"num_beams": 4, "prefix": "summarize: "}},
        torch_dtype="float32",
    )
    with torch.no_grad():
        expected = reference(input_ids=ids(), decoder_input_ids=ids()).logits
        assert (ours(tmp_path)(ids(), decoder_input_ids=ids()) - expected).abs().max() < 1e-4


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


@pytest.mark.parametrize("kind", ["t5", "mt5"])
def test_an_embedding_under_several_names_must_be_one(kind: str, tmp_path: Path) -> None:
    theirs(kind, {}, tmp_path)
    expected = ours(tmp_path)(ids(), decoder_input_ids=ids())
    names = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    rewrite(tmp_path, lambda each: each | {name: each["shared.weight"].clone() for name in names})
    assert torch.equal(ours(tmp_path)(ids(), decoder_input_ids=ids()), expected)
    rewrite(tmp_path, lambda each: {name: tensor for name, tensor in each.items() if name != "shared.weight"})
    assert torch.equal(ours(tmp_path)(ids(), decoder_input_ids=ids()), expected)
    rewrite(tmp_path, lambda each: each | {names[1]: each[names[1]] + 1})
    with pytest.raises(WeightsError, match=r"decoder.embed_tokens.weight differs from shared.weight"):
        ours(tmp_path)


@pytest.mark.parametrize("kind", ["t5", "bart", "marian"])
def test_a_tied_embedding_may_be_stored_as_the_head_alone(kind: str, tmp_path: Path) -> None:
    """As tools do that keep the first of several equal names."""
    theirs(kind, {}, tmp_path)
    expected = ours(tmp_path)(ids(), decoder_input_ids=ids())
    name = "shared.weight" if kind == "t5" else "model.shared.weight"
    rewrite(tmp_path, lambda each: {"lm_head.weight" if key == name else key: item for key, item in each.items()})
    model = ours(tmp_path)
    assert torch.equal(model(ids(), decoder_input_ids=ids()), expected)
    assert model.get_parameter("lm_head.weight") is model.get_parameter("embed_tokens.weight")


@pytest.mark.parametrize("kind", ["t5", "mt5"])
def test_a_head_that_the_file_leaves_out_begins_as_the_embedding(kind: str, tmp_path: Path) -> None:
    """As transformers 5 reads it; in ours they are two tensors from then on, unless the head is tied."""
    reference = theirs(kind, {}, tmp_path)
    if kind == "t5":
        edit_config(tmp_path, scale_decoder_outputs=False)
        reference = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    model = ours(tmp_path)
    with torch.no_grad():
        expected = reference(input_ids=ids(), decoder_input_ids=ids()).logits
        assert (model(ids(), decoder_input_ids=ids()) - expected).abs().max() < 1e-4
        model.get_parameter("lm_head.weight").zero_()
    assert model.get_parameter("embed_tokens.weight").any()


def test_a_bare_bart_without_prefix_head_and_bias_is_read(tmp_path: Path) -> None:
    reference = theirs("bart", {}, tmp_path)
    reference.final_logits_bias.zero_()
    left_out = ("final_logits_bias", "lm_head.weight")
    rewrite(
        tmp_path,
        lambda each: (
            {key.removeprefix("model."): item for key, item in each.items() if key not in left_out}
            | {"encoder.version": torch.tensor([3.0])}
        ),
    )
    edit_config(
        tmp_path,
        architectures=["BartModel"],
        num_hidden_layers=2,
        normalize_before=False,
        normalize_embedding=True,
        static_position_embeddings=False,
        extra_pos_embeddings=2,
        add_final_layer_norm=False,
        add_bias_logits=False,
        classif_dropout=0.1,
        num_beams=4,
        max_length=142,
        forced_bos_token_id=0,
    )
    with torch.no_grad():
        expected = reference(input_ids=ids(), decoder_input_ids=ids()).logits
        assert (ours(tmp_path)(ids(), decoder_input_ids=ids()) - expected).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalize_before": True}, "normalize_before=True is another architecture; here it is always False"),
        ({"num_hidden_layers": 3}, "num_hidden_layers=3, but encoder_layers=2: say one of them"),
        ({"encoder_attention_heads": 5}, "hidden_size 24 is not a multiple of num_attention_heads 5"),
        ({"activation_function": "tanh"}, "activation_function"),
        ({"encoder_norm": True}, "encoder_norm: unknown key"),
    ],
)
def test_a_bart_config_that_we_do_not_compute_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    theirs("bart", {}, tmp_path)
    edit_config(tmp_path, **changes)
    with pytest.raises(WeightsError, match=message):
        load_model(tmp_path)


@pytest.mark.parametrize("kind", ["bart", "marian"])
def test_untied_embeddings_of_source_and_target_must_still_be_one(kind: str, tmp_path: Path) -> None:
    """transformers 5 unties them with the head, and a fresh model of its has three different matrices."""
    theirs(kind, {"tie_word_embeddings": False}, tmp_path)
    with pytest.raises(WeightsError, match=r"model.encoder.embed_tokens.weight differs from model.shared.weight"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalize_embedding": True}, "normalize_embedding=True is another architecture; here it is always False"),
        ({"static_position_embeddings": False}, "static_position_embeddings=False is another architecture"),
        ({"decoder_vocab_size": 43}, "43 differs from vocab_size 41; set share_encoder_decoder_embeddings=false"),
        ({"rope_theta": 1e4}, "rope_theta: unknown key"),
    ],
)
def test_a_marian_config_that_we_do_not_compute_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    theirs("marian", {}, tmp_path)
    edit_config(tmp_path, **changes)
    with pytest.raises(WeightsError, match=message):
        load_model(tmp_path)


def test_a_bias_of_another_length_is_refused(tmp_path: Path) -> None:
    theirs("marian", {}, tmp_path)
    rewrite(tmp_path, lambda each: each | {"final_logits_bias": torch.zeros(1, 7)})
    with pytest.raises(WeightsError, match=r"final_logits_bias has shape \[1, 7\], but config.json asks for \[1, 41\]"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dense_act_fn": "gelu"}, "dense_act_fn='gelu', but feed_forward_proj='relu': say the latter alone"),
        ({"feed_forward_proj": "gated-tanh"}, "feed_forward_proj"),
        ({"relative_attention_num_buckets": 7}, "must be even, at least 4"),
        ({"relative_attention_max_distance": 16}, "half of it below relative_attention_max_distance 16"),
        ({"d_model": 24, "hidden_size": 32}, "hidden_size=32, but d_model=24: say one of them"),
        ({"use_bias": True}, "use_bias: unknown key"),
    ],
)
def test_a_t5_config_that_we_do_not_compute_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    theirs("t5", {}, tmp_path)
    edit_config(tmp_path, **changes)
    with pytest.raises(WeightsError, match=message):
        load_model(tmp_path)
