"""Text that comes in pieces is the text, whole, and nobody beside it changes it."""

from __future__ import annotations

import codecs
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from tests.server.asking import Asked, byte_tokenizer, running

from wenlu.bundle import Bundle
from wenlu.generation.answer import Answer
from wenlu.generation.engine import Emission
from wenlu.generation.settings import SamplingConfig
from wenlu.models import ModelConfig
from wenlu.server.engine.writing import utf8_of
from wenlu.server.messages import Cancel, Rules
from wenlu.server.settings import EngineConfig
from wenlu.tasks import CausalLM
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

IS_PROOF = os.environ.get("WENLU_PROOF") == "1"
SEQUENCES = 50_000 if IS_PROOF else 1_000
PAIRS = 500 if IS_PROOF else 12
WRITTEN = ("天气很好", "🙂👩‍👩‍👧", "naïve", "the cat", " a\n", "한국어", "\u0301")
PROMPTS = ("The cat", "ab" * 90, "天气很好", "x", "ab" * 90 + "c")


@pytest.fixture(scope="module", params=["bytes", "bpe"])
def any_bundle(request: pytest.FixtureRequest) -> Bundle:
    tokenizer: Tokenizer = byte_tokenizer()
    if request.param == "bpe":
        tokenizer = train_tokenizer(TokenizerConfig(vocab_size=300, min_frequency=1), list(WRITTEN) * 4)
    config = ModelConfig(vocab_size=tokenizer.vocab_size, hidden_size=1)
    return Bundle(model=None, tokenizer=tokenizer, task=CausalLM(), config=config, path=Path("x"))  # type: ignore[arg-type]


def some_ids(bundle: Bundle, chance: random.Random) -> list[int]:
    """Tokens of real characters, cut anywhere, and any others."""
    ids: list[int] = []
    for _ in range(chance.randint(1, 5)):
        if chance.random() < 0.6:
            written = bundle.tokenizer.encode(chance.choice(WRITTEN))
            ids += written[: chance.randint(1, len(written))] if chance.random() < 0.4 else written
        else:
            ids.append(chance.randrange(bundle.tokenizer.vocab_size))
    return ids


def test_pieces_joined_are_the_text_and_no_character_is_broken(any_bundle: Bundle) -> None:
    chance = random.Random(5)
    specials = set(any_bundle.tokenizer.special_tokens.values())
    for _ in range(SEQUENCES // 2):
        ids = some_ids(any_bundle, chance)
        answer = Answer(any_bundle, [], SamplingConfig(), tells_broken=False)
        pieces = [answer.take(Emission(0, id, 0.0, None)).text for id in ids[:-1]]
        pieces.append(answer.take(Emission(0, ids[-1], 0.0, "length")).text)
        own = [id for id in ids if id not in specials]
        spelt = b"".join(utf8_of(any_bundle, id, begins=not place) for place, id in enumerate(own))
        expected = codecs.getincrementaldecoder("utf-8")("replace").decode(spelt)
        assert "".join(pieces) == expected
        whole = any_bundle.tokenizer.decode(ids)
        assert whole.startswith(expected)
        assert set(whole[len(expected) :]) <= {"\ufffd"}
        assert expected.count("\ufffd") <= whole.count("\ufffd")


def test_stop_strings_end_a_text_at_the_same_place_however_it_is_cut(any_bundle: Bundle) -> None:
    chance = random.Random(6)
    for _ in range(SEQUENCES // 10):
        ids = some_ids(any_bundle, chance)
        plain = Answer(any_bundle, [], SamplingConfig(), tells_broken=False)
        text = "".join(plain.take(Emission(0, id, 0.0, None)).text for id in ids) + plain.cut().text
        if len(text) < 3:
            continue
        start = chance.randrange(len(text) - 1)
        stop = text[start : start + chance.randint(1, 3)]
        answer = Answer(any_bundle, [], SamplingConfig(stop=(stop,)), tells_broken=False)
        found = "".join(answer.take(Emission(0, id, 0.0, None)).text for id in ids) + answer.cut().text
        assert found == text[: text.index(stop)]
        assert (answer.finish, answer.stopped_by) == ("stop", stop)


def test_a_seed_decides_the_text_whoever_runs_beside_it_and_whatever_was_read(tiny: Path, asked: Asked) -> None:
    chance = random.Random(9)
    seeds = [chance.randrange(1000) for _ in range(PAIRS)]
    rules = [chance.choice([Rules(), Rules(temperature=0.7, top_p=0.9), Rules(temperature=0)]) for _ in seeds]
    fields: list[dict[str, Any]] = [
        {"prompt": chance.choice(PROMPTS), "seed": seed, "rules": rule, "max_tokens": chance.randint(3, 9)}
        for seed, rule in zip(seeds, rules, strict=True)
    ]
    alone = []
    for number, each in enumerate(fields):
        id = asked.submit(**each, logprobs=1, salt=f"nobody else's {number}")
        asked.until(id)
        alone.append([(delta.text, delta.tokens) for delta in asked.deltas(id)])
    with running([("tiny", tiny)], EngineConfig(max_batch=5)) as others:
        for _ in range(2):
            order = chance.sample(range(PAIRS), PAIRS)
            ids = {place: others.submit(**fields[place], logprobs=1) for place in order}
            others.until(*ids.values())
            for place, id in ids.items():
                assert [(delta.text, delta.tokens) for delta in others.deltas(id)] == alone[place]


def test_what_is_cancelled_is_never_heard_of_again_wherever_it_is(asked: Asked) -> None:
    for trial in range(200 if IS_PROOF else 12):
        prompt, waits = [("ab", True), ("b" * 500, False), ("ab", False)][trial % 3]
        ids = [asked.submit(prompt, max_tokens=400 if waits else 10, ignore_end=True) for _ in range(3)]
        if waits:
            asked.until_started(ids[0])
        for id in ids:
            asked.send(Cancel(id=id))
        told = asked.submit("ab", max_tokens=1)
        asked.until(told)
        seen = len(asked.events)
        asked.until(asked.submit("ab", max_tokens=3))
        assert not {event.id for event in asked.events[seen:]} & set(ids)
    asked.stats = None
    deadline = time.monotonic() + 20
    while asked.stats is None or asked.stats.running or asked.stats.waiting:
        assert time.monotonic() < deadline
        asked.hear()


def test_all_that_a_step_says_comes_in_one_frame(asked: Asked) -> None:
    ids = [asked.submit("abc", max_tokens=30, ignore_end=True, seed=seed) for seed in range(8)]
    frames, events = asked.frames, len(asked.events)
    asked.until(*ids)
    assert (len(asked.events) - events) / (asked.frames - frames) > 4


@pytest.mark.skipif(not IS_PROOF, reason="a thousand requests: WENLU_PROOF=1 runs them")
def test_memory_stays_flat_over_a_thousand_requests(asked: Asked) -> None:
    sizes = []
    for begin in range(0, 1000, 50):
        ids = [
            asked.submit(f"{number} " * (number % 60), max_tokens=8, seed=number) for number in range(begin, begin + 50)
        ]
        asked.until(*ids)
        asked.events.clear()
        asked.stats = None
        while asked.stats is None:
            asked.hear()
        sizes.append(asked.stats.resident_bytes)
    assert sizes[-1] - sizes[4] < 16_000_000, sizes
