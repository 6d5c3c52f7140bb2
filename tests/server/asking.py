"""Models in folders, and the engine's loop in a thread of the test with the other end of its socket."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import torch

from wenlu.models import family
from wenlu.models.weights.layout import save_model
from wenlu.server.engine.channel import Channel, Closed
from wenlu.server.engine.loop import Loop
from wenlu.server.engine.residents import Residents
from wenlu.server.link.frames import FrameReader, framed
from wenlu.server.link.opening import Heard, Refused
from wenlu.server.messages import (
    Asking,
    Cancel,
    Delta,
    Done,
    Event,
    Failed,
    Generate,
    ModelInfo,
    Prompt,
    Reply,
    Serving,
    Several,
    Started,
    Stats,
    TextPrompt,
)
from wenlu.server.settings import EngineConfig
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer
from wenlu.tokenizers.files import Settings

TEMPLATE = (
    "{% for m in messages %}<|turn|>{{ m.role }}:{{ m.content }}<|over|>{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant:{% endif %}"
)
SECONDS = 600.0 if os.environ.get("WENLU_PROOF") == "1" else 60.0


def byte_tokenizer(template: str | None = TEMPLATE, special: Sequence[str] = ("<|turn|>", "<|over|>")) -> Tokenizer:
    """Every byte is a token."""
    trained = train_tokenizer(
        TokenizerConfig(vocab_size=258 + len(special), extra_special_tokens=tuple(special)), ["a"]
    )
    return trained.with_settings(Settings(trained.settings.config, template))


def tiny_llama(folder: Path, tokenizer: Tokenizer, *, context: int = 512, seed: int = 3, **sizes: Any) -> Path:
    """A causal model with random weights."""
    row = family("llama")
    torch.manual_seed(seed)
    config = row.config(
        **{
            "vocab_size": tokenizer.vocab_size,
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": context,
            "initializer_range": 0.3,
            "eos_token_id": tokenizer.eos_id,
            **sizes,
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder, row.build(config), row)
    tokenizer.save(folder)
    return folder


class Asked:
    """What a test says to a loop, and hears of it; `residents` are the loop's own."""

    def __init__(self, end: socket.socket, residents: Residents) -> None:
        self.residents = residents
        end.settimeout(SECONDS)
        self._socket = end
        self._reader: FrameReader[Heard] = FrameReader(Heard)
        self._ids = count(1)
        self.events: list[Event] = []
        self.models: tuple[ModelInfo, ...] = ()
        self.stats: Stats | None = None
        self.frames = 0

    def send(self, message: Generate | Asking | Cancel) -> int:
        self._socket.sendall(framed(message))
        return message.id

    def id(self) -> int:
        return next(self._ids)

    def submit(self, prompt: str | Prompt, *, model: str = "tiny", **fields: Any) -> int:
        prompt = TextPrompt(prompt) if isinstance(prompt, str) else prompt
        return self.send(Generate(id=self.id(), model=model, prompt=prompt, **fields))

    def hear(self) -> None:
        """What has come; raises the error of an engine that refuses."""
        data = self._socket.recv(1 << 16)
        assert data, "the engine has ended"
        for message in self._reader.feed(data):
            self.frames += 1
            match message:
                case Several(events=events):
                    self.events += events
                case Serving(models=models):
                    self.models = models
                case Stats():
                    self.stats = message
                case Refused():
                    raise message.error()

    def until_ready(self) -> None:
        while not self.models:
            self.hear()

    def of(self, id: int) -> list[Event]:
        return [event for event in self.events if event.id == id]

    def until(self, *ids: int) -> None:
        """Until each of them has ended."""
        deadline = time.monotonic() + SECONDS
        while not all(any(isinstance(event, Done | Reply) for event in self.of(id)) for id in ids):
            assert time.monotonic() < deadline, f"{ids} have not ended: {self.events[-3:]}"
            self.hear()

    def until_started(self, id: int) -> None:
        while not any(isinstance(event, Started) for event in self.of(id)):
            self.hear()

    def reply(self, request: Asking) -> Reply:
        self.until(self.send(request))
        (event,) = self.of(request.id)
        assert isinstance(event, Reply)
        return event

    def text(self, prompt: str | Prompt, **fields: Any) -> str:
        """The answer to a prompt."""
        id = self.submit(prompt, **fields)
        self.until(id)
        return self.text_of(id)

    def text_of(self, id: int, choice: int = 0) -> str:
        assert not any(isinstance(event, Failed) for event in self.of(id)), self.of(id)[-1]
        return "".join(event.text for event in self.deltas(id, choice))

    def deltas(self, id: int, choice: int = 0) -> list[Delta]:
        return [event for event in self.of(id) if isinstance(event, Delta) and event.choice == choice]

    def failed(self, prompt: str | Prompt, **fields: Any) -> Failed:
        """How a request fails."""
        id = self.submit(prompt, **fields)
        self.until(id)
        failure = self.of(id)[-1]
        assert isinstance(failure, Failed), failure
        return failure


@contextmanager
def running(
    models: Sequence[tuple[str, str | Path]], config: EngineConfig | None = None, *, budget: int = 2_000_000_000
) -> Iterator[Asked]:
    """A loop that serves models."""
    ours, theirs = socket.socketpair()
    channel = Channel(theirs)
    # Forms are read in a process that shares a busy machine with other tests.
    config = config or EngineConfig(form_milliseconds=10_000)
    residents = Residents([(name, str(path)) for name, path in models], config, budget, channel.wake)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with suppress(Closed):
                Loop(channel, residents, config).run()
        except BaseException as error:  # noqa: BLE001  (the test raises it)
            failed.append(error)
        finally:
            channel.close()

    thread = threading.Thread(target=work)
    thread.start()
    asked = Asked(ours, residents)
    try:
        asked.until_ready()
        yield asked
    finally:
        ours.close()
        thread.join(SECONDS)
        if failed:
            raise failed[0]
