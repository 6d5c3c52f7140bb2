"""What words are asked for, what their tags cost, and that no tag stands where it cannot."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.tasks.labelled import NewTokenizer
from tests.tasks.tiny import CHINESE, ENGLISH, SIZES

from wenlu.corpus.examples import Examples
from wenlu.corpus.record import Record
from wenlu.corpus.source import SourceSpec
from wenlu.errors import DataError
from wenlu.evaluation.baselines.token_classification import fit
from wenlu.models import LanguageModel, family
from wenlu.tasks import IGNORED, TokenClassification, read_settings
from wenlu.tasks.tagging.examples import TaggedText
from wenlu.tasks.tagging.head import TaggerHead
from wenlu.tasks.tagging.schemes import allowed, allowed_end, allowed_start, check, scheme_of
from wenlu.tasks.tagging.words import Mention
from wenlu.tasks.task import Draw
from wenlu.tasks.token_classification import TokenClassificationConfig

CASES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
CONTEXT = 16
LONG = "the partridge sat on the mat , unbelievably quiet , then the red dog didn't move from the log 4"


def record(text: str, **meta: Any) -> Record:
    return Record(text, "a.jsonl:7", {k: v if isinstance(v, str) else json.dumps(v) for k, v in meta.items()})


def settings(**own: Any) -> TokenClassificationConfig:
    found = read_settings({"name": "token-classification", "head_dropout": 0.0, **own})
    assert isinstance(found, TokenClassificationConfig)
    return found


def example(text: str, config: TokenClassificationConfig, **meta: Any) -> TaggedText:
    return TokenClassification.example_of(record(text, **meta), config)


def tagged(text: str, tags: str, config: TokenClassificationConfig | None = None) -> TaggedText:
    return example(text, config or settings(), tokens=text.split(), tags=tags.split())


def task_for(
    new_tokenizer: NewTokenizer, examples: list[TaggedText], **own: Any
) -> tuple[TokenClassification, LanguageModel]:
    task = TokenClassification(settings(**own).learnt(examples), new_tokenizer((*ENGLISH, *CHINESE), vocab_size=420))
    bert = family("bert")
    sizes = {key: value for key, value in SIZES.items() if key in bert.config.model_fields}
    body = bert.build(bert.config(vocab_size=task.tokenizer.vocab_size, **sizes), dtype=torch.float64)
    return task, task.trained(body).eval()


def scattered(model: LanguageModel) -> TaggerHead:
    """The head of a model, with weights that say anything."""
    head = model.task_head
    assert isinstance(head, TaggerHead)
    with torch.no_grad():
        for weight in head.parameters():
            weight.normal_(std=3.0)
    return head


def all_rows(task: TokenClassification, source: Examples) -> Any:
    return task.batch(Draw.at(source, np.arange(len(source))))


def test_without_a_crf_the_loss_is_the_cross_entropy_of_every_word_once(new_tokenizer: NewTokenizer) -> None:
    examples = [tagged("the cat sat", "O B-X O"), tagged("the red log", "O B-Y I-Y")]
    task, model = task_for(new_tokenizer, examples)
    head = scattered(model)
    with torch.no_grad():
        head.classifier.weight.zero_()  # so that every word has the scores of the bias
        logits = head.classifier.bias
        found = task.loss(model, all_rows(task, task.rows(examples, CONTEXT)))
    assert task.tagset.tags == ("O", "B-X", "I-X", "B-Y", "I-Y")
    total = math.log(sum(math.exp(x) for x in logits.tolist()))
    expected = 6 * total - (3 * logits[0] + logits[1] + logits[3] + logits[4]).item()
    assert found.count == 6
    assert found.sum.item() == pytest.approx(expected, rel=1e-9)


def test_with_a_crf_the_loss_is_that_of_all_paths(new_tokenizer: NewTokenizer) -> None:
    examples = [tagged("the cat", "B-X I-X"), tagged("quiet log", "O B-X")]
    task, model = task_for(new_tokenizer, examples, crf=True)
    head = scattered(model)
    crf = head.crf
    assert crf is not None
    with torch.no_grad():
        head.classifier.weight.zero_()
        found = task.loss(model, all_rows(task, task.rows(examples, CONTEXT)))
        bias = head.classifier.bias

        def score(a: int, b: int) -> float:
            return float(crf.start[a] + bias[a] + crf.transitions[a, b] + bias[b] + crf.end[b])

        everything = math.log(sum(math.exp(score(a, b)) for a in range(3) for b in range(3)))
        wanted = 2 * everything - score(1, 2) - score(0, 1)
    assert found.count == 4
    assert found.sum.item() == pytest.approx(wanted, rel=1e-9)


def test_a_chain_that_goes_on_in_another_row_has_free_ends(new_tokenizer: NewTokenizer) -> None:
    words = LONG.split()
    one = tagged(LONG, " ".join(["O"] * len(words)), settings(labels=("X",)))
    task, model = task_for(new_tokenizer, [one], crf=True, labels=("X",))
    head = scattered(model)
    source = task.rows([one], CONTEXT)
    assert len(source) > 2
    assert source.labels is not None
    assert source.labels.tolist() == [[True, False], *[[False, False]] * (len(source) - 2), [False, True]]
    with torch.no_grad():
        head.classifier.weight.zero_()
        before = [
            task.loss(model, task.batch(Draw.at(source, np.array([row])))).sum.item() for row in range(len(source))
        ]
        assert head.crf is not None
        head.crf.start += torch.tensor([0.0, 5.0, 5.0])
        after = [
            task.loss(model, task.batch(Draw.at(source, np.array([row])))).sum.item() for row in range(len(source))
        ]
    assert after[0] > before[0] + 1e-3
    assert after[1:] == pytest.approx(before[1:], rel=1e-9)


@pytest.mark.parametrize("crf", [False, True])
def test_rows_of_a_long_text_ask_for_each_word_once(new_tokenizer: NewTokenizer, crf: bool) -> None:
    one = tagged(LONG, " ".join(["O", "B-X"] * 10))
    task, model = task_for(new_tokenizer, [one, tagged("4 times", "O O")], crf=crf)
    source = task.rows([one], CONTEXT)
    assert source.targets is not None
    found = np.concatenate([source.targets[row] for row in range(len(source))])
    assert found[found != IGNORED].tolist() == [0, 1] * 10
    (answer,) = task.answer(model, [one], CONTEXT)
    assert len(answer.tags) == len(one.words) == 20
    whole = task.loss(model, all_rows(task, source))
    parts = [task.loss(model, task.batch(Draw.at(source, np.array([row])))) for row in range(len(source))]
    assert whole.count == 20
    assert whole.sum.item() == pytest.approx(sum(part.sum.item() for part in parts), rel=1e-9)


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BIOES", "BILOU", "BMES"])
def test_an_untrained_model_never_gives_tags_that_cannot_follow_each_other(
    new_tokenizer: NewTokenizer, scheme: str, crf: bool
) -> None:
    examples = [tagged("the cat sat", "O B-X I-X"), tagged("4 times", "B-Y O")]
    task, model = task_for(new_tokenizer, examples, crf=crf, decode_scheme=scheme)
    generator = np.random.default_rng(7)
    words = (*LONG.split(), *"北京大学")
    asked = [
        example(" ".join(generator.choice(words, size)), task.config) for size in generator.integers(1, 30, CASES // 6)
    ]
    for _ in range(3):
        scattered(model)
        for answer in task.answer(model, asked, CONTEXT):
            check(answer.tags, scheme_of(scheme))
            assert allowed_start(answer.tags[0], scheme_of(scheme))
            assert allowed_end(answer.tags[-1], scheme_of(scheme))
            steps = zip(answer.tags, answer.tags[1:], strict=False)
            assert all(allowed(a, b, scheme_of(scheme)) for a, b in steps)


def test_what_a_text_is_batched_with_changes_nothing(new_tokenizer: NewTokenizer) -> None:
    examples = [tagged("the cat sat", "O B-X O"), tagged(LONG, " ".join(["O", "B-Y"] * 10))]
    task, model = task_for(new_tokenizer, examples, crf=True)
    scattered(model)
    together = [task.told(answer) for answer in task.answer(model, examples, CONTEXT)]
    alone = [task.told(task.answer(model, [one], CONTEXT)[0]) for one in examples]
    assert [one["tags"] for one in together] == [one["tags"] for one in alone]


def test_offsets_count_characters_of_the_text_that_was_given(new_tokenizer: NewTokenizer) -> None:
    text = "👩‍💻 Ann  住在上海。"
    entities = [{"start": 4, "end": 7, "label": "PER"}, {"start": 11, "end": 14, "label": "LOC"}]
    assert [text[one["start"] : one["end"]] for one in entities] == ["Ann", "上海。"]
    entities[1]["end"] = 13
    config = settings(columns={"entities": "entities"})
    one = example(text, config, entities=entities)
    task, _ = task_for(new_tokenizer, [one])
    answer = task_answer_of(task, one)
    told = task.told(answer)
    assert [(e["start"], e["end"], e["label"], e["text"]) for e in told["entities"]] == [
        (4, 7, "PER", "Ann"),
        (11, 13, "LOC", "上海"),
    ]
    assert told["prediction"] == [{"text": "Ann", "label": "PER"}, {"text": "上海", "label": "LOC"}]
    assert told["tokens"] == ["👩‍💻", "Ann", "住", "在", "上", "海", "。"]
    assert told["tags"] == ["O", "B-PER", "O", "O", "B-LOC", "I-LOC", "O"]
    assert task.measures()[0].compute(task.judged([one], [answer])) == 1.0


def task_answer_of(task: TokenClassification, one: TaggedText) -> Any:
    """The right answer: what the baseline says that has seen nothing but this text."""
    return fit(task, [one]).answer([one])[0]


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BIOES", "BILOU", "BMES"])
@pytest.mark.parametrize("decode_scheme", ["as-read", "IOB2", "BIOES"])
def test_a_target_that_is_predicted_is_the_entities_of_the_data(
    new_tokenizer: NewTokenizer, scheme: str, decode_scheme: str
) -> None:
    tags = {
        "IOB1": "I-X I-X B-X O I-Y",
        "IOB2": "B-X I-X B-X O B-Y",
        "BIOES": "B-X E-X S-X O S-Y",
        "BILOU": "B-X L-X U-X O U-Y",
        "BMES": "B-X E-X S-X O S-Y",
    }[scheme]
    one = tagged("the red dog sat quiet", tags)
    task, _ = task_for(new_tokenizer, [one], scheme=scheme, decode_scheme=decode_scheme)
    classes = task.classes(one)
    written = [task.tagset.tags[number] for number in classes.tolist()]
    check(written, task.config.written)
    assert scheme_of(scheme).name == task.config.written.name or decode_scheme != "as-read"
    judged = task.judged([one], [task_answer_of(task, one)])
    counts = {name: column.tolist() for name, column in judged.items() if name not in ("gold", "predicted")}
    assert counts == {
        "words_right": [5],
        "words": [5],
        "entities_right": [3],
        "entities_predicted": [3],
        "entities_gold": [3],
    }
    rows = task.details(judged)["per_class"]
    assert [(row["label"], row["f1"], row["support"]) for row in rows] == [("X", 1.0, 2), ("Y", 1.0, 1)]


def test_the_scheme_of_the_training_part_is_found() -> None:
    examples = [tagged("the red dog", "O B-X E-X"), tagged("4 times", "S-X O")]
    assert settings().learnt(examples).scheme == "BIOES"
    assert settings().learnt([tagged("red dog mat", "I-X B-X O")]).scheme == "IOB1"
    with pytest.raises(DataError, match="name their scheme"):
        settings().learnt([tagged("red dog mat", "I-X E-X B-X"), tagged("a", "I-X"), tagged("a b", "B-X B-X")])


def test_a_mention_that_cuts_words_is_never_right(new_tokenizer: NewTokenizer) -> None:
    config = settings(columns={"entities": "entities"})
    one = example("partridges sat", config, entities=[{"start": 0, "end": 9, "label": "X"}])
    task, _ = task_for(new_tokenizer, [one])
    columns = task.judged([one], [task_answer_of(task, one)])
    assert columns["entities_right"].tolist() == [0]
    assert columns["entities_gold"].tolist() == [1]
    assert columns["words_right"].tolist() == [2]


def test_segmentation_learns_from_blanks_and_from_lists_of_words(new_tokenizer: NewTokenizer) -> None:
    config = settings(kind="segmentation")
    by_blanks = example("我们 住在 iPhone 的 北京大学 。", config)
    by_words = example("whatever", config, tokens=["我们", "住在", "iPhone", "的", "北京大学", "。"])
    assert by_blanks.words == by_words.words
    assert by_blanks.mentions == by_words.mentions
    assert by_blanks.words.text == "我们住在iPhone的北京大学。"
    task, model = task_for(new_tokenizer, [by_blanks], kind="segmentation")
    assert task.tagset.tags == ("B", "M", "E", "S")
    tags = "".join(task.tagset.tags[number] for number in task.classes(by_blanks).tolist())
    assert tags == "BEBEBMMMMESBMMES"
    scattered(model)
    (answer,) = task.answer(model, [by_blanks], CONTEXT)
    told = task.told(answer)
    assert "".join(told["tokens"]) == by_blanks.words.text
    assert told["prediction"] == " ".join(told["tokens"])


def test_parts_of_speech_are_tags_that_may_all_follow_each_other(new_tokenizer: NewTokenizer) -> None:
    examples = [tagged("the cat sat", "DET NOUN VERB"), tagged("sat the cat", "VERB DET NOUN")]
    task, model = task_for(new_tokenizer, examples, kind="tags")
    assert task.tagset.tags == ("DET", "NOUN", "VERB")
    assert [metric.name for metric in task.measures()] == ["word_accuracy", "tag_macro_f1"]
    answers = fit(task, examples).answer(examples)
    assert task.measures()[0].compute(task.judged(examples, answers)) == 1.0
    assert task.measures()[1].compute(task.judged(examples, answers)) == 1.0
    told = task.told(answers[0])
    assert told["prediction"] == ["DET", "NOUN", "VERB"]
    assert [(word["start"], word["end"], word["label"]) for word in told["words"]] == [
        (0, 3, "DET"),
        (4, 7, "NOUN"),
        (8, 11, "VERB"),
    ]
    assert len(task.answer(model, examples, CONTEXT)[0].tags) == 3


def test_the_baseline_gives_each_word_its_commonest_tag_where_the_scheme_lets_it(new_tokenizer: NewTokenizer) -> None:
    seen = [tagged("red dog", "B-X I-X")] * 3 + [tagged("dog", "O"), tagged("the mat", "O O"), tagged("mat", "O")]
    task, _ = task_for(new_tokenizer, seen)
    asked = [example(text, task.config) for text in ("red dog", "the dog", "unseen mat")]
    found = [answer.tags for answer in fit(task, seen).answer(asked)]
    # After "the" the dog cannot go on with an entity, though it mostly did.
    assert found == [("B-X", "I-X"), ("O", "O"), ("O", "O")]


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"tokens": ["the", "cat"], "tags": ["O"]}, "a.jsonl:7: 1 tags for 2 tokens"),
        ({"tokens": '["the", 4]', "tags": ["O", "O"]}, "a.jsonl:7: tokens .* is not a list of strings"),
        ({"tokens": '["the"', "tags": ["O"]}, "a.jsonl:7: tokens .* is not JSON"),
        ({"tokens": ["the", ""], "tags": ["O", "O"]}, "a.jsonl:7: word 1 of .* is empty"),
        ({"entities": [{"start": 4, "end": 17, "label": "X"}]}, "a.jsonl:7: entity from 4 to 17 of a text of 7"),
        ({"entities": [{"start": 4, "end": 7}]}, "a.jsonl:7: entity .*give start, end and label"),
        (
            {"entities": [{"start": 4, "end": 7, "label": "X", "text": "dog"}]},
            "a.jsonl:7: entity 'dog' from 4 to 7, where 'cat' stands",
        ),
        ({"entities": '{"start": 1}'}, "a.jsonl:7: entities .*give a list"),
    ],
)
def test_what_is_wrong_with_a_record_is_told_with_its_id(meta: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        example("the cat", settings(), **meta)


def test_a_text_without_words_is_refused() -> None:
    with pytest.raises(DataError, match=r"a.jsonl:7: no words"):
        example(" \n", settings())


def test_a_tag_that_training_did_not_have_is_told_and_judged_as_missed(new_tokenizer: NewTokenizer) -> None:
    task, model = task_for(new_tokenizer, [tagged("the cat", "O B-X")])
    other = tagged("the mat", "O B-NEW")
    with pytest.raises(DataError, match=r"a.jsonl:7: tag 'B-NEW' is not one of .* name all labels in task\.labels"):
        task.rows([other], CONTEXT)
    columns = task.judged([other], task.answer(model, [other], CONTEXT))
    assert columns["entities_gold"].tolist() == [1]
    assert columns["entities_right"].tolist() == [0]


def test_tags_of_another_scheme_are_told(new_tokenizer: NewTokenizer) -> None:
    task, _ = task_for(new_tokenizer, [tagged("the cat", "O B-X")])
    with pytest.raises(DataError, match=r"a.jsonl:7: tag 'S-X' is not of IOB2"):
        task.rows([tagged("cat", "S-X")], CONTEXT)


def test_a_training_part_without_entities_or_answers_is_refused() -> None:
    with pytest.raises(DataError, match="every tag is O"):
        settings().learnt([tagged("the cat", "O O")])
    with pytest.raises(DataError, match=r"no answers; name their column: data\.tags=COLUMN"):
        settings().learnt([example("the cat", settings())])


@pytest.mark.parametrize(
    ("columns", "spec", "read"),
    [
        ({}, {"path": "a.conll"}, ("tokens", "tags")),
        ({}, {"path": "a.txt", "kind": "conll"}, ("tokens", "tags")),
        ({}, {"path": "a.json", "kind": "label-studio"}, ("entities",)),
        ({"tags": "upos"}, {"path": "a.conllu"}, ("tokens", "upos")),
        ({"tags": "ner"}, {"path": "a.csv"}, ("ner",)),
        ({"tags": "ner", "tokens": "words"}, {"path": "a.jsonl"}, ("words", "ner")),
        ({"entities": "spans"}, {"path": "a.jsonl"}, ("spans",)),
    ],
)
def test_the_columns_to_read_follow_the_kind_of_the_source(
    columns: dict[str, str], spec: dict[str, str], read: tuple[str, ...]
) -> None:
    assert settings(columns=columns).told((SourceSpec(**spec),))[0].meta == read


def test_a_text_is_cut_as_the_tokens_of_the_training_part() -> None:
    tokens = ["U.N.", "1996-08-22", "O'Brien", "'s", "AT&T", "."]
    known = example(" ".join(tokens), settings(), tokens=tokens, tags=["O", "B-X", *"OOOO"])
    config = settings().learnt([known])
    assert config.words == "whole"
    assert example("On 1996-08-22 O'Brien's U.N. (AT&T).", config).words.texts == [
        *("On", "1996-08-22", "O'Brien", "'", "s", "U.N.", "(", "AT&T", ")", ".")
    ]
    parted = example("AT & T", settings(), tokens=["AT", "&", "T"], tags=["B-X", "O", "O"])
    assert settings().learnt([parted]).words == "signs"


def test_tags_without_tokens_are_of_words_between_blanks_or_of_characters() -> None:
    assert example("EU rejects", settings(), tags="B-X O").words.texts == ["EU", "rejects"]
    assert example("我们 好", settings(), tags="O O O").words.texts == ["我", "们", "好"]


def test_a_list_of_words_may_be_the_text() -> None:
    one = example("我\n们\nok\nok", settings(), tokens=["我", "们", "ok", "ok"], tags="O O O O")
    assert one.words.text == "我们ok ok"


def test_white_space_around_an_entity_is_not_of_it() -> None:
    one = example("the cat sat", settings(), entities=[{"start": 3, "end": 8, "label": "X"}])
    assert one.mentions == (Mention(4, 7, "X"),)


def test_the_answers_are_not_read_to_answer(new_tokenizer: NewTokenizer) -> None:
    one = tagged("the cat sat", "O B-X O")
    task, model = task_for(new_tokenizer, [one])
    lying = replace(one, tags=("B-X", "O", "B-X"))
    assert task.answer(model, [one], CONTEXT) == task.answer(model, [lying], CONTEXT)
