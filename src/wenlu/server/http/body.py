"""The JSON of a request, read within limits: too long, too deep or ambiguous is refused before it costs anything."""

from __future__ import annotations

import json
from collections import Counter
from itertools import accumulate
from math import isfinite
from typing import Any

from starlette.requests import Request

from wenlu.server.http.errors import ApiError
from wenlu.server.settings import Limits

_CLOSE = {"connection": "close"}
"""What was not read of a request that is refused half-way would else be taken for the next one."""


async def read_json(request: Request, limits: Limits) -> dict[str, Any]:
    """The object that a request's body is.

    Raises ApiError: 415 for other media types and for compressed bodies, 413 for too many bytes, 400 for what is not
    JSON or has more depth or items than `limits` say, an object with a key twice, a number that is not finite, or text
    that is not Unicode.
    """
    media = request.headers.get("content-type", "")
    if media.partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, f"content-type is {media[:80]!r}; send application/json", headers=_CLOSE)
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise ApiError(415, f"content-encoding is {coding[:80]!r}; send the body as it is", headers=_CLOSE)
    return parse_object(await _read(request, limits.body_bytes), limits)


def parse_object(body: bytes, limits: Limits) -> dict[str, Any]:
    """The object that these bytes are; raises ApiError as `read_json` does."""
    _measure(body, limits)
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
        )
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(f"the body is not UTF-8 text (byte {error.start})") from error
    except UnicodeEncodeError as error:
        raise _refused("a text has one half of a surrogate pair, as \\ud83d without the other half") from error
    except json.JSONDecodeError as error:
        raise _refused(f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except ValueError as error:  # a key that comes twice, a number without end
        raise _refused(f"the body cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise _refused('the body must be a JSON object, as {"model": …}')
    return value


async def _read(request: Request, limit: int) -> bytes:
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _measure(body: bytes, limits: Limits) -> None:
    """Count depth and items without reading the JSON: what stands outside of strings tells both."""
    most = limits.json_items
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    many = _refused(f"the body has more than {most} items")
    if unescaped.count(b'"') > 4 * most + 2:  # a key and a value for each
        raise many
    outside = b"".join(unescaped.split(b'"')[::2])
    brackets = outside.translate(None, _NO_BRACKETS)
    if outside.count(b",") + brackets.count(b"[") + brackets.count(b"{") > most or len(brackets) > 2 * most:
        raise many
    depth = max(accumulate(1 if byte in b"[{" else -1 for byte in brackets), default=0)
    if depth > limits.json_depth:
        raise _refused(f"the body is nested {depth} deep; at most {limits.json_depth} levels are read")


_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:80]!r} comes twice in one object")
    return read


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _refused(message: str) -> ApiError:
    return ApiError(400, message, code="invalid_json")


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"the body is longer than {limit} bytes", code="request_too_large", headers=_CLOSE)
