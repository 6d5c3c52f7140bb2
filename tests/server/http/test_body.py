"""Bodies that are read, and the many that are not."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest
from fastapi import APIRouter, Request
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp
from tests.server.asgi import JSON, ask
from tests.server.fixed_engine import FixedEngine

from wenlu.server.http.app import build_app
from wenlu.server.http.body import parse_object, read_json
from wenlu.server.http.errors import ApiError
from wenlu.server.http.gateway import Gateway
from wenlu.server.http.served import Served
from wenlu.server.settings import Limits

PROOF = os.environ.get("WENLU_PROOF") == "1"
LIMITS = Limits(body_bytes=1000)


def _mirror(gateway: Gateway) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/mirror")
    async def mirror(request: Request) -> dict[str, Any]:
        return await read_json(request, gateway.limits)

    return router


@pytest.fixture(scope="module")
def app() -> ASGIApp:
    return build_app(Served(FixedEngine(), LIMITS), dialects=[_mirror])


def test_an_object_is_read_as_it_was_sent(app: ASGIApp) -> None:
    sent = {"text": '文"炉\\"', "numbers": [1, -2.5, None, True], "inner": {"": {}}}
    response = ask(
        app, "POST", "/v1/mirror", content=json.dumps(sent), headers={"content-type": "Application/JSON; x=y"}
    )
    assert response.status_code == 200
    assert response.json() == sent


@pytest.mark.parametrize(
    ("headers", "content", "status", "told"),
    [
        ({}, b"{}", 415, "send application/json"),
        ({"content-type": "text/plain"}, b"{}", 415, "'text/plain'"),
        (JSON | {"content-encoding": "gzip"}, b"{}", 415, "'gzip'"),
        (JSON, b'{"a": "' + b"x" * 1000 + b'"}', 413, "longer than 1000 bytes"),
    ],
)
def test_what_is_not_json_within_the_limit_is_refused(
    app: ASGIApp, headers: dict[str, str], content: bytes, status: int, told: str
) -> None:
    response = ask(app, "POST", "/v1/mirror", content=content, headers=headers)
    assert response.status_code == status
    assert told in response.json()["error"]["message"]
    assert response.headers["x-should-retry"] == "false"


def test_a_body_is_counted_where_it_does_not_say_its_length(app: ASGIApp) -> None:
    async def pieces() -> Any:
        for _ in range(20):
            yield b" " * 100

    assert ask(app, "POST", "/v1/mirror", content=pieces(), headers=JSON).status_code == 413


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not JSON"),
        (b"[1]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b'{"a": 1} {', "not JSON: Extra data (line 1, column 10)"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": "\xff"}', "not UTF-8 text (byte 7)"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": "\\ud83d"}', "surrogate"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": -Infinity}', "-Infinity is no JSON number"),
        (b'{"a": 1e999}', "1e999 is too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "cannot be read"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "'b' comes twice"),
        (b'{"a": ' + b"[" * 64 + b"]" * 64 + b"}", "nested 65 deep; at most 64"),
        (b'{"a": [' + b"1," * 100_000 + b"1]}", "more than 100000 items"),
        (b'{"a": ' + b"]" * 300_000, "more than 100000 items"),
        (b'"' * 500_000, "more than 100000 items"),
    ],
)
def test_json_that_is_wrong_or_ambiguous_or_too_much_is_refused(body: bytes, told: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_object(body, Limits())
    assert refused.value.status == 400
    assert told in refused.value.message


def test_brackets_and_commas_in_strings_are_not_counted() -> None:
    text = '[{,"\\' * 100
    assert parse_object(json.dumps({"a": text}).encode(), Limits(json_items=3, json_depth=1)) == {"a": text}


FILLINGS = [b"[", b'"', b'\\"', b"1", b"{", b'{"a":', b",", b"\\", b'"a",', b"]", b"\\u0041"]


@pytest.mark.parametrize("filling", FILLINGS if PROOF else FILLINGS[:4])
def test_eight_megabytes_of_anything_are_refused_within_two_seconds(filling: bytes) -> None:
    body = b'{"a":' + filling * (8 * 1024 * 1024 // len(filling))
    begun = time.perf_counter()
    with pytest.raises(ApiError):
        parse_object(body, Limits())
    assert time.perf_counter() - begun < 2


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=1000 if PROOF else 15)
@given(st.dictionaries(st.text(), VALUES, max_size=4), st.booleans())
def test_every_object_that_fits_is_read_back_equal(value: dict[str, Any], escaped: bool) -> None:
    assert parse_object(json.dumps(value, ensure_ascii=escaped).encode(), Limits()) == value
