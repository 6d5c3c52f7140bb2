"""How a model wants its pictures: the settings of a preprocessor_config.json, read and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import PositiveFloat, PositiveInt, ValidationError, model_validator

from wenlu.config import Config
from wenlu.errors import WeightsError

FILE = "preprocessor_config.json"
WHOLE_FILE = "processor_config.json"
"""Where newer versions of transformers keep the same settings, as `image_processor`."""
Kind = Literal["CLIP", "Siglip", "Idefics3", "SmolVLM"]
Triple = tuple[float, float, float]
_OPENAI_MEAN, _OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5)
_BICUBIC, _LANCZOS = 3, 1
_HARMLESS = {
    "processor_class", "feature_extractor_type", "_valid_processor_keys", "_processor_class", "data_format",
    "input_data_format", "return_tensors", "device", "disable_grouping", "default_to_square", "do_pad", "pad_size",
    "return_row_col_info", "do_convert_rgb", "video_sampling", "image_seq_length",
}  # fmt: skip
"""Keys that say nothing of the pixels of one picture: ours are RGB when they come, and batches are padded elsewhere."""
_SIZES = ({"height", "width"}, {"shortest_edge"}, {"longest_edge"})


class ImageProcessing(Config):
    """From 8-bit RGB to the numbers that a model sees, with the names of Hugging Face's files.

    CLIP and SigLIP resize (`size`), crop the middle, and normalise. Idefics3 and SmolVLM resize the longer side to
    `size["longest_edge"]`, then both sides to multiples of `max_image_size["longest_edge"]`, cut tiles of that size in
    rows and columns, and add the whole picture as the last tile.
    """

    kind: Kind
    do_resize: bool = True
    size: dict[str, PositiveInt]
    resample: Literal[0, 1, 2, 3, 4, 5]
    """A filter as Pillow numbers them: 2 bilinear, 3 bicubic, 1 Lanczos."""
    do_center_crop: bool = False
    crop_size: dict[str, PositiveInt] | None = None
    do_rescale: bool = True
    rescale_factor: PositiveFloat = 1 / 255
    do_normalize: bool = True
    image_mean: Triple
    image_std: Triple
    do_image_splitting: bool = False
    max_image_size: dict[str, PositiveInt] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.do_resize and {*self.size} not in _SIZES:
            raise ValueError(
                f"size: {self.size} is none of height and width, shortest_edge, longest_edge; write one of these"
            )
        if self.do_center_crop and {*(self.crop_size or {})} != {"height", "width"}:
            raise ValueError(f"crop_size: {self.crop_size} has not a height and a width")
        if self.tiles and {*(self.max_image_size or {})} != {"longest_edge"}:
            raise ValueError(f"max_image_size: {self.max_image_size} has not a longest_edge")
        if not self.tiles and "longest_edge" in self.size:
            raise ValueError(f"size: {self.size}, but only Idefics3 and SmolVLM go by the longest edge")
        if not all(self.image_std):
            raise ValueError(f"image_std: {self.image_std} divides by zero")
        return self

    @property
    def tiles(self) -> bool:
        """Whether a picture may become several."""
        return self.kind in ("Idefics3", "SmolVLM")

    @property
    def cuts(self) -> bool:
        """Whether a large picture does."""
        return self.tiles and self.do_image_splitting

    @property
    def tile_size(self) -> int:
        """Pixels of a tile's side."""
        assert self.max_image_size is not None, "checked by _consistent"
        return self.max_image_size["longest_edge"]


_DEFAULTS: dict[Kind, dict[str, Any]] = {
    "CLIP": {
        "size": {"shortest_edge": 224}, "resample": _BICUBIC, "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224}, "image_mean": _OPENAI_MEAN, "image_std": _OPENAI_STD,
    },
    "Siglip": {
        "size": {"height": 224, "width": 224}, "resample": _BICUBIC, "image_mean": _HALF, "image_std": _HALF,
    },
    "Idefics3": {
        "size": {"longest_edge": 1456}, "resample": _LANCZOS, "do_image_splitting": True,
        "max_image_size": {"longest_edge": 364}, "image_mean": _HALF, "image_std": _HALF,
    },
    "SmolVLM": {
        "size": {"longest_edge": 1456}, "resample": _LANCZOS, "do_image_splitting": True,
        "max_image_size": {"longest_edge": 364}, "image_mean": _HALF, "image_std": _HALF,
    },
}  # fmt: skip
"""What transformers takes where a file leaves a key out."""


def default_processing(kind: Kind, **changes: Any) -> ImageProcessing:
    """The settings of transformers' class of that name, with changes."""
    return ImageProcessing.model_validate({"kind": kind, **_DEFAULTS[kind], **changes})


def holds_processing(folder: Path) -> bool:
    """Whether a model folder says how its model wants its pictures."""
    whole = folder / WHOLE_FILE
    return (folder / FILE).is_file() or (whole.is_file() and "image_processor" in _object(whole))


def read_processing(folder: Path) -> ImageProcessing:
    """The settings in a model folder's preprocessor_config.json, or in its processor_config.json.

    Raises:
        WeightsError: there is none, it is of a kind that is not known, or has a key whose meaning is not.
    """
    path = folder / FILE
    if path.is_file() or not holds_processing(folder):
        found = _object(path)
    else:
        path = folder / WHOLE_FILE
        found = _object(path)["image_processor"]
        if not isinstance(found, dict):
            raise WeightsError(f"{path}: image_processor is {type(found).__name__}, not an object; download it again")
    kind = _kind(str(found.pop("image_processor_type", None) or found.get("feature_extractor_type")), path)
    values = {key: value for key, value in found.items() if key not in _HARMLESS}
    for key in ("size", "crop_size"):
        if isinstance(values.get(key), int):  # as files of 2021 write it
            side = values[key]
            short = key == "size" and kind == "CLIP"
            values[key] = {"shortest_edge": side} if short else {"height": side, "width": side}
    try:
        return default_processing(kind, **values)
    except ValidationError as error:
        raise WeightsError(f"{path}: {'; '.join(map(_complaint, error.errors()))}") from error


def write_processing(folder: Path, processing: ImageProcessing) -> None:
    """Write preprocessor_config.json, which transformers reads too."""
    values = processing.model_dump(mode="json", exclude_none=True)
    kind = values.pop("kind")
    if not processing.tiles:
        values.pop("do_image_splitting")
    else:
        values.pop("do_center_crop")
    whole = {"image_processor_type": f"{kind}ImageProcessor", "do_convert_rgb": True, **values}
    (folder / FILE).write_text(json.dumps(whole, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file, which says how this model wants its pictures") from error
    except ValueError as error:
        raise WeightsError(f"{path}: malformed JSON ({error}); download it again") from error
    if not isinstance(found, dict):
        raise WeightsError(f"{path}: holds {type(found).__name__}, not an object; download it again")
    return found


def _kind(name: str, path: Path) -> Kind:
    stem = name.removesuffix("Fast").removesuffix("Pil").removesuffix("ImageProcessor").removesuffix("FeatureExtractor")
    for kind in _DEFAULTS:
        if stem == kind:
            return kind
    raise WeightsError(f"{path}: {name!r} is not an image processor that is known: {', '.join(_DEFAULTS)}")


def _complaint(details: Any) -> str:
    where = ".".join(map(str, details["loc"]))
    if details["type"] == "extra_forbidden":
        return f"{where}: neither used nor known to be harmless"
    message = details["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else str(message)
