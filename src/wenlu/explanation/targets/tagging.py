"""The tag of a word: its score there, or by how much it exceeds another's."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from wenlu.errors import UsageError
from wenlu.explanation.neural import Aim
from wenlu.explanation.subject import Part, Piece, Told
from wenlu.explanation.targets.framed import Framed, Question, direction, number_of, row
from wenlu.models import LanguageModel
from wenlu.tasks.tagging.decoding import TaggedWords
from wenlu.tasks.tagging.examples import TaggedText
from wenlu.tasks.tagging.schemes import OUTSIDE
from wenlu.tasks.tagging.words import Words
from wenlu.tasks.task import Batch
from wenlu.tasks.token_classification import TokenClassification
from wenlu.tokenizers import Span, Tokenizer


def framed(
    task: TokenClassification,
    model: LanguageModel,
    tokenizer: Tokenizer,
    example: TaggedText,
    context: int,
    ask: Question,
) -> Framed:
    """Of a CRF the scores that it is given. `ask.at` is the word; else it is the first of the surest entity.

    Raises UsageError for a word that is not there, or that the tokenizer makes nothing of.
    """
    headed, names = task.headed(model), task.names
    (example,) = task.bare([example])
    (answer,) = task.answer(model, [example], context)
    words = example.words
    word = _word(answer, ask.at)
    target = number_of(answer.tags[word] if ask.target is None else ask.target, names, "target")
    against = None if ask.against is None else number_of(ask.against, names, "against")

    subwords, cut = task.cut(words, context)
    known = np.flatnonzero(subwords.numbers == word)
    if not len(known):
        raise UsageError(f"at={words[word]!r}: the tokenizer makes nothing of it, so the model did not read it")
    asked, place = int(cut.row_of[known[0]]), int(cut.place_of[known[0]])
    ids, before, behind = cut.rows[asked].tolist(), len(task.layout.before), len(task.layout.behind)
    size, start = len(ids) - before - behind, int(subwords.heads[known[0]]) - (place - before)
    owners = [-1] * before + list(range(size)) + [-1] * behind
    read_at = np.zeros(len(ids))
    read_at[place] = 1.0

    def read(model: LanguageModel, batch: Batch) -> Tensor:
        return task.read(model, batch)[:, place]

    def chance(scores: Tensor) -> Tensor:
        return scores.softmax(dim=1)[:, target]

    towards = direction(len(names), target, against, next(headed.parameters()))
    told = Told(
        task.name,
        task.told(answer),
        f"{names[target]} of {words[word]}",
        None if against is None else names[against],
        "logit" if against is None else "difference of logits",
        "probability",
    )
    pieces = tuple(Piece(0, *span) for span in _spans(words, tokenizer)[start : start + size])
    only_row = row(headed, ids, None, owners, read_at)
    return Framed(told, Aim(read, towards, chance), (only_row,), (Part("text", words.text),), pieces)


def _word(answer: TaggedWords, at: str | None) -> int:
    """The word that is asked for; by default the first of the entity that is surest, or the surest word with a tag."""
    words = answer.words
    if at is not None:
        start = words.text.find(at)
        found = [n for n, (left, right) in enumerate(words.spans) if left <= start < right] if at else []
        if not found:
            raise UsageError(f"at={at!r}: no word of the text; name one of {', '.join(words.texts[:20])}")
        return found[0]
    if not len(words):
        raise UsageError("there is no word in the text, so there is no tag to explain")
    if answer.entities:
        best = max(answer.entities, key=lambda one: one.probability)
        return next(number for number, span in enumerate(words.spans) if span[0] == best.mention.start)
    tagged = [number for number, tag in enumerate(answer.tags) if tag != OUTSIDE] or range(len(words))
    return max(tagged, key=answer.probabilities.__getitem__)


def _spans(words: Words, tokenizer: Tokenizer) -> list[Span]:
    """Of all tokens, as `Subwords` makes them."""
    found: list[Span] = []
    offset = 0
    for piece, tokens, span in zip(words.pieces, tokenizer.encode_pieces(words.pieces), words.spans, strict=True):
        found += tokens.moved(offset).spans if tokens.ids else [] if tokenizer.unk_id is None else [span]
        offset += len(piece)
    return found
