"""Does a server answer as the model of the folder does? The same texts through both, one of them over HTTP."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wenlu import __version__
from wenlu.bundle import Bundle, load
from wenlu.corpus.prepare import read_split
from wenlu.corpus.record import Record
from wenlu.corpus.sources import SourceList
from wenlu.errors import UsageError
from wenlu.evaluation import EvaluateConfig
from wenlu.generation.embedder import as_embedder
from wenlu.generation.labelled import AnsweringConfig, answer_examples
from wenlu.generation.rows import Row
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.text import complete
from wenlu.lifecycle.evaluate import read_texts
from wenlu.lifecycle.labelled_evaluation import held_out_split
from wenlu.lifecycle.parity_record import PARITY
from wenlu.lifecycle.parity_texts import TEXTS
from wenlu.lifecycle.served import Endpoint
from wenlu.progress import QUIET, Progress
from wenlu.rundir import atomic
from wenlu.tasks import LabelledTask
from wenlu.tasks.labelled.task import Role

NEW_TOKENS = 32
MOST_APART = {"float64": 1e-6, "float32": 1e-3}
"""Of log-probabilities and probabilities, by the type of the numbers; of others as `COARSE`."""
COARSE = 0.05
_TASKS = {"classify": "label", "extract": "entities", "answer": "answer", "translate": "text", "grade": "grade"}


@dataclass(frozen=True)
class ServedParity:
    """What was found.

    Attributes:
        same: texts that were answered alike: with the same prediction, or continued by the same tokens.
        apart: the largest difference of a probability of a prediction, or of a log-probability of a token, in nats.
        same_ids: whether texts, and conversations, become the same tokens; None where nothing is told of them.
        bound: for `apart`.
        first: the first text that was answered otherwise, with both answers.
    """

    model: str
    url: str
    name: str
    ability: str
    texts: int
    same: int
    apart: float
    same_ids: bool | None
    bound: float
    first: dict[str, Any] | None

    @property
    def equal(self) -> bool:
        return self.same == self.texts and self.apart <= self.bound and self.same_ids is not False

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        ids = "" if self.same_ids is not False else ", and texts become other tokens"
        return (
            f"the server answers {self.same} of {self.texts} texts as the folder does; the largest difference is "
            f"{self.apart:.2g} (at most {self.bound:g}){ids}"
        )

    def to_json(self) -> dict[str, Any]:
        return {"equal": self.equal, **asdict(self)}

    def write(self, folder: Path) -> None:
        """`parity.json`."""
        verdict = "passed" if self.equal else "failed"
        record = {"wenlu": __version__, "how": "served", "verdict": verdict, **self.to_json()}
        atomic.write_text(folder / PARITY, json.dumps(record, ensure_ascii=False, indent=2) + "\n")


def served_parity(
    model: str,
    server: Endpoint,
    *,
    name: str | None = None,
    run: str | None = None,
    data: SourceList = (),
    texts: int = 32,
    progress: Progress = QUIET,
) -> ServedParity:
    """Ask a server what a model answers, and the model itself.

    Args:
        model: what `load` takes.
        name: of the model there; by default the only one, or the one named as the folder is.
        run: whose held-out examples are asked. data: or those of these sources; by default the built-in texts.
        texts: how many at most.

    Raises:
        UsageError: the server has no such model, or cannot be asked what the model does.
        ResourceError: it cannot be reached, or refuses.
    """
    bundle = as_embedder(load(model))
    told = _model_there(server, name or Path(model).name, is_said=name is not None)
    records = _records(bundle, run, data)[:texts]
    progress.start("compare", total=len(records), unit="texts")
    if isinstance(bundle.task, LabelledTask):
        found = _examples(bundle, model, server, told, records)
    else:
        found = _continued(bundle, model, server, told, [record.text for record in records])
    progress.finish(found.sentence)
    return found


def _model_there(server: Endpoint, name: str, *, is_said: bool) -> dict[str, Any]:
    models: list[dict[str, Any]] = server.ask("/v1/models")["data"]
    names = [model["id"] for model in models]
    if name in names:
        return models[names.index(name)]
    if len(models) == 1 and not is_said:
        return models[0]
    raise UsageError(f"{server.url}: serves no model {name!r}; it has {', '.join(names)}")


def _records(bundle: Bundle, run: str | None, data: SourceList) -> list[Record]:
    if run is not None:
        return list(read_split(Path(run) / "data", held_out_split(Path(run), EvaluateConfig())))
    if data:
        return read_texts(bundle.task.config.told(data) if isinstance(bundle.task, LabelledTask) else data, QUIET)
    return [Record(text, f"text:{number}") for number, text in enumerate(TEXTS)]


def _examples(
    bundle: Bundle, model: str, server: Endpoint, told: Mapping[str, Any], records: Sequence[Record]
) -> ServedParity:
    ability = next((one for one in _TASKS if one in told["capabilities"]), None)
    if ability is None:
        raise UsageError(f"{server.url}: {told['id']} answers no examples; it can {', '.join(told['capabilities'])}")
    task = bundle.task
    assert isinstance(task, LabelledTask), "asked of labelled tasks"
    rows = [Row(record.id, record.text, record.meta) for record in records]
    mine = list(answer_examples(bundle, rows, AnsweringConfig()))
    asked = [role for role in task.config.roles if not role.is_answer]
    inputs = [
        {column: text for column, text in zip(told["columns"], _texts(task, asked, record), strict=False) if text}
        for record in records
    ]
    theirs = server.ask(f"/v1/{ability}", {"model": told["id"], "input": inputs})["data"]
    same, apart, first = 0, 0.0, None
    for record, own, other in zip(records, mine, theirs, strict=True):
        answers = _prediction(own), _told(ability, other)
        if answers[0] == answers[1]:
            same += 1
        elif first is None:
            first = {"text": record.text, "folder": answers[0], "server": answers[1]}
        apart = max(apart, abs(own.get("probability", 0.0) - other.get("probability", 0.0)))
    return ServedParity(model, server.url, told["id"], ability, len(records), same, apart, None, _bound(bundle), first)


def _texts(task: LabelledTask, asked: Sequence[Role], record: Record) -> list[str]:
    """Of each role of an example, empty where it has none."""
    others = [str(record.meta.get(task.config.column(role.name), "")) for role in asked[1:]]
    return [record.text, *others]


def _prediction(line: Mapping[str, Any]) -> Any:
    return line.get("error") or line["prediction"]


def _told(ability: str, row: Mapping[str, Any]) -> Any:
    """What the endpoint says in the words of `wenlu predict`."""
    if "error" in row:
        return row["error"]
    if ability == "extract":
        return [{"text": one["text"], "label": one["label"]} for one in row["entities"]]
    return row["labels"] if "labels" in row else row[_TASKS[ability]]


def _continued(
    bundle: Bundle, model: str, server: Endpoint, told: Mapping[str, Any], texts: Sequence[str]
) -> ServedParity:
    bundle.require_causal()
    same_ids = _same_ids(bundle, server, told["id"], texts)
    own = complete(bundle, texts, SamplingConfig(max_new_tokens=NEW_TOKENS))
    same, apart, first = 0, 0.0, None
    for text, mine in zip(texts, own, strict=True):
        asked = {"model": told["id"], "prompt": text, "temperature": 0, "max_tokens": NEW_TOKENS, "logprobs": 0}
        theirs = server.ask("/v1/completions", asked)["choices"][0]
        if theirs["text"] == mine.text:
            same += 1
        elif first is None:
            first = {"text": text, "folder": mine.text, "server": theirs["text"]}
        for one, other in zip(mine.choices[0].logprobs, theirs["logprobs"]["token_logprobs"], strict=False):
            difference = abs(one - other)
            apart = max(apart, difference if math.isfinite(difference) else math.inf)
            if difference > COARSE:
                break  # another token, behind which nothing can be compared
    return ServedParity(
        model, server.url, told["id"], "complete", len(texts), same, apart, same_ids, _bound(bundle), first
    )


def _same_ids(bundle: Bundle, server: Endpoint, name: str, texts: Sequence[str]) -> bool:
    tokenizer = bundle.tokenizer
    for text in texts:
        ids = server.ask("/tokenize", {"model": name, "prompt": text})["tokens"]
        if ids != [*tokenizer.opening, *tokenizer.encode(text)]:
            return False
    if tokenizer.chat_template is None:
        return True
    messages = [{"role": "user", "content": texts[0]}]
    asked = {"model": name, "messages": messages, "add_generation_prompt": True}
    found: list[int] = server.ask("/tokenize", asked)["tokens"]
    return found == tokenizer.apply_chat_template(messages)


def _bound(bundle: Bundle) -> float:
    dtype = str(next(bundle.model.parameters()).dtype).removeprefix("torch.")
    return MOST_APART.get(dtype, COARSE)
