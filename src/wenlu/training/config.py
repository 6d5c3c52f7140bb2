"""How long, on what and how carefully to train."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from wenlu.config import Config, Duration, DurationField

Dtype = Literal["auto", "bfloat16", "float32", "float64"]


class TrainConfig(Config):
    """The section `[train]`.

    A duration in minutes becomes a number of steps once, after a probe on this machine, and is written so
    to the run; from then on the run reproduces.
    """

    duration: DurationField = Duration(2000, "steps")
    budget: DurationField | None = None
    """A time, as "10 minutes", that training may take at most: where `duration` would take longer on this machine, it
    is shortened to as many steps as fit, and so is the course of the learning rate."""
    context: PositiveInt = 256
    """Tokens that a row holds."""
    global_batch_tokens: PositiveInt = 4096
    """Tokens of one optimizer step, over all micro-batches and processes."""
    batch_size: PositiveInt | None = None
    """Examples of one optimizer step, in place of `global_batch_tokens`, for tasks whose rows are examples."""
    micro_batch_tokens: PositiveInt | Literal["auto"] = "auto"
    """Tokens of one forward pass; with `batch_size` at most so many, but one example at least. "auto" takes the whole
    batch, at most 16,384 and what fits into memory by an estimate. Where memory runs out all the same, it is halved;
    the batch of a step stays as it is."""
    activation_checkpointing: bool = False
    """Keep only what enters a layer of a Transformer and compute its inside again for the gradients: less memory, for
    about a third more time (Chen et al. 2016, arXiv:1604.06174). The gradients are the same."""
    max_damaged_fraction: Annotated[float, Field(ge=0.0, le=1.0)] = 0.001
    """Of the rows of encoded text: so many may be damaged and are passed over; with more the run stops."""
    separate_documents: bool = True
    """Attention stays inside a document of a packed row."""
    clip_norm: PositiveFloat | None = 1.0
    spike_factor: Annotated[float, Field(gt=1.0)] | None = None
    """Skip a step whose gradient's norm is over so many times the median of the last 100 (at least 20). Not set,
    `clip_norm` alone bounds what it can do: where a model has learnt all its examples but one, that one is no fault."""
    on_divergence: Literal["stop", "roll-back"] = "stop"
    """After 5 skipped steps among 100, or a weight that is not a number: stop with advice; or go back to the newest
    good checkpoint before them, and on from there at half the rate."""
    roll_backs: PositiveInt = 3
    """How often a run goes back before it stops after all."""
    ema: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Keep a moving average of the weights, to validate, to sample from and to save in their place; 0.999 averages
    over about the last thousand steps. Costs one number a weight."""
    frozen: tuple[str, ...] = ()
    """Parts of the model that stay as they are, by their names: `embed_tokens`, `layers.0`, or `body` for all but a
    task's head."""
    keep_best: bool = False
    """Keep the weights of the best validation and save them at the end, in place of the last ones."""
    patience: PositiveInt | None = None
    """Stop when so many validations in a row bring nothing better; needs `keep_best`."""
    dtype: Dtype = "auto"
    """Of weights and activations; "auto" takes bfloat16 where the processor multiplies it fast. The optimizer
    keeps float32 copies of bfloat16 weights."""
    device: str = "auto"
    threads: PositiveInt | Literal["auto"] = "auto"
    start: Literal["random", "bigrams", "vectors"] = "random"
    """Where the weights begin: drawn; with an embedding and a head that know which token follows which; or with an
    embedding that knows words from `vectors`."""
    vectors: str | None = None
    """Word vectors to start from: a run, a folder, or a .vec or .txt file."""
    zero_outputs: bool = True
    """Start the projections into the residual stream, and a drawn head, at zero."""
    validations: NonNegativeInt = 10
    """How often to measure the loss on the validation part (of a causal model its bits per byte), and to sample."""
    validation_tokens: PositiveInt = 65_536
    checkpoints: NonNegativeInt = 4
    """How often to save; the last one is at the end."""
    keep_checkpoints: PositiveInt = 2
    stall_seconds: PositiveFloat | None = 1800.0
    """When no step has ended for so long, the stacks of all threads go to stacks.txt in the run."""
    profile_steps: NonNegativeInt = 0
    """Of so many steps, after a short warm-up, write a trace and the ten largest costs into `profile/`."""
    allocator: Literal["auto", "as-is"] = "auto"
    """"auto" restarts the command once with glibc tunables that keep freed memory in huge pages, and where there is a
    C++ compiler takes large tensors from a pool that gives nothing back."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.budget is not None and self.budget.unit != "seconds":
            raise ValueError(f"budget = '{self.budget}' is no time; write '10 minutes', or put it into duration")
        if self.budget is not None and self.duration.unit == "seconds":
            raise ValueError("duration is a time already; leave out budget, or give duration in epochs or steps")
        if self.batch_size is None and self.global_batch_tokens % self.context:
            raise ValueError(
                f"global_batch_tokens ({self.global_batch_tokens}) is not a multiple of context ({self.context})"
            )
        if self.micro_batch_tokens != "auto" and self.batch_size is None:
            for name, tokens, part in (
                ("global_batch_tokens", self.global_batch_tokens, ("micro_batch_tokens", self.micro_batch_tokens)),
                ("micro_batch_tokens", self.micro_batch_tokens, ("context", self.context)),
            ):
                if tokens % part[1]:
                    raise ValueError(f"{name} ({tokens}) is not a multiple of {part[0]} ({part[1]})")
        if (self.start == "vectors") != (self.vectors is not None):
            raise ValueError('start="vectors" and vectors="PATH" belong together; set both or neither')
        if self.patience is not None and not self.keep_best:
            raise ValueError("patience waits for better weights; set keep_best = true, so that the best are kept")
        if self.keep_best and not self.validations:
            raise ValueError("keep_best compares validations, and validations = 0; set how many")
        if self.start == "bigrams" and not self.zero_outputs:
            raise ValueError('start="bigrams" needs zero_outputs=true: other weights would blur the counts')
        return self

    @property
    def rows_per_step(self) -> int:
        if self.batch_size is not None:
            return self.batch_size
        return self.global_batch_tokens // self.context

    @property
    def rows_per_forward(self) -> int:
        rows = self.rows_per_step
        limit = max(1, (16_384 if self.micro_batch_tokens == "auto" else self.micro_batch_tokens) // self.context)
        return next(n for n in range(min(rows, limit), 0, -1) if rows % n == 0)
