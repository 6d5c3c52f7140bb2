"""`wenlu predict`: a model's answers to a file of prompts, or to one."""

from __future__ import annotations

import json as encoder
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import torch

    from wenlu.bundle import Bundle, VectorsBundle
    from wenlu.evaluation.linear.prediction import Stored
    from wenlu.generation.filling import FillingConfig
    from wenlu.generation.labelled import AnsweringConfig
    from wenlu.generation.neighbours import NeighboursConfig
    from wenlu.generation.predict import PredictConfig
    from wenlu.generation.rows import Row


def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Run directory, model folder or hub id.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE|-] [KEY=VALUE]...", help="Prompts, or data as recipes name them; settings."),
    ] = None,
    text: Annotated[str | None, typer.Option(help="One prompt, in place of a file.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Output file (.jsonl, .csv, .parquet, .npy); goes on where it stopped.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin --out anew.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Of a linear model: what each feature adds to the score.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="With --text: one object; with --out: a summary.")] = False,
) -> None:
    """Answer each prompt of FILE with one JSON object a line, in order; a bad row gets an `error` in its place.

    FILE is .txt, .jsonl, .csv, .tsv or .parquet, a folder, package:NAME/inner/path or hf:ORGANISATION/NAME; a row with
    `messages` is a conversation, and with chat=true or system=TEXT a prompt is a message. dtype=bfloat16 converts the
    weights. Of a bare encoder the answers are vectors, which --out FILE.npy writes as one matrix.

    A model of a labelled task answers each record of any file that data are read from, columns named as text=COLUMN;
    answers less sure than abstain_below are withheld. Of a model of several tasks task=NAME chooses one. A masked
    language model fills in each [MASK]; word vectors answer a word, or a sum as in "king - man + woman", with its
    neighbours; an encoder–decoder reads the prompt and writes a text of its own, its gaps filled where it has
    <extra_id_0> or [MASK].
    Exit code 3 when a row was bad.

    Example: wenlu predict runs/tiny --text "def " max_new_tokens=32 temperature=0.8
    """
    from wenlu.bundle import VectorsBundle, load, load_any, vectors_path
    from wenlu.cli.progress import TerminalProgress
    from wenlu.cli.settings import file_and_overrides
    from wenlu.config import check, override
    from wenlu.errors import DataError, Interrupted, UsageError
    from wenlu.evaluation.linear.prediction import linear_folder, load_stored, predict_linear
    from wenlu.generation import filling, labelled, neighbours
    from wenlu.generation import predict as prediction
    from wenlu.generation.embedder import as_embedder
    from wenlu.kernels.native import use_pool
    from wenlu.models.layers.encoder import Encoder

    file, overrides = file_and_overrides(arguments or [])
    if (file is None) == (text is None):
        raise UsageError("give either a FILE of prompts (- for standard input) or --text TEXT")
    if text is not None and out is not None:
        raise UsageError("--text answers on the screen; --out belongs to a FILE of prompts")
    if (linear := linear_folder(model)) is not None:
        stored, asking = load_stored(linear), check(labelled.AnsweringConfig, override({}, overrides), where="predict")
        if text is not None:
            _name_and_explain(stored, text, asking, explain=explain, json=json)
            return
        answer = partial(predict_linear, stored, config=asking, explained=explain)
    elif explain:
        raise UsageError(f"{model}: is no linear model, whose score is a sum that --explain takes apart")
    elif vectors_path(model) is not None:
        listing = check(neighbours.NeighboursConfig, override({}, overrides), where="predict")
        vectors = load_any(model)
        assert isinstance(vectors, VectorsBundle), f"{model} was told to hold word vectors"
        if text is not None:
            _name_neighbours(vectors, text, listing, json=json)
            return
        answer = partial(neighbours.predict_neighbours, vectors, config=listing)
    else:
        task, overrides = labelled.value_of("task", overrides)
        dtype, overrides = labelled.value_of("dtype", overrides)
        bundle = as_embedder(load(model, task=task, dtype=None if dtype is None else _dtype(dtype)))
        if isinstance(bundle.model, Encoder):
            use_pool()  # else an encoder spends a tenth of its time on memory that it gave back a moment ago
        if labelled.answers_examples(bundle):
            asking = check(labelled.AnsweringConfig, override({}, overrides), where="predict")
            if text is not None:
                _label(bundle, text, asking, json=json)
                return
            answer = partial(labelled.predict_answers, bundle, config=asking)
        elif filling.fills(bundle):
            places = check(filling.FillingConfig, override({}, overrides), where="predict")
            if text is not None:
                _fill(bundle, text, places, json=json)
                return
            answer = partial(filling.predict_filled, bundle, config=places)
        else:
            config = check(prediction.PredictConfig, override({}, overrides), where="predict")
            if text is not None:
                _answer(bundle, text, config, json=json)
                return
            answer = partial(prediction.predict, bundle, config=config)
    source = sys.stdin.buffer if file == "-" else Path(str(file))
    with TerminalProgress() as progress:
        try:
            summary = answer(source=source, out=out or sys.stdout, overwrite=overwrite, progress=progress)
        except KeyboardInterrupt as error:
            again = (
                f"the same command goes on behind the last line of {out}" if out else "nothing was kept; use --out FILE"
            )
            raise Interrupted(f"interrupted; {again}") from error
    if json and out is not None:
        typer.echo(encoder.dumps({"out": str(out), **vars(summary)}))
    if summary.errors:
        raise typer.Exit(DataError.exit_code)


def _answer(bundle: Bundle, text: str, config: PredictConfig, *, json: bool) -> None:
    from wenlu.generation.predict import answers_in_roles, kept_share, predict_rows, writes_another_text
    from wenlu.generation.text import stream

    if not json and config.drawn == 1 and config.num_beams == 1 and not answers_in_roles(config):
        pieces = stream(bundle, text, config)
        typer.echo("" if writes_another_text(bundle) else text, nl=False)
        for piece in pieces:
            typer.echo(piece.text, nl=False)
        typer.echo()
        if piece.guessed:
            typer.echo(kept_share(piece.guessed, piece.kept), err=True)
        return
    line = _told(predict_rows(bundle, [_row(text)], config), json=json)
    if line is not None:
        in_front = line["text"].removesuffix(line["prediction"])
        for answer in line.get("predictions", [line["prediction"]]):
            typer.echo(in_front + answer)


def _label(bundle: Bundle, text: str, config: AnsweringConfig, *, json: bool) -> None:
    from wenlu.generation.labelled import answer_examples

    line = _told(answer_examples(bundle, [_row(text)], config), json=json)
    if line is not None:
        sure = line.get("probability")
        typer.echo(f"{line['prediction']}" + ("" if sure is None else f"  {sure:.3f}"))


def _name_and_explain(stored: Stored, text: str, config: AnsweringConfig, *, explain: bool, json: bool) -> None:
    from wenlu.evaluation.linear.prediction import answer_linear

    line = _told(answer_linear(stored, [_row(text)], config, explained=explain), json=json)
    if line is None:
        return
    sure = line.get("probability")
    typer.echo(f"{line['prediction']}" + ("" if sure is None else f"  {sure:.3f}"))
    for told in line.get("explanation", []):
        typer.echo(f"{told['output']}: {told['score']:+.4f} = {told['bias']:+.4f} (bias)")
        for part in told["features"]:
            typer.echo(f"  {part['adds']:+9.4f}  {part['feature']}")
        typer.echo(f"  {told['others']:+9.4f}  all other features")


def _fill(bundle: Bundle, text: str, config: FillingConfig, *, json: bool) -> None:
    from wenlu.generation.filling import fill_rows

    line = _told(fill_rows(bundle, [_row(text)], config), json=json)
    if line is not None:
        typer.echo(line["text"])
        for place in line["candidates"]:
            typer.echo("  ".join(f"{found['token']} {found['probability']:.3f}" for found in place))


def _name_neighbours(vectors: VectorsBundle, text: str, config: NeighboursConfig, *, json: bool) -> None:
    from wenlu.generation.neighbours import neighbours_of_rows

    line = _told(neighbours_of_rows(vectors, [_row(text)], config), json=json)
    if line is not None:
        for found in line["predictions"]:
            typer.echo(f"{found['score']:7.4f}  {found['word']}")


def _dtype(name: str) -> torch.dtype:
    import torch

    from wenlu.errors import UsageError

    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}
    if name.strip("'\"") not in known:
        raise UsageError(f"dtype={name}: weights can be converted to {', '.join(known)}")
    return known[name.strip("'\"")]


def _row(text: str) -> Row:
    from wenlu.generation.rows import Row

    return Row("text", text)


def _told(lines: Iterator[dict[str, Any]], *, json: bool) -> dict[str, Any] | None:
    """The answer to a single text, for people to be shown; None once it was written as JSON. Raises UsageError."""
    from wenlu.errors import UsageError

    line = next(lines)
    if "error" in line:
        raise UsageError(line["error"])
    if json:
        typer.echo(encoder.dumps(line, ensure_ascii=False))
        return None
    return line
