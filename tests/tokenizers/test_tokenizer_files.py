"""Reading any tokenizer.json: roles, settings that must not act, damage, and special tokens in user text."""

import json
import random
import threading
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors

from wenlu.errors import DataError, ResourceError, WeightsError
from wenlu.tokenizers import Tokenizer
from wenlu.tokenizers.files import Roles
from wenlu.tokenizers.tokenizer import parts_of


def unigram(pieces: dict[str, float], special: list[str]) -> tokenizers.Tokenizer:
    """As T5's: special tokens are pieces with the best score of all."""
    inner = tokenizers.Tokenizer(models.Unigram([("<unk>", 0.0), *pieces.items()], unk_id=0))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.add_special_tokens(special)
    return inner


LETTERS = dict.fromkeys("▁abs/<>e", -5.0)
T5 = unigram({"</s>": 0.0, "<pad>": 0.0, **LETTERS}, ["</s>", "<pad>", "<unk>"])


@pytest.fixture
def saved(bpe: Tokenizer, tmp_path: Path) -> Path:
    bpe.save(tmp_path)
    return tmp_path


def test_special_pieces_of_the_model_itself_are_not_reached_by_text() -> None:
    T5.encode_special_tokens = True
    assert 1 in T5.encode("a</s>").ids, "the library itself reaches them"
    tokenizer = Tokenizer(T5, Roles(eos="</s>", pad="<pad>", unk="<unk>"))
    ids = tokenizer.encode("a</s>b<pad></s></s>")
    assert {1, 2}.isdisjoint(ids)
    assert [tokenizer.token(i) for i in ids[:6]] == ["▁", "a", "<", "▁", "/", "s"]
    many = tokenizer.encode("</s>" * 3000)
    assert {1, 2}.isdisjoint(many)
    assert len(many) >= 4 * 3000


def test_a_special_token_of_one_character_cannot_be_encoded_as_text() -> None:
    inner = unigram({"¶": 0.0, **LETTERS}, ["¶"])
    tokenizer = Tokenizer(inner, Roles(eos="¶"))
    with pytest.raises(DataError, match=r"'¶' as a special token \(id 1\) and in no other way, so text with it"):
        tokenizer.encode("ab ¶ ab")


def test_text_is_never_cut_off_padded_or_given_begin_and_end(bpe: Tokenizer) -> None:
    inner = tokenizers.Tokenizer.from_str(bpe._inner.to_str())
    inner.enable_truncation(3)
    inner.enable_padding(length=64)
    inner.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    ids = bpe.encode("The miller kept three cats")
    assert len(ids) > 3
    assert Tokenizer(inner, bpe.roles).encode("The miller kept three cats") == ids


def test_dropout_is_off(bpe: Tokenizer) -> None:
    document = json.loads(bpe._inner.to_str())
    document["model"]["dropout"] = 0.9
    random_one = Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(document)), bpe.roles)
    assert all(random_one.encode("The miller") == bpe.encode("The miller") for _ in range(5))


def test_roles_come_from_the_files_beside_the_vocabulary(saved: Path) -> None:
    (saved / "special_tokens_map.json").write_text(
        '{"bos_token": "a", "eos_token": {"content": "b"}, "unk_token": "c"}'
    )
    (saved / "tokenizer_config.json").write_text('{"eos_token": "d", "pad_token": null}')
    tokenizer = Tokenizer.load(saved)
    names = [tokenizer.token(i) for i in (tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id) if i is not None]
    assert names == ["a", "d", "c"]
    assert tokenizer.pad_id is None
    assert set(tokenizer.special_tokens) == {"<|endoftext|>", "<|pad|>", "a", "c", "d"}


def test_cls_and_sep_stand_in_for_begin_and_end(saved: Path) -> None:
    (saved / "special_tokens_map.json").unlink()
    (saved / "tokenizer_config.json").write_text('{"cls_token": "a", "sep_token": "b"}')
    tokenizer = Tokenizer.load(saved)
    assert [tokenizer.token(i) for i in (tokenizer.bos_id, tokenizer.eos_id) if i is not None] == ["a", "b"]


def test_without_these_files_the_usual_names_are_taken(saved: Path) -> None:
    tokenizer = Tokenizer.load(saved / "tokenizer.json")
    (saved / "special_tokens_map.json").unlink()
    (saved / "tokenizer_config.json").unlink()
    assert Tokenizer.load(saved).roles == tokenizer.roles == Roles("<|endoftext|>", "<|endoftext|>", "<|pad|>", None)


def test_an_end_without_a_begin_serves_as_both() -> None:
    tokenizer = Tokenizer(T5, Roles(eos="</s>"))
    assert tokenizer.bos_id == tokenizer.eos_id == 1


def test_a_role_that_the_vocabulary_lacks_is_refused(saved: Path) -> None:
    (saved / "tokenizer_config.json").write_text('{"eos_token": "<|missing|>"}')
    with pytest.raises(WeightsError, match=r"special token '<\|missing\|>' is not in the vocabulary of tokenizer.json"):
        Tokenizer.load(saved)


def test_saving_keeps_chat_template_and_other_settings(saved: Path, tmp_path: Path) -> None:
    config = json.loads((saved / "tokenizer_config.json").read_text())
    (saved / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": 512, "chat_template": "x"}))
    (saved / "chat_template.jinja").write_text("{{ messages }}")
    Tokenizer.load(saved).save(tmp_path / "copy")
    assert (tmp_path / "copy" / "chat_template.jinja").read_text() == "{{ messages }}"
    copy = json.loads((tmp_path / "copy" / "tokenizer_config.json").read_text())
    assert (copy["model_max_length"], copy["chat_template"]) == (512, "x")


def test_the_fingerprint_changes_with_vocabulary_and_roles(bpe: Tokenizer) -> None:
    inner = tokenizers.Tokenizer.from_str(bpe._inner.to_str())
    assert Tokenizer(inner, bpe.roles).fingerprint == bpe.fingerprint
    assert Tokenizer(inner, Roles(eos="<|pad|>")).fingerprint != bpe.fingerprint
    inner.add_tokens(["new"])
    assert Tokenizer(inner, bpe.roles).fingerprint != bpe.fingerprint


MODEL: dict[str, Any] = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not valid JSON"),
        ('{"model":', "not valid JSON"),
        ("[]", "a JSON object is expected, not list"),
        ("{}", "Model missing"),
        ('{"model": {}}', "not a tokenizer that can be read"),
        ('{"model": {"type": "BPE", "vocab": 3, "merges": []}}', "not a tokenizer that can be read"),
        (
            json.dumps({"model": MODEL | {"vocab": {"a": 0, "b": 1}}}),
            r"merge 'a' \+ 'b': 'ab' is not in the vocabulary",
        ),
        (json.dumps({"model": MODEL | {"merges": [["a"]]}}), "not a tokenizer that can be read"),
        (json.dumps({"model": MODEL | {"vocab": {}, "merges": []}}), "its vocabulary is empty"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(WeightsError, match=message) as error:
        Tokenizer.load(tmp_path)
    assert str(error.value).startswith(str(tmp_path / "tokenizer.json"))


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no such file; a tokenizer is a tokenizer\.json, or a folder that has one"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\x80\x02model")
    with pytest.raises(WeightsError, match=r"not UTF-8 text \(byte 0\)"):
        Tokenizer.load(tmp_path)


def test_random_damage_is_an_error_of_ours_or_no_damage(saved: Path) -> None:
    whole = (saved / "tokenizer.json").read_text()
    compact = json.dumps(json.loads(whole), ensure_ascii=False)
    draw = random.Random(0)
    refused = 0
    for _ in range(150):
        start = draw.randrange(len(compact))
        damaged = (
            compact[:start] + draw.choice(["", "null", "7", '"', "{", "x"]) + compact[start + draw.randrange(1, 9) :]
        )
        (saved / "tokenizer.json").write_text(damaged)
        try:
            Tokenizer.load(saved).encode("The miller kept three cats")
        except WeightsError:
            refused += 1
    assert refused > 50


def test_a_folder_without_permission_cannot_be_saved_to(bpe: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot write the tokenizer: Not a directory"):
        bpe.save(tmp_path / "file" / "inside")


def test_a_long_text_is_cut_between_words_and_encoded_as_if_whole(bpe: Tokenizer) -> None:
    text = "The wheel of the mill turned, 磨坊主养了三只猫.\n    return wheel " * 5000
    parts = list(parts_of(text))
    assert len(parts) > 1
    assert "".join(parts) == text
    assert max(map(len, parts)) <= 1 << 18
    assert bpe.encode(text) == bpe._inner.encode(text, add_special_tokens=False).ids


def test_a_long_text_without_spaces_comes_back_whole(bpe: Tokenizer) -> None:
    text = "猫" * 600_000
    assert bpe.decode(bpe.encode(text)) == text


def test_threads_share_a_tokenizer(bpe: Tokenizer) -> None:
    expected = bpe.encode("The miller kept three cats. " * 50)
    results: list[list[int]] = []
    work = [
        threading.Thread(target=lambda: results.append(bpe.encode("The miller kept three cats. " * 50)))
        for _ in range(4)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert results == [expected] * 4
