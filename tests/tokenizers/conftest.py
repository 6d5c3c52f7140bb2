"""Small texts in two languages and code, and tokenizers learnt from them."""

from collections.abc import Callable

import pytest

from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

ENGLISH = """The miller kept three cats, and the cats kept the mill free of mice. When the river was low the wheel
stood still; when the river was high the wheel turned day and night, and nobody slept. "Three cats are enough,"
said the miller, "but one wheel is not." So the miller built a second wheel, and the cats had kittens.
"""
CHINESE = """磨坊主养了三只猫，三只猫让磨坊里没有老鼠。河水低的时候，水轮不动；河水高的时候，水轮日夜转动，
没有人能睡着。“三只猫够了，”磨坊主说，“可是一个水轮不够。”于是磨坊主又造了一个水轮，猫也生了小猫。
"""
CODE = '''def turn(wheel: Wheel, hours: int = 12) -> float:
    """Flour in kilograms that `wheel` grinds in `hours`."""
    flour = 0.0
    for hour in range(hours):
        if wheel.river.height > wheel.least:
            flour += wheel.rate * hour
    return flour
'''


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return [ENGLISH, CHINESE, CODE] * 3


@pytest.fixture(scope="session")
def trained(texts: list[str]) -> Callable[[str], Tokenizer]:
    """A tokenizer of each kind, learnt once."""
    sizes = {"bpe": 400, "unigram": 480, "wordpiece": 240, "char": "auto", "word": "auto"}
    made: dict[str, Tokenizer] = {}

    def tokenizer(kind: str) -> Tokenizer:
        if kind not in made:
            config = TokenizerConfig.model_validate({"kind": kind, "vocab_size": sizes[kind]})
            made[kind] = train_tokenizer(config, texts)
        return made[kind]

    return tokenizer


@pytest.fixture
def bpe(trained: Callable[[str], Tokenizer]) -> Tokenizer:
    return trained("bpe")
