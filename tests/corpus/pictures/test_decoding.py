"""Pictures of every kind, good and bad, become pixels or a reason."""

from __future__ import annotations

import io
import os
import struct
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers.image_transforms import convert_to_rgb

from wenlu.corpus.pictures import BadPicture, PictureLimits, decoding
from wenlu.corpus.pictures.decoding import decoded, decoder_pid
from wenlu.errors import MissingExtra

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
SMALL = PictureLimits(memory_bytes=256 * 2**20, max_seconds=1)


def encoded(pixels: np.ndarray | Image.Image, form: str, **settings: object) -> bytes:
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    stream = io.BytesIO()
    image.save(stream, form, **settings)
    return stream.getvalue()


def svg(inner: str, *, head: str = "", size: str = 'width="40" height="20"') -> bytes:
    return f'{head}<svg xmlns="http://www.w3.org/2000/svg" {size}>{inner}</svg>'.encode()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def black_png(width: int, height: int, *, bits: int = 1, rows: int | None = None) -> bytes:
    """A grey PNG of zeros; with fewer `rows` than its head says, if so."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    packer = zlib.compressobj(1)
    row = bytes(1 + -(-width * bits // 8))
    body = (
        b"".join(packer.compress(row * 100) for _ in range((height if rows is None else rows) // 100)) + packer.flush()
    )
    return b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP"])
def test_a_picture_kept_without_loss_has_the_pixels_that_were_saved(form: str) -> None:
    settings = {"lossless": True, "exact": True} if form == "WEBP" else {}
    picture = decoded(encoded(PIXELS, form, **settings))
    np.testing.assert_array_equal(picture.pixels, PIXELS)
    assert (picture.format.upper(), picture.done) == (form, ())


@pytest.mark.parametrize("form", ["JPEG", "GIF"])
def test_a_lossy_picture_has_the_pixels_that_pillow_reads(form: str) -> None:
    data = encoded(PIXELS, form)
    np.testing.assert_array_equal(decoded(data).pixels, np.array(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_its_exif_says(orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decoded(encoded(PIXELS, form, exif=exif))
    upright = {  # what row 0 and column 0 of the file are, by the EXIF standard
        1: PIXELS,
        2: PIXELS[:, ::-1],
        3: PIXELS[::-1, ::-1],
        4: PIXELS[::-1],
        5: PIXELS.swapaxes(0, 1),
        6: np.rot90(PIXELS, -1),
        7: np.rot90(PIXELS.swapaxes(0, 1), 2),
        8: np.rot90(PIXELS),
    }
    np.testing.assert_array_equal(picture.pixels, upright[orientation])
    assert picture.done == (("turned as EXIF says",) if orientation > 1 else ())
    assert (picture.width, picture.height) == (30, 20)


def test_what_is_transparent_shows_the_background() -> None:
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, 1] = (10, 20, 30, 255)
    pixels[0, 2] = (0, 0, 0, 102)  # 0.4 of black
    on_white = decoded(encoded(pixels, "PNG"))
    assert on_white.pixels.tolist() == [[[255, 255, 255], [10, 20, 30], [153, 153, 153]]]
    assert on_white.done == ("transparency laid on the background",)
    assert decoded(encoded(pixels, "PNG"), background="black").pixels[0, 0].tolist() == [0, 0, 0]


def test_a_picture_with_an_opaque_alpha_channel_is_left_as_it_is() -> None:
    opaque = np.dstack([PIXELS, np.full((20, 30), 255, np.uint8)])
    picture = decoded(encoded(opaque, "PNG"))
    np.testing.assert_array_equal(picture.pixels, PIXELS)
    assert picture.done == ()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_upper_eight(form: str) -> None:
    grey = np.array([[0, 255, 256, 0x7FFF, 0xFFFF]], np.uint16)
    picture = decoded(encoded(grey, form))
    assert picture.pixels[0].tolist() == [[value] * 3 for value in (0, 0, 1, 0x7F, 0xFF)]
    assert picture.done == ("16 bits made 8",)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_every_kind_of_pixels_becomes_the_rgb_of_transformers(mode: str) -> None:
    alpha = np.random.default_rng(2).integers(0, 256, (20, 30, 1), np.uint8)
    image = Image.fromarray(np.dstack([PIXELS, alpha])).convert("RGB" if mode == "P" else "RGBA")
    data = encoded(image.convert(mode), "TIFF" if mode == "1" else "PNG")
    expected = convert_to_rgb(Image.open(io.BytesIO(data)), return_numpy=True)
    np.testing.assert_array_equal(decoded(data).pixels, expected)


def test_samples_of_unknown_range_are_refused() -> None:
    with pytest.raises(BadPicture, match="kind of pixels not read: 32 bits a sample, mode F; save it with 8 bits"):
        decoded(encoded(np.zeros((2, 2), np.float32), "TIFF"))


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "find_spec", {}.get)
    decoding._require.cache_clear()
    with pytest.raises(MissingExtra, match=r"pillow is needed to read PNG pictures; .* 'wenlu\[vision\]'"):
        decoded(encoded(PIXELS, "PNG"))


def test_cmyk_becomes_rgb_and_says_so() -> None:
    ink = Image.new("CMYK", (8, 8), (255, 0, 0, 0))  # cyan takes the red away
    picture = decoded(encoded(ink, "JPEG", quality=100))
    assert picture.done == ("CMYK made RGB",)
    assert np.abs(picture.pixels.astype(int) - [0, 255, 255]).max() <= 2


@pytest.mark.parametrize(("form", "count"), [("GIF", 100), ("PNG", 10), ("WEBP", 10), ("TIFF", 10)])
def test_of_an_animation_the_first_frame_is_taken_and_told(form: str, count: int) -> None:
    frames = [Image.new("RGB", (8, 8), (2 * number, 0, 0)) for number in range(count)]
    lossless = {"lossless": True} if form == "WEBP" else {}
    picture = decoded(encoded(frames[0], form, save_all=True, append_images=frames[1:], **lossless))
    assert picture.done == (f"first of {count} frames",)
    assert (picture.pixels == 0).all()


def test_the_format_is_found_by_content() -> None:
    assert decoded(encoded(PIXELS, "PNG")).format == "PNG"
    with pytest.raises(BadPicture, match="not a picture that is read: it is text; read are PNG, JPEG, WebP, GIF, BMP"):
        decoded(b"This is a text that calls itself picture.png.\n")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\0\0\0\x1cftypheic", "HEIC"),
        (b"%PDF-1.7", "PDF"),
        (b"\xff\x0a\0", "JPEG XL"),
        (b"\0\0\x01\0\x01\0", "an icon"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"", "an empty file"),
        (b"\x80\x81\x82\x83\x84\x85", "unknown bytes"),
    ],
)
def test_another_format_is_named(head: bytes, name: str) -> None:
    with pytest.raises(BadPicture, match=f"it is {name}"):
        decoded(head)


def test_a_picture_is_made_smaller_in_its_proportions_and_never_larger() -> None:
    assert decoded(encoded(PIXELS, "PNG"), longest=15).pixels.shape == (10, 15, 3)
    assert decoded(encoded(PIXELS, "PNG"), longest=64).pixels.shape == (20, 30, 3)
    thin = decoded(encoded(PIXELS[:, :1], "PNG"), longest=4)
    assert thin.pixels.shape == (4, 1, 3)
    assert (thin.width, thin.height) == (1, 20)


def test_a_truncated_jpeg_is_refused() -> None:
    data = encoded(PIXELS, "JPEG")
    for end in (20, len(data) // 2, len(data) - 40):
        with pytest.raises(BadPicture, match="damaged picture"):
            decoded(data[:end])


def test_any_damage_gives_pixels_or_a_reason() -> None:
    generator = np.random.default_rng(1)
    for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        data = bytearray(encoded(PIXELS, form))
        for _ in range(10):
            broken = bytearray(data)
            broken[int(generator.integers(len(data)))] ^= int(generator.integers(1, 256))
            assert 0 < len(outcome(bytes(broken))) <= 40


def outcome(data: bytes) -> str:
    try:
        return str(decoded(data, SMALL).pixels.shape)
    except BadPicture as bad:
        return bad.reason


def test_a_bomb_is_refused_by_its_head() -> None:
    with pytest.raises(BadPicture, match=r"too many pixels: 40,000 × 40,000, over max_pixels = 33,554,432"):
        decoded(black_png(40_000, 40_000))
    with pytest.raises(BadPicture, match="too many pixels"):
        decoded(black_png(2**16, 2**31 - 1, rows=100))
    with pytest.raises(BadPicture, match="too many bytes: 101, over max_bytes = 100"):
        decoded(b"\x89PNG\r\n\x1a\n" + bytes(93), PictureLimits(max_bytes=100))


def test_memory_stays_within_its_limit_and_the_next_picture_is_read() -> None:
    small = encoded(PIXELS, "PNG")
    decoded(small)
    vast = black_png(10_000, 10_000)  # some kB that stand for 300 MB of RGB
    with pytest.raises(BadPicture, match="needs too much memory"):
        decoded(vast, SMALL.model_copy(update={"max_pixels": 2**31, "max_seconds": 10.0}))
    np.testing.assert_array_equal(decoded(small).pixels, PIXELS)


def test_the_decoder_never_holds_more_than_its_limit() -> None:
    decoded(encoded(PIXELS, "PNG"))
    pid = decoder_pid()
    before = peak_of(pid)
    with pytest.raises(BadPicture):
        decoded(black_png(12_000, 10_000), SMALL.model_copy(update={"max_pixels": 2**31, "max_seconds": 10.0}))
    assert decoder_pid() == pid, "memory that runs out does not end the process"
    assert peak_of(pid) - before <= SMALL.memory_bytes


def peak_of(pid: int | None) -> int:
    """The most memory that a process ever held, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def test_a_decoder_that_dies_is_replaced() -> None:
    deep = svg("<g>" * 200_000 + "</g>" * 200_000)  # overflows the stack of the parser
    with pytest.raises(BadPicture, match=r"breaks the decoder: the process that decoded it ended with SIG\w+"):
        decoded(deep)
    np.testing.assert_array_equal(decoded(encoded(PIXELS, "PNG")).pixels, PIXELS)


def test_a_decoder_that_keeps_much_memory_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(PIXELS, "PNG")
    decoded(data)
    before = decoder_pid()
    decoded(data)
    assert decoder_pid() == before, "it keeps less than 192 MB"
    monkeypatch.setattr(decoding, "_SPARE_BYTES", 1)
    decoded(data)
    assert decoder_pid() is None
    np.testing.assert_array_equal(decoded(data).pixels, PIXELS)


def test_a_picture_that_takes_too_long_is_given_up() -> None:
    slow = svg(
        '<filter id="f"><feTurbulence numOctaves="1000000000" baseFrequency="0.5"/></filter>'
        '<rect width="40" height="20" filter="url(#f)"/>'
    )
    with pytest.raises(BadPicture, match=r"takes too long: was not decoded within max_seconds = 0\.5"):
        decoded(slow, SMALL.model_copy(update={"max_seconds": 0.5}))


def test_an_svg_is_drawn_at_the_size_that_is_named() -> None:
    data = svg('<rect width="20" height="20" fill="#ff0000"/>')
    picture = decoded(data, longest=64)
    assert picture.pixels.shape == (32, 64, 3)
    assert picture.pixels[16, 8].tolist() == [255, 0, 0]
    assert picture.pixels[16, 56].tolist() == [255, 255, 255]
    assert decoded(data).pixels.shape == (256, 512, 3)
    assert max(decoded(svg("<rect/>", size='width="1" height="100000"'), longest=64).pixels.shape) == 64


def test_an_svg_has_no_fonts_and_says_so() -> None:
    picture = decoded(svg("<text x='2' y='15'>words</text>"), longest=32)
    assert "text of the SVG left out" in picture.done
    assert (picture.pixels == 255).all()


@pytest.mark.parametrize("element", ["image", "feImage", "use"])
@pytest.mark.parametrize("attribute", ["href", "xlink:href"])
def test_an_svg_that_links_to_a_file_or_address_is_refused(element: str, attribute: str, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(encoded(Image.new("RGB", (40, 20), "red"), "PNG"))
    for link in (tmp_path / "red.png", f"file://{tmp_path}/red.png", "red.png", "http://127.0.0.1:9/red.png"):
        inner = f'<{element} {attribute}="{link}" width="40" height="20"/>'
        data = svg(inner, size='width="40" height="20" xmlns:xlink="http://www.w3.org/1999/xlink"')
        with pytest.raises(BadPicture, match=f"SVG reaches outside: <{element}> links to"):
            decoded(data)


def test_an_svg_with_an_external_entity_is_refused() -> None:
    head = '<!DOCTYPE svg [<!ENTITY secret SYSTEM "file:///etc/hostname">]>'
    with pytest.raises(BadPicture, match="SVG reaches outside: the entity 'secret' stands for 'file:///etc/hostname'"):
        decoded(svg("<desc>&secret;</desc>", head=head))


def test_an_svg_inside_an_svg_reads_no_file(tmp_path: Path) -> None:
    red = tmp_path / "red.png"
    red.write_bytes(encoded(Image.new("RGB", (40, 20), "red"), "PNG"))
    inner = svg(f'<image href="{red}" width="40" height="20"/>').decode()
    packed = "data:image/svg+xml," + inner.replace("<", "%3C").replace(">", "%3E").replace('"', "%22").replace(
        " ", "%20"
    )
    try:
        pixels = decoded(svg(f'<image href="{packed}" width="40" height="20"/>')).pixels
    except BadPicture:
        return
    assert (pixels == 255).all()


def test_entities_that_multiply_are_refused() -> None:
    names = [f"e{i}" for i in range(12)]
    lines = [f'<!ENTITY {names[0]} "aaaaaaaaaa">']
    lines += [f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise(names)]
    with pytest.raises(BadPicture):
        decoded(svg(f"<desc>&{names[-1]};</desc>", head=f"<!DOCTYPE svg [{''.join(lines)}]>"), SMALL)


def test_a_process_that_was_forked_decodes_with_a_process_of_its_own() -> None:
    data = encoded(PIXELS, "PNG")
    decoded(data)
    mine = decoder_pid()
    child = os.fork()
    if child == 0:
        same = (decoded(data).pixels == PIXELS).all()
        os._exit(0 if same and decoder_pid() != mine else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(decoded(data).pixels, PIXELS)
    assert decoder_pid() == mine
