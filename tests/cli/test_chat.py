"""`wenlu chat` through a pipe and at a real terminal (a pty), Ctrl-C included."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from wenlu.bundle import load
from wenlu.cli.chat import chat
from wenlu.cli.chat_session import Session, Terminal, starting_settings
from wenlu.cli.chat_texts import CHINESE, ENGLISH, texts
from wenlu.errors import ConfigError, UsageError
from wenlu.generation.conversation import Conversation
from wenlu.models import family
from wenlu.models.weights import save_model
from wenlu.tokenizers import TokenizerConfig, train_tokenizer

TAKE_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
CHAT = "import typer; from wenlu.cli.chat import chat; typer.run(chat)"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny random model in a folder, with room for a long answer."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(TokenizerConfig(vocab_size=280, min_frequency=1), ["The cat sat. 今天天气很好。"] * 3)
    tokenizer.save(folder)
    torch.manual_seed(0)
    row = family("llama")
    config = row.config(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=20_000,
        initializer_range=0.3,
    )
    save_model(folder, row.build(config), row)
    return str(folder)


@pytest.mark.parametrize(
    ("generation", "expected"),
    [
        ({}, {"temperature": 0.8, "top_p": 0.95}),
        ({"do_sample": False, "temperature": 0.3}, {"temperature": 0.8, "top_p": 0.95}),
        ({"do_sample": True, "top_k": 0, "min_p": None}, {"temperature": 0.8, "top_p": 0.95}),
        ({"do_sample": True, "top_k": 20}, {"temperature": 1.0, "top_k": 20}),
        (
            {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [1, 2]},
            {"temperature": 0.6, "top_p": 0.9},
        ),
    ],
)
def test_a_conversation_is_sampled_as_its_checkpoint_says(
    model: str, generation: dict[str, Any], expected: dict[str, Any]
) -> None:
    bundle = replace(load(model), generation=generation)
    assert starting_settings(bundle, draw_seed=False) == {**expected, "max_new_tokens": 256}
    assert "seed" in starting_settings(bundle, draw_seed=True)


def test_a_model_that_answers_in_roles_is_sampled_almost_greedily(model: str, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "chat")
    (tmp_path / "chat" / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert starting_settings(load(tmp_path / "chat"), draw_seed=False)["temperature"] == 0.2


def test_a_checkpoint_with_sampling_out_of_range_is_named(model: str) -> None:
    bundle = replace(load(model), generation={"do_sample": True, "top_p": 1.5})
    with pytest.raises(ConfigError, match=r"(?s)generation_config\.json.*top_p"):
        starting_settings(bundle, draw_seed=False)


def environment(**more: str) -> dict[str, str]:
    source = str(Path(__file__).parents[2] / "src")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    return {**kept, "PYTHONPATH": source, "LANG": "C.UTF-8", "TERM": "dumb", "OMP_NUM_THREADS": "1", **more}


def piped(model: str, text: bytes, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(chat)
    return CliRunner().invoke(app, [model, *arguments], input=text)


def test_each_line_of_a_real_pipe_is_answered_in_plain_text(model: str) -> None:
    command = [sys.executable, "-c", CHAT, model, "max_new_tokens=4", "stop='\n'"]
    text = "The cat\n今天\n/reset\n".encode()
    done = subprocess.run(command, input=text, capture_output=True, env=environment(), timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.decode().splitlines()) == 2
    assert b"\x1b" not in done.stdout


def test_piped_lines_with_json_are_objects_and_commands_are_obeyed(model: str) -> None:
    lines = 'The cat\n/set max_new_tokens=2\n/nonsense\n\xe9\n/system S\n今天 "x"\n/exit\nnever\n'
    content = lines.encode().replace("\xe9".encode(), b"\xff")
    done = piped(model, content, "--json", "ignore_end=true")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["prompt"] for line in found] == ["The cat", '今天 "x"']
    assert 0 < len(found[1]["prediction"].encode()) < len(found[0]["prediction"].encode())
    assert "/nonsense is no command; known: /exit, /help" in done.stderr
    assert "stdin:4: not UTF-8 text" in done.stderr
    assert done.exit_code == 3


def test_wrong_settings_are_refused_before_the_model_is_read() -> None:
    done = piped("no-such-model", b"", "num_beams=3")
    assert isinstance(done.exception, UsageError)
    assert "num_beams=3" in str(done.exception)


class Keyboard:
    """A person at a terminal: types, waits for words to appear."""

    def __init__(self, model: str, *arguments: str, **more: str) -> None:
        self.master, slave = pty.openpty()
        command = [sys.executable, "-c", f"{TAKE_TERMINAL}; {CHAT}", model, *arguments]
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment(**more), start_new_session=True
        )
        os.close(slave)
        self._shown = b""

    @property
    def screen(self) -> str:
        """What has appeared since the last key."""
        return self._shown.decode("utf-8", errors="ignore")

    def type(self, keys: str) -> None:
        self._shown = b""
        os.write(self.master, keys.encode())

    def press_ctrl_c(self) -> None:
        """As soon as the program waits for keys: a signal between its prompt and its waiting would go unseen."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        waits = 0
        while waits < 5:
            state = stat.read_text().rpartition(")")[2].split()[0]
            waits = waits + 1 if state == "S" else 0
            time.sleep(0.05)
        self.type("\x03")

    def wait_for(self, pattern: str, seconds: float = 60) -> str:
        """The screen, once it shows `pattern`."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.screen):
            assert time.monotonic() < end, f"{pattern!r} did not appear in {seconds} s: {self.screen!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                self._shown += os.read(self.master, 65536)
        return self.screen

    def leave(self) -> int:
        """The exit code."""
        return self.process.wait(timeout=30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


@pytest.fixture
def keyboard(model: str) -> Iterator[Keyboard]:
    person = Keyboard(model, "ignore_end=true", "max_new_tokens=5")
    yield person
    person.close()


def test_a_conversation_at_the_terminal(keyboard: Keyboard, tmp_path: Path) -> None:
    welcome = keyboard.wait_for(r"> $")
    assert re.search(r"[\d,]+ parameters · /help shows the commands", welcome)
    assert "A base model: it has not learnt to answer, it continues your text." in welcome.replace("\r\n", " ")

    keyboard.type("The cat\n")
    answer = keyboard.wait_for(r"tokens/s.*\n> $")
    assert re.search(r"5 tokens · [\d.]+ tokens/s · first after \d+\.\d\d s · at its limit", answer)

    keyboard.type("/help\n")
    assert "/set KEY=VALUE" in keyboard.wait_for(r"second one leaves\.\s+> $")

    keyboard.type("/set max_new_tokens=3\n")
    assert "max_new_tokens=3" in keyboard.wait_for(r"seed=.*\n> $")
    keyboard.type("first \\\n")
    keyboard.wait_for(r"\. $")
    keyboard.type("second\n")
    assert "3 tokens · " in keyboard.wait_for(r"tokens/s.*\n> $")

    keyboard.type("/set max_new_tokens\n")
    assert "max_new_tokens=128" in keyboard.wait_for(r"seed=.*\n> $")
    keyboard.type("/set temperature=-1\n")
    assert "temperature: input should be greater than or equal to 0" in keyboard.wait_for(r"not -1\s+> $")
    keyboard.type("/set n=2\n")
    assert "n=2" in keyboard.wait_for(r"\n> $")
    keyboard.type("/set wamth\n")
    assert "wamth: no such setting; " in keyboard.wait_for(r"such.*\n> $")

    keyboard.type("/savee x\n")
    assert "/savee is no command; did you mean /save?" in keyboard.wait_for(r"\?\s+> $")
    keyboard.type(f"/save {tmp_path / 'talk.json'}\n")
    keyboard.wait_for(r"talk.json is\s+written\.\s+> $")
    talk = json.loads((tmp_path / "talk.json").read_text(encoding="utf-8"))
    turns = talk["turns"]
    assert [turn["user"] for turn in turns] == ["The cat", "first \nsecond"]
    keyboard.type("/undo\n")
    keyboard.wait_for(r"Taken back: first second\s+> $")
    keyboard.type("/retry\n")
    keyboard.wait_for(r"tokens/s.*\n> $")
    keyboard.type(f"/save {tmp_path / 'again.json'}\n")
    keyboard.wait_for(r"again.json is\s+written\.\s+> $")
    again = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))["turns"]
    assert [turn["user"] for turn in again] == ["The cat"]

    keyboard.type(f"/load {tmp_path / 'talk.json'}\n")
    keyboard.wait_for(r"taken\s+up, with turns: 2\.\s+> $")
    keyboard.type('"""several\n')
    keyboard.wait_for(r"\. $")
    keyboard.type('lines"""\n')
    keyboard.wait_for(r"tokens/s.*\n> $")
    keyboard.type(f"/save {tmp_path / 'third.json'}\n")
    keyboard.wait_for(r"third.json is\s+written\.\s+> $")
    third = json.loads((tmp_path / "third.json").read_text(encoding="utf-8"))
    assert third["turns"][:2] == turns
    assert third["turns"][2]["user"] == "several\nlines"
    assert third["settings"] == talk["settings"]
    keyboard.type("/save /dev/null/x\n")
    assert "/dev/null/x" in keyboard.wait_for(r"\n> $")

    keyboard.type("/system Be brief.\n")
    keyboard.wait_for(r"system text is set\.\s+> $")
    keyboard.type("/system\n")
    keyboard.wait_for(r"Be brief\.\s+> $")
    keyboard.type("/reset\n")
    keyboard.wait_for(r"conversation is forgotten\.\s+> $")
    keyboard.type("/retry\n")
    keyboard.wait_for(r"no turn to take back yet; write something\s+first\s+> $")
    keyboard.type("/exit\n")
    assert keyboard.leave() == 0


def test_ctrl_c_stops_an_answer_and_a_second_one_leaves(model: str) -> None:
    person = Keyboard(model, "ignore_end=true", "max_new_tokens=9000")
    try:
        person.wait_for(r"> $")
        person.type("The cat\n")
        person.wait_for(r"The cat\r\n[\s\S]{20}")
        person.type("\x03")
        stopped = person.wait_for(r"\n> $")
        told = r"\d+ tokens · [\d.]+ tokens/s · first after [\d.]+ s · stopped · Ctrl-C again leaves\."
        assert re.search(told, " ".join(stopped.split()))

        person.type("/reset\n")  # after other input the count begins anew
        person.wait_for(r"forgotten\.\s+> $")
        person.press_ctrl_c()
        person.wait_for(r"Ctrl-C again leaves\.\s+> $")
        assert person.process.poll() is None
        person.press_ctrl_c()
        assert person.leave() == 0
    finally:
        person.close()


def test_a_chat_models_answer_is_markdown_that_ctrl_c_stops_and_keeps(model: str, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "chat")
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "
    (tmp_path / "chat" / "chat_template.jinja").write_text(template)
    person = Keyboard(str(tmp_path / "chat"), "ignore_end=true", "max_new_tokens=9000", TERM="xterm")
    try:
        person.wait_for(r"> $")
        person.type("The cat\n")
        person.wait_for(r"\x1b\[2K[\s\S]*\x1b\[2K")  # the growing end was drawn again
        person.type("\x03")
        stopped = person.wait_for(r"again leaves\.[\s\S]*> $")
        assert "stopped" in stopped
        assert "\x1b[?25h" in stopped  # the cursor is shown again
        person.type(f"/save {tmp_path / 'talk.json'}\n")
        person.wait_for(r"written[\s\S]*> $")
        (turn,) = json.loads((tmp_path / "talk.json").read_text(encoding="utf-8"))["turns"]
        assert turn["user"] == "The cat"
        assert turn["answer"]
        person.type("/exit\n")
        assert person.leave() == 0
    finally:
        person.close()


def test_a_chinese_locale_speaks_chinese_and_ctrl_d_leaves(model: str) -> None:
    person = Keyboard(model, "max_new_tokens=3", LANG="zh_CN.UTF-8", PYTHONUTF8="1")
    try:
        assert "这是基座模型" in person.wait_for(r"> $")
        person.type("今天\n")
        assert "个词元" in person.wait_for(r"每秒 [\d.]+ 个.*\n> $")
        person.type("\x04")
        assert person.leave() == 0
    finally:
        person.close()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({}, ENGLISH),
        ({"LANG": "zh_CN.UTF-8"}, CHINESE),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_GB.UTF-8"}, ENGLISH),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_TW", "LANG": "de_DE"}, CHINESE),
    ],
)
def test_the_locale_chooses_the_language(names: dict[str, str], expected: object) -> None:
    assert texts(names) is expected


def test_who_speculates_is_told_how_many_guesses_were_kept(model: str) -> None:
    notes, answers = Console(file=io.StringIO(), width=200), Console(file=io.StringIO())
    settings = {"max_new_tokens": 6, "ignore_end": True, "speculate": model}
    session = Session(Conversation(load(model)), settings, ENGLISH, notes, answers)
    assert not Terminal(session)._answer("The cat")
    assert isinstance(notes.file, io.StringIO)
    assert " · 4 of 4 guesses kept (100%) · at its limit" in notes.file.getvalue()


def test_both_languages_fill_in_the_same_names() -> None:
    for name, english in vars(ENGLISH).items():
        assert re.findall(r"\{[^}]*\}", english) == re.findall(r"\{[^}]*\}", getattr(CHINESE, name)), name


def test_the_help_ends_in_an_example_that_runs(model: str) -> None:
    assert chat.__doc__ is not None
    example = chat.__doc__.strip().splitlines()[-1].strip()
    left, right = example.removeprefix("Example: ").split(" | ")
    assert right.startswith("wenlu chat runs/tiny ")
    done = piped(model, f"{shlex.split(left)[1]}\n".encode(), *shlex.split(right)[3:])
    assert done.exit_code == 0
