"""Hand a picture to the process that decodes it, and replace that process where it crashes, hangs or grows."""

from __future__ import annotations

import atexit
import json
import signal
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from wenlu.corpus.pictures.format import READ, format_of
from wenlu.corpus.pictures.picture import BadPicture, Picture, PictureLimits
from wenlu.errors import MissingExtra
from wenlu.worker import Worker, WorkerEnded, WorkerLate

LIMITS = PictureLimits()
BACKGROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128)}
SVG_LONGEST = 512
"""Pixels of the longer side of an SVG that is drawn where no size is named."""
_SPARE_BYTES = 192 * 2**20
"""Of memory that the process may keep after an answer; one that keeps more is replaced."""
_PATIENCE = 6.0
"""Seconds on the clock for each second of the processor, as other processes work too."""
_START_SECONDS = 60.0


def decoded(
    data: bytes,
    limits: PictureLimits = LIMITS,
    *,
    background: str = "white",
    longest: int | None = None,
    svg_longest: int = SVG_LONGEST,
) -> Picture:
    """The picture in a file's bytes: its first frame, upright, opaque, in 8 bits of red, green and blue.

    Args:
        background: what shows where the picture is transparent, one of `BACKGROUNDS`.
        longest: pixels of its longer side at most; a larger picture is made smaller, an SVG is drawn so.

    Raises:
        BadPicture: it is of another format, damaged, or beyond the limits.
        MissingExtra: Pillow or resvg-py is not installed.
    """
    form = format_of(data)
    if form not in READ:
        raise BadPicture("not a picture that is read", f"it is {form}; read are {', '.join(READ)}")
    if len(data) > limits.max_bytes:
        raise BadPicture("too many bytes", f"{len(data):,}, over max_bytes = {limits.max_bytes:,}")
    _require(form)
    request = {
        "format": form,
        "bytes": len(data),
        "max_pixels": limits.max_pixels,
        "seconds": limits.max_seconds,
        "memory": limits.memory_bytes,
        "spare": _SPARE_BYTES,
        "background": BACKGROUNDS[background],
        "longest": longest,
        "svg_longest": svg_longest,
    }
    head, pixels = _asked(json.dumps(request).encode() + b"\n", data, limits.max_seconds)
    if "error" in head:
        raise BadPicture(head["error"], head["detail"])
    height, width = head["size"]
    array = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
    return Picture(array, form, tuple(head["done"]), head["width"], head["height"])


def decoder_pid() -> int | None:
    """The process that decodes for this one, if it lives."""
    return _worker.pid


@cache
def _require(form: str) -> None:
    for package, module in (("pillow", "PIL"), *((("resvg-py", "resvg_py"),) if form == "SVG" else ())):
        if find_spec(module) is None:
            raise MissingExtra(package, extra="vision", purpose=f"read {form} pictures")


def _asked(request: bytes, data: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
    """The head of the answer, and the pixels; where the process dies, a head that says of what."""
    patience = seconds * _PATIENCE + _START_SECONDS
    with _lock:
        try:
            _worker.start()
            _worker.send(request, data)
            head: dict[str, Any] = json.loads(_worker.line(patience))
            pixels = _worker.content(head.get("bytes", 0), patience)
        except (WorkerEnded, WorkerLate) as stopped:
            return _post_mortem(seconds, is_late=isinstance(stopped, WorkerLate)), b""
        except BaseException:  # also Ctrl-C: half an answer in the pipe would be taken for the next one's
            _worker.stop()
            raise
        if head["worn"]:
            _worker.stop()
        return head, pixels


def _post_mortem(seconds: float, *, is_late: bool) -> dict[str, Any]:
    code = None if is_late else _worker.exit_code(5.0)
    _worker.stop()
    if code is None or code in (-signal.SIGXCPU, -signal.SIGKILL):
        return {"error": "takes too long", "detail": f"was not decoded within max_seconds = {seconds:g}"}
    return {"error": "breaks the decoder", "detail": f"the process that decoded it ended with {_ending(code)}"}


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"


_lock = Lock()
_worker = Worker(Path(__file__).with_name("decode_worker.py"), "decode pictures")
atexit.register(_worker.stop)
