"""What Chat Completions and Completions ask in the same words: how tokens are drawn, and how the answer is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import Field

from wenlu import __version__
from wenlu.server.dialects.fields import ANY, Asked, Part, wrong
from wenlu.server.messages import Form, ModelInfo, Rules
from wenlu.server.settings import Limits

Penalty = Annotated[float, Field(ge=-2, le=2)]
Bias = Annotated[float, Field(ge=-100, le=100)]
StopText = Annotated[str, Field(min_length=1, max_length=1024)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "form.json_schema": "response_format.json_schema.schema",
        "form.regex": "guided.regex",
        "form.grammar": "guided.grammar",
        "form.choices": "guided.choices",
        "ignore_end": "ignore_eos",
        "salt": "cache_salt",
    }
)
"""Of the internal request's fields, where the dialects call them something else."""


class StreamOptions(Part):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Guided(Part):
    """A form for the whole answer that JSON Schema cannot say; one of them."""

    regex: str | None = None
    grammar: str | None = None
    choices: Annotated[list[str], Field(min_length=1)] | None = None

    def form(self) -> Form:
        if sum(one is not None for one in (self.regex, self.grammar, self.choices)) != 1:
            raise wrong("guided", "give one of regex, grammar and choices")
        return Form(regex=self.regex, grammar=self.grammar, choices=tuple(self.choices or ()))


class Drawn(Asked):
    """The names are OpenAI's; from `top_k` on they are vLLM's."""

    ignored: ClassVar[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
        {
            "metadata": ANY,
            "service_tier": ("auto", "default"),
            "safety_identifier": ANY,
            "prediction": ANY,
            "store": (False,),
            "verbosity": ANY,
        }
    )

    model: str
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    n: Annotated[int, Field(ge=1)] = 1
    stop: StopText | list[StopText] = Field(default_factory=list)
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)] | None = None
    logit_bias: dict[Annotated[str, Field(pattern=r"^[0-9]{1,9}$")], Bias] = Field(default_factory=dict)
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] = 1.0
    cache_salt: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    ignore_eos: bool = False
    return_token_ids: bool = False
    guided: Guided | None = None

    def check(self, limits: Limits) -> None:
        """Raise ApiError for what the schema cannot say."""
        if self.n > limits.n:
            raise wrong("n", f"{self.n}; at most {limits.n} answers are written to one prompt")
        if len(self.stops) > limits.stop:
            raise wrong("stop", f"{len(self.stops)} strings; at most {limits.stop} are looked for")
        if self.stream_options is not None and not self.stream:
            raise wrong("stream_options", 'is only for answers that stream; set "stream": true, or leave it away')

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def drawing_seed(self) -> int | None:
        return None if self.seed is None else self.seed % 2**64

    @property
    def tells_usage(self) -> bool:
        """Whether a stream ends with the numbers of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage is True

    def rules(self) -> Rules:
        """A `top_p` of 0 keeps nothing but the likeliest token; a `top_k` of 0 or -1 keeps all."""
        return Rules(
            temperature=self.temperature if self.top_p else 0.0,
            top_p=self.top_p or 1.0,
            top_k=self.top_k if self.top_k is not None and self.top_k > 0 else None,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            logit_bias={int(token): amount for token, amount in self.logit_bias.items()},
        )


def fingerprint(model: ModelInfo) -> str:
    """Changes where the same seed may give another text: with the model's files or with this program."""
    told = f"{__version__} {model.name} {model.created} {model.parameters}"
    return f"fp_{hashlib.blake2b(told.encode(), digest_size=5).hexdigest()}"
