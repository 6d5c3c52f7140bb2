"""Predict a file: a prompt a row in, a JSON object a line out, in the same order.

Reading, generating and writing keep pace, so memory does not grow with the file. Inside a window of rows long
prompts go first, so that neighbours pad little. What is written stays valid: a run that was interrupted goes on
behind the last complete line of its output, and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, BinaryIO

from wenlu.bundle import Bundle
from wenlu.errors import DataError, UsageError
from wenlu.generation.answer import Choice
from wenlu.generation.choosing import Scored
from wenlu.generation.constraints import NONE
from wenlu.generation.forward import room_for
from wenlu.generation.inputs import ReadingConfig, expected_rows, rows_in
from wenlu.generation.resume import Earlier, resume
from wenlu.generation.rows import BadRow, Row
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.tables import check_table, is_table, lines_file, write_table
from wenlu.generation.text import answers, constraints, encode_prompt
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.progress import QUIET, Progress
from wenlu.tokenizers import Tokenizer

WINDOW_BATCHES = 8
"""Rows that are sorted by length together, in units of `max_batch`."""

_DECIDING = set(SamplingConfig.model_fields) - {"max_batch", "prompts"}
_SPECULATING = {"speculate", "speculate_tokens"}


class PredictConfig(SamplingConfig, ReadingConfig):
    """Settings of `wenlu predict` for a language model: those of `[generate]`, and how to read the file.

    Attributes:
        chat: prompts are messages of a user, answered in the role of the model's chat template, as conversations
            always are.
        system: a text that stands above each message and each conversation without one; it implies `chat`.
    """

    chat: bool = False
    system: str = ""


@dataclass(frozen=True)
class PredictSummary:
    """What a run has written.

    Attributes:
        rows: of this run, bad ones included.
        errors: bad rows in the whole output.
        resumed: rows that were there before.
        guessed: tokens that were guessed in this run, with `speculate`. kept: those of them that stayed.
    """

    rows: int
    errors: int
    resumed: int
    seconds: float
    guessed: int = 0
    kept: int = 0

    def __str__(self) -> str:
        again = f", {self.resumed} were there already" if self.resumed else ""
        errors = f"{self.errors} error{'' if self.errors == 1 else 's'}"
        share = f", {kept_share(self.guessed, self.kept)}" if self.guessed else ""
        return f"{self.rows} rows{again}, {errors}, {self.rows / max(self.seconds, 1e-9):.1f} rows/s{share}"


def kept_share(guessed: int, kept: int) -> str:
    return f"{kept} of {guessed} guesses kept ({kept / guessed:.0%})"


def signature(bundle: Bundle, config: SamplingConfig) -> str:
    """12 hex digits of model, tokenizer and settings, as far as they decide a prediction."""
    digest = hashlib.sha256(model_fingerprint(bundle).encode())
    deciding = _DECIDING if config.speculate != "off" else _DECIDING - _SPECULATING
    digest.update(config.model_dump_json(include=deciding).encode())
    if isinstance(config, PredictConfig) and answers_in_roles(config):
        digest.update(f"in roles: {config.system}".encode())
    rules = constraints(bundle)
    if rules != NONE:
        digest.update(rules.signature.encode())
    return digest.hexdigest()[:12]


def model_fingerprint(bundle: Bundle) -> str:
    """Of the tokenizer and a sample of the weights, on which no two trained models agree."""
    digest = hashlib.sha256(bundle.tokenizer.fingerprint.encode())
    for name, tensor in sorted(bundle.model.state_dict().items()):
        values = tensor.detach().flatten()
        sample = values[:: max(1, len(values) // 64)].double().tolist()
        digest.update(repr((name, tuple(tensor.shape), sample)).encode())
    return digest.hexdigest()


def predict_rows(bundle: Bundle, rows: Iterable[Row | BadRow], config: SamplingConfig) -> Iterator[dict[str, Any]]:
    """One object a row, in order: `prediction` and more, or `error`."""
    rows = iter(rows)
    mark = signature(bundle, config)
    while window := list(islice(rows, _window_of(config))):
        yield from _in_order(_window(bundle, window, config, mark))


def predict(
    bundle: Bundle,
    source: Path | BinaryIO,
    out: Path | IO[str],
    config: PredictConfig,
    *,
    overwrite: bool = False,
    progress: Progress = QUIET,
) -> PredictSummary:
    """Write one line of JSON for each row of `source`, flushed as soon as it and those before it are complete.

    Args:
        source: a file, or standard input.
        out: a file, which goes on behind its last complete line unless `overwrite`, or standard output.

    Raises:
        UsageError: an ending without known format; an `out` that is `source`, a folder, or of another prediction, or a
            table that is there already.
        DataError: `source` cannot be read, or has no rows.
    """
    return answer_file(
        source,
        out,
        config,
        signature(bundle, config),
        partial(predict_rows, bundle, config=config),
        window=_window_of(config),
        overwrite=overwrite,
        progress=progress,
    )


def _window_of(config: SamplingConfig) -> int:
    return WINDOW_BATCHES * config.max_batch


def answer_each(
    rows: Iterable[Row | BadRow], mark: str, answer: Callable[[str], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """One object a row: what `answer` gives for its prompt; or `error`, also for its DataError or UsageError."""
    for row in rows:
        line: dict[str, Any] = {"id": row.id}
        if isinstance(row, BadRow):
            line["error"] = row.error
        else:
            try:
                line |= {"prompt": row.prompt, **answer(row.prompt)}
            except (DataError, UsageError) as error:
                line = {"id": row.id, "error": str(error)}
        yield {**line, "signature": mark}


def answer_file(
    source: Path | BinaryIO,
    out: Path | IO[str],
    reading: ReadingConfig,
    mark: str,
    answer: Callable[[Iterator[Row | BadRow]], Iterator[dict[str, Any]]],
    *,
    window: int = 1,
    overwrite: bool = False,
    progress: Progress = QUIET,
) -> PredictSummary:
    """Write `answer`'s line for each row of `source`, as `predict` does.

    Args:
        mark: the signature in each line, by which a run that was interrupted knows its own.
        window: how many rows `answer` takes at a time, if neighbours decide how numbers are rounded.
    """
    with ExitStack() as stack:
        rows = rows_in(stack, source, reading)
        return answer_rows(rows, source, out, mark, answer, window=window, overwrite=overwrite, progress=progress)


def answer_rows(
    rows: Iterator[Row | BadRow],
    source: Path | BinaryIO,
    out: Path | IO[str],
    mark: str,
    answer: Callable[[Iterator[Row | BadRow]], Iterator[dict[str, Any]]],
    *,
    window: int = 1,
    are_vectors: bool = False,
    overwrite: bool = False,
    progress: Progress = QUIET,
) -> PredictSummary:
    """As `answer_file`, of rows that were read from `source`; an `out` for a table becomes one once all are answered.

    Args:
        are_vectors: predictions are lists of numbers, which NumPy's format can hold.
    """
    with ExitStack() as stack:
        earlier, file, table = Earlier(), out, None
        if isinstance(out, Path):
            _check_out(source, out)
            lines = lines_file(out)
            if is_table(out):
                check_table(out, are_vectors=are_vectors, overwrite=overwrite)
                table = out
            if lines.exists() and not overwrite:
                earlier = resume(lines, rows, mark, window=window)
            lines.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(lines.open("w" if overwrite else "a", encoding="utf-8", newline="\n"))
        assert not isinstance(file, Path), "a path was opened"
        answered = answer(chain(earlier.again, rows))
        if isinstance(answered, Generator):
            stack.callback(answered.close)  # with the thread that it may have
        summary = _write(islice(answered, len(earlier.again), None), file, earlier, expected_rows(source), progress)
    if table is not None:
        write_table(lines_file(table), table)
        lines_file(table).unlink()
    return summary


def _check_out(source: Path | BinaryIO, out: Path) -> None:
    if out.is_dir():
        raise UsageError(f"{out}: a folder; --out names a file, for example {out / 'predictions.jsonl'}")
    if isinstance(source, Path) and out.exists() and out.samefile(source):
        raise UsageError(f"{out}: is the input itself; choose another --out")


def _write(
    lines: Iterator[dict[str, Any]], out: IO[str], earlier: Earlier, expected: int | None, progress: Progress
) -> PredictSummary:
    begin = time.perf_counter()
    done, errors, guessed, kept = 0, 0, 0, 0
    progress.start("predict", total=expected and max(0, expected - earlier.rows), unit="rows")
    for done, line in enumerate(lines, start=1):
        errors += "error" in line
        guessed, kept = guessed + line.get("guessed", 0), kept + line.get("kept", 0)
        out.write(json.dumps(line, ensure_ascii=False) + "\n")
        out.flush()
        progress.update(done, speed=f"{done / (time.perf_counter() - begin):.1f} rows/s")
    seconds = time.perf_counter() - begin
    summary = PredictSummary(done, earlier.errors + errors, earlier.rows, seconds, guessed, kept)
    progress.finish(str(summary))
    return summary


def _window(
    bundle: Bundle, rows: list[Row | BadRow], config: SamplingConfig, mark: str
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The line of each row with its index, as soon as it is known."""
    good: list[tuple[int, Row]] = []
    prompts: list[list[int]] = []
    for index, row in enumerate(rows):
        if isinstance(row, BadRow):
            yield index, {"id": row.id, "error": row.error, "signature": mark}
            continue
        try:
            prompts.append(_encoded(bundle, row, config))
        except (UsageError, DataError) as error:
            yield index, {"id": row.id, "error": str(error), "signature": mark}
        else:
            good.append((index, row))
    for number, choices in answers(bundle, prompts, config):
        index, row = good[number]
        apart = writes_another_text(bundle) or row.messages or answers_in_roles(config)
        yield index, _line(row, choices, mark, bundle.tokenizer, in_front="" if apart else row.prompt)


def answers_in_roles(config: SamplingConfig) -> bool:
    """Whether prompts are messages of a user."""
    return isinstance(config, PredictConfig) and bool(config.chat or config.system)


def _encoded(bundle: Bundle, row: Row, config: SamplingConfig) -> list[int]:
    """The ids of a prompt, or of a conversation as the chat template writes it."""
    if not row.messages and not answers_in_roles(config):
        return encode_prompt(bundle, row.prompt)
    bundle.require_causal()
    messages = list(row.messages) or [{"role": "user", "content": row.prompt}]
    if messages[-1]["role"] == "assistant":
        raise DataError("the conversation ends with the assistant's turn, so there is nothing to answer")
    system = config.system if isinstance(config, PredictConfig) else ""
    if system and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    ids = bundle.tokenizer.apply_chat_template(messages)
    room_for(bundle.model, ids)
    return ids


def writes_another_text(bundle: Bundle) -> bool:
    """Whether the answer is a text of its own, rather than the end of the prompt's."""
    return isinstance(bundle.model, EncoderDecoder)


def _line(row: Row, choices: tuple[Choice, ...], mark: str, tokenizer: Tokenizer, *, in_front: str) -> dict[str, Any]:
    first = choices[0]
    if (error := next((choice.error for choice in choices if choice.error is not None), None)) is not None:
        return {"id": row.id, "prompt": row.prompt, "error": error, "signature": mark}
    line: dict[str, Any] = {
        "id": row.id,
        "prompt": row.prompt,
        "prediction": first.text,
        "text": in_front + first.text,
        "tokens": first.tokens,
        "logprob": round(first.logprob, 4),
        "finish": first.finish,
    }
    if any(choice.guessed for choice in choices):
        line["guessed"] = sum(choice.guessed for choice in choices)
        line["kept"] = sum(choice.kept for choice in choices)
    if len(choices) > 1:
        line["predictions"] = [choice.text for choice in choices]
    if any(first.top):
        seen = map(Scored, first.ids, first.logprobs, first.top)
        line["logprobs"] = [_told(each, tokenizer) for each in seen]
    if first.prompt:
        line["prompt_logprobs"] = [_told(each, tokenizer) for each in first.prompt]
    return {**line, "signature": mark}


def _told(scored: Scored, tokenizer: Tokenizer) -> dict[str, Any]:
    """A token, how likely it was, and what else was."""
    told: dict[str, Any] = {"token": tokenizer.decode([scored.token]), "logprob": round(scored.logprob, 4)}
    if scored.top:
        told["top"] = [{"token": tokenizer.decode([id]), "logprob": round(value, 4)} for id, value in scored.top]
    return told


def _in_order(lines: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    early: dict[int, dict[str, Any]] = {}
    due = 0
    for index, line in lines:
        early[index] = line
        while due in early:
            yield early.pop(due)
            due += 1
