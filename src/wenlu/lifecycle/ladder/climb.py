"""Climb the ladder: one rung after the other, from the cheapest, as far as the budget goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wenlu.errors import WenluError
from wenlu.evaluation.linear.learners import ready
from wenlu.evaluation.linear.predictor import LinearTask
from wenlu.lifecycle.cache import stage_key
from wenlu.lifecycle.examples import surveyed
from wenlu.lifecycle.labelled_evaluation import held_out_split
from wenlu.lifecycle.ladder.cheap import climb_cheap
from wenlu.lifecycle.ladder.linear import LinearBench, climb_linear
from wenlu.lifecycle.ladder.neural import ADAPTER, LEAST_SECONDS, climb_neural
from wenlu.lifecycle.ladder.outcome import FOLDER, LeftOut, Outcome
from wenlu.lifecycle.ladder.parts import Parts
from wenlu.lifecycle.ladder.prompted import NAME, climb_prompted
from wenlu.lifecycle.life import Life
from wenlu.tasks import GenerativeTask, LabelledTask, ReadingTask, new_task
from wenlu.tasks.text_classification import TextClassification
from wenlu.tokenizers import Tokenizer

CODE = ("evaluation", "metrics", "tasks", "lifecycle/ladder")
NEURAL_CODE = (*CODE, "training", "models", "kernels", "generation")
NEURAL = ("gru", "recipe", ADAPTER)
CHEAP = {
    "text-classification": ("prior", "linear-svm", "logistic-regression", "nb-svm", "bag-of-ngrams"),
    "grading": ("mean-score", "ridge-regression", "bag-of-ngrams"),
    "token-classification": ("commonest-tags", "window"),
}
"""By task, from the cheapest; others have the baseline that `wenlu evaluate` sets beside a model."""
SMALL_SHARE = 0.25
"""Of what is left when it begins, the small network may have so much: the recipe's own model has the rest."""


@dataclass
class Climb:
    """A ladder on its way up.

    Attributes:
        slowest: seconds that the slowest linear rung took, by which the next is thought to.
    """

    life: Life
    parts: Parts
    bench: LinearBench
    slowest: float = 0.0

    @classmethod
    def begin(cls, life: Life) -> Climb:
        recipe = life.recipe
        task = new_task(surveyed(life.root), Tokenizer.load(life.root / "tokenizer"))
        assert isinstance(task, LabelledTask), "only recipes with labelled examples come here"
        split = held_out_split(life.root, recipe.task_evaluate)
        generated = recipe.evaluate.generated if isinstance(task, GenerativeTask) else "all"
        most = None if generated == "all" else generated
        parts = Parts.read(life.root, task, split, most, recipe.evaluate.seed)
        ready()
        evaluate = recipe.task_evaluate.model_copy(update={"split": split, "baseline": False})
        return cls(life, parts, LinearBench(parts, recipe.features, evaluate, life.progress))

    def rungs(self) -> list[str]:
        """Those of the task, from the cheapest."""
        task = self.parts.task
        cheap = CHEAP.get(task.name, ("baseline",))
        small = ("gru",) if isinstance(task, ReadingTask) and task.name in CHEAP else ()
        asked: tuple[str, ...] = ()
        if isinstance(task, TextClassification) and not task.config.several:
            compare = self.life.recipe.compare
            asked = (NAME,) if compare.decoder is None else tuple(f"{NAME}-{count}" for count in compare.shots)
            asked = asked if compare.decoder is None else (ADAPTER, *asked)
        return [*cheap, *small, "recipe", *asked]

    def climb(self) -> list[Outcome | LeftOut]:
        return [self._rung(name) for name in self._wanted()]

    def left(self) -> float:
        """Seconds of the budget."""
        spent = sum(seconds for stage, seconds in self.life.cache.seconds().items() if stage.startswith("rung "))
        return self.life.recipe.compare.budget.amount - spent

    def folder(self, name: str) -> Path:
        return self.life.out / FOLDER / name

    def _rung(self, name: str) -> Outcome | LeftOut:
        if name == NAME:
            return LeftOut(name, "no language model is named to be prompted; give one: compare.decoder=PATH")
        stage, folder = f"rung {name}", self.folder(name)
        key = self._key(name)
        if self.life.cache.is_done(stage, key) and (folder / "rung.json").is_file():
            return Outcome.read(folder)
        granted = self.life.cache.facts(stage).get("seconds") if self.life.cache.is_started(stage, key) else None
        seconds = self._grant(name) if granted is None else granted
        if isinstance(seconds, str):
            return LeftOut(name, seconds)
        begin = time.perf_counter()
        try:
            with self.life.working(stage, key):
                self.life.cache.choose(stage, {"seconds": seconds})
                folder.mkdir(parents=True, exist_ok=True)
                outcome = self._work(name)(name, folder, seconds)
                outcome.save(folder)
        except WenluError as error:
            if error.exit_code >= 75:  # it is to stop, not to go on with the next
                raise
            return LeftOut(name, str(error))
        if name not in NEURAL and not name.startswith(NAME):
            self.slowest = max(self.slowest, time.perf_counter() - begin)
        return outcome

    def _work(self, name: str) -> Callable[[str, Path, float], Outcome]:
        recipe, life = self.life.recipe, self.life
        if name in NEURAL:
            return lambda name, folder, seconds: climb_neural(name, recipe, life, self.parts, folder, seconds)
        if name.startswith(NAME):
            config = self.bench.evaluate
            return lambda name, folder, seconds: climb_prompted(name, recipe, self.parts, folder, config, seconds)
        if isinstance(self.parts.task, LinearTask):
            return lambda name, folder, seconds: climb_linear(name, self.bench, folder, seconds)
        return lambda name, folder, seconds: climb_cheap(name, self.parts, folder, self.bench.evaluate, life.progress)  # noqa: ARG005

    def _grant(self, name: str) -> float | str:
        """The seconds that a rung may take, or why it has none."""
        left = self.left()
        spare = f"{max(0.0, left):.0f} s are left of compare.budget"
        if name in NEURAL:
            behind = [each for each in NEURAL[NEURAL.index(name) + 1 :] if each in self._wanted()]
            part = 0.9 if not behind else SMALL_SHARE if name == "gru" else 0.5
            share = part * left
            return share if share >= LEAST_SECONDS else f"{spare}, too little to train it"
        if name.startswith(NAME):
            return left if left > 0 else f"{spare}, too little to ask it"
        if left <= self.slowest:
            return f"{spare}, and a cheap one before it took {self.slowest:.0f} s"
        return left

    def _wanted(self) -> list[str]:
        wanted = self.life.recipe.compare.rungs
        return [name for name in self.rungs() if wanted == "auto" or name in wanted or name.partition("-")[0] in wanted]

    def _key(self, name: str) -> str:
        recipe = self.life.recipe
        settings = [recipe.task, recipe.features, recipe.task_evaluate]
        code: tuple[str, ...] = CODE
        if name in NEURAL:
            settings += [recipe.train, recipe.schedule]
            settings += [recipe.model, recipe.optimizer] if name == "recipe" else []
            settings += [recipe.adapter] if name == "recipe" and recipe.adapter is not None else []
            code = NEURAL_CODE
        if name.startswith(NAME):
            code = (*CODE, "models", "kernels", "generation")
        is_decoder = name.startswith(NAME) or name == ADAPTER
        named = [str(recipe.compare.decoder), recipe.language] if is_decoder else []
        inputs = [*named, self.life.key("examples"), str(recipe.seed), name]
        return stage_key(settings, code=code, inputs=inputs)
