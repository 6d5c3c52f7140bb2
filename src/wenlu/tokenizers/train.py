"""Learn a vocabulary from text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wenlu.errors import DataError
from wenlu.progress import QUIET, Progress
from wenlu.tokenizers.config import TokenizerConfig
from wenlu.tokenizers.files import Roles, Settings
from wenlu.tokenizers.kinds import KINDS
from wenlu.tokenizers.tokenizer import Tokenizer, parts_of, utf8_bytes


def train_tokenizer(config: TokenizerConfig, texts: Iterable[str], *, progress: Progress = QUIET) -> Tokenizer:
    """A tokenizer as `config` says, learnt from `texts`, which are read once.

    The same texts in the same order give the same tokenizer. Raises DataError where there is no text, where it
    is not Unicode, or where it does not support the vocabulary.
    """
    kind = next(kind for kind in KINDS if kind.name == config.kind)
    progress.start(f"learn {kind.title}", unit="bytes")
    reading = _Reading(texts, progress)
    inner = kind.train(config, reading)
    roles = Roles(config.bos_token, config.eos_token, config.pad_token, config.unk_token if config.has_unk else None)
    tokenizer = Tokenizer(inner, roles, Settings({"wenlu": config.model_dump(mode="json")}))
    progress.finish(f"{kind.title}: {tokenizer.vocab_size} tokens from {reading.count} texts, {reading.bytes} bytes")
    return tokenizer


class _Reading:
    """Texts on their way to the trainer: checked, counted, and in parts that fit into memory."""

    def __init__(self, texts: Iterable[str], progress: Progress) -> None:
        self.count = 0
        self.bytes = 0
        self._texts = texts
        self._progress = progress

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            self.bytes += utf8_bytes(text, f"text {self.count}")
            self.count += 1
            yield from parts_of(text)
            self._progress.update(self.bytes)
        if not self.bytes:
            raise DataError(f"no text to learn a tokenizer from: {self.count} texts, all empty; check data.train")
