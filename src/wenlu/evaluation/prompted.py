"""A language model that labels texts without training: examples in its prompt, each label judged by its likelihood.

The score of a label is ln P(label | prompt) less the same with an empty text, which takes out how common its words are
(Holtzman et al. 2021, arXiv:2104.08315; Zhao et al. 2021, arXiv:2102.09690).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from wenlu.bundle import Bundle
from wenlu.errors import UsageError
from wenlu.evaluation.linear.groups import Floats
from wenlu.tasks.text_classification import Classified, LabelledText, TextClassification

Ids = list[int]
TEXT_TOKENS = 160
"""Of the text that is asked about; of those in front each has less."""
SHOT_TOKENS = 48
WORDS = {"en": ("Text: ", "\nLabel:", "\n\n"), "zh": ("文本：", "\n标签：", "\n\n")}


@dataclass(frozen=True)
class PromptedClassifier:
    """A Predictor of `TextClassification`.

    Attributes:
        shots: examples with their labels, in the order in which they stand in the prompt.
    """

    task: TextClassification
    bundle: Bundle
    shots: tuple[LabelledText, ...]
    language: Literal["en", "zh"] = "en"

    @classmethod
    def of(
        cls,
        task: TextClassification,
        bundle: Bundle,
        examples: Sequence[LabelledText],
        count: int,
        language: Literal["en", "zh"] = "en",
        seed: int = 0,
    ) -> PromptedClassifier:
        """With so many examples, drawn from each label in turn.

        Raises UsageError where the model does not continue text, or several labels may hold.
        """
        bundle.require_causal()
        if task.config.several:
            raise UsageError("a prompted model is asked for one label, and task.several = true")
        return cls(task, bundle, drawn(examples, task.config.labels, count, seed), language)

    def answer(self, examples: Sequence[LabelledText]) -> list[Classified]:
        self.bundle.model.eval()
        scores = np.stack([self.likelihoods(self._cut(_text(each), TEXT_TOKENS)) - self._prior for each in examples])
        return self.task.with_settings(temperature=1.0).decided(scores)

    @cached_property
    def _prior(self) -> Floats:
        return self.likelihoods([])

    @cached_property
    def _labels(self) -> list[Ids]:
        space = "" if self.language == "zh" else " "
        return [self.bundle.tokenizer.encode(f"{space}{label}") for label in self.task.config.labels]

    @cached_property
    def _front(self) -> Ids:
        ids = list(self.bundle.tokenizer.opening)
        for shot in self.shots:
            assert shot.labels, "an example in a prompt has a label"
            label = self._labels[self.task.numbers[shot.labels[0]]]
            ids += [*self._framed(self._cut(_text(shot), SHOT_TOKENS)), *label, *self._ids(2)]
        return ids

    def _ids(self, place: int) -> Ids:
        return self.bundle.tokenizer.encode(WORDS[self.language][place])

    def _framed(self, text: Ids) -> Ids:
        return [*self._ids(0), *text, *self._ids(1)]

    def _cut(self, text: str, most: int) -> Ids:
        return self.bundle.tokenizer.encode(text)[:most]

    @torch.inference_mode()
    def likelihoods(self, text: Ids) -> Floats:
        """(L,) the logarithm of the probability of each label's tokens after the prompt with the text."""
        prompt = [*self._front, *self._framed(text)]
        longest = max(map(len, self._labels))
        ids = torch.full((len(self._labels), len(prompt) + longest), self.bundle.tokenizer.pad_id or 0)
        mask = torch.zeros_like(ids)
        for row, label in enumerate(self._labels):
            ids[row, : len(prompt) + len(label)] = torch.tensor([*prompt, *label])
            mask[row, : len(prompt) + len(label)] = 1
        logits = self.bundle.model(ids, attention_mask=mask)[:, len(prompt) - 1 : -1]
        nats = F.log_softmax(logits.float(), dim=-1)
        return np.array(
            [
                float(nats[row, torch.arange(len(label)), torch.tensor(label)].sum())
                for row, label in enumerate(self._labels)
            ]
        )


def drawn(examples: Sequence[LabelledText], labels: Sequence[str], count: int, seed: int) -> tuple[LabelledText, ...]:
    """Of each label in turn one at random, as many as there are."""
    order = np.random.default_rng(seed).permutation(len(examples)).tolist()
    of_label = {label: [examples[n] for n in order if (examples[n].labels or ("",))[0] == label] for label in labels}
    found: list[LabelledText] = []
    while len(found) < count and any(of_label.values()):
        for rest in of_label.values():
            if rest and len(found) < count:
                found.append(rest.pop())
    return tuple(found)


def _text(example: LabelledText) -> str:
    return example.text if example.second is None else f"{example.text}\n{example.second}"
