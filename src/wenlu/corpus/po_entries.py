"""The entries of a gettext catalogue (https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html).

Only what a translation needs is kept of them: comments, references and earlier wordings are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_KEYWORD = re.compile(r'(msgctxt|msgid_plural|msgid|msgstr(?:\[([0-9]+)\])?)[ \t]*(".*)')
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{2})|(.))")
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", '"': '"', "\\": "\\"}


@dataclass
class Entry:
    """One message.

    Attributes:
        line: of its first line that is no comment.
        fields: `msgctxt`, `msgid`, `msgid_plural`, `msgstr` and, of plurals, `msgstr[1]`, …
        problem: what is wrong with it, and where; the rest of the entry is not to be relied on.
    """

    line: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    fuzzy: bool = False
    obsolete: bool = False
    problem: str = ""
    size: int = 0


def entries(lines: Iterable[tuple[int, str]], max_size: int) -> Iterator[Entry]:
    """The entries in their order; of one with a problem, or over `max_size` characters, the fields are dropped."""
    entry, open_field = Entry(), ""
    for number, line in lines:
        line = line.strip(" \t\r\n")
        comment = line.startswith("#") and not line.startswith("#~")
        complete = "msgstr" in entry.fields
        # An empty line means nothing, even inside a string; after what cannot be read it is where to go on.
        if entry.line and (comment or (complete and _begins(line)) or (entry.problem and not line)):
            yield _whole(entry)
            entry, open_field = Entry(), ""
        if comment:
            entry.fuzzy |= line.startswith("#,") and "fuzzy" in re.split(r"[,\s]+", line[2:])
            continue
        if line.startswith("#~"):
            line = line[2:].strip(" \t")
            if not line or line.startswith("|"):
                continue
            entry.obsolete = True
        if not line:
            continue
        entry.line = entry.line or number
        entry.size += len(line)
        if entry.size > max_size:
            entry.problem = entry.problem or f"line {number}: the entry is over max_record_bytes = {max_size}"
        if not entry.problem:
            open_field = _add(entry, open_field, line, number)
        if entry.problem:
            entry.fields = {"msgstr": ""} if complete or line.startswith("msgstr") else {}
    if entry.line:
        yield _whole(entry)


def _begins(line: str) -> bool:
    return re.match(r"(?:#~[ \t]*)?(?:msgctxt|msgid)[ \t]*\"", line) is not None


def _add(entry: Entry, open_field: str, line: str, number: int) -> str:
    """Take in one line; returns the field that a following string goes on with."""
    keyword = _KEYWORD.fullmatch(line)
    name, text = open_field, line
    if keyword:
        name, text = keyword[1].replace("msgstr[0]", "msgstr"), keyword[3]
        if name in entry.fields:
            entry.problem = f"line {number}: {keyword[1]} stands in one entry twice"
            return name
        entry.fields[name] = ""
    string = _STRING.fullmatch(text)
    if not name or string is None:
        entry.problem = f"line {number}: {line[:60]!r} is neither a keyword with a string nor a string in quotes"
        return name
    try:
        entry.fields[name] += _unescape(string[1])
    except ValueError as error:
        entry.problem = f"line {number}: {error}"
    return name


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    # Escaped numbers are bytes of UTF-8, several of which may make a character.
    data, at = b"", 0
    for escape in _ESCAPE.finditer(text):
        octal, hexadecimal, letter = escape.groups()
        if letter and letter not in _LETTERS:
            raise ValueError(f"the escape \\{letter} is unknown")
        data += text[at : escape.start()].encode("utf-8", "surrogatepass")
        data += _LETTERS[letter].encode() if letter else bytes([int(octal or hexadecimal, 8 if octal else 16) & 0xFF])
        at = escape.end()
    try:
        return (data + text[at:].encode("utf-8", "surrogatepass")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"its escaped bytes are not UTF-8 ({error.reason})") from error


def _whole(entry: Entry) -> Entry:
    if not entry.problem and not {"msgid", "msgstr"} <= entry.fields.keys():
        missing = "msgid" if "msgid" not in entry.fields else "msgstr"
        entry.problem = f"line {entry.line}: an entry without {missing}"
    return entry
