"""Count a model's parameters before it exists, and choose a width for a number of them."""

from __future__ import annotations

from wenlu.errors import ConfigError
from wenlu.models.family import Family, ModelConfig


def count_parameters(family: Family, config: ModelConfig) -> int:
    """Numbers to be learned, tied ones once; nothing is allocated."""
    return sum(parameter.numel() for parameter in family.outline(config).parameters())


def scaled(family: Family, config: ModelConfig, parameters: int) -> ModelConfig:
    """`config` at the width whose number of parameters is nearest to `parameters`; depth and vocabulary stay.

    Raises ConfigError where even the narrowest model has more than twice as many.
    """
    below, above = 0, 1  # at `below` too few parameters, at `above` enough
    while count_parameters(family, config.at_width(above)) < parameters:
        below, above = above, 2 * above
    while above - below > 1:
        middle = (below + above) // 2
        if count_parameters(family, config.at_width(middle)) < parameters:
            below = middle
        else:
            above = middle
    near = [config.at_width(step) for step in (below, above) if step > 0]
    best = min(near, key=lambda each: abs(count_parameters(family, each) - parameters))
    if below == 0 and (least := count_parameters(family, best)) > 2 * parameters:
        raise ConfigError(
            f"model.parameters {parameters}: the narrowest {family.name} of this depth and vocabulary has {least}; "
            f"raise it, or lower vocab_size or num_hidden_layers"
        )
    return best
