"""Fetch one file by https into the cache; its sha256 is recorded the first time and checked ever after."""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote, urlsplit

from wenlu.errors import DataError, ResourceError, UsageError
from wenlu.hub.cache import cache_folder, publish, read_record, scratch_folder, verify, write_record, writing
from wenlu.hub.fetched import Fetched, Resolved

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 60
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def resolve_address(url: str, *, sha256: str | None = None) -> Resolved:
    """The local copy of the file at `url`.

    Raises:
        UsageError: neither https nor a server on this very machine.
        DataError: the digest is not `sha256`, or not the one recorded at the first download.
        ResourceError: the server cannot be reached, refuses, or breaks off.
    """
    _check_address(url)
    folder = cache_folder() / "downloads" / hashlib.sha256(url.encode()).hexdigest()[:24]
    record = read_record(folder)
    if record is None:
        _download(url, folder, sha256)
        record = read_record(folder)
        assert record is not None, f"{folder} was published without its record"
    if sha256 is not None and record["sha256"] != sha256:
        raise DataError(f"{url}: its sha256 in the cache is {record['sha256']}, not the expected {sha256}")
    verify(folder, record["files"], folder=folder)
    path = folder / next(iter(record["files"]))
    return Resolved(path, Fetched(url, "", record["sha256"], "not stated", path))


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if not parts.hostname:
        raise UsageError(f"{url}: names no host; write https://HOST/PATH")
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise UsageError(f"{url}: only https is fetched, as anyone on the way could change an http answer")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to where a download could have begun."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(url: str, folder: Path, expected: str | None) -> None:
    name = _file_name(url)
    with scratch_folder() as scratch, writing(cache_folder()):
        whole = scratch / "whole"
        whole.mkdir()
        digest = _stream(url, whole / name)
        if expected is not None and digest != expected:
            raise DataError(f"{url}: its sha256 is {digest}, not the expected {expected}; it was not kept")
        write_record(whole, {"source": url, "sha256": digest}, {name: digest})
        publish(whole, folder)


def _stream(url: str, path: Path) -> str:
    """Write the answer's body to `path`; its sha256."""
    handlers: list[urllib.request.BaseHandler] = [_SafeRedirects()]
    if urlsplit(url).hostname in _LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    digest, size = hashlib.sha256(), 0
    try:
        with opener.open(url, timeout=_TIMEOUT_SECONDS) as answer, path.open("wb") as out:
            length = answer.headers.get("Content-Length")
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                out.write(chunk)
    except urllib.error.HTTPError as error:
        raise ResourceError(f"{url}: the server answered {error.code} {error.reason}; is the address right?") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise ResourceError(
            f"{url}: cannot be fetched ({reason}). Is this machine online? "
            "Or download the file elsewhere and give its path"
        ) from error
    if length is not None and size != int(length):
        raise ResourceError(f"{url}: broke off after {size} of {length} bytes; try again")
    return digest.hexdigest()


def _file_name(url: str) -> str:
    """The last part of the address, safe as a file name; its suffix tells how to read the file."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    return re.sub(r"[^\w.\-+]", "_", name).lstrip(".") or "file"
