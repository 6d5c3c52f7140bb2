"""Several models by name, within a budget, with adapters beside their base."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from pathlib import Path

import pytest
import torch
from tests.server.asking import TEMPLATE, Asked, byte_tokenizer, running, tiny_llama

import wenlu
from wenlu.errors import UsageError, WeightsError
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.text import stream_text
from wenlu.models import family
from wenlu.models.adapters import Form, attach, chosen, draw, write_adapter
from wenlu.models.weights import load_model, save_model
from wenlu.server.engine.loading import load_group
from wenlu.server.engine.residents import Residents
from wenlu.server.messages import (
    ChatPrompt,
    Describe,
    Description,
    Detokenize,
    Explain,
    Explained,
    Failed,
    Rules,
    TextPrompt,
    Tokenize,
    Tokens,
)
from wenlu.server.settings import EngineConfig

GREEDY = Rules(temperature=0)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Path]]:
    """Two models of one size."""
    folder = tmp_path_factory.mktemp("others")
    return [(name, tiny_llama(folder / name, byte_tokenizer(), seed=seed)) for seed, name in enumerate(("a", "b"))]


def loaded(asked: Asked) -> dict[str, bool]:
    return {model.name: model.loaded for model in asked.models}


def test_models_take_turns_in_a_budget_for_one_and_answer_as_they_do_alone(others: list[tuple[str, Path]]) -> None:
    nbytes = load_group([("a", str(others[0][1]))], EngineConfig(), 400_000).nbytes
    with running(others, EngineConfig(idle_minutes=1e-9), budget=nbytes * 3 // 2) as asked:
        assert loaded(asked) == {"a": True, "b": False}
        first = asked.residents.all[0].loaded
        assert first is not None
        assert first.engine is not None
        held = weakref.ref(first.engine.model)
        del first
        expected = {name: asked.text("xyz", model=name, rules=GREEDY, max_tokens=8) for name in ("a", "b")}
        gc.collect()
        assert held() is None, "who was dropped is still in memory"
        assert expected["a"] != expected["b"]
        assert loaded(asked) == {"a": False, "b": True}
        for name in "abba":
            assert asked.text("xyz", model=name, rules=GREEDY, max_tokens=8) == expected[name]


def test_a_model_that_is_used_keeps_its_place_and_the_other_is_busy(others: list[tuple[str, Path]]) -> None:
    nbytes = load_group([("a", str(others[0][1]))], EngineConfig(), 400_000).nbytes
    with running(others, EngineConfig(idle_minutes=10), budget=nbytes * 3 // 2) as asked:
        failure = asked.failed("x", model="b")
        assert failure.fault == "busy"
        assert "there is no memory for b beside the models that are in use; ask again in 6" in failure.message
        assert "engine.memory_gigabytes" in failure.message
        asked.text("x", model="a", max_tokens=2)


def test_models_are_loaded_when_they_are_asked_for_where_nothing_is_preloaded(others: list[tuple[str, Path]]) -> None:
    with running(others, EngineConfig(preload=False)) as asked:
        assert loaded(asked) == {"a": False, "b": False}
        ids = [asked.submit("x", model=name, max_tokens=2) for name in ("a", "b", "a")]
        asked.until(*ids)
        assert loaded(asked) == {"a": True, "b": True}


def test_a_model_that_fits_no_budget_is_refused_at_the_start(others: list[tuple[str, Path]]) -> None:
    message = r"a: its weights have [\d,]+ bytes, and engine.memory_gigabytes leaves 1,000"
    with pytest.raises(UsageError, match=message), running(others[:1], budget=1000):
        pass


def test_adapters_share_the_weights_of_their_base(tmp_path: Path) -> None:
    base = tiny_llama(tmp_path / "base", byte_tokenizer())
    paths = {}
    for seed, name in enumerate(("first", "second")):
        llama, model = load_model(base)
        torch.manual_seed(seed)
        attach(model, draw(model, chosen(model, "all-linear"), Form(4, 6.0)))
        for parameter_name, parameter in model.named_parameters():
            if "lora" in parameter_name or "adapter" in parameter_name:
                parameter.data.normal_(0, 0.3)
        paths[name] = tmp_path / name
        paths[name].mkdir()
        write_adapter(paths[name], model, llama, base=str(base))
    bundle = wenlu.load(base)
    with running([("first", paths["first"]), ("base", base), ("second", paths["second"])]) as asked:
        parents = {model.name: model.parent for model in asked.models}
        assert parents == {"base": None, "first": "base", "second": "base"}
        ids = {name: asked.submit("xyz", model=name, rules=GREEDY, max_tokens=8) for name in parents}
        asked.until(*ids.values())
        answers = {name: asked.text_of(id) for name, id in ids.items()}
    for name, path in paths.items():
        alone = "".join(stream_text(bundle.with_adapter(path), "xyz", SamplingConfig(max_new_tokens=8)))  # type: ignore[union-attr]
        assert answers[name] == alone.removesuffix("\ufffd")
    assert len(set(answers.values())) == 3


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/", "/a", "-a", "a" * 97, "名"])
def test_names_that_could_be_paths_or_options_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a model"):
        Residents([(name, "x")], EngineConfig(), 0, print)


def test_names_are_one_models(tiny: Path) -> None:
    with pytest.raises(UsageError, match="a: two models have this name"):
        Residents([("a", str(tiny)), ("a", str(tiny))], EngineConfig(), 0, print)


def test_a_chat_template_that_cannot_be_rendered_is_refused(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "broken", byte_tokenizer("{% for m in messages %}{{ nothing.at.all }}{% endfor %}"))
    with pytest.raises(WeightsError, match="chat template"), running([("broken", path)]):
        pass


def test_what_a_model_can_is_told(tmp_path: Path, asked: Asked) -> None:
    (tiny,) = asked.models
    assert tiny.abilities == ("chat", "complete", "explain")
    assert (tiny.context, tiny.task, tiny.tools, tiny.loaded) == (512, None, False, True)
    marks = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
    code = tiny_llama(tmp_path / "code", byte_tokenizer(None, marks))
    with running([("code", code)]) as other:
        assert other.models[0].abilities == ("complete", "fill-in-the-middle", "explain")
        id = other.submit(TextPrompt("ab", suffix="yz"), model="code", max_tokens=1, echo=True)
        other.until(id)
        written = [token.utf8.decode() for token in other.of(id)[0].prompt]  # type: ignore[union-attr]
    assert written[1:] == [marks[0], "a", "b", marks[1], "y", "z", marks[2]]


def test_models_that_read_a_source_and_recurrent_ones_write_too(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(None)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"decoder_start_token_id": 2, "eos_token_id": tokenizer.eos_id, "pad_token_id": tokenizer.pad_id}
    for name in ("bart", "lstm"):
        row = family(name)
        fitting = {key: value for key, value in (sizes | ends).items() if key in row.config.model_fields}
        (tmp_path / name).mkdir()
        save_model(tmp_path / name, row.build(row.config(vocab_size=tokenizer.vocab_size, **fitting)), row)
        tokenizer.save(tmp_path / name)
    with running([(name, tmp_path / name) for name in ("bart", "lstm")]) as asked:
        assert [model.abilities for model in asked.models] == [("complete",), ("complete", "explain")]
        fields = {"max_tokens": 6, "ignore_end": True}
        ids = [asked.submit("ab", model=model, seed=seed, **fields) for model in ("bart", "lstm") for seed in range(3)]
        asked.until(*ids)
        for place, id in enumerate(ids):
            model, seed = ("bart", "lstm")[place // 3], place % 3
            assert sum(delta.count for delta in asked.deltas(id)) == 6
            assert asked.text("ab", model=model, seed=seed, **fields) == asked.text_of(id)
        failure = asked.failed("ab", model="bart", echo=True, logprobs=1)
        assert failure.param == "echo"
        assert "reads its source and gives it no probability" in failure.message
        why = Explain(id=asked.id(), model="lstm", example={"text": "ab"}, settings={"method": "occlusion"})
        assert isinstance(asked.reply(why), Explained)


def test_tokens_come_and_go_and_are_described(asked: Asked) -> None:
    reply = asked.reply(Tokenize(id=asked.id(), model="tiny", prompt=TextPrompt("a天")))
    assert isinstance(reply, Tokens)
    assert len(reply.ids) == len(reply.strings) == 5  # with the beginning of a text
    bare = asked.reply(Tokenize(id=asked.id(), model="tiny", prompt=TextPrompt("a天"), framed=False))
    assert isinstance(bare, Tokens)
    assert bare.ids == reply.ids[1:]
    back = asked.reply(Detokenize(id=asked.id(), model="tiny", ids=bare.ids))
    assert isinstance(back, Tokens)
    assert back.text == "a天"
    chat = ChatPrompt(messages=({"role": "user", "content": "hi"},))
    turn = asked.reply(Tokenize(id=asked.id(), model="tiny", prompt=chat))
    assert isinstance(turn, Tokens)
    assert turn.text == "<|turn|>user:hi<|over|><|turn|>assistant:"
    described = asked.reply(Describe(id=asked.id(), model="tiny"))
    assert isinstance(described, Description)
    assert (described.vocab_size, described.context, described.chat_template) == (260, 512, TEMPLATE)
    assert described.specials["<|turn|>"] == turn.ids[0]
    wrong = asked.reply(Detokenize(id=asked.id(), model="tiny", ids=(260,)))
    assert "token 260 is none of this model's 260" in json.dumps(wrong.message)  # type: ignore[union-attr]


def test_a_model_that_breaks_fails_its_own_requests_alone_and_comes_again(tiny: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny, broken)
    with running([("tiny", tiny), ("broken", broken)]) as asked:
        expected = asked.text("ab", rules=GREEDY, max_tokens=40)
        beside = asked.submit("ab", rules=GREEDY, max_tokens=40)
        first = asked.submit("ab", model="broken", max_tokens=30, ignore_end=True)
        asked.until_started(first)
        (resident,) = (one for one in asked.residents.all if one.label == "broken")
        assert resident.loaded is not None
        resident.loaded.engine.step = lambda: 1 // 0  # type: ignore[method-assign, union-attr, assignment, return-value]
        asked.until(first, beside)
        failure = asked.of(first)[-1]
        assert isinstance(failure, Failed)
        assert failure.fault == "engine"
        assert "log" in failure.message
        assert asked.text_of(beside) == expected
        assert loaded(asked) == {"tiny": True, "broken": False}
        assert asked.text("ab", model="broken", rules=GREEDY, max_tokens=40) == expected
