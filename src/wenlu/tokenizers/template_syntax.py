"""Rewrite a Jinja2 template so that minijinja, whose values are not Python's, means by it what Jinja2 means.

Methods of text become calls of Python's own, `tojson` keeps whole floats apart from integers, and what is undefined
stays apart from none on its way to Python. Everything else, and what is no template at all, stays as it is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass

_OPEN = re.compile(r"\{(?:#|[{%][-+]?)")
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}")
_END_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_ESCAPE = re.compile(r"\\(?:[\n\\'\"abfnrtv]|[0-3]?[0-7]{1,2}|x[\da-fA-F]{2}|u[\da-fA-F]{4}|U000[\da-fA-F]{5})")
_ASSIGNED = re.compile(r"\b([a-z]+)\s*=(?!=)")
_SAFE = re.compile(r"\|\s*(?:safe|e|escape|forceescape)\b")
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<string>'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*")
    | (?P<number>\d\w*(?:\.\d\w*)?)
    | (?P<name>[^\W\d]\w*)
    | (?P<sign>\*\*|//|[=!<>]=|[-+*/%~|.,:;=<>()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_BREAKS = frozenset(("and", "or", "not", "in", "if", "else", "recursive"))
"""Words that no operand is made of; those that say what a tag does are names elsewhere."""
_ENDS_SUM = _BREAKS | frozenset(("==", "!=", "<", ">", "<=", ">=", ",", ":", "=", ")", "]", "}"))
_DICT_METHODS, _LIST_METHODS, _TEXT_METHODS = (
    frozenset(name for name in dir(kind) if not name.startswith("_")) for kind in (dict, list, str)
)
_PYTHONS = _TEXT_METHODS - {"format", "format_map", "maketrans"}
"""Methods that are Python's own here; `format` looks into objects, and minijinja has it."""
_CHANGING = (_DICT_METHODS | _LIST_METHODS) - _PYTHONS - {"copy", "fromkeys", "get", "items", "keys", "values"}
"""What no template may do to what it is given (`jinja2.sandbox.ImmutableSandboxedEnvironment`)."""
_UNDEFINED = "default(_undefined)"
_FILTERS = {
    "tojson": f"{_UNDEFINED}|tojson|_json",
    **{name: f"{_UNDEFINED}|{name}" for name in ("int", "float")},
    **{name: f"string|{name}" for name in ("trim", "title", "capitalize", "wordcount", "truncate", "center")},
    **{name: f"default('')|{name}" for name in ("e", "escape", "forceescape")},
}
"""minijinja's own filters see a value as it is: `string` and `tojson` go before what Python would see of it."""
_DEFAULT_ARGUMENTS = {"default_value": "(", "boolean": ","}
"""Names of the arguments of `default`, which minijinja takes in this order alone, and what stands before each."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str


def translate(source: str) -> str:
    """The template that minijinja renders as Jinja2 renders `source`, in time that grows with its length."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    escapes = _SAFE.search(source) is not None
    assigned = frozenset(_ASSIGNED.findall(source))
    parts: list[str] = []
    at = 0
    while begin := _OPEN.search(source, at):
        parts.append(source[at : begin.start()])
        at = begin.start()
        if begin[0] == "{#":
            end = source.find("#}", begin.end()) + 2
        elif raw := _RAW.match(source, at):
            closing = _END_RAW.search(source, raw.end())
            end = closing.end() if closing else 1
        else:
            tokens, end = _tokens(source, begin.end(), "}}" if begin[0][1] == "{" else "%}")
            if end:
                parts.append(
                    f"{begin[0]}{_Tag(tokens, begin[0][1] == '%', escapes, _DICT_METHODS - assigned).written()}"
                )
                at = end
                continue
        if end <= at:  # nothing ends it: minijinja says so
            break
        parts.append(source[at:end])
        at = end
    return "".join([*parts, source[at:]])


def _tokens(source: str, at: int, closing: str) -> tuple[list[_Token], int]:
    """The tokens of a tag to its end, and where that is; 0 where it has none."""
    found: list[_Token] = []
    depth = 0
    while at < len(source):
        if not depth:
            sign = len(source[at : at + 1].strip("^-+")) == 0
            if source.startswith(closing, at + sign):
                end = at + sign + len(closing)
                return [*found, _Token("end", source[at:end])], end
        match = _TOKEN.match(source, at)
        if match is None or match.lastgroup is None:
            return [], 0
        depth += (match[0] in ("(", "[", "{")) - (match[0] in (")", "]", "}"))
        found.append(_Token(match.lastgroup, match[0]))
        at = match.end()
    return [], 0


@dataclass
class _Bracket:
    """An open bracket: where the operand that it ends begins, and the filter whose arguments it holds."""

    start: int
    filter: str
    sum: _Sum


@dataclass
class _Sum:
    """Terms with `+` between them: where the first begins, and whether the last is open."""

    start: int
    open: bool = False


class _Tag:
    """The tokens of one tag, rewritten from left to right."""

    def __init__(self, tokens: Sequence[_Token], statement: bool, escapes: bool, hidden: Set[str]) -> None:
        self.tokens = tokens
        self.texts = [token.text for token in tokens]
        self.before: dict[int, list[str]] = defaultdict(list)  # written ahead of a token, innermost first
        self.places = [place for place, token in enumerate(tokens) if token.kind != "space"]
        self.tag = 0 if statement else -1  # the number of the word that says what it does
        self.start: int | None = None  # where the operand begins that ends before the token in turn
        self.brackets: list[_Bracket] = []
        self.escapes = escapes
        self.hidden = hidden  # attributes that are methods of a mapping before they are keys
        self.sum = _Sum(self.places[0])

    def written(self) -> str:
        for number, place in enumerate(self.places):
            token = self.tokens[place]
            if self.escapes:
                self._add(number, token)
            if token.kind == "name":
                self._name(number, place, token.text)
            elif token.kind == "string":
                self._string(number, place, token.text)
            elif token.kind == "number":
                self.start = self.start if self._text(number - 1) == "." else place
            elif token.text in ("(", "[", "{"):
                of = self._text(number - 1) if self._text(number - 2) == "|" else ""
                self.brackets.append(_Bracket(place if self.start is None else self.start, of, self.sum))
                self.start, self.sum = None, _Sum(self.places[number + 1])
            elif token.text in (")", "]", "}"):
                bracket = self.brackets.pop() if self.brackets else _Bracket(place, "", self.sum)
                self.start, self.sum = bracket.start, bracket.sum
            elif token.text not in (".", "|"):
                self.start = None
        written = ["".join(reversed(self.before[place])) + text for place, text in enumerate(self.texts)]
        return self._loop(written) if self.tag == 0 and self._text(0) == "for" else "".join(written)

    def _loop(self, written: list[str]) -> str:
        """Look at what a loop goes over before it does: none is an error to Jinja2, and nothing at all to minijinja."""
        depth, begin, end = 0, 0, 0
        for place in self.places:
            text = self.tokens[place].text
            depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
            if not depth and text == "in" and not begin:
                begin = place + 1
            elif not depth and begin and (text in ("if", "recursive") or self.tokens[place].kind == "end"):
                end = place
                break
        if not begin:
            return "".join(written)
        checked = "%}{% if _over is none %}{{ _loop_over_none() }}{% endif %}{%"
        over, rest = "".join(written[begin:end]), "".join(written[end:])
        return f" set _over = ({over}) {checked}{''.join(written[:begin])} _over {rest}"

    def _add(self, number: int, token: _Token) -> None:
        """Let Python add, which escapes what is added to text that is marked as safe."""
        name = self._text(number - 1) in (".", "|")
        ends = token.kind == "end" or number == self.tag or (token.text in _ENDS_SUM and not name)
        if not ends and (token.text not in ("+", "-") or self.start is None):
            return
        if self.sum.open:
            self.texts[self.places[number - 1]] += ")"
            self.sum.open = False
        if token.text == "+":
            self.before[self.sum.start].append("_add(")
            self._write(number, ",")
            self.sum.open = True
        elif ends and token.kind != "end":
            self.sum = _Sum(self.places[number + 1])

    def _text(self, number: int) -> str:
        return self.tokens[self.places[number]].text if 0 <= number < len(self.places) else ""

    def _write(self, number: int, text: str) -> None:
        self.texts[self.places[number]] = text

    def _name(self, number: int, place: int, name: str) -> None:
        behind, ahead = self._text(number - 1), self._text(number + 1)
        of = self.brackets[-1].filter if self.brackets else ""
        if behind == "." and self.start is not None:
            self._attribute(number, name, self.start)
        elif number == self.tag:
            self.start = None
        elif behind == "|" or (behind == "filter" and number - 1 == self.tag):
            self._write(number, _FILTERS.get(name, name))
        elif ahead == "=" and of in ("default", "d") and _DEFAULT_ARGUMENTS.get(name) == behind:
            self._write(number, "")
            self._write(number + 1, "")
        elif name == "is":
            test = self._text(number + 2) if ahead == "not" else ahead
            if test in ("iterable", "sequence"):
                self._write(number, f"|{_UNDEFINED} is")
            self.start = None
        else:
            self.start = None if name in _BREAKS else place

    def _attribute(self, number: int, name: str, start: int) -> None:
        called = self._text(number + 1) == "("
        if called and name in _PYTHONS | _CHANGING:
            self.before[start].append("_method(")
            self._write(number - 1, ",")
            self._write(number, f"'{name}'")
            self._write(number + 1, "" if self._text(number + 2) == ")" else ",")
        elif name in self.hidden and not called:
            # To Jinja2 `schema.items` is the method, whatever the keys are.
            self.before[start].append("(")
            self._write(number - 1, f"|{_UNDEFINED}|_members).")

    def _string(self, number: int, place: int, text: str) -> None:
        if self._text(number - 1)[:1] not in ("'", '"'):  # strings side by side are one
            self.start = place
        if text[1:-1] == "tojson" and self.brackets and self.brackets[-1].filter == "map":
            self._write(number, "'tojson')|map('_json'")
        elif "\\" in text:
            self._write(number, _unescaped(text))


def _unescaped(literal: str) -> str:
    """Python's escapes, among them that of the end of a line, in those few that minijinja knows."""
    value = _ESCAPE.sub(lambda found: found[0].encode().decode("unicode-escape"), literal[1:-1])
    if any("\ud800" <= character <= "\udfff" for character in value):
        return literal
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
