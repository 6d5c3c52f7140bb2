"""A recipe: the whole life of a model in one settings file."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from wenlu.compression.distill.settings import DistillConfig
from wenlu.config import Config, check, did_you_mean
from wenlu.corpus.augment import AugmentConfig
from wenlu.corpus.prepare import DataConfig
from wenlu.corpus.sources import SourceList
from wenlu.corpus.steps import read_step, step_kind
from wenlu.corpus.word_sentences import WordsConfig
from wenlu.distributed import DistributedConfig
from wenlu.evaluation import EvaluateConfig
from wenlu.evaluation.linear.settings import FeaturesConfig
from wenlu.evaluation.verse import VerseConfig
from wenlu.evaluation.words import WordTestsConfig
from wenlu.generation import SamplingConfig
from wenlu.lifecycle.check_settings import CheckConfig, CheckField
from wenlu.lifecycle.fold_settings import FoldsConfig
from wenlu.lifecycle.forgetting_settings import ForgettingConfig
from wenlu.lifecycle.ladder.settings import CompareConfig
from wenlu.lifecycle.member_settings import Member, MemberName, with_columns
from wenlu.lifecycle.model_settings import ModelSettings, check_family
from wenlu.lifecycle.planning.settings import PlanConfig
from wenlu.lifecycle.search.settings import TuneConfig
from wenlu.models import Ability, family
from wenlu.models.adapters import AdapterConfig
from wenlu.models.vectors import VectorsConfig
from wenlu.rundir.trackers import TrackingConfig
from wenlu.tasks import CausalLMConfig, LabelledConfig, MultiTaskConfig, PicturedConfig, TaskConfig, TaskField
from wenlu.tasks.replaced_tokens import ReplacedTokensConfig
from wenlu.tokenizers import TokenizerConfig
from wenlu.training import AdamWConfig, OptimizerField, ScheduleConfig, TrainConfig
from wenlu.training.rollouts import RolloutsConfig

LOOKING = "pictures"
"""The step that drops records whose picture cannot be used."""


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
    task: TaskField = CausalLMConfig()
    members: dict[MemberName, Member] = Field(default_factory=dict)
    """With `task = "multi-task"` the tasks that share the model, each with its own data, in place of `[data]`."""
    data: Annotated[DataConfig | None, Field(validate_default=True)] = None
    augment: AugmentConfig | None = None
    forgetting: ForgettingConfig | None = None
    distill: DistillConfig | None = None
    """With this section the model learns from a teacher too."""
    rollouts: RolloutsConfig | None = None
    """With this section the model learns from answers of its own, which a program judges."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelSettings = ModelSettings()
    adapter: AdapterConfig | None = None
    """With this section the base stays as it is, and the run holds what is learnt beside it."""
    architectures: ArchitecturesConfig | None = None
    train: TrainConfig = TrainConfig()
    distributed: DistributedConfig = DistributedConfig()
    optimizer: OptimizerField = AdamWConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    check: CheckField = CheckConfig()
    tracking: TrackingConfig = TrackingConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    folds: FoldsConfig | None = None
    """With this section `wenlu evaluate` cross-validates the recipe; the other verbs pass over it."""
    features: FeaturesConfig = FeaturesConfig()
    compare: CompareConfig = CompareConfig()
    verse: VerseConfig | None = None
    generate: SamplingConfig = SamplingConfig()
    plan: PlanConfig = PlanConfig()
    tune: TuneConfig | None = None
    """What `wenlu tune` searches; other verbs train with the recipe's own settings."""
    vectors: VectorsConfig | None = None
    """With this section the run trains word vectors, in place of a tokenizer and a model."""
    words: WordsConfig = WordsConfig()
    word_tests: WordTestsConfig = WordTestsConfig()

    @property
    def own_data(self) -> DataConfig:
        """`[data]` of a recipe that is not of several tasks."""
        assert self.data is not None, "each member of several tasks has its own data"
        return self.data

    @property
    def has_examples(self) -> bool:
        """Whether it learns from examples, in place of running text."""
        return isinstance(self.task, LabelledConfig | MultiTaskConfig)

    @property
    def trained_task(self) -> TaskConfig:
        """What of the task decides how the model comes out; single models beside it do not."""
        return self.task.model_copy(update={"singles": False}) if self.members else self.task

    def of_member(self, name: str) -> Self:
        """The recipe that trains one of several tasks alone."""
        member = self.members[name]
        own = {"name": f"{self.name}, {name}", "task": member.task, "data": member.data, "members": {}}
        return self.model_copy(update=own)

    @property
    def task_data(self) -> DataConfig:
        """`[data]`, whose sources are told which columns the task reads.

        Of the usual steps those that change texts are left out where answers count the characters of these; where there
        are pictures, those that cannot be used are dropped.
        """
        data = self.own_data if self.forgetting is None else self.forgetting.with_replay(self.own_data)
        if not isinstance(self.task, LabelledConfig):
            return data
        told = self._told
        held_out = {
            name: told(part) if isinstance(part, tuple) else part
            for name, part in (("validation", data.validation), ("test", data.test))
        }
        steps = data.steps
        if self.task.counts_characters(data.all_sources()):
            steps = tuple(step for step in steps if not step_kind(step.step).changes_text)
        if isinstance(self.task, PicturedConfig) and not any(step.step == LOOKING for step in steps):
            steps = (read_step(LOOKING), *steps)
        return data.model_copy(update={"train": told(data.train), **held_out, "steps": steps})

    def _told(self, specs: SourceList) -> SourceList:
        """Sources that know which columns the task and `[features]` read."""
        assert isinstance(self.task, LabelledConfig), "asked of labelled tasks"
        return tuple(
            spec.model_copy(update={"meta": tuple(dict.fromkeys((*spec.meta, *self.features.columns)))})
            for spec in self.task.told(specs)
        )

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
        return with_columns(values) if isinstance(values, dict) else values

    @field_validator("data")
    @classmethod
    def _some_data(cls, value: DataConfig | None, info: ValidationInfo) -> DataConfig | None:
        several = isinstance(info.data.get("task"), MultiTaskConfig)
        if value is None and not several and not info.data.get("members", True):
            raise PydanticCustomError("missing", "required")
        return value

    @model_validator(mode="after")
    def _members_are_of_several_tasks(self) -> Self:
        if not isinstance(self.task, MultiTaskConfig):
            if self.members:
                raise ValueError(f'members: share a training with task.name="multi-task", but it is {self.task.name!r}')
            return self
        if len(self.members) < 2:
            raise ValueError("members: multi-task needs two or more; add sections [members.NAME.task] and .data")
        if self.data is not None:
            raise ValueError("data: each member has its own; move it to [members.NAME.data]")
        for key in ("weights", "log_variances"):
            if strangers := [name for name in getattr(self.task, key) if name not in self.members]:
                raise ValueError(f"task.{key}: no member {strangers[0]!r}; {did_you_mean(strangers[0], self.members)}")
        if self.task.log_variances and self.task.weighting == "fixed":
            raise ValueError('task.log_variances: are learnt with task.weighting="uncertainty"; set it, or remove them')
        return self

    @model_validator(mode="after")
    def _steps_keep_characters(self) -> Self:
        if not isinstance(self.task, LabelledConfig) or self.data is None:
            return self
        if self.data.steps == DataConfig.model_fields["steps"].default:
            return self
        changing = [step.step for step in self.data.steps if step_kind(step.step).changes_text]
        if changing and self.task.counts_characters(self.data.all_sources()):
            raise ValueError(
                f"data.steps: {changing[0]!r} changes texts, and the answers of {self.task.name} say at which "
                "characters they are; remove it, and clean the texts before they are annotated"
            )
        return self

    @model_validator(mode="after")
    def _may_be_augmented(self) -> Self:
        if self.augment is None or (isinstance(self.task, LabelledConfig) and self.task.is_augmentable):
            return self
        why = "its texts are not changed"
        labelled = self.task if isinstance(self.task, LabelledConfig) else None
        if labelled and self.data and labelled.counts_characters(self.data.all_sources()):
            why = "its answers say at which characters of a text they are, and no way keeps these"
        raise ValueError(f"augment: is for text-classification and grading, but task is {self.task.name}: {why}")

    @model_validator(mode="after")
    def _may_forget(self) -> Self:
        if self.forgetting is None:
            return self
        if self.model.base is None or self.members:
            raise ValueError("forgetting: is of what a base could do, trained for one task; name it in model.base")
        if self.forgetting.budget is not None and not self.train.keep_best:
            raise ValueError("forgetting.budget: the best weights within it are kept; set train.keep_best=true")
        return self

    @model_validator(mode="after")
    def _has_something_to_adapt(self) -> Self:
        if self.adapter is None:
            return self
        if self.model.base is None:
            raise ValueError("adapter: stands beside a base; name it in model.base, or remove the section")
        if isinstance(self.task, ReplacedTokensConfig):
            raise ValueError(f"adapter: {self.task.name} trains two models from the beginning; remove the section")
        return self

    @model_validator(mode="after")
    def _may_be_taught(self) -> Self:
        if self.distill is None:
            return self
        if self.rollouts is not None:
            raise ValueError("distill: learns of a teacher, and rollouts of rewards; leave out one of them")
        if self.members:
            raise ValueError("distill: is for one task, but task is multi-task; distil each of them alone")
        if self.distill.layers is not None and self.model.base is None:
            raise ValueError(
                "distill.layers: are those of the base that the student begins with; name it in model.base"
            )
        return self

    @model_validator(mode="after")
    def _may_be_extended(self) -> Self:
        if self.tokenizer.extend_by is not None and self.model.base is None:
            raise ValueError("tokenizer.extend_by: adds to the tokenizer of a base; name it in model.base")
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
