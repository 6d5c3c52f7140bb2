"""What answers must look like: read first where reading can be ended, and kept for who asks the same again."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from wenlu.bundle import Bundle
from wenlu.config import check
from wenlu.errors import ConfigError, UsageError
from wenlu.generation.guides import Compiled, compile_guide
from wenlu.generation.guides.given import MOST_BYTES, MOST_CHOICES, MOST_REGEX, grammar_text, has_start
from wenlu.generation.settings import SamplingConfig
from wenlu.server.engine.form_process import FormProcess, TookTooLong
from wenlu.server.engine.problem import Problem
from wenlu.server.messages import Form

_KEPT = 128
_AGAIN_SECONDS = 60.0
"""A form that took too long is not read again before: who asks again and again costs others no time."""
_PARAMS = {
    "json_schema": "form.json_schema",
    "regex": "form.regex",
    "grammar": "form.grammar",
    "choices": "form.choices",
}


@dataclass(frozen=True)
class _Read:
    """What came of a form, and until when that is believed, a clock's seconds."""

    found: Compiled | Problem
    until: float = math.inf


class Forms:
    """Reads forms under a limit of time. One thread asks at a time.

    Attributes:
        seconds: that reading took so far.
    """

    def __init__(self, milliseconds: int) -> None:
        self.seconds = 0.0
        self._milliseconds = milliseconds
        self._process = FormProcess()
        self._kept: OrderedDict[tuple[str, str], _Read] = OrderedDict()
        self._lock = Lock()

    def read(self, bundle: Bundle, form: Form, *, param: str | None = None) -> Compiled:
        """The form for a model's tokenizer.

        Args:
            param: the field that is at fault where it is not good; else that of the form.

        Raises Problem.
        """
        with self._lock:
            sampling = checked(form)
            (kind,) = sampling.forms
            deciding = (kind, sampling.model_dump_json(), sorted(bundle.end_ids))
            key = bundle.tokenizer.fingerprint, hashlib.sha256(repr(deciding).encode()).hexdigest()
            if key not in self._kept or time.monotonic() > self._kept[key].until:
                began = time.perf_counter()
                self._kept[key] = self._read(bundle, sampling, param or _PARAMS[kind])
                self.seconds += time.perf_counter() - began
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            found = self._kept[key].found
        if isinstance(found, Problem):
            raise found.with_traceback(None)  # else it would grow each time
        return found

    def close(self) -> None:
        """End the process; a form that is being read is then refused."""
        self._process.stop()

    def _read(self, bundle: Bundle, sampling: SamplingConfig, param: str) -> _Read:
        (kind,) = sampling.forms
        try:
            if kind != "choices":
                self._process.check(kind, getattr(sampling, kind), self._milliseconds / 1000)
            compiled = compile_guide(sampling, bundle.tokenizer, bundle.end_ids)
        except UsageError as error:
            again = time.monotonic() + _AGAIN_SECONDS if isinstance(error, TookTooLong) else math.inf
            return _Read(Problem("request", str(error), param=param), again)
        assert compiled is not None, "it has a form"
        return _Read(compiled)


def checked(form: Form) -> SamplingConfig:
    """A form within the bounds of size, as settings; a server reads no files for it. Raises Problem."""
    given: dict[str, object] = {}
    param = None
    try:
        if form.json_schema is not None:
            param = "form.json_schema"
            given["json_schema"] = _json(form.json_schema)
        if form.regex is not None:
            param = "form.regex"
            if not 0 < len(form.regex) <= MOST_REGEX:
                raise ValueError(
                    f"an expression of 1 to {MOST_REGEX:,} characters is expected, not {len(form.regex):,}"
                )
            given["regex"] = form.regex
        if form.grammar is not None:
            param = "form.grammar"
            if not has_start(form.grammar):
                raise ValueError("the grammar has no rule `start: …`, at which an answer begins")
            given["grammar"] = grammar_text(form.grammar)
        if form.choices:
            param = "form.choices"
            if len(form.choices) > MOST_CHOICES:
                raise ValueError(f"{len(form.choices):,} texts to choose from; {MOST_CHOICES:,} at most")
            given["choices"] = form.choices
    except ValueError as error:
        raise Problem("request", str(error), param=param) from error
    if len(given) != 1:
        raise Problem(
            "request", "say one form of the answer: a schema, an expression, a grammar or choices", param="form"
        )
    try:
        return check(SamplingConfig, given, where="form")
    except ConfigError as error:
        raise Problem("request", _without_place(str(error)), param=param) from error


def _json(text: str) -> object:
    if len(text.encode("utf-8", "replace")) > 2 * MOST_BYTES:  # before it is read; after it, as it is written again
        raise ValueError(f"the schema has more than {MOST_BYTES:,} bytes")
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the schema is not valid JSON: {error}") from error
    if not isinstance(schema, dict | bool):
        raise ValueError(f"a schema is an object of JSON, not {text:.80}")
    return schema


def _without_place(message: str) -> str:
    """A complaint of settings without the heading that names where they stand."""
    return message.removeprefix("form:").strip()
