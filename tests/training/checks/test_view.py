"""What is shown as trained on is what the loss is counted at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.tasks.labelled import CONTEXT, records_of, settled
from tests.tasks.tiny import ENGLISH, NewTokenizer

from wenlu.corpus.packing import PackedRow
from wenlu.corpus.shard_writer import write_tokens
from wenlu.tasks import CausalLM, Draw, LabelledTask, MaskedLM, read_settings, task_type
from wenlu.training.checks import Piece, SeenRow, seen_rows
from wenlu.training.checks.view import Shares, shares


def seen(name: str, new_tokenizer: NewTokenizer) -> tuple[list[SeenRow], Any]:
    config = settled(name)
    kind = task_type(name)
    assert issubclass(kind, LabelledTask)
    task: Any = kind(config, new_tokenizer(special=config.special_tokens))
    rows = task.rows([kind.example_of(record, config) for record in records_of(config)], CONTEXT)
    batch = task.batch(Draw.at(rows, np.arange(len(rows))))
    return seen_rows(task, task.tokenizer, batch), task


def trained(row: SeenRow) -> list[str]:
    return [piece.text for piece in row.pieces if piece.kind == "trained"]


def test_of_a_dialogue_the_replies_are_trained_with_their_end(new_tokenizer: NewTokenizer) -> None:
    rows, _ = seen("dialogue", new_tokenizer)
    assert trained(rows[0]) == ["on the mat<|end|>"]
    assert rows[0].pieces[0] == Piece("<|user|>where did the cat sit?<|end|><|assistant|>", "context")
    assert [trained(row) for row in rows if len(trained(row)) > 1] == [
        ["it did.<|end|>", "7 times.<|end|>"],
        ["it didn't.<|end|>", "unbelievably.<|end|>"],
    ]


def test_of_a_translation_the_target_is_trained_and_padding_is_counted(new_tokenizer: NewTokenizer) -> None:
    rows, task = seen("translation", new_tokenizer)
    end = task.tokenizer.token(task.end_id)
    assert trained(rows[2]) == [f"the cat sat.{end}"]
    assert rows[0].pieces[-2].kind == "padding"


def test_of_a_classification_the_label_is_the_answer(new_tokenizer: NewTokenizer) -> None:
    rows, _ = seen("text-classification", new_tokenizer)
    assert [row.answer for row in rows] == ["cat", "dog", "cat", "dog", "bird", "bird", "hotel", "hotel"]
    assert trained(rows[0]) == []
    assert rows[0].pieces[0].text.startswith("the cat sat on the mat")


def test_of_tags_and_spans_the_places_are_marked(new_tokenizer: NewTokenizer) -> None:
    rows, _ = seen("token-classification", new_tokenizer)
    tags = [piece.target for piece in rows[2].pieces if piece.kind == "trained"]
    assert tags == ["O", "B-ANIMAL", "O", "O", "O", "B-PLACE", "I-PLACE"]
    rows, _ = seen("question-answering", new_tokenizer)
    assert trained(rows[0])[0].strip() == "the mat"


def test_of_running_text_all_but_the_first_token_and_other_documents_beginnings(
    new_tokenizer: NewTokenizer,
) -> None:
    tokenizer = new_tokenizer()
    first, second = tokenizer.encode("the cat"), tokenizer.encode("the dog sat")
    ids, segments = [*first, tokenizer.eos_id, *second], [0] * (len(first) + 1) + [1] * len(second)
    row = PackedRow(np.array([ids]), np.array([segments]))
    (shown,) = seen_rows(CausalLM(), tokenizer, CausalLM().batch(Draw.of(row)))
    assert (
        "".join(piece.text for piece in shown.pieces) == f"the cat{tokenizer.token(tokenizer.eos_id or 0)}the dog sat"
    )
    lengths = [len(tokenizer.encode(piece.text)) for piece in shown.pieces if piece.kind == "context"]
    assert lengths == [1, 1]  # the first token of each document follows nothing of its own


def test_of_hidden_tokens_what_was_there_is_shown(new_tokenizer: NewTokenizer, tmp_path: Path) -> None:
    tokenizer = new_tokenizer(special=["[MASK]"])
    task = MaskedLM(read_settings({"name": "masked-lm", "mask_share": 1.0, "random_share": 0.0}), tokenizer)  # type: ignore[arg-type]
    rows = task.rows(write_tokens(ENGLISH, tokenizer, tmp_path / "tokens"), 32)
    draw = Draw.at(rows, np.array([0]))
    (shown,) = seen_rows(task, tokenizer, task.batch(draw))
    whole = "".join(piece.target or piece.text for piece in shown.pieces)
    assert whole == tokenizer.decode(draw.rows.ids[0, :-1], skip_special=False)
    assert {piece.text.replace("[MASK]", "") for piece in shown.pieces if piece.kind == "trained"} == {""}


def test_shares_are_counted_by_hand(new_tokenizer: NewTokenizer) -> None:
    tokenizer = new_tokenizer()
    ids = np.array([[*tokenizer.encode("abcdefgh")]])
    row = PackedRow(ids, np.array([[0] * 5 + [1] * (ids.shape[1] - 5)]))
    found = shares(CausalLM(), [CausalLM().batch(Draw.of(row))])
    places = ids.shape[1] - 1
    assert found == Shares(places=places, read=places, trained=places - 1, rows=1, silent=0)
