"""A language model of simple recurrent layers.

Elman 1990, doi:10.1207/s15516709cog1402_1; Mikolov et al. 2010 (Interspeech).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from wenlu.models.family import Ability, Family
from wenlu.models.layers.recurrent import Memory, RecurrentConfig, RecurrentLanguageModel
from wenlu.models.weights.rules import Tie


class RNNConfig(RecurrentConfig):
    nonlinearity: Literal["tanh", "relu"] = "tanh"


class RNN(RecurrentLanguageModel):
    def make_layers(self, config: RNNConfig, *, dropout: float) -> nn.RNN:
        return nn.RNN(
            config.embedding_size,
            config.hidden_size,
            config.num_hidden_layers,
            nonlinearity=config.nonlinearity,
            dropout=dropout,
            batch_first=True,
        )

    def run(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        out, hidden = self.layers(x, *memory)
        return out, (hidden,)


FAMILY = Family(
    name="rnn",
    hf_types=(),
    reference="torch.nn.RNN",
    abilities=frozenset({Ability.CAUSAL, Ability.RECURRENT}),
    config=RNNConfig,
    model=RNN,
    proportions={"hidden_size": 256},
    rules=(Tie("lm_head.weight", "embed_tokens.weight", when="tie_word_embeddings"),),
)
