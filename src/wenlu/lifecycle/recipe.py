"""A recipe: the whole life of a model in one settings file."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from wenlu.config import Config, check
from wenlu.corpus.prepare import DataConfig
from wenlu.corpus.steps import step_kind
from wenlu.corpus.word_sentences import WordsConfig
from wenlu.distributed import DistributedConfig
from wenlu.evaluation import EvaluateConfig
from wenlu.evaluation.verse import VerseConfig
from wenlu.evaluation.words import WordTestsConfig
from wenlu.generation import SamplingConfig
from wenlu.lifecycle.model_settings import ModelSettings, check_family
from wenlu.models import Ability, family
from wenlu.models.vectors import VectorsConfig
from wenlu.rundir.trackers import TrackingConfig
from wenlu.tasks import CausalLMConfig, LabelledConfig, TaskConfig, TaskField, task_type
from wenlu.tokenizers import TokenizerConfig
from wenlu.training import AdamWConfig, OptimizerField, ScheduleConfig, TrainConfig


def _roles(task: Any) -> list[str]:
    """What an example of a labelled task is made of; nothing for others, and for what is no task."""
    name = task.get("name") if isinstance(task, dict) else None
    try:
        settings = task_type(name).settings if isinstance(name, str) else TaskConfig
    except ValueError:  # which the field `task` says better
        return []
    return [role.name for role in settings.roles] if issubclass(settings, LabelledConfig) else []


class ArchitecturesConfig(Config):
    """The section `[architectures]`: train each family with the same `model.parameters` and `train.duration`."""

    families: Annotated[tuple[str, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name in self.families:
            check_family(name, CausalLMConfig())
        return self


class Recipe(Config):
    """Data, tokenizer, model, training, evaluation and samples of one run."""

    name: Annotated[str, Field(min_length=1)]
    language: Literal["en", "zh"] = "en"
    """Of the report."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    data: DataConfig
    tokenizer: TokenizerConfig = TokenizerConfig()
    task: TaskField = CausalLMConfig()
    model: ModelSettings = ModelSettings()
    architectures: ArchitecturesConfig | None = None
    train: TrainConfig = TrainConfig()
    distributed: DistributedConfig = DistributedConfig()
    optimizer: OptimizerField = AdamWConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    tracking: TrackingConfig = TrackingConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    verse: VerseConfig | None = None
    generate: SamplingConfig = SamplingConfig()
    vectors: VectorsConfig | None = None
    """With this section the run trains word vectors, in place of a tokenizer and a model."""
    words: WordsConfig = WordsConfig()
    word_tests: WordTestsConfig = WordTestsConfig()

    @property
    def task_data(self) -> DataConfig:
        """`[data]`, whose sources are told which columns the task reads.

        Of the usual steps those that change texts are left out where answers count the characters of these.
        """
        if not isinstance(self.task, LabelledConfig):
            return self.data
        data, told = self.data, self.task.told
        held_out = {
            name: told(part) if isinstance(part, tuple) else part
            for name, part in (("validation", data.validation), ("test", data.test))
        }
        steps = data.steps
        if self.task.counts_characters(data.all_sources()):
            steps = tuple(step for step in steps if not step_kind(step.step).changes_text)
        return data.model_copy(update={"train": told(data.train), **held_out, "steps": steps})

    @property
    def task_evaluate(self) -> EvaluateConfig:
        """`[evaluate]`; a task that does not continue text is scored in the context of its training, unless told."""
        if isinstance(self.task, CausalLMConfig) or self.evaluate.context != "auto":
            return self.evaluate
        return self.evaluate.model_copy(update={"context": self.train.context})

    @property
    def task_tokenizer(self) -> TokenizerConfig:
        """The tokenizer's settings with the special tokens that the task needs."""
        tokenizer = self.tokenizer
        missing = [token for token in self.task.special_tokens if token not in tokenizer.special_tokens]
        extra = (*tokenizer.extra_special_tokens, *missing)
        return check(TokenizerConfig, {**tokenizer.model_dump(), "extra_special_tokens": extra}, where="[tokenizer]")

    @model_validator(mode="before")
    @classmethod
    def _columns_of_the_task(cls, values: Any) -> Any:
        """Columns stand in `[data]`, where users look for them, and belong to the task: `data.label="sentiment"`."""
        if not isinstance(values, dict) or not isinstance(values.get("data"), dict):
            return values
        task = values.get("task")
        table = {"name": task} if isinstance(task, str) else task
        roles = _roles(table)
        data = values["data"]
        columns = {name: data[name] for name in roles if name in data}
        if not columns:
            return values
        rest = {key: value for key, value in data.items() if key not in columns}
        assert isinstance(table, dict), "a task with roles has a name"
        return {**values, "data": rest, "task": {**table, "columns": {**table.get("columns", {}), **columns}}}

    @model_validator(mode="after")
    def _steps_keep_characters(self) -> Self:
        if not isinstance(self.task, LabelledConfig) or self.data.steps == DataConfig.model_fields["steps"].default:
            return self
        changing = [step.step for step in self.data.steps if step_kind(step.step).changes_text]
        if changing and self.task.counts_characters(self.data.all_sources()):
            raise ValueError(
                f"data.steps: {changing[0]!r} changes texts, and the answers of {self.task.name} say at which "
                "characters they are; remove it, and clean the texts before they are annotated"
            )
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.model.base is None:  # whose family is known once it is read
            try:
                check_family(self.model.family, self.task)
            except ValueError as error:
                raise ValueError(f"model: {error}") from error
        if not isinstance(self.task, CausalLMConfig):
            for section in ("architectures", "verse"):
                if getattr(self, section) is not None:
                    raise ValueError(f"{section}: is for models that continue text, but task is {self.task.name}")
        if self.model.size is not None:
            if "duration" not in self.train.model_fields_set:
                raise ValueError(
                    "model.size: 'auto' fits the model to a budget; set train.duration, for example '10 minutes'"
                )
            if not isinstance(self.task, CausalLMConfig):
                raise ValueError(f"model.size: 'auto' is for models that continue text, but task is {self.task.name}")
        if self.optimizer.name == "schedule-free" and self.schedule.name != "constant":
            raise ValueError(
                f'schedule.name: {self.schedule.name!r} lets the rate fall, and optimizer.name="schedule-free" '
                'averages instead; set schedule.name="constant"'
            )
        if self.optimizer.name == "schedule-free" and self.train.ema is not None:
            raise ValueError(
                'train.ema: optimizer.name="schedule-free" averages the weights itself; remove one of them'
            )
        trained = (self.model.family,) if self.architectures is None else self.architectures.families
        recurrent = next((name for name in trained if Ability.RECURRENT in family(name).abilities), None)
        if recurrent is not None and self.optimizer.layer_decay is not None:
            raise ValueError(f"optimizer.layer_decay: is for Transformers, and {recurrent} is recurrent; remove it")
        if recurrent is not None and self.train.activation_checkpointing:
            raise ValueError(
                f"train.activation_checkpointing: is for Transformers, and {recurrent} is recurrent; remove it"
            )
        if self.vectors is None:
            for section in ("words", "word_tests"):
                if getattr(self, section) != type(self).model_fields[section].default:
                    raise ValueError(f"{section}: is for recipes of word vectors; add the section [vectors]")
        if self.architectures is not None and self.model.parameters is None:
            raise ValueError("architectures: families are compared at equal size; set model.parameters")
        if self.architectures is not None and self.model.model_extra:
            raise ValueError(
                f"architectures: model.{next(iter(self.model.model_extra))} is one family's; "
                "only model.parameters applies to all"
            )
        return self
