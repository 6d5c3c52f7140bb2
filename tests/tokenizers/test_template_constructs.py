"""What the templates of public chat models are made of means here what it means to Jinja2."""

from __future__ import annotations

import time
from typing import Any

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from wenlu.errors import DataError, WeightsError
from wenlu.tokenizers.chat_template import ChatTemplate
from wenlu.tokenizers.template_syntax import translate

ARGUMENTS = {"a": 1, "b": 1.0, "c": "x", "d": [1, 2.5, None, True], "e": {"k": "v", "z": 2.0}, "f": 1e-7}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": '你好 <b> "q" it\'s'},
    {"role": "user", "content": "héllo\nwörld 🙂  x "},
    {
        "role": "assistant",
        "content": None,
        "reasoning_content": "r\n",
        "tool_calls": [
            {"id": "call12345", "type": "function", "function": {"name": "f", "arguments": ARGUMENTS}},
            {"id": "abcdefghi", "function": {"name": "g", "arguments": '{"q": 1}'}},
        ],
    },
    {"role": "tool", "content": [{"type": "text", "text": "t1"}, {"type": "image"}]},
]
SCHEMA = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": ["number", "null"]}}}
TOOLS = [{"type": "function", "function": {"name": "f", "description": "a <b>", "parameters": SCHEMA}}]


def theirs(source: str) -> str | None:
    try:
        texts, _ = render_jinja_template([MESSAGES], TOOLS, None, source, add_generation_prompt=True)
    except (jinja2.TemplateError, TypeError, ValueError):
        return None
    return str(texts[0])


def ours(source: str) -> str | None:
    try:
        return ChatTemplate(source).render(MESSAGES, tools=TOOLS)
    except DataError:
        return None


TEXT = [
    "'a,b,c'.rsplit(',', 1)", "'a,b,c'.split(',', maxsplit=1)", "'a,b,c'.split(sep=',')", "' a  b '.split()",
    "'a,b'.rsplit(',')[0].upper()", "'abc'.removeprefix('a').removesuffix('c')", "'xxaxx'.strip('x')",
    "'abc'.startswith(('b', 'a'))", "'abc'.endswith(('x', 'c'))", "'abc'.startswith('b', 1)", "'hello'.find('l', 3)",
    "\"it's a tEST\".title()", "\"it's a tEST\".swapcase()", "'ß'.upper() ~ 'ß'.casefold()", "'ΑΣ'.lower()",
    "'ab'.center(10) ~ 'ab'.ljust(5) ~ '你'.rjust(4, '。') ~ '7'.zfill(3)", "'a=b=c'.partition('=')",
    "'a=b=c'.rpartition('=')[2]", "'a\\tb'.expandtabs(4)", "'a\\nb\\r\\nc\\x0bd'.splitlines()",
    "'a\\nb'.splitlines(true)", "'hello'.index('l') + 'hello'.rindex('l')", "'ab'.index('z')", "'aXa'.count('a', 1)",
    "''.isdigit() ~ ''.isupper() ~ 'A1'.isupper() ~ ''.isspace()", "'Ab'.istitle() ~ 'ab'.isidentifier()",
    "'\\x0b a \\u2028'.strip() ~ '|'", "'\\x0b a \\u2028'|trim ~ '|'", "'xax'|trim('x')", "1.0|trim ~ none|trim",
    "'aaa'.replace('a', 'b', 2)", "'-'.join(['a'] + 'b c'.split())", "'-'.join(messages[0])", "'-'.join([1])",
    "'-'.join(messages[0].keys())", "[1] + 'a b'.split()", "'a b'.split() == ['a', 'b']", "'a' in 'a b'.split()",
    "'a b'.split()|map('upper')|join('-')", "'a b'.split()|last ~ 'a b'.split()[::-1]", "'a b'.split()|tojson",
    "('x' if true else 'y').upper() ~ (messages|first).content.upper()", "{'k': 'a-b'}['k'].rsplit('-')|last",
    "messages [1] . content . split ( ) [0]", "not 'a'.isidentifier()", "-'ab'.index('b') + 3 * 'ab'.find('b')",
    "'a'.removeprefix('x'.removesuffix('x') ~ 'a') ~ '|'", "messages[1].content.split('\\n', 1)[1] | trim | upper",
    "(messages[2].content or '').strip() == ''", "(nothing|default('', true)).replace('a', '').strip()",
    "nothing.strip()", "messages.strip()", "messages[2].content.strip()", "'a'.foo()", "'a' 'b'.upper()",
    "'a b c'|wordcount", "'hello world foo bar baz'|truncate(9)", "'hello world foo bar'|truncate(9, true, '', 0)",
    "'x'|center(5) ~ '|'", "'a\\nb\\n\\nc'|indent(2, true) ~ 'a\\nb'|indent(width=3)", "'{}-{}'.format(1, 'b')",
    "'a<b>\"'|e ~ 'a<'|e|e ~ 'a<'|forceescape ~ nothing|e ~ 5|escape", "'a\\/b' ~ '\\d' ~ '\\x41\\u4f60\\101'",
    "'a\\\nb' ~ \"c\\\"\\'\\\n\"", "'}}'.strip() ~ '%}' ~ {'a': {'b': {}}}", "'🙂🙂é'[1:] ~ '🙂é'|length",
]  # fmt: skip
VALUES = [
    "1.0|tojson ~ (4/2)|tojson ~ '3'|float|tojson", "[1.0, 2, {'a': 3.0}]|tojson", "none|tojson ~ true|tojson",
    "messages[2].tool_calls[0].function.arguments|tojson(indent=4)|indent(8)", "nothing|tojson", "1e-7|tojson",
    "messages[2].tool_calls[0].function.arguments.b|tojson", "1e-7 ~ ''|string if false else 1e-7", "(1, 'a')|tojson",
    "messages|tojson(ensure_ascii=true, separators=(',', ':'), sort_keys=true)", "9223372036854775807|tojson",
    "['é\\u2028<>&\\'\"', 'x\\x00\\x7f']|tojson", "messages|map('tojson')|join('|')", "'x'|tojson|tojson",
    "{1: 'x', 'b': {'z': 1, 'y': 2.0}}|tojson", "'5'|int ~ 'x'|int ~ 'x'|int(7) ~ '0x1A'|int(0, 16) ~ 5.7|int",
    "none|int ~ '5.7'|int", "nothing|int", "'5'|float ~ 'x'|float ~ 'x'|float(1.5)", "['1', 'x']|map('int')|list",
    "none|d('x', boolean=true) ~ ''|default('q', boolean=True) ~ nothing|default(default_value='z')",
    "none|default('x')", "nothing is iterable and nothing is sequence", "nothing is not iterable",
    "messages[0].nothing is iterable ~ messages[2].content is iterable", "3 is iterable ~ 3 is sequence",
    "'a' is sequence ~ {} is sequence ~ messages is not sequence ~ range(3) is iterable ~ {}.keys() is iterable",
    "messages[2].tool_calls is iterable and messages[2].tool_calls is not string and nothing is not mapping",
    "tools[0].function.parameters.items is defined", "tools[0].function.parameters.items is iterable",
    "messages[0].keys.type is defined ~ messages[0]['items'] is defined ~ messages[0].get is mapping",
    "nothing.items", "messages.append(1)", "[1].append(2)", "messages[0].update({'a': 1})", "messages[0].pop('role')",
    "messages.index(messages[1]) ~ [1, 2].index(2) ~ [1, 2, 1].count(1)", "{'b': 1, 'A': 2}|dictsort",
    "messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|map('trim')|list",
    "messages|rejectattr('role', 'in', ['user', 'tool'])|map(attribute='role')|list ~ messages|selectattr('x')|list",
    "messages|selectattr('tool_calls', 'defined')|list|length ~ messages|map(attribute='x', default=1)|list",
    "messages|map(attribute='tool_calls.0.id')|list|length ~ messages|groupby('role')|map('first')|list",
    "[3, 1, 3]|unique|sort(reverse=true) ~ [1, 2, 3]|sum ~ [1, 2]|max ~ 'cab'|sort ~ [1, 2, 3]|batch(2)|list",
    "7 // 2 ~ -7 // 2 ~ -7 % 3 ~ 7 / 2 ~ 2 ** 3 ** 2 ~ -2 ** 2 ~ 7.5 % 2", "1 < 2 < 3",
    "messages|pprint", "3 > 2 >= 2",
    "[1, 2, 3, 4][3:0:-1] ~ [1, 2, 3][-2:] ~ 'abc'[:-9] ~ (1, 2, 3)[::-1] ~ messages[9] is defined", "1 if 0 else 2",
    "'x' if false", "messages[0] == messages[0] and (1, 2) != [1, 2]", "none == nothing", "[none, true, 1.5, 'a\\nb']",
    "{'a': 1}.get('b', 5) ~ {'a': 1}.get('b') ~ messages[0].get('role', 'z') ~ {'a': 1}.items()|list", "1e20", "1e-7",
]  # fmt: skip
SAFE = [
    "\"<'x\"|safe + tools[0].function.description + \"'\"|safe + tools[0] | tojson()", "'a'|safe + '<' ~ '<' + '>'",
    "['a'|safe + '<', '<' + 'b', ('<' + ('c'|safe) + '>')]|join(',')",
    "'<' if '<' + 'a'|safe == '&lt;a' else 'x' + '<'",
    "'a'|safe|upper + '<'.strip() + {'k': 'v' + '<'}['k' + '']", "1 + 2 * 3 - 4 + 5 ~ 'a<'|e", "'a'|safe + 1",
    "messages[0 + 1].role + '<' ~ 'a<'|e ~ [1] + [2]", "-1 + 2 is number and 'a'|safe",
    "'a'|safe ~ '<'", "'<a'|e + '<'",
]  # fmt: skip
STATEMENTS = [
    "{% for call in ['a b'] %}{% set filter = call.split() %}{{ filter.index('b') + call.rindex('b') }}{% endfor %}",
    "{% set block = {'set': 'x-y', 'if': 'z'} %}{{ block.set.rsplit('-')[1] }}{{ 'a<'|e + block['if'] + block.set }}",
    "{{- 'a'|safe + '<' -}} {{- -1 + 2 -}} {%- if -1 + 1 == 0 -%} {{+ 1 + 2 }}{% endif %}{{-'<' + 'a'|e-}}",
    "{% for x in none %}a{% endfor %}", "{% if false %}{% for x in none %}a{% endfor %}{% endif %}b",
    " {%- for x in messages[2].content -%}{% endfor %}",
    "{% for m in messages[2:] if m.content %}{% for x in m.content %}"
    "{{ x.type }}{% endfor %}{% else %}e{% endfor %}{% for a in (1, 2) if a in [2] %}{{ a }}{% endfor %}",
    "{% for x in messages[:2] + [{'role': 'z'}] if x.role in ('z', 'user') recursive -%}"
    "  {{ x.role }}\n{% endfor %}\n b",
    "  {% for x in [1, 2] %}\n    {% for y in [x, 3] %}\n {{ x }}{{ y }}\n    {% endfor %}\n  {% endfor %}\n",
    "{%- set ns = namespace(items=[], index=3) %}{% set ns.items = ns.items + [1.0] %}{% set ns.index = ns.index + 1 %}"
    "{{ ns.items|tojson }}{{ ns.items|length }}{{ ns.index }}",
    "{% set ns = namespace(x='') %}{% for m in messages %}{% set ns.x = ns.x ~ m.role.title() %}{% endfor %}{{ ns.x }}",
    "{% set k, _, v = 'a=b'.partition('=') %}{{ k }}{{ v }}{% for a, b in ['x y'.split()] %}{{ b }}{{ a }}{% endfor %}",
    "{% for i in range(messages|length - 1, -1, -1) %}{{ messages[i].role.upper() }}{% break %}{% endfor %}",
    "{% for k, v in messages[2].tool_calls[0].function.arguments.items() if v is not none %}"
    "{{ k }}={{ v|tojson if v is not string else v }}{{ v }};{{ loop.index }}{{ loop.length }}{% endfor %}",
    "{% for k, v in messages[2].tool_calls[0].function.arguments|items %}{{ v|tojson(indent=2) }}{% endfor %}",
    "{% for x in [1, [2, [3]]] recursive %}{% if x is sequence %}({{ loop(x) }}){% else %}{{ x }}{{ loop.depth }}"
    "{% endif %}{% endfor %}{% for x in nothing %}a{% else %}none{% endfor %}",
    "{% macro f(a, b='x' ~ 'y', c=none) %}[{{ a }}{{ b.upper() }}{{ c }}]{% endmacro %}{{ f(1) }}"
    "{{ f(a=2, c='z').strip('[') }}"
    "{% macro g(a) %}{{ caller(a) }}{{ f(a) }}{% endmacro %}{% call(x) g('q') %}{{ x.upper() }}{% endcall %}",
    "{% macro tree(n, pad='') %}{{ pad[:-2] ~ n }}{% if n %}{{ tree(n - 1, pad + '  ') }}{% endif %}"
    "{% endmacro %}{{ tree(4) }}",
    "{% filter trim|upper %} a {% endfilter %}{% filter tojson %}a\"<{% endfilter %}{% set x | trim | tojson %}"
    " b {% endset %}{{ x }}",
    "{%- set text -%}  a b  {%- endset -%}{{ text.split()|last }}{{ text|length }}{% if 'a'.upper() == 'A' %}"
    "1{% elif 'x'.strip() %}2{% endif %}",
    "{# {{ 'a'.rsplit() }} #}{% raw %}{{ 'a'.rsplit('b') }}{%- x %}{% endraw %}a\r\n{{ 'b\r\nc'.upper() -}}"
    "  \r d {%+ if true +%}\n{% endif %}",
    "{% for m in messages[::-1] %}{% set i = messages|length - 1 - loop.index0 %}"
    "{% if loop.first or messages[i + 1].role != m.role %}"
    "{{ i }}{{ loop.revindex0 }}{{ loop.previtem.role if loop.previtem is defined }}{% endif %}{% endfor %}",
    "{% for k, v in {0: 0, 512: 128, 4096: 5}|dictsort %}{% if 600 <= k %}{{ v }}{% endif %}{% endfor %}",
    "{% set t = tools if tools is defined and tools else [] %}"
    "{% if not t is none and t is iterable and t|length > 0 %}{{ t|string }}{% endif %}",
    "{% set c = messages[1].content %}{% set b = 'w' %}{{ c[c.index(b):] }}"
    "{{ c[:c.find('\\n')].rstrip('o').split('h')[-1].lstrip('é') }}",
    "{% generation %}{{ 'a'.upper() }}{% endgeneration %}{% if nothing is defined and nothing.x.y %}{% endif %}"
    "{{ messages[0].x.y }}",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*invalid escape sequence:DeprecationWarning")
@pytest.mark.parametrize("source", [*("{{ " + text + " }}" for text in [*TEXT, *VALUES, *SAFE]), *STATEMENTS])
def test_a_construct_means_what_it_means_to_jinja2(source: str) -> None:
    assert ours(source) == theirs(source)


@pytest.mark.parametrize(
    "expression",
    [
        "'%s' % 'a'",
        "raise_exception is callable",
        "cycler('a').next()",
        "[1, 2]|random",
        "'a'|urlize",
        "{'a': 1}|xmlattr",
    ],
)
def test_what_minijinja_lacks_is_refused(expression: str) -> None:
    with pytest.raises(WeightsError, match="cannot be rendered: line 1"):
        ChatTemplate("{{ " + expression + " }}").render([])


def test_an_integer_that_would_lose_digits_is_refused() -> None:
    assert ChatTemplate("{{ x }}{{ x|tojson }}").render([], variables={"x": -(2**63)}) == f"{-(2**63)}" * 2
    for value in (2**63, -(10**30), 10**4000):
        with pytest.raises(DataError, match=r"refuses these messages: an integer beyond 64 bits: -?[0-9]{19}"):
            ChatTemplate("{{ x }}").render([{"role": "user", "content": [{"x": value}]}])


METHOD = st.sampled_from(["strip", "lstrip", "rstrip", "split", "rsplit", "title", "upper", "splitlines", "casefold"])
CALL = st.builds(lambda name, argument: f".{name}({argument})", METHOD, st.sampled_from(["", "'\\n'", "' a'", "'你'"]))
ANY_TEXT = st.text(st.sampled_from("ab \n\t\r\x0b\x1c\x85\u2028\u3000你ßΣ🙂İǆ'\"<\\"), max_size=12)


@settings(max_examples=200)
@given(text=ANY_TEXT, other=ANY_TEXT.filter(bool), call=CALL)
def test_methods_of_text_are_pythons(text: str, other: str, call: str) -> None:
    source = f"{{{{ x{call} }}}}|{{{{ (x ~ y){call} }}}}|"
    source += "{{ x.partition(y)[1:]|join('|') }}{{ [x]|map('trim')|first }}"
    source += "{{ x|title }}{{ x|capitalize }}{{ [x]|map('title')|first }}"
    given = {"x": text, "y": other}
    try:
        expected = render_jinja_template([[]], None, None, source, **given)[0][0]
    except TypeError:  # no such argument
        with pytest.raises(WeightsError):
            ChatTemplate(source).render([], variables=given)
    else:
        assert ChatTemplate(source).render([], variables=given) == expected


NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1)
VALUE = st.recursive(
    st.none() | st.booleans() | NUMBER | ANY_TEXT,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(ANY_TEXT, v, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200)
@given(value=VALUE, indent=st.sampled_from(["", "indent=2"]))
def test_json_is_pythons(value: Any, indent: str) -> None:
    source = "{{ x|tojson(" + indent + ") }}{{ [x, (1, x)]|tojson }}{{ [x]|map('tojson')|join }}"
    expected = render_jinja_template([[]], None, None, source, x=value)[0][0]
    assert ChatTemplate(source).render([], variables={"x": value}) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "'x'.__class__",
        "_method('x', '__class__')",
        "_method('{0.__class__}', 'format', 'x')",
        "_method('x', 'format_map')",
        "_method(messages, 'append', 1)",
        "_undefined.__class__",
        "messages[0].items.__self__",
    ],
)
def test_methods_lead_to_no_python_object(expression: str) -> None:
    try:
        assert ChatTemplate("{{ " + expression + " }}").render([{"role": "user"}]) == ""
    except WeightsError as error:
        assert "cannot be rendered" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "source",
    ["{%" + " " * 260_000, "{{" * 131_000, "{{ '" * 65_000, "{{ 'a'" + ".upper()" * 28_000 + " }}",
     "{{ " + "(" * 250_000, "{{ 'a'|safe" + "+'b'" * 60_000 + " }}", "{{ a" + ".items" * 40_000 + " }}",
     "{% raw %}" * 29_000, "{#" * 130_000,
     "{{ '" + "\\" * 260_000, "{{ " + ")" * 250_000 + " }}"],
    ids=range(11),
)  # fmt: skip
def test_a_long_template_is_translated_in_time(source: str) -> None:
    begin = time.monotonic()
    translate(source)
    assert time.monotonic() - begin < 20


@given(text=st.text(st.sampled_from("{}%#ab '\"\\.(|)=+-\n"), max_size=60))
def test_what_is_no_template_is_translated_into_something(text: str) -> None:
    assert isinstance(translate(text), str)
    if "{" not in text:
        assert translate(text) == text
