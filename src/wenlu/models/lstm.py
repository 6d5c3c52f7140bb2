"""A language model of long short-term memory layers.

Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735; the forget gate opens at the start with a bias
of 1 (Jozefowicz et al. 2015, ICML).
"""

from __future__ import annotations

from torch import Tensor, nn

from wenlu.models.family import Ability, Family
from wenlu.models.layers.recurrent import Memory, RecurrentConfig, RecurrentLanguageModel
from wenlu.models.weights.rules import Tie


class LSTMConfig(RecurrentConfig):
    """Settings shared by the recurrent families."""


class LSTM(RecurrentLanguageModel):
    num_memories = 2

    def make_layers(self, config: LSTMConfig, *, dropout: float) -> nn.LSTM:
        layers = nn.LSTM(
            config.embedding_size,
            config.hidden_size,
            config.num_hidden_layers,
            dropout=dropout,
            batch_first=True,
        )
        for index in range(config.num_hidden_layers):
            bias = layers.get_parameter(f"bias_ih_l{index}").detach()
            bias[config.hidden_size : 2 * config.hidden_size] = 1.0  # remember at first
        return layers

    def run(self, x: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        out, after = self.layers(x, memory)
        return out, after


FAMILY = Family(
    name="lstm",
    hf_types=(),
    reference="torch.nn.LSTM",
    abilities=frozenset({Ability.CAUSAL, Ability.RECURRENT}),
    config=LSTMConfig,
    model=LSTM,
    proportions={"hidden_size": 256},
    rules=(Tie("lm_head.weight", "embed_tokens.weight", when="tie_word_embeddings"),),
)
