"""The verbs, and what an error looks like to a user."""

from __future__ import annotations

import errno
import os
import signal
import sys
from types import FrameType

import typer
from rich.console import Console
from rich.markup import escape

from wenlu.cli.chat import chat
from wenlu.cli.check import check
from wenlu.cli.compare import compare
from wenlu.cli.compress import compress
from wenlu.cli.data import data
from wenlu.cli.doctor import doctor
from wenlu.cli.evaluate import evaluate
from wenlu.cli.explain import explain
from wenlu.cli.export import export
from wenlu.cli.finetune import finetune
from wenlu.cli.parity import parity
from wenlu.cli.plan import plan
from wenlu.cli.predict import predict
from wenlu.cli.pretrain import pretrain
from wenlu.cli.run import run
from wenlu.cli.runs import runs, runs_app
from wenlu.cli.serve import serve, serve_app
from wenlu.cli.settings import help_of
from wenlu.cli.tokenizer import tokenizer
from wenlu.cli.tune import tune
from wenlu.errors import Interrupted, Preempted, WenluError

app = typer.Typer(
    name="wenlu",
    help="A language model's whole life on your machine: data, tokenizer, training, evaluation, generation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

VERBS = (
    (run, "The whole life of a model, from text to report."),
    (data, "Text to clean records in leakage-safe splits."),
    (tokenizer, "Text to a tokenizer, measured by language."),
    (check, "Whether a recipe would learn, before any long run."),
    (pretrain, "Text to a trained model."),
    (finetune, "Your own examples to a model for a task."),
    (evaluate, "Scores with intervals, beside a cheap baseline."),
    (plan, "What a recipe will take of this machine."),
    (tune, "The settings with which a recipe learns best."),
    (compare, "Whether one model is better than another."),
    (compress, "Smaller models, checked against their model."),
    (predict, "Answers to a file of prompts."),
    (chat, "Write in turns with a model at the terminal."),
    (explain, "What of a text an answer rests on."),
    (serve, "Models answered over HTTP, and a page for them."),
    (export, "A model as a folder, a GGUF file or an ONNX graph."),
    (parity, "Whether two models answer alike."),
    (runs, "List, compare, plot, prune and track runs."),
    (doctor, "Examine this machine and what is installed."),
)
for verb, short in VERBS:
    group = {runs: runs_app, serve: serve_app}.get(verb)
    if group is not None:
        app.add_typer(group, name=verb.__name__, short_help=short, help=help_of(verb))
    else:
        app.command(short_help=short, help=help_of(verb))(verb)

_DISK = {
    errno.ENOSPC: "could not be written: no space left on the disk",
    errno.EDQUOT: "could not be written: the disk quota is used up",
    errno.EFBIG: "could not be written: larger than the allowed file size (ulimit -f)",
    errno.EROFS: "could not be written: the disk is read-only",
    errno.EIO: "the disk reports an input/output error",
}


class Terminated(BaseException):
    """SIGTERM arrived; like KeyboardInterrupt it is nothing that a command could handle better."""


def main() -> None:
    """Run a command; a user's error is one message without traceback, and its own exit code.

    SIGTERM ends a command as Ctrl-C does, but for its exit code; while it trains, after the step and a checkpoint.
    """
    signal.signal(signal.SIGTERM, _terminate)
    # Threads that wait for each other spin a little, then sleep: always spinning is 35 times slower where another
    # program takes a processor, sleeping at once a sixth slower where none does (docs/log.md). OpenMP reads this
    # once, when torch is imported.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        app()
    except WenluError as error:
        _fail(str(error), error.exit_code)
    except Terminated:
        _fail("stopped by SIGTERM; the same command goes on from there", Preempted.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", Interrupted.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit would complain again
        sys.exit(1)
    except PermissionError as error:
        _fail(f"{error.filename}: no permission; choose another folder or change its rights", 1)
    except OSError as error:
        if error.errno not in _DISK:
            raise
        _fail(f"{error.filename or 'a temporary file'}: {_DISK[error.errno]}; then run the same command again", 1)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _fail(message: str, code: int) -> None:
    if os.environ.get("RANK", "0") != "0":
        message = f"(process {os.environ['RANK']}) {message}"
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]error[/] {escape(message)}")
    sys.exit(code)
