"""How to serve: the settings of `wenlu serve`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from wenlu.config import Config


class Limits(Config):
    """What a client may ask of the server; beyond it a request is refused, never cut.

    Attributes:
        header_seconds: until a request's header has arrived.
        receive_seconds: until all of it has, and one second more for each megabyte.
        body_bytes: of a request.
        waiting: requests that wait for a place; the next one is told when to come again.
        waiting_tokens: tokens of their prompts, estimated from their bytes.
        wait_seconds: for a place.
        answer_seconds: for writing an answer; it then ends with "length".
        stalled_seconds: that a reader of a stream may take nothing, with `send_bytes` waiting for it.
        drain_seconds: for what is being written, when the server is to stop.
        n: answers to one prompt.
        concurrent: requests of one key at a time. per_minute: how many of them. tokens_per_minute: of prompts and
            answers; 0: no limit.
        stop: strings that end an answer.
        inputs: texts of one request for vectors or for a task.
        explain_tokens: of a text that is explained, of all its columns together; of a linear model words.
        explain_samples, explain_orders: orders that Shapley values draw, and that faithfulness is held against.
        explain_seconds: for an explanation; the request then fails. One is made at a time.
    """

    header_seconds: PositiveFloat = 10.0
    receive_seconds: PositiveFloat = 30.0
    body_bytes: PositiveInt = 8 * 1024 * 1024
    header_bytes: PositiveInt = 32 * 1024
    json_depth: PositiveInt = 64
    json_items: PositiveInt = 100_000
    messages: PositiveInt = 10_000
    tools: PositiveInt = 128
    n: PositiveInt = 16
    stop: PositiveInt = 16
    inputs: PositiveInt = 2048
    explain_tokens: PositiveInt = 512
    explain_samples: PositiveInt = 64
    explain_orders: PositiveInt = 200
    explain_seconds: PositiveFloat = 60.0
    waiting: PositiveInt = 64
    waiting_tokens: PositiveInt = 4 * 8192
    wait_seconds: PositiveFloat = 60.0
    answer_seconds: PositiveFloat = 600.0
    send_bytes: PositiveInt = 256 * 1024
    stalled_seconds: PositiveFloat = 30.0
    drain_seconds: PositiveFloat = 30.0
    concurrent: PositiveInt = 8
    per_minute: PositiveInt = 600
    tokens_per_minute: NonNegativeInt = 0
    connections: PositiveInt = 1024


class EngineConfig(Config):
    """How the models run; the names are those of `[generate]`.

    Attributes:
        memory_gigabytes: of all models together, with what they remember; "auto": half of what the machine has free.
        idle_minutes: a model that nobody asked for so long leaves memory where another needs it.
        preload: load the models at the start, as many as there is memory for; else each is at its first request.
        restart_seconds: a process that breaks starts again after this long, doubled each time up to a minute.
    """

    max_batch: PositiveInt = 16
    cache: Literal["plain", "bfloat16", "int8"] = "plain"
    weights: Literal["auto", "float32", "bfloat16", "int8", "int4", "torch"] = "auto"
    invariant: bool | Literal["auto"] = "auto"
    memory_gigabytes: PositiveFloat | Literal["auto"] = "auto"
    idle_minutes: PositiveFloat = 15.0
    preload: bool = True
    threads: PositiveInt | Literal["auto"] = "auto"
    form_milliseconds: PositiveInt = 250
    restart_seconds: PositiveFloat = 0.5


class ServeConfig(Config):
    """Settings of `wenlu serve`.

    Attributes:
        hosts: names by which clients may call the server, beside those of this machine itself and the one that
            `--host` says; `"*"`: any, for a server behind a proxy that checks them.
        origins: pages of other origins that may call it, such as "https://notes.example".
        store: of keys and of what was done with them: a file, or a URL that SQLAlchemy reads.
        log_prompts: never on by itself; prompts and answers then stand in the log.
    """

    limits: Limits = Limits()
    engine: EngineConfig = EngineConfig()
    hosts: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = ()
    origins: tuple[Annotated[str, Field(pattern=r"^https?://[^/]+$")], ...] = ()
    store: str = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_prompts: bool = False
