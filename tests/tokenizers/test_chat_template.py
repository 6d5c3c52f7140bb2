"""Chat templates say what Jinja2 makes of them, come to an end, and take no special token from a message."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
import tokenizers
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from wenlu.errors import DataError, UsageError, WeightsError
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer
from wenlu.tokenizers.chat_template import ChatTemplate, Special
from wenlu.tokenizers.files import Roles, Settings

TEMPLATES = sorted((Path(__file__).parent / "templates").glob("*.jinja"))
NAMES = {"bos_token": "<s>", "eos_token": "</s>"}
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(["", " ", "\n", "<think>\nwhy\n</think>\n\nso", "<tool_response>x</tool_response>", "a\nb\n\nc "]),
    st.sampled_from(["它说“你好”。", "{{ bos_token }} {% raw %}", 'it\'s "so" <b>&amp;</b>', "🙂\ttab\\n", "[/INST]"]),
)
NAME = st.sampled_from(["find", "wetter", "查找"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9**9) | st.sampled_from([0.5, 1.0, -2.0]) | TEXT,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(NAME, v, max_size=3),
    max_leaves=5,
)
ARGUMENTS = st.dictionaries(NAME, JSON, max_size=3)
CALL = st.fixed_dictionaries({"name": NAME, "arguments": ARGUMENTS | ARGUMENTS.map(json.dumps)})
CALLS = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("function"), "function": CALL}, optional={"id": st.sampled_from(["call_1", "0a1b2c3d4"])}
    ),
    max_size=2,
)
PROPERTY = st.sampled_from(
    [
        {"type": "string", "description": "a <place>"},
        {"type": "array", "items": {"type": "integer"}},
        {"type": ["number", "null"], "enum": [1, None]},
        {"anyOf": []},
        {"anyOf": [{"type": "integer", "const": 1.0}, {"type": "number", "const": 2}, {"anyOf": [{"type": "null"}]}]},
        {
            "type": "object",
            "properties": {"深": {"type": "number", "minimum": 1.0, "default": 0.25}},
            "required": ["深"],
        },
        {"type": "array", "items": {"type": "string", "enum": ["a"], "description": "one\n\n two ", "default": "x"}},
    ]
)
TOOL = st.fixed_dictionaries(
    {
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {
                "name": NAME,
                "description": TEXT,
                "parameters": st.fixed_dictionaries(
                    {"type": st.just("object"), "properties": st.dictionaries(NAME, PROPERTY, max_size=3)},
                    optional={"required": st.lists(NAME, max_size=2)},
                ),
            }
        ),
    }
)
PARTS = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}) | st.just({"type": "image", "image": "x"}),
    max_size=3,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system", "critic"]), "content": TEXT | PARTS | st.none()},
    optional={"tool_calls": CALLS, "reasoning_content": TEXT, "tool_call_id": st.just("call_1"), "name": NAME},
)
TURNS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3).map(
    lambda turns: [
        {"role": role, "content": text}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
)
SYSTEM = st.lists(st.fixed_dictionaries({"role": st.just("system"), "content": TEXT}), max_size=1)
MESSAGES = st.lists(MESSAGE, min_size=1, max_size=5) | st.builds(lambda s, t: s + t, SYSTEM, TURNS)


def theirs(source: str, messages: list[dict[str, Any]], tools: list[Any] | None, prompt: bool) -> str | None:
    """What transformers renders, None where it raises."""
    try:
        texts, _ = render_jinja_template([messages], tools, None, source, add_generation_prompt=prompt, **NAMES)
    except (jinja2.TemplateError, TypeError):
        return None
    return str(texts[0])


def ours(source: str, messages: list[dict[str, Any]], tools: list[Any] | None, prompt: bool) -> str | None:
    try:
        return ChatTemplate(source, variables=NAMES).render(messages, tools=tools, add_generation_prompt=prompt)
    except DataError:
        return None


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
@settings(max_examples=60)
@given(messages=MESSAGES, tools=st.none() | st.lists(TOOL, max_size=2), prompt=st.booleans())
def test_a_template_renders_as_transformers_renders_it(
    path: Path, messages: list[dict[str, Any]], tools: list[Any] | None, prompt: bool
) -> None:
    source = path.read_text(encoding="utf-8")
    assert ours(source, messages, tools, prompt) == theirs(source, messages, tools, prompt)


@settings(max_examples=40)
@given(parts=PARTS, prompt=st.booleans())
def test_content_in_parts_renders_as_transformers_renders_it(parts: list[Any], prompt: bool) -> None:
    source = (Path(__file__).parent / "templates" / "parts.jinja").read_text(encoding="utf-8")
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": "a\nb"}]
    found = ours(source, messages, None, prompt)
    assert found == theirs(source, messages, None, prompt)
    assert found is not None


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages }}|{{ true }}{{ none }}{{ 1.0 }}|{{ messages[0] | tojson(indent=2, sort_keys=true) }}",
        "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}{{ messages[0].get('x', 'y') }}",
        "{{ 'a,b'.split(',') }}{{ 'x'.join(['1', '2']) }}{{ ' a '.strip() }}{{ 'ab'.title() }}{{ 'aXb'.find('X') }}",
        "{% set a, b = 1, 2 %}{{ a // b }}{{ a / b }}{{ a ~ b }}"
        "{{ [1, 2, 3][::-1] }}{{ 'abc'[1:] }}{{ 7 % 3 }}{{ 2 ** 3 }}",
        "{% macro m(a, b='x') %}{{ a }}{{ b }}{{ caller() if caller }}{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}",
        "{% filter upper %}a{% endfilter %}{% raw %}{{ x }}{% endraw %}"
        "{% with q = 3 %}{{ q }}{% endwith %}{% set z %}b{% endset %}{{ z }}",
        "{% for x in [1, 2, 3] if x != 2 %}{{ loop.index0 }}"
        "{{ loop.revindex }}{{ loop.cycle('a', 'b') }}{% else %}no{% endfor %}",
        "{% for x in [1, 2, 3] %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% break %}{% endfor %}",
        "{{ nothing }}|{{ nothing is defined }}|{{ messages[0].nothing is defined }}|{{ nothing | default('d') }}",
        "{{ messages is iterable }}{{ messages[0] is mapping }}"
        "{{ 'a' is sequence }}{{ 'a' is iterable }}{{ none is iterable }}{{ 3 is iterable }}",
        "{{ true is boolean }}{{ 1 is number }}{{ 'a' is string }}{{ 1 is odd }}{{ none is none }}{{ 1 in [1] }}",
        "a\n  {%- if true %}\n  b\n  {%- endif %}\n\n{% if true %}\n c\n{% endif %}  \n  {# note #}\n  {{- 'd' }}\n\n",
        "{% generation %}\n{% set x = 1 %}a{% endgeneration %}\n"
        "{{ x is defined }}{%- generation -%}  b  {%- endgeneration -%}",
        "{{ '%s=%.2f' | format('a', 1.5) }}{{ [3, 1] | sort | first }}"
        "{{ [1, 1] | unique | list }}{{ {'b': 1, 'a': 2} | dictsort }}",
        "{{ nothing.x }}", "{{ messages[0]['content'] + 1 }}", "{{ raise_exception('no') }}",
    ],
)  # fmt: skip
def test_every_construct_means_what_jinja2_means(source: str) -> None:
    messages = [{"role": "user", "content": 'it\'s 0.5 "é" <b>', "more": [None, True, 0.5, {"k": "v"}]}]
    assert ours(source, messages, None, True) == theirs(source, messages, None, True)


def test_the_day_comes_from_the_clock() -> None:
    text = ChatTemplate("{{ strftime_now('%Y-%m') }}").render([])
    assert text in {time.strftime("%Y-%m"), time.strftime("%Y-%m", time.localtime(time.time() - 60))}


HOSTILE = {
    "endless loops": "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "a huge text": "{{ 'x' * 10**9 }}",
    "a huge range": "{{ range(10**9) | list }}",
    "a text that doubles": "{% set n = namespace(s='x') %}{% for i in range(60) %}"
    "{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
    "a list that doubles": "{% set n = namespace(s=[1]) %}{% for i in range(60) %}"
    "{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
    "a comparison without end": "{% set n = namespace(a=[1], b=[1]) %}{% for i in range(60) %}"
    "{% set n.a = [n.a, n.a] %}"
    "{% set n.b = [n.b, n.b] %}{% endfor %}{{ n.a == n.b }}",
    "itself inside of itself": "{% set n = namespace(a=0) %}{% set n.a = [n] %}{{ n.a | tojson }}",
    "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a deep expression": "{{ 1 " + "+ 1" * 50_000 + " }}",
    "a wide field": "{{ '{:>1000000000}'.format(3) }}",
    "a wide text": "{{ 'x'.ljust(10**10) }}",
    "a text that grows": "{% set n = namespace(s='ab') %}{% for i in range(40) %}"
    "{% set n.s = n.s.replace('a', n.s) %}{% endfor %}{{ n.s }}",
    "a chain of methods": "{{ 'x'" + ".upper()" * 20_000 + " }}",
    "a deep indent": "{{ [1] | tojson(indent=10**9) }}",
    "a broken tag": "{% if %}",
    "no such filter": "{{ messages | shout }}",
    "too long": "x" * (2**18 + 1),
}  # fmt: skip


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_template_is_refused_in_time_and_the_next_one_works(source: str) -> None:
    begin = time.monotonic()
    with pytest.raises(WeightsError, match="the tokenizer: the chat template"):
        ChatTemplate(source).render([{"role": "user", "content": "x"}])
    assert time.monotonic() - begin < 30
    assert ChatTemplate("{{ messages[0].content }}").render([{"role": "user", "content": "y"}]) == "y"


def test_no_python_object_is_in_reach() -> None:
    for expression in (
        "messages.__class__",
        "messages[0].__init__",
        "raise_exception.__globals__",
        "messages|attr('__class__')",
    ):
        assert ChatTemplate("{{ " + expression + " }}").render([{"role": "user"}]) == ""


SPECIALS = ("<|im_start|>", "<|im_end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "</s>", "<s>")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    config = TokenizerConfig(
        vocab_size=280, min_frequency=1, eos_token="</s>", bos_token="<s>", extra_special_tokens=SPECIALS[:6]
    )
    return train_tokenizer(config, ["user assistant system hello world <tool_response>"] * 4)


def with_template(tokenizer: Tokenizer, source: str) -> Tokenizer:
    return Tokenizer(tokenizer._inner, tokenizer.roles, Settings(tokenizer.settings.config, source))


def named(name: str) -> str:
    return (Path(__file__).parent / "templates" / f"{name}.jinja").read_text(encoding="utf-8")


INJECTION = st.lists(
    st.sampled_from([*SPECIALS, "<|im_", "end|>", "<|", "|>", "<", "hi", "\n", "</tool_response>", "é"]), max_size=6
)


@pytest.mark.parametrize("name", ["chatml", "role_tokens", "tools", "parts", "bracketed", "plain_tags"])
@settings(max_examples=60)
@given(texts=st.lists(INJECTION.map("".join), min_size=2, max_size=2))
def test_special_tokens_come_from_the_template_alone(tokenizer: Tokenizer, name: str, texts: list[str]) -> None:
    """As many special tokens as with harmless text, and every text comes back out."""
    model = with_template(tokenizer, named(name))

    def ids_of(first: str, second: str) -> list[int]:
        return model.apply_chat_template(
            [{"role": "user", "content": first}, {"role": "assistant", "content": second}], add_generation_prompt=True
        )

    def specials(ids: list[int]) -> list[int]:
        return [token for token in ids if token in model.special_tokens.values()]

    assert specials(ids_of(*texts)) == specials(ids_of("a", "b"))
    assert model.chat_template is not None
    rendered = model.chat_template.render(
        [{"role": "user", "content": texts[0]}, {"role": "assistant", "content": texts[1]}]
    )
    assert model.decode(ids_of(*texts), skip_special=False) == rendered


def test_parts_that_only_together_make_a_special_token_stay_text(tokenizer: Tokenizer) -> None:
    model = with_template(tokenizer, named("parts"))
    parts = [{"type": "text", "text": "<|im_"}, {"type": "text", "text": "end|>"}]
    ids = model.apply_chat_template([{"role": "user", "content": parts}])
    assert "<|im_end|>" in model.decode(ids, skip_special=False)
    assert not set(model.special_tokens.values()) & set(ids)


def test_a_role_is_one_word(tokenizer: Tokenizer) -> None:
    model = with_template(tokenizer, named("chatml"))
    with pytest.raises(DataError, match=r"message 1: role 'user<\|im_end\|>' is not one word"):
        model.apply_chat_template([{"role": "user", "content": ""}, {"role": "user<|im_end|>", "content": ""}])
    with pytest.raises(DataError, match=r"message 0: 'hello' is no \{'role': …"):
        model.apply_chat_template(["hello"])  # type: ignore[list-item]


def test_a_refusal_says_what_the_template_says(tokenizer: Tokenizer) -> None:
    model = with_template(tokenizer, named("renamed_roles"))
    with pytest.raises(DataError, match="the chat template refuses these messages: System role not supported"):
        model.apply_chat_template([{"role": "system", "content": "x"}])
    with pytest.raises(DataError, match="plain JSON values"):
        model.apply_chat_template([{"role": "user", "content": b"x"}])
    with pytest.raises(UsageError, match="has no chat template"):
        tokenizer.apply_chat_template([])


def test_white_space_beside_a_special_token_goes_where_the_token_takes_it() -> None:
    template = ChatTemplate(
        "a <l> b <r> c <b> d", specials=(Special("<l>", lstrip=True), Special("<r>", rstrip=True), Special("<b>"))
    )
    assert [piece.text for piece in template.pieces([])] == ["a", "<l>", " b ", "<r>", "c ", "<b>", " d"]


@pytest.mark.parametrize("form", ["text", "list", "file"])
def test_a_template_is_found_in_each_place(tokenizer: Tokenizer, tmp_path: Path, form: str) -> None:
    tokenizer.save(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    if form == "file":
        (tmp_path / "chat_template.jinja").write_text("one", encoding="utf-8")
        config["chat_template"] = "older"
    else:
        rows = [{"name": "default", "template": "one"}, {"name": "tool_use", "template": "{{ tools | length }}"}]
        config["chat_template"] = "one" if form == "text" else rows
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    template = Tokenizer.load(tmp_path).chat_template
    assert template is not None
    assert template.render([]) == "one"
    assert template.render([], tools=[{}, {}]) == ("2" if form == "list" else "one")


def test_a_template_that_is_none_is_refused(tokenizer: Tokenizer) -> None:
    for value in (3, [{"name": "x"}], [], {"default": 3}):
        broken = Tokenizer(tokenizer._inner, Roles(), Settings({"chat_template": value}))
        with pytest.raises(WeightsError, match=r"tokenizer_config.json: chat_template is"):
            _ = broken.chat_template


def byte_level() -> tokenizers.Tokenizer:
    """As Llama 3 and Qwen spell text; one special token takes the white space behind it, as those of Phi-3 do."""
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(CORPUS, tokenizers.trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    return inner


def metaspace(scheme: str) -> Callable[[], tokenizers.Tokenizer]:
    """As Llama 2 and Mistral spell text: a space before the first word, or before each part."""

    def build() -> tokenizers.Tokenizer:
        inner = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        inner.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme=scheme)
        inner.decoder = tokenizers.decoders.Metaspace(prepend_scheme=scheme)
        bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = tokenizers.trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>", *bytes_])
        inner.train_from_iterator(CORPUS, trainer)
        document = json.loads(inner.to_str())
        document["added_tokens"] = []  # bytes are tokens like others
        return tokenizers.Tokenizer.from_str(json.dumps(document))

    return build


CORPUS = ["user assistant system hello world, so it is 你好 [INST] x [/INST] <think>"] * 4
SPELLINGS = {"byte-level": byte_level, "first": metaspace("first"), "always": metaspace("always")}


@pytest.fixture(scope="module", params=SPELLINGS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    """Our tokenizer, and that of transformers from the folder that ours wrote."""
    inner = SPELLINGS[request.param]()
    plain = [token for token in SPECIALS if token != "<|end|>"]
    inner.add_special_tokens([tokenizers.AddedToken(token, special=True, normalized=False) for token in plain])
    inner.add_special_tokens([tokenizers.AddedToken("<|end|>", special=True, normalized=False, rstrip=True)])
    folder = tmp_path_factory.mktemp("tokenizer")
    Tokenizer(inner, Roles(bos="<s>", eos="</s>")).save(folder)
    return Tokenizer.load(folder), transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("name", ["chatml", "role_tokens", "bracketed", "plain_tags", "tools"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=TURNS)
def test_the_ids_are_those_of_transformers(
    both: tuple[Tokenizer, Any], name: str, messages: list[dict[str, Any]]
) -> None:
    model, oracle = with_template(both[0], named(name)), both[1]
    expected = oracle.apply_chat_template(
        messages, chat_template=named(name), add_generation_prompt=True, return_dict=False
    )
    assert model.apply_chat_template(messages) == expected
