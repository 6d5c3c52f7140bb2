"""How to generate: the settings section `[generate]`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from wenlu.config import Config
from wenlu.generation.caches import CacheType, Packing
from wenlu.generation.guides.given import MOST_CHOICES, MOST_REGEX, grammar_text, schema_text


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Strings = Annotated[tuple[str, ...], BeforeValidator(_several)]
"""Several strings; a single one may be written without brackets."""

MOST_BIASED = 1024
FORMS = ("json_schema", "regex", "grammar", "choices")
"""Settings that say what an answer must look like; one of them at a time."""


def _pairs(value: Any) -> Any:
    return tuple(value.items()) if isinstance(value, dict) else value


def _each_once(pairs: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a token stands there twice; give it one bias")
    return tuple(sorted(pairs))


LogitBias = Annotated[
    tuple[tuple[NonNegativeInt, Annotated[float, Field(ge=-100, le=100)]], ...],
    Field(max_length=MOST_BIASED),
    BeforeValidator(_pairs),
    AfterValidator(_each_once),
]
"""Token ids with what is added to their logits; a table `{TOKEN = BIAS}` is read too."""


MOST_GUESSES = 32
_LAYERS = "layers:"


def _drafter(value: str) -> str:
    if not value or (value.startswith(_LAYERS) and _early_exit(value) is None):
        raise ValueError(f'{value!r} names nobody who guesses; say "off", "lookup", "layers:2" or a MODEL')
    return value


def _early_exit(value: str) -> int | None:
    number = value.removeprefix(_LAYERS)
    return int(number) if number != value and number.isascii() and number.isdigit() and int(number) > 0 else None


class Sampling(Config):
    """How the logits of one position become a token.

    The rules apply in the order of the fields below, which is also that of `transformers`; a rule at its default
    does nothing. At temperature 0 the likeliest token is taken, so the last four have nothing to cut.

    Attributes:
        guidance: > 1 leads away from what the model would write behind `negative_prompt` (Sanchez et al. 2023,
            arXiv:2306.17806); each token then costs two.
        logit_bias: added to the logits of single tokens, by id; -100 forbids one and 100 forces it, as good as always.
        repetition_penalty: > 1 makes tokens that stand in prompt or answer less likely (Keskar et al. 2019,
            arXiv:1909.05858).
        presence_penalty: subtracted from the logit of a token that stands in the answer.
        frequency_penalty: subtracted once for each time that it stands there.
        temperature: divides the logits; 0 is greedy.
        top_k: keep the k likeliest tokens (Fan et al. 2018, arXiv:1805.04833).
        top_p: keep the likeliest tokens that together reach this probability (Holtzman et al. 2020, arXiv:1904.09751).
        min_p: keep tokens of at least this share of the likeliest one's probability (Nguyen et al. 2024,
            arXiv:2407.01082).
        typical_p: keep the tokens that surprise about as much as expected, until they reach this probability (Meister
            et al. 2023, arXiv:2202.00666).
    """

    guidance: NonNegativeFloat = 1.0
    logit_bias: LogitBias = ()
    repetition_penalty: PositiveFloat = 1.0
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    temperature: NonNegativeFloat = 0.0
    top_k: PositiveInt | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    typical_p: Annotated[float, Field(gt=0, le=1)] = 1.0


class SamplingConfig(Sampling):
    """What to generate from a prompt, and when to stop.

    Attributes:
        stop: the answer ends before the first of these strings.
        ignore_end: go on behind the model's end-of-text token.
        seed: with the prompt and the settings it decides the answer, whatever else is generated beside it.
        n: answers to each prompt.
        best_of: answers that are drawn to each prompt, of which the `n` of highest mean log-probability are given, best
            first; 0: all that are drawn.
        top_logprobs: how many of the likeliest tokens are told beside each one of the answer.
        prompt_logprobs: tell the log-probabilities of the prompt's tokens too.
        negative_prompt: what `guidance` leads away from, a text without roles; by default the prompt's last token.
        json_schema: the answer is JSON that a schema allows: a FILE, the schema as JSON, or a table;
            `{type="object"}` is any object.
        regex: the whole answer matches this regular expression of Rust's syntax, so without look-around.
        grammar: the answer follows a grammar in Lark's notation: a FILE, or the grammar itself with its rule `start`.
        choices: the answer is one of these texts.
        num_beams: > 1 searches for the likeliest answer with so many beams instead of drawing one.
        length_penalty: a finished beam scores (sum of log-probabilities) / tokens ** length_penalty; > 0 favours
            long answers.
        max_batch: answers that are generated side by side.
        cache: what the keys and values of earlier tokens are kept as; "int8" takes about a quarter of the memory of
            float32, and answers a little otherwise.
        weights: what the model's weights are read as: "auto" as they are; "int8" or "int4" in a fraction of the time,
            and answers are a little otherwise; "torch" by torch's operators.
        invariant: no digit of an answer depends on what is generated beside it; "auto": where that costs nothing, which
            is where one answer is written at a time, or where the native call reads the model.
        speculate: who guesses what comes next, which the model then reads in one call: "lookup", what followed the same
            tokens earlier in the text; "layers:N", the model's own first N layers; or a smaller MODEL of the same
            tokenizer. Answers stay as they are; drawn ones, of models that guess, are drawn otherwise, as likely.
        speculate_tokens: how many are guessed at most in a step.
        prompts: what a recipe's sample stage continues.
    """

    max_new_tokens: PositiveInt = 128
    stop: Strings = ()
    ignore_end: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 0
    n: PositiveInt = 1
    best_of: NonNegativeInt = 0
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    prompt_logprobs: bool = False
    negative_prompt: str | None = None
    json_schema: Annotated[str, BeforeValidator(schema_text)] | None = None
    regex: Annotated[str, Field(min_length=1, max_length=MOST_REGEX)] | None = None
    grammar: Annotated[str, BeforeValidator(grammar_text)] | None = None
    choices: Annotated[tuple[str, ...], Field(max_length=MOST_CHOICES), BeforeValidator(_several)] = ()
    num_beams: PositiveInt = 1
    length_penalty: float = 1.0
    max_batch: PositiveInt = 16
    cache: CacheType = "plain"
    weights: Packing = "auto"
    invariant: bool | Literal["auto"] = "auto"
    speculate: Annotated[str, AfterValidator(_drafter)] = "off"
    speculate_tokens: Annotated[int, Field(ge=1, le=MOST_GUESSES)] = 4
    prompts: Strings = ()

    @model_validator(mode="after")
    def _no_contradiction(self) -> Self:
        if "" in self.stop:
            raise ValueError("stop: an empty string would end every answer before it begins; remove it")
        self._check_form()
        if self.guidance == 1 and self.negative_prompt is not None:
            raise ValueError("negative_prompt does nothing at guidance=1; set guidance > 1, or remove it")
        if self.num_beams == 1:
            if "length_penalty" in self.model_fields_set and self.length_penalty != 1:
                raise ValueError(f"length_penalty={self.length_penalty:g} ranks beams; set num_beams > 1 as well")
            if self.drawn > 1 and self.temperature == 0:
                name = "n" if self.n == self.drawn else "best_of"
                raise ValueError(
                    f"{name}={self.drawn} answers would all be equal at temperature 0; set temperature > 0 or "
                    f"num_beams >= n"
                )
            if 0 < self.best_of < self.n:
                raise ValueError(f"best_of={self.best_of} are fewer answers than n={self.n}; set best_of >= n")
            return self
        drawing = {"guidance": 1.0, "temperature": 0.0, "top_k": None, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0}
        for name, neutral in drawing.items():
            if getattr(self, name) != neutral:
                raise ValueError(
                    f"num_beams={self.num_beams} searches for the likeliest answer and {name}={getattr(self, name):g} "
                    f"shapes a drawn one; remove one of the two"
                )
        told = {"best_of": 0, "top_logprobs": 0, "prompt_logprobs": False}
        for name, neutral in told.items():
            if getattr(self, name) != neutral:
                raise ValueError(f"{name} is for answers that are drawn; remove it or set num_beams=1")
        if self.cache != "plain":
            raise ValueError(f"cache={self.cache!r} is not for beams; set num_beams=1, not {self.num_beams}")
        if self.weights not in ("auto", "torch"):
            raise ValueError(f"weights={self.weights!r} is not for beams; set num_beams=1, not {self.num_beams}")
        if self.speculate != "off":
            raise ValueError(f"speculate={self.speculate!r} is not for beams; set num_beams=1, not {self.num_beams}")
        if self.stop:
            raise ValueError(f"stop strings do not end beams; remove stop or set num_beams=1, not {self.num_beams}")
        if self.n > self.num_beams:
            raise ValueError(f"n={self.n} answers need as many beams, not num_beams={self.num_beams}")
        return self

    def _check_form(self) -> None:
        if "" in self.choices:
            raise ValueError("choices: an empty text cannot be chosen; remove it")
        named = self.forms
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} both say what the answer looks like; keep one of them")
        if named and self.ignore_end:
            raise ValueError(f"ignore_end goes on where {named[0]} ends the answer; remove one of the two")
        if named and self.num_beams > 1:
            raise ValueError(f"{named[0]} is for answers that are drawn or greedy; set num_beams=1")

    @property
    def forms(self) -> list[str]:
        """Those of `FORMS` that are set."""
        return [name for name in FORMS if getattr(self, name)]

    @property
    def early_exit(self) -> int | None:
        """How many of the model's own layers guess; None where they do not."""
        return _early_exit(self.speculate)

    @property
    def drawn(self) -> int:
        """How many answers to a prompt are generated."""
        return self.best_of or self.n

    def rules(self) -> Sampling:
        """The part that decides a token."""
        return Sampling(**{name: getattr(self, name) for name in Sampling.model_fields})
