"""A smaller vocabulary: the model answers the same of what is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.compression.conftest import NewBundle, logits
from tests.tasks.tiny import CHINESE, ENGLISH

from wenlu.bundle import load
from wenlu.compression.calibration import Calibration
from wenlu.compression.rtn import RtnConfig, round_to_nearest
from wenlu.compression.vocabulary import VocabularyConfig, narrow_vocabulary, old_ids
from wenlu.errors import UsageError
from wenlu.lifecycle.model_folder import write_bundle

CONFIG = VocabularyConfig()
FEW = Calibration(("the cat sat on the mat.",), tokens=32)


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("name", ["llama", "gpt2", "lstm"])
def test_what_is_left_is_answered_as_before(name: str, is_tied: bool, new_bundle: NewBundle) -> None:
    bundle = new_bundle(name, tie_word_embeddings=is_tied)
    made = narrow_vocabulary(bundle, CONFIG, FEW).bundle
    old = old_ids(bundle.tokenizer, made.tokenizer)
    assert made.model.config.vocab_size == made.tokenizer.vocab_size == len(old) < bundle.tokenizer.vocab_size
    text = FEW.texts[0]
    assert old[torch.tensor(made.tokenizer.encode(text))].tolist() == bundle.tokenizer.encode(text)
    torch.testing.assert_close(logits(made, text), logits(bundle, text)[..., old])


def test_all_training_texts_count_not_only_the_drawn(new_bundle: NewBundle) -> None:
    made = narrow_vocabulary(new_bundle(), CONFIG, replace(FEW, whole=[*ENGLISH, *CHINESE])).bundle
    assert made.tokenizer.vocab_size > narrow_vocabulary(new_bundle(), CONFIG, FEW).bundle.tokenizer.vocab_size


def test_a_folder_keeps_the_ends_by_their_new_numbers(new_bundle: NewBundle, tmp_path: Path) -> None:
    bundle = new_bundle()
    end = bundle.tokenizer.encode("z")[0]
    bundle = replace(bundle, generation={"eos_token_id": [bundle.tokenizer.eos_id, end], "suppress_tokens": [end, 299]})
    made = narrow_vocabulary(bundle, CONFIG, FEW).bundle
    write_bundle(tmp_path, made, name="small", run=None, language="en")
    again = load(tmp_path)
    assert again.end_ids == {again.tokenizer.eos_id, again.tokenizer.encode("z")[0]}
    torch.testing.assert_close(logits(again), logits(made))


def test_what_counts_on_its_tokens_is_refused(new_bundle: NewBundle) -> None:
    with pytest.raises(UsageError, match="T5 has more than one table of tokens"):
        narrow_vocabulary(new_bundle("t5"), CONFIG, FEW)
    with pytest.raises(UsageError, match="SmolVLM knows tokens by their numbers"):
        narrow_vocabulary(new_bundle("smolvlm"), CONFIG, FEW)
    quantised = new_bundle()
    round_to_nearest(quantised, RtnConfig())
    with pytest.raises(UsageError, match=r"vocabulary goes first, as in vocabulary\+rtn-int8"):
        narrow_vocabulary(quantised, CONFIG, FEW)
