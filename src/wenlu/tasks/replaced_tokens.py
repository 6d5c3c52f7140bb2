"""Tell which tokens a small generator has replaced (ELECTRA: Clark et al. 2020, arXiv:2003.10555)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from wenlu.corpus.packing import Windows
from wenlu.corpus.shards import TokenData
from wenlu.models import Ability, DecodeState, Family, LanguageModel
from wenlu.models.layers.encoder import Encoder, MaskedHead
from wenlu.models.weights import load_model, save_model
from wenlu.tasks.corruption.masking import Masking, MaskingConfig, hidden_rows
from wenlu.tasks.corruption.vocabulary import Vocabulary
from wenlu.tasks.objective import Guesses, Objective, asked_tokens, token_guesses
from wenlu.tasks.task import IGNORED, Batch, Draw, TaskConfig
from wenlu.tokenizers import Tokenizer

FOLDER = "generator"
_LABELS = {"0": "original", "1": "replaced"}


class ReplacedTokensConfig(MaskingConfig, TaskConfig):
    """Which tokens are replaced, by what generator, and what detecting them weighs.

    Attributes:
        detection_weight: of the mean over all tokens beside the mean over hidden ones.
        generator_size: its layers and the width of its feed-forward, as a share of the discriminator's. Its hidden
            size is the same, so that both share their embeddings.
    """

    suits: ClassVar[str] = "families that read both sides and label tokens"
    name: Literal["replaced-tokens"] = "replaced-tokens"
    mask_share: float = Field(default=1.0, ge=0, le=1)
    random_share: float = Field(default=0.0, ge=0, le=1)
    detection_weight: PositiveFloat = 50.0
    generator_size: float = Field(default=0.25, gt=0, le=1)

    def accepts(self, family: Family) -> bool:
        return Ability.MASKED in family.abilities and "token-classification" in family.heads

    @property
    def special_tokens(self) -> tuple[str, ...]:
        return (self.mask_token,)

    @property
    def model_settings(self) -> Mapping[str, Any]:
        return {"head": "token-classification", "id2label": _LABELS}


class GeneratorAndDiscriminator(LanguageModel):
    """Two encoders that are trained together and share their embeddings; its call is the discriminator's."""

    def __init__(self, generator: LanguageModel, discriminator: LanguageModel) -> None:
        super().__init__()
        self.config = discriminator.config
        self.discriminator = discriminator
        self.generator = generator
        self.lm_head = nn.Identity()
        for name, module in discriminator.named_children():
            if isinstance(module, nn.Embedding):
                setattr(generator, name, module)
        assert isinstance(generator.lm_head, MaskedHead), "a generator fills in hidden tokens"
        generator.lm_head.decoder.weight = generator.get_parameter("embed_tokens.weight")

    def hidden(
        self,
        input_ids: Tensor | None,
        *,
        decoder_input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        token_types: Tensor | None = None,
        state: DecodeState | None = None,
    ) -> Tensor:
        out: Tensor = self.discriminator(
            input_ids,
            decoder_input_ids=decoder_input_ids,
            attention_mask=attention_mask,
            positions=positions,
            segments=segments,
            token_types=token_types,
            state=state,
        )
        return out


class ReplacedTokens(Objective):
    """A generator fills in hidden tokens by chance; the discriminator says of each token whether it is another now.

    The discriminator is the model; the generator is kept beside it, for without it there is nothing to detect.
    """

    name = "replaced-tokens"
    settings = ReplacedTokensConfig
    target = "masked token"
    ability = "tells which tokens were replaced"
    parts = ("masked-lm", "detection")
    headline = "detection"
    config: ReplacedTokensConfig

    def __init__(self, config: ReplacedTokensConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.masking = Masking(config, Vocabulary(tokenizer), self.name)
        self.generator: LanguageModel | None = None

    def weights(self) -> dict[str, float]:
        """With `rate` of the tokens hidden, the sum over hidden ones divides into mean + weight · mean over all."""
        return {"detection": self.config.detection_weight * self.config.rate}

    def num_classes(self, part: str) -> int:
        return 2 if part == "detection" else super().num_classes(part)

    def rows(self, data: TokenData, context: int) -> Windows:
        return Windows(data, context)

    def batch(self, draw: Draw) -> Batch:
        """As of a masked language model, with a random number for each token that the generator will draw."""
        batch = hidden_rows(draw, self.masking)
        length = batch.input_ids.size(1)
        # After the numbers that hid the row, so that the two do not depend on each other.
        chances = [rng.spawn(1)[0].random(length) for rng in draw.generators()]
        return replace(batch, chances=torch.stack([torch.from_numpy(row) for row in chances]))

    def guesses(self, model: LanguageModel, batch: Batch) -> dict[str, Guesses]:
        generator, discriminator = self._both(model)
        assert batch.chances is not None, "a batch of replaced tokens has random numbers"
        asked, mask = batch.targets != IGNORED, batch.attention_mask
        hidden = generator.hidden(batch.input_ids, attention_mask=mask, segments=batch.segments)
        found = token_guesses(generator, hidden, batch.targets)
        with torch.no_grad():
            drawn = draw_tokens(generator.lm_head(hidden[asked]), batch.chances[asked])
        ids, labels = replaced(batch, drawn)
        logits = discriminator(ids, attention_mask=mask, segments=batch.segments)  # (B, T, 2)
        real = torch.ones_like(asked) if mask is None else mask.bool()
        detected = Guesses.of(logits[real], labels[real], real.nonzero()[:, 0])
        return {"masked-lm": found, "detection": detected}

    def answers(self, batch: Batch) -> dict[str, Tensor]:
        """Of the detection as if the generator were always wrong."""
        real = torch.ones_like(batch.targets) if batch.attention_mask is None else batch.attention_mask
        return {"masked-lm": asked_tokens(batch), "detection": (batch.targets != IGNORED)[real.bool()].long()}

    def trained(self, model: LanguageModel) -> GeneratorAndDiscriminator:
        assert isinstance(model, Encoder), f"{type(model).__name__} does not read both sides"
        config, share = model.config, self.config.generator_size
        layers = max(1, round(share * config.num_hidden_layers))
        settings = config.model_dump()
        if "layer_types" in settings:  # one a layer
            settings["layer_types"] = settings["layer_types"][:layers]
        width = max(1, round(share * config.intermediate_size))
        settings |= {"head": "masked-lm", "num_hidden_layers": layers, "intermediate_size": width}
        generator = type(model)(type(config).model_validate(settings)).to(next(model.parameters()).dtype)
        return GeneratorAndDiscriminator(generator, model)

    def kept(self, trained: LanguageModel) -> LanguageModel:
        return self._both(trained)[1]

    def save(self, folder: Path, trained: LanguageModel, family: Family) -> None:
        super().save(folder, trained, family)
        (folder / FOLDER).mkdir(exist_ok=True)
        save_model(folder / FOLDER, self._both(trained)[0], family)

    def restored(self, folder: Path) -> Self:
        _, self.generator = load_model(folder / FOLDER)
        return self

    def _both(self, model: LanguageModel) -> tuple[LanguageModel, LanguageModel]:
        if isinstance(model, GeneratorAndDiscriminator):
            return model.generator, model.discriminator
        assert self.generator is not None, "a discriminator is loaded with its generator"
        return self.generator.to(next(model.parameters()).device), model


def draw_tokens(logits: Tensor, chances: Tensor) -> Tensor:
    """(N,) tokens by their probabilities, (N, V) logits, each where a number of `chances` (N,) from 0 to 1 falls."""
    steps = torch.softmax(logits.double(), dim=-1).cumsum(dim=-1)
    found = torch.searchsorted(steps, chances[:, None].to(steps)).squeeze(1)
    return found.clamp(max=logits.size(-1) - 1)


def replaced(batch: Batch, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """The row with `drawn` tokens in place of hidden ones, and 1 where that is another token than before; (B, T)."""
    asked = batch.targets != IGNORED
    original = torch.where(asked, batch.targets, batch.input_ids)
    ids = original.masked_scatter(asked, drawn)
    return ids, (ids != original).long()
