"""Models that others published as a class of their family, such as `BertForTokenClassification`: which task they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wenlu.models.family import ModelConfig
from wenlu.models.layers.encoder import EncoderConfig
from wenlu.tasks.labelled.headed import OWN
from wenlu.tasks.labelled.reading import ReadingTask
from wenlu.tasks.question_answering import QuestionAnswering, QuestionAnsweringConfig
from wenlu.tasks.tagging.schemes import BILOU, BIOES, IOB2, OUTSIDE, tags_for
from wenlu.tasks.text_classification import TextClassification, TextClassificationConfig
from wenlu.tasks.token_classification import TokenClassification, TokenClassificationConfig
from wenlu.tokenizers import Tokenizer

_SEVERAL = "multi_label_classification"
_GRADES = "regression"


def is_of_class(config: ModelConfig, told: Mapping[str, Any]) -> bool:
    """Whether `task_of_class` knows a task; `told` is the content of config.json."""
    match getattr(config, "head", None):
        case "token-classification" | "question-answering":
            return True
        case "sequence-classification":
            assert isinstance(config, EncoderConfig), "only encoders end so"
            several = told.get("problem_type") == _SEVERAL
            return told.get("problem_type") != _GRADES and (config.num_labels > 1 or several)
    return False


def task_of_class(config: EncoderConfig, problem_type: object, tokenizer: Tokenizer) -> ReadingTask | None:
    """What the class is for, its labels as `id2label` names them.

    None where it is for no task, or grades on a scale that config.json does not tell.
    """
    if not is_of_class(config, {"problem_type": problem_type}):
        return None
    names = tuple(config.id2label[number] for number in range(config.num_labels))
    match config.head:
        case "token-classification":
            return TokenClassification(_tagging(names), tokenizer)
        case "question-answering":
            return QuestionAnswering(QuestionAnsweringConfig(pooling=OWN), tokenizer)
    several = problem_type == _SEVERAL
    return TextClassification(TextClassificationConfig(pooling=OWN, labels=names, several=several), tokenizer)


def _tagging(names: tuple[str, ...]) -> TokenClassificationConfig:
    """Entities where the tags are all those of a scheme for some labels; else each is a tag of its own."""
    labels = tuple(sorted({name.partition("-")[2] for name in names if name != OUTSIDE}))
    for scheme in (IOB2, BIOES, BILOU):
        if "" not in labels and set(names) == set(tags_for(labels, scheme)):
            return TokenClassificationConfig(
                pooling=OWN, labels=labels, scheme=scheme.name, decode_scheme=scheme.name, words="signs"
            )
    return TokenClassificationConfig(pooling=OWN, kind="tags", labels=names)
