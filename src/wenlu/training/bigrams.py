"""Begin where counting ends: an embedding and a head that already know which token follows which.

With the projections into the residual stream at zero, an untrained Transformer is a function of the last token
alone: logits(y | x) = w_y · norm(e_x). Any such function of rank D is free to choose, so we take the best one: a
factorisation of the smoothed log-ratio log p(y | x) / p(y), as word vectors are one of the pointwise mutual
information (Levy & Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization"). Gradient descent
then begins at the loss of a bigram model instead of spending its first steps on counting.

Two of the D dimensions are kept for this: one that makes all embeddings equally long, so that the norm changes
nothing, and one that is the same for all, which carries log p(y). A random rotation then spreads all of them.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from wenlu.corpus.shards import TokenData
from wenlu.errors import UsageError
from wenlu.models import Family, LanguageModel
from wenlu.models.layers.decoder import GroupedDecoderConfig

MAX_VOCABULARY = 16_384
SMOOTHING = 20.0
CHUNK = 1 << 22


def check_bigram_start(family: Family, model: LanguageModel) -> None:
    """Raise UsageError where the untrained model is no function of embedding and head alone."""
    embedding, head = model.get_parameter("embed_tokens.weight"), model.get_parameter("lm_head.weight")
    begins_at_the_embedding = isinstance(model.config, GroupedDecoderConfig)
    if not begins_at_the_embedding or type(model.lm_head) is not nn.Linear:
        raise UsageError(f'train.start="bigrams": the untrained {family.name} is not linear; use train.start="random"')
    if embedding is head:
        raise UsageError('train.start="bigrams" needs an untied head; set model.tie_word_embeddings=false')
    if len(embedding) > MAX_VOCABULARY:
        raise UsageError(
            f'train.start="bigrams" counts all pairs of tokens, and {len(embedding):,} are too many (at most '
            f'{MAX_VOCABULARY:,}); use train.start="random"'
        )


@torch.no_grad()
def start_from_bigrams(model: LanguageModel, data: TokenData) -> None:
    """Set `embed_tokens` and `lm_head` of `model`, in place, from the pairs of tokens in `data`."""
    embedding, head = model.get_parameter("embed_tokens.weight"), model.get_parameter("lm_head.weight")
    vocabulary, width = embedding.shape
    precision = torch.promote_types(embedding.dtype, torch.float32)
    pairs = torch.from_numpy(count_pairs(data, vocabulary)).to(precision)  # (V, V)
    unigram = (pairs.sum(0) + 1) / (pairs.sum() + vocabulary)
    vectors, weights = _factor(pairs, unigram, rank=width - 2)
    lengths = vectors.norm(dim=1)
    longest = lengths.max().clamp(min=1e-6)
    slack = (longest**2 - lengths**2).clamp(min=0).sqrt()
    same = longest.expand(vocabulary)
    vectors = torch.cat((vectors, slack[:, None], same[:, None]), dim=1)  # each of length √2 · longest
    weights = torch.cat((weights, weights.new_zeros(vocabulary, 1), (unigram.log() / longest)[:, None]), dim=1)
    scale = math.sqrt(2 / width) * longest  # the norm divides by it
    rotation = torch.linalg.qr(torch.randn(width, width, dtype=precision))[0]
    embedding.copy_(vectors / scale @ rotation)
    head.copy_(weights * scale @ rotation)


def count_pairs(data: TokenData, vocabulary: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """(V, V): how often the second token follows the first inside a document."""
    counts = np.zeros(vocabulary * vocabulary, np.int64)
    for start in range(0, data.num_tokens - 1, CHUNK):
        tokens = data.tokens(start, min(start + CHUNK + 1, data.num_tokens)).astype(np.int64)
        codes, times = np.unique(tokens[:-1] * vocabulary + tokens[1:], return_counts=True)
        counts[codes] += times
    pairs = counts.reshape(vocabulary, vocabulary)
    pairs[data.eos_id, data.bos_id] = 0  # from one document to the next
    return pairs


def _factor(pairs: Tensor, unigram: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Vectors (V, rank) and weights (V, rank) whose products approach the log-ratio, frequent pairs best."""
    totals = pairs.sum(1, keepdim=True)
    ratio = ((pairs + SMOOTHING * unigram) / (totals + SMOOTHING) / unigram).log_()
    rows = ((totals + 1) / (totals + 1).mean()).sqrt()
    columns = (unigram / unigram.mean()).sqrt()
    u, s, v = torch.svd_lowrank(ratio * rows * columns, q=min(rank, len(pairs)), niter=2)
    vectors, weights = u * s.sqrt() / rows, v * s.sqrt() / columns[:, None]
    missing = (0, rank - vectors.shape[1])
    return torch.nn.functional.pad(vectors, missing), torch.nn.functional.pad(weights, missing)
