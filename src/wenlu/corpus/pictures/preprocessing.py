"""From a decoded picture to the numbers that a model sees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.corpus.pictures.picture import Pixels
from wenlu.corpus.pictures.processing import ImageProcessing
from wenlu.errors import MissingExtra

PixelValues = np.ndarray[Any, np.dtype[np.float32]]
_MOST = 4096
"""Pixels of a side at most before tiling, as Idefics3 bounds it."""


@dataclass(frozen=True)
class Tiles:
    """What a model sees of one picture.

    Attributes:
        pixel_values: (M, 3, H, W): the tiles row by row, then the whole picture; or the whole picture alone.
        rows, columns: of tiles; 0 where the picture was not cut.
    """

    pixel_values: PixelValues
    rows: int
    columns: int


def preprocess(pixels: Pixels, processing: ImageProcessing) -> Tiles:
    """Resize, crop or cut, scale and normalise (H, W, 3) pixels; as Hugging Face's processors on Pillow do."""
    if processing.tiles:
        views, rows, columns = _tiled(pixels, processing)
    else:
        views, rows, columns = [_single(pixels, processing)], 0, 0
    return Tiles(np.stack([_normalised(view, processing) for view in views]), rows, columns)


def _single(pixels: Pixels, processing: ImageProcessing) -> Pixels:
    if processing.do_resize:
        pixels = _resized(pixels, *_target(pixels, processing.size), processing)
    if processing.do_center_crop:
        assert processing.crop_size is not None, "checked by ImageProcessing"
        pixels = _middle(pixels, processing.crop_size["height"], processing.crop_size["width"])
    return pixels


def _target(pixels: Pixels, size: dict[str, int]) -> tuple[int, int]:
    """Height and width to resize to."""
    height, width, _ = pixels.shape
    short = size.get("shortest_edge")
    if short is None:
        return size["height"], size["width"]
    if width <= height:
        return int(short * height / width), short
    return short, int(short * width / height)


def _middle(pixels: Pixels, height: int, width: int) -> Pixels:
    """The middle of the picture; black around it where it is smaller."""
    canvas = np.zeros((height, width, 3), np.uint8)
    (top, rows), (left, columns) = (_overlap(old, new) for old, new in zip(pixels.shape, (height, width), strict=False))
    canvas[top[1] : top[1] + rows, left[1] : left[1] + columns] = pixels[
        top[0] : top[0] + rows, left[0] : left[0] + columns
    ]
    return canvas


def _overlap(old: int, new: int) -> tuple[tuple[int, int], int]:
    """Where what stays begins in the old and in the new, and how long it is."""
    return ((old - new) // 2, 0) if old >= new else (0, math.ceil((new - old) / 2)), min(old, new)


def _tiled(pixels: Pixels, processing: ImageProcessing) -> tuple[list[Pixels], int, int]:
    tile = processing.tile_size
    if processing.do_resize:
        longest = processing.size.get("longest_edge")
        size = _by_longest(pixels, longest) if longest else _target(pixels, processing.size)
        pixels = _resized(pixels, *size, processing)
    if not processing.do_image_splitting:
        return [_resized(pixels, tile, tile, processing)], 0, 0
    pixels = _resized(pixels, *_multiples(pixels, tile), processing)
    rows, columns = pixels.shape[0] // tile, pixels.shape[1] // tile
    if rows == columns == 1:
        return [pixels], 0, 0
    places = [(row * tile, column * tile) for row in range(rows) for column in range(columns)]
    cut = [pixels[top : top + tile, left : left + tile] for top, left in places]
    return [*cut, _resized(pixels, tile, tile, processing)], rows, columns


def _by_longest(pixels: Pixels, longest: int) -> tuple[int, int]:
    """The longer side as asked, the other one in proportion, cut to whole pixels and made even."""
    height, width, _ = pixels.shape
    ratio = width / height
    if width >= height:
        other = int(longest / ratio)
        height, width = other + other % 2, longest
    else:
        other = int(longest * ratio)
        height, width = longest, other + other % 2
    height, width = max(height, 1), max(width, 1)
    ratio = width / height
    if width >= height and width > _MOST:
        height, width = int(_MOST / ratio), _MOST
    elif height > width and height > _MOST:
        height, width = _MOST, int(_MOST * ratio)
    return max(height, 1), max(width, 1)


def _multiples(pixels: Pixels, tile: int) -> tuple[int, int]:
    height, width, _ = pixels.shape
    ratio = width / height
    if width >= height:
        width = math.ceil(width / tile) * tile
        return math.ceil(max(int(width / ratio), 1) / tile) * tile, width
    height = math.ceil(height / tile) * tile
    return height, math.ceil(max(int(height * ratio), 1) / tile) * tile


def _resized(pixels: Pixels, height: int, width: int, processing: ImageProcessing) -> Pixels:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtra("pillow", extra="vision", purpose="resize pictures") from error
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width, height), Image.Resampling(processing.resample)))


def _normalised(pixels: Pixels, processing: ImageProcessing) -> PixelValues:
    """(3, H, W)."""
    values = pixels.astype(np.float32)
    if processing.do_rescale:
        values = (pixels.astype(np.float64) * processing.rescale_factor).astype(np.float32)
    if processing.do_normalize:
        mean, std = (np.array(triple, np.float32) for triple in (processing.image_mean, processing.image_std))
        values = (values - mean) / std
    return np.ascontiguousarray(values.transpose(2, 0, 1))
