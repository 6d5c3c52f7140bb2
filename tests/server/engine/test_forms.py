"""Answers have the form that is asked for; forms that cannot be had are refused in time, and stop nobody else."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.generation.schemas import some_schema
from tests.server.asking import Asked, byte_tokenizer, running, tiny_llama

from wenlu.errors import UsageError
from wenlu.server.engine.form_process import FormProcess
from wenlu.server.engine.tools import knows_tools, told
from wenlu.server.messages import ChatPrompt, Done, Failed, Form
from wenlu.tokenizers.chat_template import ChatTemplate

IS_PROOF = os.environ.get("WENLU_PROOF") == "1"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "of a place",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["上海", "Oslo"]}, "days": {"$ref": "#/$defs/few"}},
            "required": ["city", "days"],
            "additionalProperties": False,
            "$defs": {"few": {"type": "integer", "minimum": 1, "maximum": 9}},
        },
    },
}
TIME = {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "maxProperties": 0}}}
USER = ({"role": "user", "content": "x"},)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A model with room for functions, which take a token a byte."""
    path = tiny_llama(tmp_path_factory.mktemp("models") / "tiny", byte_tokenizer(), context=2048)
    with running([("tiny", path)]) as asked:
        yield asked


def test_answers_by_schema_expression_grammar_and_choice(asked: Asked) -> None:
    schema = (
        '{"type": "object", "properties": {"n": {"enum": [1, 22]}}, "required": ["n"], "additionalProperties": false}'
    )
    for seed in range(10 if IS_PROOF else 2):
        assert json.loads(asked.text("a", form=Form(json_schema=schema), seed=seed)) in ({"n": 1}, {"n": 22})
        assert re.fullmatch("[ab]{3}", asked.text("a", form=Form(regex="[ab]{3}"), seed=seed))
        assert asked.text("a", form=Form(grammar='start: "x" ("y" | "z")'), seed=seed) in ("xy", "xz")
        assert asked.text("a", form=Form(choices=("yes", "天")), seed=seed) in ("yes", "天")


@pytest.mark.parametrize(
    ("form", "param", "message"),
    [
        (Form(json_schema='{"not": {}}'), "form.json_schema", "not supported: not"),
        (Form(json_schema='{"if": {}, "uniqueItems": true}'), "form.json_schema", "not supported: if, uniqueItems"),
        (Form(json_schema='{"type": "text"}'), "form.json_schema", "Invalid type: text"),
        (Form(json_schema='{"$ref": "http://a.b/c"}'), "form.json_schema", "refers to its own parts only"),
        (Form(json_schema="/etc/passwd"), "form.json_schema", "is not valid JSON"),
        (Form(json_schema="[" * 100_000), "form.json_schema", "is not valid JSON"),
        (Form(json_schema='"' + "x" * 200_000 + '"'), "form.json_schema", "more than 65,536 bytes"),
        (Form(regex="(a"), "form.regex", "regex: unclosed group"),
        (Form(regex=r"(a)\1"), "form.regex", "backreferences are not supported"),
        (Form(regex="x" * 5000), "form.regex", "1 to 4,096 characters"),
        (Form(grammar="/etc/passwd"), "form.grammar", "no rule `start"),
        (Form(grammar="start: a"), "form.grammar", 'line 1: unknown name: "a"'),
        (Form(regex="a", grammar="start: a"), "form", "say one form"),
        (Form(), "form", "say one form"),
    ],
)
def test_forms_that_cannot_be_had_are_refused(asked: Asked, form: Form, param: str, message: str) -> None:
    failure = asked.failed("a", form=form)
    assert (failure.fault, failure.param) == ("request", param)
    assert message in failure.message
    assert "\n" not in failure.message


def test_answers_by_random_schemas_satisfy_a_validator_of_its_own(asked: Asked) -> None:
    chance = random.Random(4)
    schemas = [some_schema(chance) for _ in range(300 if IS_PROOF else 8)]
    ids = [
        asked.submit("a", form=Form(json_schema=json.dumps(schema)), seed=seed, max_tokens=400)
        for seed, schema in enumerate(schemas)
    ]
    asked.until(*ids)
    finished = 0
    for schema, id in zip(schemas, ids, strict=True):
        if asked.deltas(id)[-1].finish == "stop":
            jsonschema_rs.validate(schema, json.loads(asked.text_of(id)))
            finished += 1
    assert finished >= 0.9 * len(schemas)


def hostile_forms(size: int) -> list[Form]:
    """One of each kind, the worse the greater `size`, which goes to 28: 308 in all."""
    nested: dict[str, Any] = {"type": "string"}
    for _ in range(size // 2):
        nested = {"oneOf": [nested, {"type": "object", "properties": {"a": nested}}]}
    rules = "\n".join(f"a{'a' * n}: a{'a' * (n + 1)}" for n in range(8 * size))
    return [
        Form(json_schema=json.dumps({"title": str(size), "anyOf": [nested]})),
        Form(json_schema="{" * (2200 * size)),
        Form(json_schema=json.dumps({"enum": list(range(175 * size))})),
        Form(json_schema=json.dumps({"type": "string", "pattern": f"^(a|aa|aaa)*(b{{1,{37 * size}}}){{{4 * size}}}$"})),
        Form(regex="(" * 72 * size + ")" * 72 * size),
        Form(regex=f"((a{{1,{4 * size}}}){{1,99}}){{1,{4 * size}}}b"),
        Form(regex=rf"(\w{{1,{20 * size}}}){{{20 * size}}}x"),
        Form(regex="(a|a?)+" * 18 * size),
        Form(grammar="start: " + " ".join(f"a{n}" for n in range(110 * size))),
        Form(grammar="start: " + "start " * (size + 1) + '| ""'),
        Form(grammar=f"start: a\n{rules}"),
    ]


def test_hostile_forms_are_over_soon_and_the_others_go_on(asked: Asked) -> None:
    hostile = [form for size in (range(1, 29) if IS_PROOF else (28,)) for form in hostile_forms(size)]
    beside = asked.submit("ab", max_tokens=200, seed=3, ignore_end=True)
    ids = [asked.submit("ab", form=form, max_tokens=2, seed=0) for form in hostile]
    asked.until(beside, *ids)
    assert isinstance(asked.of(beside)[-1], Done)
    for id in ids:
        last = asked.of(id)[-1]
        assert isinstance(last, Done) or (isinstance(last, Failed) and last.fault == "request"), last
        assert not isinstance(last, Failed) or len(last.message) < 500


def test_a_form_that_breaks_while_it_is_written_ends_its_own_request_alone(asked: Asked) -> None:
    beside = asked.submit("ab", max_tokens=60, seed=3)
    id = asked.submit("ab", form=Form(regex="((x|xy|yx){1,40}){40}z"), max_tokens=300, seed=1)
    asked.until(id, beside)
    assert isinstance(asked.of(beside)[-1], Done)
    assert asked.text("ab", max_tokens=60, seed=3) == asked.text_of(beside)


def test_a_process_that_reads_too_long_is_killed_and_comes_again() -> None:
    process = FormProcess()
    process.start()
    try:
        began = time.monotonic()
        deep: dict[str, Any] = {"type": "string"}
        for _ in range(16):
            deep = {"oneOf": [deep, {"type": "object", "properties": {"a": deep}}]}
        with pytest.raises(UsageError, match="was not read within 50 ms; make it simpler"):
            process.check("json_schema", json.dumps(deep), 0.05)
        assert time.monotonic() - began < 5
        process.check("regex", "a+", 10)
    finally:
        process.stop()


def test_an_answer_that_has_to_call_is_a_call_of_the_function(asked: Asked) -> None:
    for seed in range(10 if IS_PROOF else 1):
        prompt = ChatPrompt(messages=USER, tools=(WEATHER, TIME), tool_choice="weather", parallel=False)
        written = asked.text(prompt, seed=seed)
        found = re.fullmatch(r"<tool_call>\n(\{.*\})\n</tool_call>", written)
        assert found, written
        call = json.loads(found[1])
        assert call["name"] == "weather"
        assert call["arguments"]["city"] in ("上海", "Oslo")
        assert 1 <= call["arguments"]["days"] <= 9


def test_several_calls_may_be_asked_for_and_each_is_one_of_the_functions(asked: Asked) -> None:
    prompt = ChatPrompt(messages=USER, tools=(WEATHER, TIME), tool_choice="required")
    written = asked.text(prompt, seed=2)
    assert re.fullmatch(r"(<tool_call>\n\{.*\}\n</tool_call>\n?)+", written), written


def test_a_function_that_is_not_there_cannot_be_chosen(asked: Asked) -> None:
    failure = asked.failed(ChatPrompt(messages=USER, tools=(TIME,), tool_choice="weather"))
    assert failure.param == "prompt.tool_choice"
    assert "there is no function 'weather'" in failure.message


def test_a_strict_function_with_a_keyword_that_is_not_supported_is_refused(asked: Asked) -> None:
    tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": {"not": {}}}}
    failure = asked.failed(ChatPrompt(messages=USER, tools=(tool,)))
    assert failure.param == "prompt.tools"
    assert "not supported: not" in failure.message


def test_the_system_message_tells_functions_to_a_template_that_does_not_know_them(asked: Asked) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "time", "arguments": {}}}
    messages = (
        {"role": "system", "content": "Be kind."},
        *USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "noon"},
    )
    found, tools = told(ChatPrompt(messages=messages, tools=(TIME,)), knows=False)
    assert tools is None
    assert [message["role"] for message in found] == ["system", "user", "assistant", "user"]
    assert found[0]["content"].startswith("Be kind.\n\n")
    assert json.dumps(TIME) in found[0]["content"]
    assert found[2]["content"] == '<tool_call>\n{"name": "time", "arguments": {}}\n</tool_call>'
    assert found[3]["content"] == "<tool_response>\nnoon\n</tool_response>"
    assert asked.text(ChatPrompt(messages=messages, tools=(TIME,)), max_tokens=3, seed=0) is not None


def test_a_template_that_knows_functions_in_our_form_is_given_them() -> None:
    ours = ChatTemplate("{% if tools %}<tool_call>{% endif %}")
    assert knows_tools(ours)
    assert not knows_tools(ChatTemplate("{% if tools %}[TOOL_CALLS]{% endif %}"))
    assert not knows_tools(None)
    assert told(ChatPrompt(messages=USER, tools=(TIME,)), knows=True) == (list(USER), [TIME])
    assert told(ChatPrompt(messages=USER, tools=(TIME,), tool_choice="none"), knows=True) == (list(USER), None)


def test_reading_forms_imports_no_torch() -> None:
    worker = Path("src/wenlu/server/engine/form_worker.py").read_text(encoding="utf-8")
    assert not re.search(r"^(import|from) (torch|wenlu)", worker, re.MULTILINE)
