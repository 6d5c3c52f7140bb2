"""Pixel values are those of transformers' processors on Pillow, and their settings files are ours too."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from wenlu.corpus.pictures.decoding import decoded
from wenlu.corpus.pictures.preprocessing import Tiles, preprocess
from wenlu.corpus.pictures.processing import (
    FILE,
    default_processing,
    read_processing,
    write_processing,
)
from wenlu.corpus.pictures.reference import PictureBytes
from wenlu.corpus.record import Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import WeightsError

PROOF = os.environ.get("WENLU_PROOF") == "1"

PROCESSORS = {
    "CLIP": CLIPImageProcessorPil,
    "Siglip": SiglipImageProcessorPil,
    "Idefics3": Idefics3ImageProcessorPil,
    "SmolVLM": SmolVLMImageProcessorPil,
}
SIZES = [(1, 40), (40, 1), (1, 1), (37, 61), (64, 64), (200, 31), (333, 500), (112, 40)]
"""Height and width; of one pixel, odd, small and larger than what the model sees."""
SMALL: dict[str, dict[str, Any]] = {
    "CLIP": {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 48}},
    "Siglip": {"size": {"height": 48, "width": 64}},
    "Idefics3": {"size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 28}},
    "SmolVLM": {"size": {"longest_edge": 96}, "max_image_size": {"longest_edge": 32}},
}
each_kind = pytest.mark.parametrize("kind", PROCESSORS)


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Soft shapes under noise, so that filters have edges and slopes."""
    rows, columns = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(rows / (5 + i) + i) * np.cos(columns / (7 - i)) for i in range(channels)]
    noise = np.random.default_rng(height * 1000 + width).integers(-27, 28, (height, width, channels))
    return (np.stack(waves, axis=-1) + noise).clip(0, 255).astype(np.uint8)


def agree(ours: Tiles, reference: Any, image: Image.Image, std: float) -> None:
    found = reference(image, return_tensors="np")["pixel_values"]
    expected = found[0] if found.ndim == 5 else found
    assert ours.pixel_values.shape == expected.shape
    assert ours.pixel_values.dtype == np.float32
    assert np.abs(ours.pixel_values - expected).max() < 1 / 255 / std / 100, "a hundredth of a grey level"


@each_kind
@pytest.mark.parametrize("size", SIZES)
def test_pixel_values_are_those_of_transformers(kind: str, size: tuple[int, int]) -> None:
    pixels = picture(*size)
    processing = default_processing(kind, **SMALL[kind])  # type: ignore[arg-type]
    agree(preprocess(pixels, processing), PROCESSORS[kind](**SMALL[kind]), Image.fromarray(pixels), 0.25)


@each_kind
def test_defaults_are_those_of_transformers(kind: str) -> None:
    pixels = picture(301, 470)
    agree(preprocess(pixels, default_processing(kind)), PROCESSORS[kind](), Image.fromarray(pixels), 0.25)  # type: ignore[arg-type]


@each_kind
def test_a_transparent_picture_is_seen_on_white_as_transformers_sees_it(kind: str) -> None:
    image = Image.fromarray(picture(37, 61, 4))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    processing = default_processing(kind, **SMALL[kind])  # type: ignore[arg-type]
    agree(preprocess(decoded(stream.getvalue()).pixels, processing), PROCESSORS[kind](**SMALL[kind]), image, 0.25)


@pytest.mark.fetch
def test_real_pictures_are_seen_as_transformers_sees_them(package_file: Callable[[str, str], Path]) -> None:
    package_file("emoji-datasource-google", "emoji.json")
    emoji = records("package:emoji-datasource-google/emoji.json", "emoji", step=1000 if not PROOF else 10)
    for kind, processor in PROCESSORS.items():
        processing, reference = default_processing(kind, **SMALL[kind]), processor(**SMALL[kind])  # type: ignore[arg-type]
        with PictureBytes(2**20) as files:
            for record in emoji:
                data = files.of(record.meta)
                image = Image.open(io.BytesIO(data))
                agree(preprocess(decoded(data).pixels, processing), reference, image, 0.25)


def records(path: str, kind: str, step: int) -> list[Record]:
    items = open_source(SourceSpec(path=path, kind=kind))
    return [item for item in islice(items, None, None, step) if isinstance(item, Record)]


@pytest.mark.parametrize("resample", range(6))
def test_every_filter_is_the_one_of_its_number(resample: int) -> None:
    pixels, settings = picture(37, 61), {**SMALL["Siglip"], "resample": resample}
    agree(
        preprocess(pixels, default_processing("Siglip", **settings)),
        SiglipImageProcessorPil(**settings),
        Image.fromarray(pixels),
        0.5,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"do_resize": False},
        {"do_center_crop": False},
        {"do_rescale": False, "do_normalize": False},
        {"do_normalize": False},
        {"crop_size": {"height": 20, "width": 90}},
        {"do_resize": False, "crop_size": {"height": 101, "width": 20}},
    ],
)
def test_each_stage_of_clip_can_be_left_out(changes: dict[str, Any]) -> None:
    pixels, settings = picture(41, 60), {**SMALL["CLIP"], **changes}
    agree(
        preprocess(pixels, default_processing("CLIP", **settings)),
        CLIPImageProcessorPil(**settings),
        Image.fromarray(pixels),
        0.25,
    )


@pytest.mark.parametrize("size", SIZES)
def test_rows_and_columns_are_those_of_transformers(size: tuple[int, int]) -> None:
    pixels = picture(*size)
    ours = preprocess(pixels, default_processing("Idefics3", **SMALL["Idefics3"]))
    processor = Idefics3ImageProcessorPil(**SMALL["Idefics3"])
    found = processor(Image.fromarray(pixels), return_row_col_info=True, return_tensors="np")
    assert (ours.rows, ours.columns) == (found["rows"][0][0], found["cols"][0][0])
    assert len(ours.pixel_values) == ours.rows * ours.columns + 1


def test_tiles_come_row_by_row_and_the_whole_picture_last() -> None:
    pixels = np.zeros((56, 84, 3), np.uint8)
    pixels[:28, 28:56], pixels[28:, 56:] = 255, 128  # row 1, column 2; row 2, column 3
    settings = {"size": {"longest_edge": 84}, "max_image_size": {"longest_edge": 28}, "do_normalize": False}
    tiles = preprocess(pixels, default_processing("SmolVLM", **settings))
    assert (tiles.rows, tiles.columns) == (2, 3)
    np.testing.assert_allclose(tiles.pixel_values.mean(axis=(1, 2, 3))[:6], [0, 1, 0, 0, 0, 128 / 255], atol=1e-6)
    assert tiles.pixel_values[6].mean() == pytest.approx((1 + 128 / 255) / 6, abs=0.02)


def test_without_splitting_one_square_is_seen() -> None:
    pixels, settings = picture(50, 90), {**SMALL["SmolVLM"], "do_image_splitting": False}
    ours = preprocess(pixels, default_processing("SmolVLM", **settings))
    assert ours.pixel_values.shape == (1, 3, 32, 32)
    agree(ours, SmolVLMImageProcessorPil(**settings), Image.fromarray(pixels), 0.5)


@each_kind
def test_a_file_of_transformers_is_read_and_ours_is_read_by_transformers(kind: str, tmp_path: Path) -> None:
    PROCESSORS[kind](**SMALL[kind]).save_pretrained(tmp_path)
    processing = read_processing(tmp_path)
    assert processing == default_processing(kind, **SMALL[kind])  # type: ignore[arg-type]
    (tmp_path / FILE).unlink()
    write_processing(tmp_path, processing)
    assert read_processing(tmp_path) == processing
    pixels = picture(37, 61)
    agree(preprocess(pixels, processing), PROCESSORS[kind].from_pretrained(tmp_path), Image.fromarray(pixels), 0.25)


def test_a_file_of_2021_with_plain_numbers_is_read(tmp_path: Path) -> None:
    old = {"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224, "resample": 3}
    (tmp_path / FILE).write_text(json.dumps(old))
    assert read_processing(tmp_path) == default_processing("CLIP")


def written(folder: Path, **values: Any) -> Path:
    (folder / FILE).write_text(json.dumps({"image_processor_type": "CLIPImageProcessor", **values}))
    return folder


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"do_flip": True}, "do_flip: neither used nor known to be harmless"),
        ({"image_processor_type": "BeitImageProcessor"}, "'BeitImageProcessor' is not an image processor"),
        ({"size": {"width": 3}}, "size: {'width': 3} is none of height and width, shortest_edge, longest_edge"),
        ({"size": {"longest_edge": 3}}, "only Idefics3 and SmolVLM go by the longest edge"),
        ({"image_std": [0, 1, 1]}, "divides by zero"),
        ({"crop_size": {"height": 3}}, "has not a height and a width"),
        ({"resample": 9}, "resample: "),
    ],
)  # fmt: skip
def test_a_setting_that_would_be_misread_is_an_error(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        read_processing(written(tmp_path, **values))
    assert message in str(caught.value)
    assert FILE in str(caught.value)


def test_a_folder_without_the_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"preprocessor_config\.json: no such file, which says how this model wants"):
        read_processing(tmp_path)
