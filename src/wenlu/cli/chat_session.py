"""The loop of `wenlu chat`: read a line, obey it or answer it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from wenlu.bundle import Bundle
from wenlu.cli.chat_markdown import MarkdownStream
from wenlu.cli.chat_texts import Texts
from wenlu.config import check, did_you_mean, override
from wenlu.errors import DataError, UsageError, WenluError
from wenlu.generation.answer import Piece
from wenlu.generation.conversation import Conversation
from wenlu.generation.rows import BadRow, Row
from wenlu.generation.settings import Sampling, SamplingConfig
from wenlu.generation.text import check_streams

PROMPT = "> "
CONTINUATION = ". "
BLOCK = '"""'
COMMANDS = ("/exit", "/help", "/load", "/picture", "/reset", "/retry", "/save", "/set", "/system", "/undo")

_VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}
_VISIBLE |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)


class Session:
    """A conversation with the settings and commands around it.

    Args:
        settings: as given, unchecked; what they leave out has its default.
        notes: where everything but answers goes.
    """

    def __init__(
        self, conversation: Conversation, settings: dict[str, Any], texts: Texts, notes: Console, answers: Console
    ) -> None:
        self.conversation = conversation
        self.settings = settings
        self.sampling = checked(settings)
        self.texts = texts
        self.notes = notes
        self.answers = answers
        self.shown: tuple[str, ...] = ()
        """Pictures that go with what is said next."""

    def note(self, message: str, style: str = "dim") -> None:
        self.notes.print(Text(message, style=style), soft_wrap=True)

    def obey(self, line: str) -> bool:
        """Carry out a command; False for the one that leaves. A mistake is said and changes nothing."""
        command, _, argument = line.strip().partition(" ")
        try:
            return self._command(command, argument.strip())
        except WenluError as error:
            self.note(str(error), style="red")
            return True

    def to_answer(self, line: str) -> str | None:
        """What is to be answered: the line; of /retry what the user said last, whose turn is taken back; of another
        command nothing. Raises UsageError where nothing was said yet."""
        if not line.startswith("/"):
            return line
        if line.strip() != "/retry":
            return None
        taken = self.conversation.undo()
        self.shown = taken.pictures
        return taken.user

    def stream(self, user: str) -> Generator[Piece, None, None]:
        """The answer; closing it ends the turn. Raises WenluError before the first piece."""
        pieces = self.conversation.answer(user, self.sampling, self.shown)
        self.shown = ()
        if self.conversation.forgotten:
            self.note(self.texts.forgotten.format(tokens=self.conversation.forgotten), style="yellow")
        return pieces

    def _command(self, command: str, argument: str) -> bool:
        match command:
            case "/exit":
                return False
            case "/help":
                self.note(self.texts.help, style="")
            case "/load" if argument:
                self._load(Path(argument).expanduser())
            case "/load":
                raise UsageError("/load FILE: name a file that /save FILE.json wrote")
            case "/undo":
                taken = self.conversation.undo()
                self.note(self.texts.undone.format(user=_shortened(taken.user)))
            case "/picture" if argument:
                picture = str(Path(argument).expanduser())
                self.conversation.look(picture)
                self.shown = (*self.shown, picture)
                self.note(self.texts.shown.format(path=picture))
            case "/picture":
                raise UsageError("/picture FILE: name a picture")
            case "/reset":
                self.conversation.reset()
                self.shown = ()
                self.note(self.texts.reset)
            case "/save" if argument:
                path = Path(argument).expanduser()
                self.conversation.save(path, self.sampling)
                self.note(self.texts.saved.format(path=path))
            case "/save":
                raise UsageError("/save FILE: name the file")
            case "/set":
                self._set(argument)
            case "/system" if argument:
                self.conversation.system = argument
                self.note(self.texts.system)
            case "/system":
                self.note(self.conversation.system or self.texts.no_system)
            case _:
                hint = did_you_mean(command, COMMANDS)
                self.note(self.texts.unknown.format(command=command, hint=hint), style="red")
        return True

    def _load(self, path: Path) -> None:
        """The conversation of a file, and its settings where they suit."""
        before = self.conversation.turns, self.conversation.system, self.conversation.forgotten
        settings = self.conversation.load(path)
        try:
            self.sampling, self.settings = checked(settings), settings
        except WenluError:
            self.conversation.turns, self.conversation.system, self.conversation.forgotten = before
            raise
        self.note(self.texts.loaded.format(path=path, turns=len(self.conversation.turns)))

    def _set(self, argument: str) -> None:
        settings = dict(self.settings)
        if "=" in argument:
            settings = override(settings, [argument])
        elif argument in SamplingConfig.model_fields:
            settings.pop(argument, None)
        elif argument:
            raise UsageError(f"{argument}: no such setting; {did_you_mean(argument, SamplingConfig.model_fields)}")
        self.sampling, self.settings = checked(settings), settings
        shown = self.sampling.model_dump(exclude={"n", "num_beams", "length_penalty", "max_batch", "prompts"})
        self.note("  ".join(f"{name}={value!r}" for name, value in shown.items()))


class Terminal:
    """Someone sits at the keyboard: answers appear as they are drawn, Ctrl-C stops them.

    Args:
        in_markdown: draw answers as Markdown, rather than as they are written.
    """

    def __init__(self, session: Session, *, in_markdown: bool = False) -> None:
        self.session = session
        self.in_markdown = in_markdown

    def run(self) -> None:
        _edit_lines()
        bundle, words = self.session.conversation.bundle, self.session.texts
        count = f"{sum(weight.numel() for weight in bundle.model.parameters()):,}"
        self.session.note(words.welcome.format(model=bundle.path, parameters=count), style="bold")
        self.session.note(words.assistant if self.session.conversation.in_roles else words.base)
        interrupted = False
        while True:
            try:
                line = _read()
                interrupted = False
                user = self.session.to_answer(line)
                if user is not None:
                    interrupted = self._answer(user)
                elif not self.session.obey(line):
                    return
            except WenluError as error:
                self.session.note(str(error), style="red")
            except EOFError:
                self.session.answers.print()
                return
            except KeyboardInterrupt:
                self.session.answers.print()
                if interrupted:
                    return
                interrupted = True
                self.session.note(words.leave)

    def _answer(self, user: str) -> bool:
        """Show the answer; True where Ctrl-C stopped it."""
        begin = time.perf_counter()
        first_seconds = 0.0
        last: Piece | None = None
        interrupted = False
        drawing = MarkdownStream(self.session.answers) if self.in_markdown else None
        try:
            with closing(self.session.stream(user)) as pieces:
                for last in pieces:
                    first_seconds = first_seconds or time.perf_counter() - begin
                    if drawing is None:
                        self._show(last.text)
                    else:
                        drawing.push(last.text.translate(_VISIBLE))
        except KeyboardInterrupt:
            interrupted = True
        except WenluError as error:
            self.session.note(str(error), style="red")
            return False
        seconds = time.perf_counter() - begin
        if drawing is None:
            self.session.answers.print()
        else:
            drawing.finish()
        tokens = last.tokens if last else 0
        parts = [self.session.texts.speed.format(tokens=tokens, rate=_rate(tokens, seconds, first_seconds))]
        parts += [self.session.texts.first.format(seconds=first_seconds)] if tokens else []
        if last and last.guessed:
            share = last.kept / last.guessed
            parts.append(self.session.texts.kept.format(kept=last.kept, guessed=last.guessed, share=share))
        if interrupted:
            parts += [self.session.texts.stopped, self.session.texts.leave]
        elif last and last.finish == "length":
            parts.append(self.session.texts.length)
        self.session.note(" · ".join(parts))
        return interrupted

    def _show(self, text: str) -> None:
        """Print as it is, but no control codes: a model must not steer the terminal."""
        self.session.answers.file.write(text.translate(_VISIBLE))
        self.session.answers.file.flush()


def answer_lines(session: Session, rows: Iterable[Row | BadRow], *, as_json: bool) -> int:
    """Answer each line of a pipe, one line or one JSON object each; returns how many could not be answered."""
    failed = 0
    for row in rows:
        try:
            if isinstance(row, BadRow):
                raise DataError(f"{row.id}: {row.error}")
            user = session.to_answer(row.prompt)
            if user is None:
                if not session.obey(row.prompt):
                    break
                continue
            pieces = session.stream(user)
        except WenluError as error:
            session.note(str(error), style="red")
            failed += 1
            continue
        out = session.answers.file
        if as_json:
            answer = "".join(piece.text for piece in pieces)
            out.write(json.dumps({"prompt": user, "prediction": answer}, ensure_ascii=False))
        else:
            for piece in pieces:
                out.write(piece.text)
                out.flush()
        out.write("\n")
        out.flush()
    return failed


def _read() -> str:
    """A line from the keyboard; a backslash at its end takes the next one too, and three quotation marks at its
    beginning all lines up to the next three."""
    line = input(PROMPT)
    if line.startswith(BLOCK):
        line = line.removeprefix(BLOCK)
        while not line.rstrip().endswith(BLOCK):
            line = f"{line}\n{input(CONTINUATION)}"
        return line.rstrip().removesuffix(BLOCK).strip("\n")
    while line.endswith("\\"):
        line = f"{line[:-1]}\n{input(CONTINUATION)}"
    return line


def _edit_lines() -> None:
    """Give input() line editing, history, and commands that the tab key completes."""
    import readline

    readline.set_completer_delims(" ")
    readline.set_completer(lambda text, number: ([each for each in COMMANDS if each.startswith(text)] + [None])[number])
    readline.parse_and_bind("tab: complete")


def _rate(tokens: int, seconds: float, first_seconds: float) -> float:
    """Tokens a second of writing: without the reading that went before the first one, where there are more."""
    if tokens > 1 and seconds > first_seconds:
        return (tokens - 1) / (seconds - first_seconds)
    return tokens / max(seconds, 1e-9)


def _shortened(text: str, most: int = 40) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def starting_settings(bundle: Bundle, *, draw_seed: bool) -> dict[str, Any]:
    """How a conversation is sampled unless it is set otherwise: as generation_config.json says; where it says nothing,
    close to greedy for a model that answers in roles, and livelier for one that continues text.

    A drawn seed makes two conversations differ, and /set shows it. Raises ConfigError for values out of range.
    """
    told = {name: bundle.generation.get(name) for name in Sampling.model_fields}
    own = {name: value for name, value in told.items() if value}  # 0 and null stand for "off"
    if bundle.generation.get("do_sample") and own:
        check(Sampling, own, where=f"{bundle.path}: generation_config.json")
        settings = {"temperature": 1.0, **own}
    elif bundle.tokenizer.chat_template is not None:
        settings = {"temperature": 0.2, "top_p": 0.9}
    else:
        settings = {"temperature": 0.8, "top_p": 0.95}
    seed = {"seed": secrets.randbits(32)} if draw_seed else {}
    return {**settings, "max_new_tokens": 256, **seed}


def checked(settings: dict[str, Any]) -> SamplingConfig:
    """Settings whose answers stream; raises ConfigError or UsageError."""
    sampling = check(SamplingConfig, settings, where="chat")
    check_streams(sampling)
    return sampling
