"""Conversations about pictures are written, seen and answered as Hugging Face's processor and model do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from PIL import Image
from tests.seeing_folder import TEMPLATE, seeing_folder

import wenlu
from wenlu.corpus.pictures.sight import Shown
from wenlu.errors import ConfigError, DataError
from wenlu.generation.conversation import Conversation
from wenlu.generation.picture_chat import PictureChat
from wenlu.generation.settings import SamplingConfig

SIZES = {"wide": (44, 21), "small": (9, 12), "square": (30, 30), "high": (10, 200)}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def drawn(folder: Path) -> dict[str, str]:
    """Paths of noise in several sizes."""
    found = {}
    for number, (name, size) in enumerate(SIZES.items()):
        noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{name}.png")
        found[name] = str(folder / f"{name}.png")
    return found


def conversation(*turns: tuple[str, tuple[str, ...], str]) -> list[dict[str, Any]]:
    """Messages of a role, with pictures before a text."""
    return [
        {
            "role": role,
            "content": [*({"type": "image", "path": path} for path in shown), {"type": "text", "text": text}],
        }
        for role, shown, text in turns
    ]


@pytest.mark.parametrize("cuts", [True, False])
def test_words_places_and_pixels_are_those_of_the_processor(cuts: bool, tmp_path: Path) -> None:
    theirs = seeing_folder(tmp_path, cuts=cuts)
    ours = PictureChat.of(wenlu.load(tmp_path))
    assert ours is not None
    paths = drawn(tmp_path)
    for shown in (["wide"], ["small"], ["square", "high"], ["small", "wide", "small"]):
        messages = conversation(
            ("system", (), "Be brief."),
            ("user", (paths[shown[0]],), "What is in\n\nthe picture?"),
            ("assistant", (), "A red square."),
            ("user", tuple(paths[name] for name in shown[1:]), "And here?"),
        )
        expected = theirs.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="np"
        )
        ids, pixels = ours.prompt(messages, [Shown.at(paths[name]) for name in shown])
        assert ids == expected["input_ids"][0].tolist()
        assert pixels is not None
        tiles = [tile for tile in expected["pixel_values"][0] if np.abs(tile).any()]  # they pad to the most of a text
        assert pixels.shape[0] == len(tiles)
        assert np.allclose(pixels.numpy(), np.stack(tiles), atol=1 / 255)


def test_answers_are_those_of_the_model(tmp_path: Path) -> None:
    theirs = seeing_folder(tmp_path)
    paths = drawn(tmp_path)
    reference = transformers.AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    bundle = wenlu.load(tmp_path)
    for name in ("wide", "small"):
        messages = conversation(("user", (paths[name],), "What is it?"))
        asked = theirs.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        expected = reference.generate(**asked, max_new_tokens=16, do_sample=False)[0, asked["input_ids"].shape[1] :]
        talk = Conversation(bundle)
        sampling = SamplingConfig(max_new_tokens=16)
        answer = "".join(piece.text for piece in talk.answer("What is it?", sampling, [paths[name]]))
        kept = [id for id in expected.tolist() if id not in bundle.end_ids]
        assert answer == bundle.tokenizer.decode(kept)
        assert talk.turns[0].pictures == (paths[name],)


def test_an_older_folder_has_its_template_and_its_pictures_in_files_of_their_own(tmp_path: Path) -> None:
    seeing_folder(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATE}), encoding="utf-8")
    whole = json.loads((tmp_path / "processor_config.json").read_text(encoding="utf-8"))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(whole.pop("image_processor")), encoding="utf-8")
    (tmp_path / "processor_config.json").write_text(json.dumps(whole), encoding="utf-8")
    eyes = PictureChat.of(wenlu.load(tmp_path))
    assert eyes is not None
    assert (eyes.sight.processing.size, eyes.each) == ({"longest_edge": 48}, 4)
    (tmp_path / "preprocessor_config.json").unlink()
    assert PictureChat.of(wenlu.load(tmp_path)) is None


def test_a_plain_text_is_not_passed_over_by_a_template_that_reads_parts(tmp_path: Path) -> None:
    seeing_folder(tmp_path)
    tokenizer = wenlu.load(tmp_path).tokenizer
    assert tokenizer.chat_template is not None
    plain = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is it?"}]
    parts = conversation(("system", (), "Be brief."), ("user", (), "What is it?"))
    written = tokenizer.chat_template.render(plain)
    assert written == tokenizer.chat_template.render(parts)
    assert "User: What is it?<end_of_utterance>" in written


def test_a_place_that_somebody_wrote_is_text_and_tiles_without_names_are_told(tmp_path: Path) -> None:
    seeing_folder(tmp_path)
    eyes = PictureChat.of(wenlu.load(tmp_path))
    assert eyes is not None
    place = eyes.tokenizer.special_tokens["<image>"]
    ids, pixels = eyes.prompt([{"role": "user", "content": "<image> is what?"}], [])
    assert pixels is None
    assert place not in ids
    path = drawn(tmp_path)["wide"]
    with pytest.raises(DataError, match="makes 0 places for 1 pictures"):
        eyes.prompt([{"role": "user", "content": "what?"}], [Shown.at(path)])
    settings = tmp_path / "processor_config.json"
    settings.write_text(settings.read_text(encoding="utf-8").replace('"longest_edge": 48', '"longest_edge": 96'))
    finer = PictureChat.of(wenlu.load(tmp_path))
    assert finer is not None
    with pytest.raises(ConfigError, match=r"needs the special token <row_\d_col_5>, which the tokenizer has not"):
        finer.prompt(conversation(("user", (path,), "?")), [Shown.at(path)])
