"""WordPiece, as BERT cuts text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.normalizers import Normalizer

from wenlu.tokenizers.config import TokenizerConfig
from wenlu.tokenizers.kinds.kind import Kind, frequent_characters, mark_special, normalizer, too_large

_INSIDE = "##"
_COVERAGE = 0.9999  # of all characters; words with rarer ones are unknown


def train(config: TokenizerConfig, texts: Iterable[str]) -> Tokenizer:
    """Merge pieces of words; `##` marks a piece that does not begin its word (Schuster & Nakajima 2012;
    Devlin et al. 2019, arXiv:1810.04805). Each Chinese character is a word; whitespace is not kept."""
    assert config.vocab_size != "auto", "the settings refuse it"
    normal = _normalizer(config)
    cut = pre_tokenizers.BertPreTokenizer()
    words: dict[str, int] = {}
    for text in texts:
        for word, _ in cut.pre_tokenize_str(normal.normalize_str(text)):
            words[word] = words.get(word, 0) + 1
    vocabulary = _vocabulary(config, words)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=config.unk_token))
    tokenizer.normalizer = normal
    tokenizer.pre_tokenizer = cut
    tokenizer.decoder = decoders.WordPiece(_INSIDE, cleanup=False)
    return mark_special(tokenizer, config.special_tokens)


def _vocabulary(config: TokenizerConfig, words: dict[str, int]) -> dict[str, int]:
    """Token to id. The trainer numbers `##x` in the order of a hash table, so it is told them beforehand."""
    assert config.vocab_size != "auto"
    alphabet = _alphabet(words, room=config.vocab_size - len(config.special_tokens))
    known = set(alphabet)
    words = {word: count for word, count in words.items() if all(piece in known for piece in _spelt(word))}
    learner = Tokenizer(models.WordPiece(unk_token=config.unk_token))
    trainer = trainers.WordPieceTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=[*config.special_tokens, *alphabet],
        continuing_subword_prefix=_INSIDE,
        show_progress=False,
    )
    learner.train_from_iterator(_repeated(words), trainer)
    reached = learner.get_vocab_size()
    if reached < config.vocab_size:
        too_large(config, reached)
    return learner.get_vocab()


def _alphabet(words: dict[str, int], *, room: int) -> list[str]:
    """Single characters as they begin a word and as they stand inside, the most frequent ones that `room` takes."""
    inside = {character for word in words for character in word[1:]}
    alphabet: list[str] = []
    for character in frequent_characters(words, coverage=_COVERAGE):
        forms = [character, _INSIDE + character] if character in inside else [character]
        if len(alphabet) + len(forms) > room:
            break
        alphabet += forms
    return alphabet


def _spelt(word: str) -> list[str]:
    return [word[0], *(_INSIDE + character for character in word[1:])]


def _repeated(words: dict[str, int]) -> Iterator[list[str]]:
    for word, count in words.items():
        yield [word] * count


def _normalizer(config: TokenizerConfig) -> Normalizer:
    chosen = normalizer(config)
    bert = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False)
    return bert if chosen is None else normalizers.Sequence([chosen, bert])


KIND = Kind("wordpiece", "WordPiece", train, exact=False)
