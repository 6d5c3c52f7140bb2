"""A linear-chain conditional random field over labels: a score for each pair of neighbours and for both ends.

Lafferty, McCallum & Pereira 2001; over a network's scores, Lample et al. 2016 (arXiv:1603.01360).
B rows of at most T places, L labels. Row b has `lengths[b]` places, at least one; what stands behind them is never
read. All is computed in float32, or float64 where something is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wenlu.errors import DataError


@dataclass(frozen=True)
class _Chains:
    """Scores of all paths of labels through B rows, in one type.

    Attributes:
        emissions: (B, T, L), 0 behind a row.
        real: (B, T) bool, the places of each row.
        transitions: (L, L) from the row's label to the column's. start, end: (L,).
    """

    emissions: Tensor
    real: Tensor
    lengths: Tensor
    transitions: Tensor
    start: Tensor
    end: Tensor

    @classmethod
    def of(cls, emissions: Tensor, lengths: Tensor, transitions: Tensor, start: Tensor, end: Tensor) -> _Chains:
        assert emissions.ndim == 3, f"emissions are (B, T, L), not {tuple(emissions.shape)}"
        assert emissions.size(2) == len(start), f"{emissions.size(2)} emissions a place for {len(start)} labels"
        assert bool((lengths >= 1).all() and (lengths <= emissions.size(1)).all()), f"lengths {lengths.tolist()}"
        wide = torch.promote_types(torch.promote_types(emissions.dtype, transitions.dtype), torch.float32)
        real = torch.arange(emissions.size(1), device=emissions.device) < lengths[:, None]
        emissions = emissions.to(wide).masked_fill(~real[..., None], 0.0)  # padding may hold what is not a number
        return cls(emissions, real, lengths, transitions.to(wide), start.to(wide), end.to(wide))

    def without(self, allowed: Tensor | None) -> _Chains:
        """Paths of finite scores, and -inf for those with what is not `allowed`, (L + 2, L + 2)."""
        limit = torch.finfo(self.emissions.dtype).max / (4 * (self.emissions.size(1) + 2))
        parts = (self.emissions, self.transitions, self.start, self.end)
        emissions, transitions, start, end = (x.nan_to_num(nan=-limit).clamp(-limit, limit) for x in parts)
        if allowed is not None:
            assert allowed.shape == (len(start) + 2,) * 2, f"a mask {tuple(allowed.shape)} for {len(start)} labels"
            never = ~allowed.to(start.device)
            transitions = transitions.masked_fill(never[:-2, :-2], float("-inf"))
            start = start.masked_fill(never[-2, :-2], float("-inf"))
            end = end.masked_fill(never[:-2, -1], float("-inf"))
        return replace(self, emissions=emissions, transitions=transitions, start=start, end=end)

    def forward(self) -> list[Tensor]:
        """T times (B, L): log of the sum over all paths up to the place that are there at the label."""
        alphas = [self.start + self.emissions[:, 0]]
        for t in range(1, self.emissions.size(1)):
            steps = (alphas[-1][:, :, None] + self.transitions).logsumexp(1) + self.emissions[
                :, t
            ]  # (B, L, L) to (B, L)
            alphas.append(torch.where(self.real[:, t, None], steps, alphas[-1]))
        return alphas

    def backward(self) -> list[Tensor]:
        """T times (B, L): log of the sum over all paths from behind the place on, from the label at it."""
        betas = [self.end.expand(len(self.lengths), -1)]
        for t in range(self.emissions.size(1) - 1, 0, -1):
            steps = (self.transitions + (self.emissions[:, t] + betas[-1])[:, None]).logsumexp(2)
            betas.append(torch.where(self.real[:, t, None], steps, betas[-1]))
        return betas[::-1]

    def best(self) -> list[list[int]]:
        """The path of the highest score of each row (Viterbi); raises DataError where every path has -inf."""
        best = self.start + self.emissions[:, 0]
        itself = torch.arange(len(self.start), device=best.device).expand_as(best)
        origins = []
        for t in range(1, self.emissions.size(1)):
            steps, origin = (best[:, :, None] + self.transitions).max(1)
            real = self.real[:, t, None]
            best = torch.where(real, steps + self.emissions[:, t], best)
            origins.append(torch.where(real, origin, itself))
        score, label = (best + self.end).max(1)
        if not bool(score.isfinite().all()):
            length = self.lengths[~score.isfinite()][0].item()
            raise DataError(
                f"no path of {length} labels is allowed; a label is missing, perhaps that of a single token"
            )
        path = [label]
        for origin in reversed(origins):
            path.append(origin.gather(1, path[-1][:, None])[:, 0])
        rows: list[list[int]] = torch.stack(path[::-1], 1).tolist()
        return [row[:length] for row, length in zip(rows, self.lengths.tolist(), strict=True)]


class CRF(nn.Module):
    """The probability of a row of labels, given scores (emissions) of each label at each place.

    At first all neighbours are alike: what it says is the softmax at each place.
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(num_labels, num_labels))
        self.start = nn.Parameter(torch.zeros(num_labels))
        self.end = nn.Parameter(torch.zeros(num_labels))

    def log_partition(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """(B,): log of the summed exponentials of the scores of all paths.

        Args:
            emissions: (B, T, L). lengths: (B,).
        """
        chains = self._chains(emissions, lengths)
        return (chains.forward()[-1] + chains.end).logsumexp(1)

    def score(self, emissions: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """(B,): the summed score of the path `labels`, (B, T), of which those behind a row may be any number."""
        chains = self._chains(emissions, lengths)
        labels = labels.masked_fill(~chains.real, 0)
        places = chains.emissions.gather(2, labels[..., None])[..., 0].sum(1)
        steps = chains.transitions[labels[:, :-1], labels[:, 1:]] * chains.real[:, 1:]  # (B, T - 1)
        last = labels.gather(1, lengths[:, None] - 1)[:, 0]
        return chains.start[labels[:, 0]] + places + steps.sum(1) + chains.end[last]

    def negative_log_likelihood(self, emissions: Tensor, labels: Tensor, lengths: Tensor) -> Tensor:
        """The sum over all rows, in nats."""
        return (self.log_partition(emissions, lengths) - self.score(emissions, labels, lengths)).sum()

    @torch.no_grad()
    def decode(self, emissions: Tensor, lengths: Tensor, allowed: Tensor | None = None) -> list[list[int]]:
        """The likeliest labels of each row.

        Args:
            allowed: (L + 2, L + 2) bool: the label of the column may follow that of the row; row L is the start,
                column L + 1 the end. No other label is ever given, whatever the weights.

        Raises DataError where no path is allowed.
        """
        return self._chains(emissions, lengths).without(allowed).best()

    @torch.no_grad()
    def marginals(self, emissions: Tensor, lengths: Tensor, allowed: Tensor | None = None) -> Tensor:
        """(B, T, L): how probable each label is at each place, among the paths that are `allowed`; 0 behind a row.

        Raises DataError where no path is allowed.
        """
        return _marginals(self._chains(emissions, lengths).without(allowed))

    def _chains(self, emissions: Tensor, lengths: Tensor) -> _Chains:
        return _Chains.of(emissions, lengths, self.transitions, self.start, self.end)


@torch.no_grad()
def constrained_path(logits: Tensor, lengths: Tensor, allowed: Tensor) -> list[list[int]]:
    """The likeliest labels of each row of which each place is judged by itself, no step other than `allowed`.

    For taggers without a CRF: the sum of log-probabilities at the places, and Viterbi's search. Arguments as of
    `CRF.decode`; logits (B, T, L). Raises DataError where no path is allowed.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    nothing = logits.new_zeros(logits.size(2), dtype=wide)
    log_probabilities = F.log_softmax(logits.to(wide), dim=-1)
    step = nothing.expand(len(nothing), -1)
    return _Chains.of(log_probabilities, lengths, step, nothing, nothing).without(allowed).best()


def _marginals(chains: _Chains) -> Tensor:
    joint = torch.stack(chains.forward(), 1) + torch.stack(chains.backward(), 1)  # (B, T, L)
    total = joint.logsumexp(2, keepdim=True)
    if not bool(total.isfinite().all()):
        raise DataError("no path of labels is allowed; a label is missing, perhaps that of a single token")
    return (joint - total).exp() * chains.real[..., None]
