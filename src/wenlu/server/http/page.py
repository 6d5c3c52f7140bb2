"""The page for people: its files, served from memory as they were when the server started."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STATIC = Path(__file__).parent.parent / "static"
PREFIX = "/static/"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "require-trusted-types-for 'script'",
    )
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Asked about every time and sent only where it changed: an upgrade of the package shows at once.
    "cache-control": "no-cache",
    "vary": "accept-encoding",
}


@dataclass(frozen=True)
class Asset:
    """A file of the page, plain and as gzip sends it."""

    path: str
    media_type: str
    body: bytes
    zipped: bytes
    etag: str


@cache
def assets(folder: Path = STATIC) -> tuple[Asset, ...]:
    """All files of the page by the paths that they are served at; a request chooses among these and reaches no disk."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in MEDIA_TYPES]
    assert folder / "index.html" in found, f"{folder}: the page has no index.html"
    return tuple(_asset(path, folder) for path in found)


def page_routes(folder: Path = STATIC) -> list[Route]:
    """A route for each file, `/` for the page itself; the only ones beside health and readiness that need no key."""
    return [Route(asset.path, _endpoint(asset), methods=["GET"], include_in_schema=False) for asset in assets(folder)]


def page_paths(folder: Path = STATIC) -> frozenset[str]:
    """The paths that need no key, exactly as they are routed."""
    return frozenset(asset.path for asset in assets(folder))


def _asset(path: Path, folder: Path) -> Asset:
    body = path.read_bytes()
    name = path.relative_to(folder).as_posix()
    return Asset(
        path="/" if name == "index.html" else PREFIX + name,
        media_type=MEDIA_TYPES[path.suffix],
        body=body,
        zipped=gzip.compress(body, mtime=0),
        etag=hashlib.sha256(body).hexdigest()[:24],
    )


def _endpoint(asset: Asset) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        is_zipped = _takes_gzip(request.headers.get("accept-encoding", ""))
        etag = f'"{asset.etag}{"-gzip" if is_zipped else ""}"'
        headers = {**HEADERS, "etag": etag}
        if _has(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        if is_zipped:
            headers["content-encoding"] = "gzip"
        return Response(asset.zipped if is_zipped else asset.body, headers=headers, media_type=asset.media_type)

    return serve


def _takes_gzip(accepted: str) -> bool:
    for item in accepted.split(","):
        name, _, quality = item.partition(";")
        if name.strip().lower() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _has(asked: str, etag: str) -> bool:
    return asked.strip() == "*" or etag in (item.strip().removeprefix("W/") for item in asked.split(","))
