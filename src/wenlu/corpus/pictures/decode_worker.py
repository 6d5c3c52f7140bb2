"""Decode pictures in a process of its own, which may be killed: run as a script, a request after the other.

A request is a JSON object on a line (`format`, `bytes`, `max_pixels`, `seconds`, `memory`, `spare`, `background`,
`longest`, `svg_longest`) and the file's bytes; the answer is a JSON object on a line and the pixels. Decoders are large
programs in C and Rust that read bytes of unknown origin: what they crash on, or need too much for, takes only this
process with it.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Any
from xml.parsers import expat

from PIL import Image

_PLUGINS = {"PNG": "PNG", "JPEG": "JPEG", "WebP": "WEBP", "GIF": "GIF", "BMP": "BMP", "TIFF": "TIFF"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to turn a picture upright, by its EXIF orientation."""
_TURNED = "turned as EXIF says"
_ORIENTATION, _BITS_PER_SAMPLE = 0x0112, 258
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    struct.error,
    zlib.error,
)
"""What Pillow lets through where a damaged file breaks its assumptions."""
_LINKING = ("image", "feImage", "use")


class Refused(Exception):
    """A reason in a few fixed words, and what exactly was found."""


def reply(request: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """The head of the answer, with `error` and `detail` where the picture is refused, and the pixels."""
    Image.MAX_IMAGE_PIXELS = None  # our own limit is asked before anything is decoded
    try:
        if request["format"] == "SVG":
            image, done = _drawn(data, request["longest"] or request["svg_longest"])
        else:
            image, done = _opened(data, request["format"], request["max_pixels"])
        width, height = image.info.get("size", image.size)
        image = _rgb(image, tuple(request["background"]), done)
        image = _turned(image, done)
        image = _smaller(image, request["longest"])
        pixels = image.tobytes()
    except Refused as refused:
        reason, detail = refused.args
        return {"error": reason, "detail": detail}, b""
    except MemoryError:
        return {"error": "needs too much memory", "detail": "memory ran out while it was decoded"}, b""
    except _DAMAGE as error:
        said = " ".join(str(error).split()) or type(error).__name__
        return {"error": "damaged picture", "detail": said[:300]}, b""
    head = {"width": width, "height": height, "done": done, "size": [image.height, image.width], "bytes": len(pixels)}
    return head, pixels


def _opened(data: bytes, form: str, max_pixels: int) -> tuple[Image.Image, list[str]]:
    """The first frame, its pixels read, and what was noticed."""
    image = Image.open(io.BytesIO(data), formats=[_PLUGINS[form]])
    if image.width * image.height > max_pixels:
        raise Refused("too many pixels", f"{image.width:,} × {image.height:,}, over max_pixels = {max_pixels:,}")
    size, orientation = image.size, _orientation(image)
    if form == "TIFF" and orientation > 4:
        size = size[1], size[0]  # Pillow says what it will be, turned
    image.load()
    done = []
    bits = _bits(image, data)
    if bits > 16 or image.mode in ("I", "F"):
        raise Refused("kind of pixels not read", f"{bits} bits a sample, mode {image.mode}; save it with 8 bits")
    if bits == 16:
        done.append("16 bits made 8")
    first = image.copy()
    first.info = {**image.info, "size": size}
    if orientation != 1 and form == "TIFF":
        done.append(_TURNED)  # by Pillow, while it read the pixels
    elif orientation != 1:
        first.info["turn"] = orientation
    frames = _frames(image)
    if frames > 1:
        done.append(f"first of {frames} frames")
    return first, done


def _bits(image: Image.Image, data: bytes) -> int:
    """Bits a sample in the file; Pillow itself keeps the upper 8 of 16 for colours."""
    if image.format == "PNG":
        return data[24]
    if image.format == "TIFF":
        said = image.tag_v2.get(_BITS_PER_SAMPLE, (8,))  # type: ignore[attr-defined]
        return max(said) if isinstance(said, tuple) else int(said)
    return 8


def _orientation(image: Image.Image) -> int:
    try:
        found: Any = image.getexif().get(_ORIENTATION, 1)
    except _DAMAGE:  # the pixels are whole all the same
        return 1
    return int(found) if found in _TURNS else 1


def _frames(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except _DAMAGE:  # the first frame is whole
        return 1


def _rgb(image: Image.Image, background: tuple[int, int, int], done: list[str]) -> Image.Image:
    info = dict(image.info)
    if image.mode.startswith("I;16"):
        data = image.tobytes()
        image = Image.frombytes("L", image.size, data[0::2] if image.mode == "I;16B" else data[1::2])
        image.info = info
    if image.has_transparency_data:
        if image.mode == "L" and isinstance(info.get("transparency"), int) and "16 bits made 8" in done:
            image.info["transparency"] = info["transparency"] >> 8
        whole = image.convert("RGBA")
        lowest: Any = whole.getchannel("A").getextrema()[0]
        if lowest < 255:
            done.append("transparency laid on the background")
        image = Image.alpha_composite(Image.new("RGBA", whole.size, (*background, 255)), whole).convert("RGB")
    elif image.mode != "RGB":
        if image.mode == "CMYK":
            done.append("CMYK made RGB")
        image = image.convert("RGB")
    image.info = info
    return image


def _turned(image: Image.Image, done: list[str]) -> Image.Image:
    turn = image.info.get("turn", 1)
    if turn == 1:
        return image
    done.append(_TURNED)
    return image.transpose(_TURNS[turn])


def _smaller(image: Image.Image, longest: int | None) -> Image.Image:
    """Fitted into `longest` × `longest`, never made larger; bicubic over all pixels that a new one covers."""
    if longest is None or max(image.size) <= longest:
        return image
    scale = longest / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC)


def _drawn(data: bytes, longest: int) -> tuple[Image.Image, list[str]]:
    """An SVG with its longer side of `longest` pixels; it reads no file, no font and no address."""
    import resvg_py

    text = _svg_text(data)
    has_text = _check_svg(text)
    try:
        png = resvg_py.svg_to_bytes(svg_string=text, width=longest, height=longest, dpi=96.0, skip_system_fonts=True)
    except ValueError as error:
        raise Refused("SVG cannot be drawn", " ".join(str(error).split())[:300]) from error
    image = Image.open(io.BytesIO(png), formats=["PNG"])
    image.load()
    return image, ["text of the SVG left out"] if has_text else []


def _svg_text(data: bytes) -> str:
    head = data[:200].partition(b"?>")[0]
    encoding = "utf-8-sig"
    if head.startswith(b"<?xml") and b"encoding" in head:
        quoted = head.partition(b"encoding")[2].replace(b"'", b'"').split(b'"')
        encoding = quoted[1].decode("ascii", "replace") if len(quoted) > 1 else encoding
        encoding = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise Refused("damaged picture", f"its text is not {encoding}: {error}"[:300]) from error
    # As the text goes on decoded, what it says of its encoding would mislead.
    return text[text.find("?>") + 2 :] if text.startswith("<?xml") else text


def _check_svg(text: str) -> bool:
    """Refuse what would reach outside the file; returns whether there is text, for which there are no fonts."""
    parser = expat.ParserCreate("utf-8")
    texts: list[str] = []

    def entity(name: str, _parameter: bool, _value: Any, _base: Any, system: str | None, *_: Any) -> None:
        if system is not None:
            raise Refused("SVG reaches outside", f"the entity {name!r} stands for {system[:100]!r}")

    def element(name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if local == "text":
            texts.append(local)
        if local in _LINKING:
            for link in _links(attributes):
                raise Refused("SVG reaches outside", f"<{local}> links to {link[:100]!r}")

    parser.EntityDeclHandler = entity
    parser.StartElementHandler = element
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise Refused("damaged picture", f"its XML is malformed: {error}") from error
    return bool(texts)


def _links(attributes: Mapping[str, str]) -> Iterator[str]:
    for name, value in attributes.items():
        target = value.strip()
        if name.rpartition(":")[2] == "href" and target and not target.startswith(("#", "data:")):
            yield target


def _limit(seconds: float, memory: int, start: int) -> None:
    """Bound memory, and processor time for the next request."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock is what is left
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (spent, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    resource.setrlimit(resource.RLIMIT_AS, (start + memory, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _memory(field: int) -> int:
    """Bytes of address space (0) or of memory (1) of this process; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[field]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def main() -> None:
    """Answer each request of standard input, until it ends."""
    start = _memory(0)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        data = sys.stdin.buffer.read(request["bytes"])
        _limit(request["seconds"], request["memory"], start)
        head, pixels = reply(request, data)
        head["worn"] = _memory(1) > request["spare"]
        sys.stdout.buffer.write(json.dumps(head).encode() + b"\n")
        sys.stdout.buffer.write(pixels)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
