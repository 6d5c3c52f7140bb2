"""Answers of a given form: by schema, expression, grammar, or out of a list."""

from __future__ import annotations

import json
import os
import random
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from tests.generation.schemas import allows, some_schema

from wenlu.bundle import Bundle
from wenlu.config import check
from wenlu.errors import ConfigError, MissingExtra, UsageError
from wenlu.generation.asking import ask
from wenlu.generation.engine import Emission, Engine, Request
from wenlu.generation.guides import Guide, compile_guide, vocabulary
from wenlu.generation.guides.compiled import _within
from wenlu.generation.predict import PredictConfig, predict_rows
from wenlu.generation.rows import Row
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.text import Requests, complete, stream
from wenlu.models import LanguageModel
from wenlu.tasks.causal_lm import CausalLM
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer
from wenlu.tokenizers.config import KindName

SCHEMAS = 300 if os.environ.get("WENLU_PROOF") == "1" else 40
REGEXES = (
    r"[a-c]{2,5}",
    r"(天|🙂|the cat)+!",
    r"[0-9]{1,3}(\.[0-9]{2})?",
    r"(?i)yes|no",
    r"[^\x00-\x7f]{1,2}",
    r"(ab|a)(c|bcd)?",
    r"[\p{Han}]{2}[，。]",
    r"x?y*z{2}",
)
"""Of which Python's `re` knows all but `\\p{Han}`."""


def settings(**form: object) -> SamplingConfig:
    return check(SamplingConfig, {"max_new_tokens": 120, "temperature": 1.0, **form}, where="generate")


def emitted(engine: Engine, requests: Sequence[Request]) -> list[list[Emission]]:
    found: dict[int, list[Emission]] = {engine.submit(request): [] for request in requests}
    while engine.busy:
        for emission in engine.step():
            found[emission.id].append(emission)
    return list(found.values())


def walk(guide: Guide, end: int, chance: random.Random, most: int = 60) -> list[int]:
    """An answer whose tokens are drawn evenly from what the guide allows, without its end token; it may have no end."""
    answer: list[int] = []
    while not guide.is_full(answer) and len(answer) < most:
        allowed = guide.mask(answer).nonzero()[:, 0].tolist()
        if not allowed:  # a vocabulary of characters cannot spell what it has not met
            break
        token = chance.choice(allowed)
        assert (token == end) <= guide.is_complete(answer)
        if token == end:
            break
        answer.append(token)
    return answer


@pytest.fixture(scope="module", params=["bpe", "unigram", "char"])
def any_tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    """Of bytes, of pieces with a space before words and bytes for what they lack, of characters."""
    kind: KindName = request.param
    config = TokenizerConfig.model_validate(
        {"kind": kind, "vocab_size": {"bpe": 400, "unigram": 500}.get(kind, "auto"), "min_frequency": 1}
    )
    return train_tokenizer(
        config, [Path(__file__).read_text(encoding="utf-8"), "the cat 今天天气很好，去公园。🙂 yes NO"] * 2
    )


def text_behind(tokenizer: Tokenizer, prompt: list[int], answer: list[int]) -> str:
    return tokenizer.decode([*prompt, *answer])[len(tokenizer.decode(prompt)) :]


def test_finished_answers_of_a_random_model_are_valid_json_of_their_schema(bundle: Bundle) -> None:
    chance = random.Random(5)
    finished = 0
    for number in range(SCHEMAS):
        schema = some_schema(chance)
        sampling = settings(json_schema=schema, seed=number, max_new_tokens=90)
        choice = complete(bundle, ["The cat"], sampling)[0].choices[0]
        if choice.finish == "stop":
            finished += 1
            assert allows(schema, json.loads(choice.text)), (schema, choice.text)
    assert finished > 0.9 * SCHEMAS


def test_any_walk_through_a_schema_is_valid_whatever_the_tokenizer(any_tokenizer: Tokenizer) -> None:
    chance = random.Random(2)
    end = any_tokenizer.eos_id
    assert end is not None
    schema = {
        "type": "object",
        "properties": {"城市": {"enum": ["天", "🙂", None]}, "n": {"type": "array", "items": {"type": "boolean"}}},
        "required": ["城市"],
        "additionalProperties": False,
    }
    compiled = compile_guide(settings(json_schema=schema), any_tokenizer, frozenset({end}))
    assert compiled is not None
    for prompt in ([], any_tokenizer.encode("the cat")):
        for _ in range(6):
            guide = compiled.guide(not prompt)
            answer = walk(guide, end, chance)
            if guide.is_complete(answer):
                assert allows(schema, json.loads(text_behind(any_tokenizer, prompt, answer)))


@pytest.mark.parametrize("regex", REGEXES)
def test_any_walk_through_an_expression_matches_it(any_tokenizer: Tokenizer, regex: str) -> None:
    chance = random.Random(3)
    end = any_tokenizer.eos_id
    assert end is not None
    compiled = compile_guide(settings(regex=regex), any_tokenizer, frozenset({end}))
    assert compiled is not None
    pattern = re.compile(regex.replace(r"\p{Han}", "\u2e80-\U0003ffff"))
    for prompt in ([], any_tokenizer.encode("the cat")):
        for _ in range(5):
            guide = compiled.guide(not prompt)
            answer = walk(guide, end, chance)
            if guide.is_complete(answer):
                assert pattern.fullmatch(text_behind(any_tokenizer, prompt, answer))


def test_choices_are_given_exactly_and_all_of_them(any_tokenizer: Tokenizer) -> None:
    choices = ["天", "天天", "the cat", "the", "yes"]
    end = any_tokenizer.eos_id
    assert end is not None
    compiled = compile_guide(settings(choices=choices), any_tokenizer, frozenset({end}))
    assert compiled is not None
    for prompt in ([], any_tokenizer.encode("the cat")):
        chance = random.Random(4)
        walks = [walk(compiled.guide(not prompt), end, chance) for _ in range(60)]
        assert {text_behind(any_tokenizer, prompt, answer) for answer in walks} == set(choices)


def test_a_choice_has_the_probability_that_the_model_gives_it_among_the_choices(
    make_llama: Callable[..., LanguageModel], byte_tokenizer: Tokenizer
) -> None:
    model = make_llama(vocab_size=byte_tokenizer.vocab_size)
    bundle = Bundle(model=model, tokenizer=byte_tokenizer, task=CausalLM(), config=model.config, path=Path("bytes"))
    sampling = settings(choices=["a", "b"], n=400, max_batch=400, max_new_tokens=1)
    drawn = [choice.text for choice in complete(bundle, ["x"], sampling)[0].choices]
    prompt = [*byte_tokenizer.opening, *byte_tokenizer.encode("x")]
    logits = model(torch.tensor([prompt])).detach()[0, -1, byte_tokenizer.encode("ab")]
    share = float(logits.softmax(dim=-1)[0])
    assert abs(drawn.count("a") / 400 - share) < 4 * (share * (1 - share) / 400) ** 0.5


def test_a_grammar_says_what_may_be_written(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "sum.lark"
    path.write_text('start: NUMBER ("+" NUMBER)* "="\nNUMBER: /[1-9][0-9]?/\n')
    sampling = settings(grammar=str(path), n=4)
    for choice in complete(bundle, ["The"], sampling)[0].choices:
        if choice.finish == "stop":
            assert re.fullmatch(r"[1-9][0-9]?(\+[1-9][0-9]?)*=", choice.text)


def test_a_guide_follows_whatever_answer_it_is_asked_about(tokenizer: Tokenizer) -> None:
    assert tokenizer.eos_id is not None
    compiled = compile_guide(settings(regex="(ab|cd){3}e?"), tokenizer, frozenset({tokenizer.eos_id}))
    assert compiled is not None
    guide = compiled.guide(False)
    answers = [tokenizer.encode(text) for text in ("ab", "abcdab", "", "cdc", "abcd", "abcdabe", "abcdab")]
    for answer in answers:
        fresh = compiled.guide(False)
        assert torch.equal(guide.mask(answer), fresh.mask(answer))
        assert (guide.is_complete(answer), guide.is_full(answer)) == (fresh.is_complete(answer), fresh.is_full(answer))
    assert [guide.is_complete(answer) for answer in answers] == [False, True, False, False, False, True, True]
    assert [guide.is_full(answer) for answer in answers] == [False, False, False, False, False, True, False]


def test_an_answer_of_a_form_is_the_same_beside_others_and_streamed(bundle: Bundle) -> None:
    sampling = settings(json_schema={"type": "array", "items": {"enum": ["天", 1, None]}, "maxItems": 5}, seed=9)
    prompts = ["The", "a b c", "天天天天天天"]
    together = [completion.text for completion in complete(bundle, prompts, sampling)]
    assert together == [complete(bundle, [prompt], sampling)[0].text for prompt in prompts]
    assert together == ["".join(piece.text for piece in stream(bundle, prompt, sampling)) for prompt in prompts]


def test_an_answer_ends_where_nothing_may_follow(bundle: Bundle) -> None:
    choice = complete(bundle, ["The"], settings(regex="abc"))[0].choices[0]
    assert (choice.text, choice.finish) == ("abc", "stop")
    assert bundle.tokenizer.eos_id not in choice.ids


def test_what_the_form_asks_goes_before_what_the_checkpoint_forbids(bundle: Bundle) -> None:
    forbidden = [*range(bundle.tokenizer.vocab_size)]
    mute = Bundle(**{**vars(bundle), "generation": {"suppress_tokens": forbidden}})
    assert complete(mute, ["The"], settings(choices=["yes"]))[0].text == "yes"


def test_special_tokens_are_never_part_of_an_answer(tokenizer: Tokenizer) -> None:
    special = tokenizer.with_special(["<tool>"])
    end = special.eos_id
    assert end is not None
    compiled = compile_guide(settings(regex="[<>a-z|]+"), special, frozenset({end}))
    assert compiled is not None
    guide = compiled.guide(False)
    others = [token for token in special.special_tokens.values() if token != end]
    assert others
    assert not guide.mask([])[[*others, end]].any()
    assert guide.mask(special.encode("a"))[end]


@pytest.mark.parametrize(
    "form",
    [
        {"regex": "the cat sat"},
        {"grammar": 'start: "the cat" " sat"'},
        {"json_schema": {"const": "the cat sat"}},
    ],
    ids=lambda form: str(next(iter(form))),
)
def test_what_must_come_may_be_written_in_any_tokens_that_spell_it(
    tokenizer: Tokenizer, form: dict[str, object]
) -> None:
    assert tokenizer.eos_id is not None
    guide = compile_guide(settings(**form), tokenizer, frozenset({tokenizer.eos_id})).guide(False)  # type: ignore[union-attr]
    text = json.dumps("the cat sat") if "json_schema" in form else "the cat sat"
    for answer in (tokenizer.encode(text), [tokenizer.encode(character)[0] for character in text]):
        assert len(answer) < len(text) or answer[0] == tokenizer.encode(text[0])[0]
        for place, token in enumerate(answer):
            assert guide.mask(answer[:place])[token]
        assert guide.is_complete(answer)


def test_tokens_of_one_spelling_are_allowed_together() -> None:
    words = vocabulary.vocabulary_of([b"A", b"A", b"", b"B"])
    library = vocabulary.llguidance()
    matcher = library.LLMatcher(words.tokenizer, library.LLMatcher.grammar_from_regex("A"))
    assert words.mask(matcher.compute_bitmask()).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"json_schema": {"type": "array", "uniqueItems": True}}, r"json_schema: Unimplemented keys: \[.uniqueItems"),
        ({"json_schema": {"type": "thing"}}, "json_schema: Invalid type: thing"),
        ({"json_schema": {"$ref": "http://example.org/x"}}, "json_schema: Resource .* does not fetch"),
        ({"regex": "(a"}, "regex: .* unclosed group"),
        ({"regex": "a(?=b)"}, "regex: .* look-around"),
        ({"grammar": "start: other"}, "grammar: .*unknown name"),
        ({"choices": ["天", "\x00ß"]}, "choices: no tokens of this tokenizer spell .*; write it otherwise"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_said(form: dict[str, object], message: str) -> None:
    characters = train_tokenizer(TokenizerConfig(kind="char", vocab_size="auto", min_frequency=1), ['abc天 {}[]"'])
    assert characters.eos_id is not None
    with pytest.raises(UsageError, match=message):
        compile_guide(settings(**form), characters, frozenset({characters.eos_id})).guide(True)  # type: ignore[union-attr]


def test_a_form_that_no_token_can_go_on_with_is_said(make_llama: Callable[..., LanguageModel]) -> None:
    letters = train_tokenizer(TokenizerConfig(kind="char", vocab_size="auto", min_frequency=1), ["abc"])
    model = make_llama(vocab_size=letters.vocab_size)
    bundle = Bundle(model=model, tokenizer=letters, task=CausalLM(), config=model.config, path=Path("abc"))
    with pytest.raises(UsageError, match="goes on with what no token of this tokenizer can spell"):
        complete(bundle, ["a"], settings(regex="abcd"))


def test_a_form_that_cannot_be_gone_on_with_ends_its_own_answer_alone(make_llama: Callable[..., LanguageModel]) -> None:
    letters = train_tokenizer(TokenizerConfig(kind="char", vocab_size="auto", min_frequency=1), ["abc"])
    model = make_llama(vocab_size=letters.vocab_size)
    bundle = Bundle(model=model, tokenizer=letters, task=CausalLM(), config=model.config, path=Path("abc"))
    broken, plain = (Requests(bundle, settings(**form)).make([2, 3], 0) for form in ({"regex": "abcd"}, {}))
    (expected,) = emitted(Engine(model), [plain])
    failed, found = emitted(Engine(model), [broken, plain])
    assert [each.token for each in found] == [each.token for each in expected]
    assert [each.finish for each in failed] == [None, None, None, "error"]
    assert "what no token of this tokenizer can spell" in str(failed[-1].error)
    (line,) = predict_rows(bundle, [Row("1", "a")], check(PredictConfig, {"regex": "abcd"}, where="predict"))
    assert "what no token of this tokenizer can spell" in line["error"]
    assert "prediction" not in line


def test_a_tokenizer_without_an_end_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="regex: the tokenizer has no token that ends a text"):
        compile_guide(settings(regex="a"), tokenizer, frozenset())


def test_a_reading_that_takes_too_long_is_given_up() -> None:
    done = threading.Event()
    with pytest.raises(UsageError, match=r"regex: was not read within 0.05 s; make it simpler"):
        _within(0.05, done.wait, "regex")  # type: ignore[arg-type]
    done.set()


def test_an_answer_that_takes_too_much_work_is_given_up(tokenizer: Tokenizer) -> None:
    assert tokenizer.eos_id is not None
    compiled = compile_guide(settings(regex="((x|xy|yx){1,40}){40}z"), tokenizer, frozenset({tokenizer.eos_id}))
    assert compiled is not None
    with pytest.raises(UsageError, match=r"^regex: lexer error: too many expressions constructed; make it simpler$"):
        compiled.guide(False).mask(tokenizer.encode("x" * 100))


def test_llguidance_is_named_where_it_is_missing(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "llguidance", None)
    assert tokenizer.eos_id is not None
    with pytest.raises(
        MissingExtra, match=r"llguidance is needed to write answers by a grammar; .*wenlu\[structured\]"
    ):
        compile_guide(settings(regex="a"), tokenizer, frozenset({tokenizer.eos_id}))
    assert compile_guide(settings(choices=["a"]), tokenizer, frozenset({tokenizer.eos_id})) is not None


def deep(levels: int) -> dict[str, object]:
    return {"items": deep(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"json_schema": "missing.json"},
            "json_schema: 'missing.json': no such file or directory; give a FILE, or the",
        ),
        ({"json_schema": "{"}, "json_schema: it is not valid JSON"),
        ({"json_schema": False}, "json_schema: false allows nothing at all"),
        ({"json_schema": 7}, "json_schema: a JSON Schema, or a FILE of one, is expected, not 7"),
        ({"json_schema": deep(40)}, "json_schema: the schema is more than 32 levels deep"),
        ({"json_schema": {"enum": list(range(6000))}}, "json_schema: the schema has more than 5,000 values"),
        ({"json_schema": {"const": "x" * 70000}}, "json_schema: the schema has 70,0.. bytes; at most 65,536"),
        ({"grammar": "rules.lark"}, "grammar: 'rules.lark': no such file or directory; give a FILE, or the grammar"),
        ({"grammar": "start: /" + "x" * 70000 + "/"}, "grammar: the grammar has 70,0.. bytes"),
        ({"regex": "x" * 5000}, "regex: .*at most 4096"),
        ({"choices": [""]}, "choices: an empty text cannot be chosen"),
        ({"choices": "a", "regex": "b"}, "regex and choices both say what the answer looks like; keep one"),
        ({"regex": "b", "ignore_end": True}, "ignore_end goes on where regex ends the answer; remove one"),
        ({"regex": "b", "num_beams": 2}, "regex is for answers that are drawn or greedy; set num_beams=1"),
    ],
    ids=lambda given: str(given)[:50],
)
def test_forms_that_cannot_be_meant_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(SamplingConfig, given, where="generate")


def test_a_file_of_a_schema_is_kept_as_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text('{"type": "string",\n "pattern": "天"}', encoding="utf-8")
    (tmp_path / "words.json").write_text("[1]")
    expected = '{"type": "string", "pattern": "天"}'
    for given in (str(path), expected, json.loads(expected)):
        assert check(SamplingConfig, {"json_schema": given}, where="generate").json_schema == expected
    with pytest.raises(ConfigError, match="a schema is an object of JSON, not"):
        check(SamplingConfig, {"json_schema": str(tmp_path / "words.json")}, where="generate")


def test_overrides_of_predict_and_ask_say_the_form(bundle: Bundle) -> None:
    for override, pattern in (
        ("choices=yes", r"yes"),
        ('choices=["yes", "no"]', r"yes|no"),
        ("regex=[a-c]{2}", r"[a-c]{2}"),
        ('json_schema={enum = ["天", 1]}', r'"天"|1'),
        ('json_schema={"enum": ["天", 1]}', r'"天"|1'),
        ('grammar=start: "a" | "bc"', r"a|bc"),
    ):
        line = ask(bundle, ["The"], [override, "temperature=1.0"])[0]
        assert re.fullmatch(pattern, line["prediction"])
        assert line["finish"] == "stop"
