"""Eight small examples of every labelled task."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from PIL import Image

from wenlu.corpus.pictures.sight import Shown
from wenlu.corpus.record import Record
from wenlu.models import ModelConfig, family
from wenlu.tasks import LabelledConfig, PicturedTask, read_settings, task_type
from wenlu.tasks.labelled import LabelledTask
from wenlu.tasks.pictured.task import new_processing
from wenlu.tokenizers import Tokenizer

NewTokenizer = Callable[..., Tokenizer]


def answers_in(context: str, *texts: str) -> list[dict[str, Any]]:
    """Where each of them stands first."""
    return [{"text": text, "start": context.index(text)} for text in texts]


@dataclass(frozen=True)
class Small:
    """Eight records of a task.

    Attributes:
        family: of the tiny model. rows: the columns of each record by role.
        rate: of learning.
        perfect: what the first metric says of a model that knows the records by heart, within `tolerance`.
    """

    family: str
    rows: tuple[dict[str, Any], ...]
    settings: dict[str, Any] = field(default_factory=dict)
    rate: float = 5e-3
    perfect: float = 1.0
    tolerance: float = 0.0


CONTEXT = 48
TRANSLATED = [
    ("猫", "the cat"),
    ("狗", "the dog"),
    ("猫坐在那里。", "the cat sat."),
    ("狗坐在那里。", "the dog sat."),
    ("垫子", "the mat"),
    ("木头很安静。", "quiet log"),
    ("猫睡了吗？", "did the cat sleep?"),
    ("它没有动。", "it didn't move."),
]
HEADLINES = [
    ("the cat sat on the mat 4 times. then it didn't move.", "quiet cat"),
    ("the dog sat on the log 7 times. did it sleep?", "dog on the log"),
    ("the partridge sat on the mat, unbelievably quiet.", "partridge sleeps"),
    ("the cat didn't sleep 2 times. the log did.", "the log sleeps"),
    ("the dog didn't move then. the mat was quiet.", "mat was quiet"),
    ("did the partridge sleep 3 times? it did.", "3 times"),
    ("the log sat there unbelievably quiet. it didn't move.", "quiet log"),
    ("the mat didn't sleep 5 times. the cat did.", "the cat sleeps"),
]
FUNCTIONS = [
    ("def cat(n):", "    return n"),
    ("def dog(n):", "    return 2 * n"),
    ("def mat(n, m):", "    return n + m"),
    ("def log():", "    pass"),
    ("def sat(n):", "    n.sat()\n    return n"),
    ("def the():", "    return 4"),
    ("def sleep(n):", "    return not n"),
    ("def times(n):", "    return n * n"),
]


LIKED = [
    ("where did the cat sit?", "on the mat", "on the log"),
    ("where did the dog sit?", "on the log", "unbelievably"),
    ("did the cat sleep?", "it did.", "it didn't move"),
    ("did the dog sleep?", "it didn't.", "4 times"),
    ("the partridge?", "it sat there.", "quiet"),
    ("猫呢？", "在睡觉。", "没有动。"),
    ("狗呢？", "没有动。", "在睡觉。"),
    ("then?", "then it didn't move.", "the mat"),
]


def preferred(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {"text": f"{prompt}\n{chosen}\n{rejected}", "prompt": prompt, "chosen": chosen, "rejected": rejected}


def talk(*said: str, system: str = "") -> dict[str, Any]:
    """A conversation of texts that are said in turn, by the user first."""
    roles = ("user", "assistant")
    turns = [{"role": roles[number % 2], "content": text} for number, text in enumerate(said)]
    head = [{"role": "system", "content": system}] if system else []
    return {"text": "\n".join(said), "messages": [*head, *turns]}


def painted(colour: tuple[int, int, int], spot: tuple[int, int, int] | None = None) -> str:
    """A picture of 16 x 16 pixels as a data URL: one colour, perhaps with a square of another in its middle."""
    image = Image.new("RGB", (16, 16), colour)
    if spot is not None:
        image.paste(spot, (4, 4, 12, 12))
    file = BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"


RED, GREEN, BLUE, WHITE, BLACK = (230, 20, 20), (20, 200, 20), (20, 20, 230), (250, 250, 250), (5, 5, 5)
PAINTED = [
    ("the cat", painted(RED)),
    ("the dog", painted(GREEN)),
    ("the partridge", painted(BLUE)),
    ("quiet log", painted(WHITE)),
    ("the cat on the mat", painted(RED, WHITE)),
    ("the dog on the log", painted(GREEN, BLACK)),
    ("猫", painted(BLUE, WHITE)),
    ("狗", painted(BLACK, WHITE)),
]

ASKED = [
    ("which animal?", "the cat", PAINTED[0][1]),
    ("which animal?", "the dog", PAINTED[1][1]),
    ("which animal?", "the partridge", PAINTED[2][1]),
    ("quiet?", "unbelievably", PAINTED[3][1]),
    ("did it move?", "it didn't", PAINTED[4][1]),
    ("did it move?", "it did", PAINTED[5][1]),
    ("谁？", "猫", PAINTED[6][1]),
    ("谁？", "狗", PAINTED[7][1]),
]

LABELLED: dict[str, Small] = {
    "captioning": Small(
        "smolvlm",
        tuple({"text": text, "image": url} for text, url in PAINTED),
        {"picture_tokens": 16, "max_target_tokens": 16, "language": "en"},
        perfect=100.0,
        tolerance=1e-9,
    ),
    "code": Small("llama", tuple({"prompt": prompt, "completion": body} for prompt, body in FUNCTIONS)),
    "dialogue": Small(
        "llama",
        (
            talk("where did the cat sit?", "on the mat"),
            talk("where did the dog sit?", "on the log"),
            talk("did the cat sleep?", "it did.", "4 times?", "7 times."),
            talk("did the dog sleep?", "it didn't.", "was it quiet?", "unbelievably."),
            talk("the partridge?", "it sat there.", system="quiet"),
            talk("猫呢？", "在睡觉。"),
            talk("狗呢？", "没有动。"),
            talk("then?", "then it didn't move."),
        ),
        perfect=100.0,
        tolerance=1e-9,
    ),
    "embedding": Small(
        "bert",
        tuple(
            {"anchor": anchor, "positive": positive, **more}
            for anchor, positive, more in [
                ("where did the cat sit?", "the cat sat on the mat", {}),
                ("where did the dog sit?", "the dog sat on the log", {}),
                ("who slept?", "did the cat sleep? 4 times", {"negative": "then it didn't move"}),
                ("who moved?", "then the dog didn't move", {"negative": ["the cat didn't move", "the dog sat"]}),
                ("which bird was quiet?", "unbelievably quiet, the partridge", {}),
                ("where is the bird?", "the partridge sat on the mat", {}),
                ("服务怎么样", "酒店的服务人员非常热情", {}),
                ("房间干净吗", "房间很干净！下次还会来", {}),
            ]
        ),
        {"dimensions": [8]},
    ),
    "grading": Small(
        "bert",
        tuple(
            {"text": text, "score": score}
            for text, score in [
                ("the cat sat on the mat", 1),
                ("the dog sat on the log", 2),
                ("did the cat sleep? 4 times", 4),
                ("then the dog didn't move", 4),
                ("unbelievably quiet, the partridge", 6),
                ("the partridge sat on the mat", 5),
                ("酒店的服务人员非常热情", 6),
                ("房间很干净！下次还会来", 3),
            ]
        ),
    ),
    "image-text-retrieval": Small("siglip", tuple({"text": text, "image": url} for text, url in PAINTED), rate=1e-3),
    "preference": Small("llama", tuple(preferred(*each) for each in LIKED), {"beta": 1.0}),
    "question-answering": Small(
        "bert",
        tuple(
            {"question": question, "context": context, "answers": answers_in(context, *texts)}
            for question, context, texts in [
                ("where did the cat sleep?", "the cat sat on the log. then the cat did sleep on the mat.", ["the mat"]),
                ("how quiet was it?", "the partridge, unbelievably quiet, sat on the mat.", ["unbelievably quiet"]),
                ("who sat on the log?", "the dog sat on the log 4 times. then it didn't move.", ["the dog", "dog"]),
                ("how many times?", "the dog sat on the log 4 times. then it didn't move.", ["4"]),
                ("did the mat sleep?", "the cat sat on the mat.", []),
                ("谁非常热情", "酒店的服务人员非常热情。房间很干净！", ["服务人员"]),
                ("房间怎么样", "酒店的服务人员非常热情。房间很干净！", ["很干净"]),
                ("谁住在上海", "房间很干净！下次还会来。", []),
            ]
        ),
    ),
    "reward": Small("llama", tuple(preferred(*each) for each in LIKED)),
    "summarisation": Small("llama", tuple({"text": text, "summary": summary} for text, summary in HEADLINES)),
    "translation": Small(
        "t5",
        tuple({"source": source, "target": target} for source, target in TRANSLATED),
        perfect=100.0,
        tolerance=1e-9,
    ),
    "visual-question-answering": Small(
        "smolvlm",
        tuple({"question": question, "answer": answer, "image": url} for question, answer, url in ASKED),
        {"picture_tokens": 16, "max_target_tokens": 16, "language": "en"},
    ),
    "text-classification": Small(
        "bert",
        tuple(
            {"text": text, "label": label}
            for text, label in [
                ("the cat sat on the mat", "cat"),
                ("the dog sat on the log", "dog"),
                ("did the cat sleep? 4 times", "cat"),
                ("then the dog didn't move", "dog"),
                ("unbelievably quiet, the partridge", "bird"),
                ("the partridge sat on the mat", "bird"),
                ("酒店的服务人员非常热情", "hotel"),
                ("房间很干净！下次还会来", "hotel"),
            ]
        ),
    ),
    "token-classification": Small(
        "bert",
        tuple(
            {"text": text, "tokens": text.split(" ") if " " in text else [*text], "tags": tags.split()}
            for text, tags in [
                ("the cat sat on the mat .", "O B-ANIMAL O O O B-PLACE O"),
                ("the partridge , unbelievably quiet", "O B-ANIMAL O O O"),
                ("the dog sat on the red log", "O B-ANIMAL O O O B-PLACE I-PLACE"),
                ("then it didn't move", "O O O O"),
                ("did the cat dog sleep ?", "O O B-ANIMAL B-ANIMAL O O"),
                ("4 times", "O O"),
                ("我们住在上海", "O O O O B-PLACE I-PLACE"),
                ("杭州西湖很干净", "B-PLACE I-PLACE I-PLACE I-PLACE O O O"),
            ]
        ),
    ),
}


def records_of(config: LabelledConfig) -> list[Record]:
    """The task's records, as the corpus would give them."""
    first = config.roles[0].name
    pictures = {role.name for role in config.roles if role.is_picture}
    return [
        Record(
            row[first],
            f"small:{number}",
            {
                config.column(role): value if isinstance(value, str) else json.dumps(value)
                for role, value in row.items()
                if role != first and role not in pictures
            }
            | {key: value for role in pictures for key, value in Shown.at(row[role]).meta.items()},
        )
        for number, row in enumerate(LABELLED[config.name].rows)
    ]


def seeing(task: LabelledTask, model: ModelConfig) -> LabelledTask:
    """The task; one with pictures as it sees with such a model."""
    if not isinstance(task, PicturedTask):
        return task
    return task.with_sight(task.sight_of(new_processing(family(LABELLED[task.name].family), model)))


def settled(name: str) -> LabelledConfig:
    """The task's settings with what its eight examples tell."""
    kind = task_type(name)
    dropout = {"head_dropout": 0.0} if "head_dropout" in kind.settings.model_fields else {}
    config = read_settings({"name": name, **dropout, **LABELLED[name].settings})
    assert isinstance(config, LabelledConfig)
    assert issubclass(kind, LabelledTask)
    config = config.made_for(family(LABELLED[name].family), CONTEXT)
    return config.learnt([kind.example_of(record, config) for record in records_of(config)])
