"""Who guesses, as the setting `speculate` says."""

from __future__ import annotations

from functools import lru_cache

from wenlu.bundle import Bundle, load
from wenlu.errors import UsageError, WenluError
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.speculation.draft_model import DraftModel, first_layers
from wenlu.generation.speculation.drafter import Drafter
from wenlu.generation.speculation.prompt_lookup import PromptLookup


def drafter_of(bundle: Bundle, sampling: SamplingConfig, *, max_batch: int, invariant: bool) -> Drafter | None:
    """A drafter for one engine; None where nothing is guessed.

    Raises:
        UsageError: a draft model with another tokenizer, or as `DraftModel` and `first_layers` do. Others as `load`,
            with the setting's name.
    """
    if sampling.speculate == "off":
        return None
    if sampling.speculate == "lookup":
        return PromptLookup()
    if sampling.early_exit is not None:
        model = first_layers(bundle.model, sampling.early_exit)
    else:
        try:
            draft = _loaded(sampling.speculate)
        except WenluError as error:
            raise type(error)(
                f'speculate={sampling.speculate!r}: {error}; give a model, or "lookup", "layers:N" or "off"'
            ) from error
        if draft.tokenizer.fingerprint != bundle.tokenizer.fingerprint:
            raise UsageError(
                f"speculate={sampling.speculate!r}: this model has another tokenizer than {bundle.path}, so its tokens "
                'mean other texts; take a smaller one of the same family, "lookup" or "layers:N"'
            )
        model = draft.model
    return DraftModel(model, max_batch=max_batch, invariant=invariant, weights=sampling.weights)


@lru_cache(maxsize=1)
def _loaded(name: str) -> Bundle:
    """Once for all answers of a process."""
    bundle = load(name)
    bundle.require_causal()
    return bundle
