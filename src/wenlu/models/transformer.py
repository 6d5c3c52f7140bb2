"""The Transformer as it was first written: sinusoidal positions, each part normalised after its addition.

Vaswani et al. 2017, arXiv:1706.03762.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from wenlu.models.family import Ability, Family, Size
from wenlu.models.layers.mlp import Activation
from wenlu.models.layers.post_norm_encoder_decoder import PostNormEncoderDecoder, PostNormEncoderDecoderConfig
from wenlu.models.layers.sinusoids import interleaved_sinusoids
from wenlu.models.weights.rules import Tie


class TransformerConfig(PostNormEncoderDecoderConfig):
    """Settings under the names of Hugging Face's `LlamaConfig`; the defaults are the paper's.

    Source and target share one vocabulary and embedding, and the head too if tied.
    """

    intermediate_size: Size = Field(default_factory=lambda known: 4 * known["hidden_size"])
    decoder_intermediate_size: Size = Field(default_factory=lambda known: known["intermediate_size"])
    num_hidden_layers: int = Field(default=6, ge=1, le=1000)
    num_decoder_layers: int = Field(default_factory=lambda known: known["num_hidden_layers"], ge=1, le=1000)
    num_attention_heads: Size = 8
    hidden_size: Size = 512
    hidden_act: Activation = "relu"
    scale_embedding: bool = True
    initializer_range: float = Field(default=0.02, ge=0, le=1)


class Transformer(PostNormEncoderDecoder):
    config: TransformerConfig

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config, head_bias=False)

    def source_positions(self, positions: Tensor) -> Tensor:
        return interleaved_sinusoids(positions, self.config.hidden_size, self.embed_tokens.weight.dtype)

    target_positions = source_positions


FAMILY = Family(
    name="transformer",
    hf_types=(),
    reference="torch.nn.Transformer",
    abilities=frozenset({Ability.ENCODER_DECODER}),
    config=TransformerConfig,
    model=Transformer,
    proportions={"hidden_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4},
    rules=(Tie("lm_head.weight", "embed_tokens.weight", when="tie_word_embeddings"),),
)
