"""`wenlu chat` with a model that converses about pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.seeing_folder import seeing_folder
from typer.testing import CliRunner, Result

from wenlu.cli.app import app as main


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeing")
    seeing_folder(folder)
    for name, colour in (("red", (230, 20, 20)), ("blue", (20, 20, 230))):
        Image.new("RGB", (30, 20), colour).save(folder / f"{name}.png")
    return folder


def said(model: Path, *lines: str) -> Result:
    asked = ["chat", str(model), "max_new_tokens=6", "temperature=0", "--json"]
    return CliRunner().invoke(main, asked, input="".join(f"{line}\n" for line in lines))


def answers(done: Result) -> list[str]:
    return [json.loads(line)["prediction"] for line in done.stdout.splitlines()]


def test_a_picture_goes_with_what_is_said_next_and_is_remembered(model: Path, tmp_path: Path) -> None:
    kept = tmp_path / "talk.json"
    red = f"/picture {model / 'red.png'}"
    done = said(model, red, "What is it?", "/retry", "/reset", "What is it?", f"/save {tmp_path / 'talk.txt'}")
    first, again, blind = answers(done)
    assert first == again != blind
    assert "red.png goes with what you say next." in done.stderr
    done = said(model, red, "What is it?", f"/save {kept}", f"/save {tmp_path / 'shown.txt'}", "And now?")
    (turn,) = json.loads(kept.read_text(encoding="utf-8"))["turns"]
    assert turn == {"user": "What is it?", "answer": first, "pictures": [str(model / "red.png")]}
    assert (tmp_path / "shown.txt").read_text(encoding="utf-8").startswith(f"[{model / 'red.png'}]\nWhat is it?")
    resumed = said(model, f"/load {kept}", "And now?")
    assert answers(resumed) == answers(done)[1:]
    assert answers(said(model, red, f"/picture {model / 'blue.png'}", "What is it?")) != [first]


def test_what_cannot_be_shown_is_told_and_nothing_is_lost(model: Path) -> None:
    (model / "no.png").write_bytes(b"hello")
    done = said(model, "/picture", "/picture nowhere.png", f"/picture {model / 'no.png'}", "What is it?")
    assert "/picture FILE: name a picture" in done.stderr
    assert "nowhere.png" in done.stderr
    assert "not a picture that is read" in done.stderr
    assert len(answers(done)) == 1
    for name in ("processor_config.json", "preprocessor_config.json"):
        (model / name).unlink(missing_ok=True)
    assert "sees no pictures in a conversation" in said(model, f"/picture {model / 'red.png'}").stderr
