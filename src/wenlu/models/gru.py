"""A language model of gated recurrent units.

Cho et al. 2014, arXiv:1406.1078.
"""

from __future__ import annotations

from torch import Tensor, nn

from wenlu.models.family import Ability, Family
from wenlu.models.layers.recurrent import Memory, RecurrentConfig, RecurrentLanguageModel
from wenlu.models.weights.rules import Tie


class GRUConfig(RecurrentConfig):
    """Settings shared by the recurrent families."""


class GRU(RecurrentLanguageModel):
    def make_layers(self, config: GRUConfig, *, dropout: float) -> nn.GRU:
        return nn.GRU(
            config.embedding_size,
            config.hidden_size,
            config.num_hidden_layers,
            dropout=dropout,
            batch_first=True,
        )

    def run(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        out, hidden = self.layers(x, *memory)
        return out, (hidden,)


FAMILY = Family(
    name="gru",
    hf_types=(),
    reference="torch.nn.GRU",
    abilities=frozenset({Ability.CAUSAL, Ability.RECURRENT}),
    config=GRUConfig,
    model=GRU,
    proportions={"hidden_size": 256},
    rules=(Tie("lm_head.weight", "embed_tokens.weight", when="tie_word_embeddings"),),
)
