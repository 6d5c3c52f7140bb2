"""The memory of decoders with keys and values: pages of one pool, shared by what begins alike."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from wenlu.errors import ResourceError, UsageError
from wenlu.generation.caches import CacheType, Packing
from wenlu.generation.memory import Reading
from wenlu.generation.native_runner import NativeRunner, packing_of
from wenlu.generation.prefix import PrefixCache, digests
from wenlu.generation.runner import Runner, TorchRunner
from wenlu.generation.seat import Part, Seat
from wenlu.generation.seen import SeenRows
from wenlu.generation.stats import PageStats
from wenlu.kernels.decoder import PAGE
from wenlu.models import LanguageModel
from wenlu.models.layers.decoder import Decoder
from wenlu.models.layers.kv_cache import KVCache
from wenlu.models.layers.paged_cache import PagePool, PageShape

SHARE = 4
"""Unless a budget is given, at most the fourth part of the machine's memory is for pages."""


def has_pages(model: LanguageModel) -> bool:
    """Whether all that the model remembers are keys and values of tokens that it need not read again."""
    return isinstance(model, Decoder) and model.cache_type is KVCache


def pool_for(
    model: LanguageModel,
    *,
    max_batch: int,
    memory: int | Literal["auto"] = "auto",
    cache: CacheType = "plain",
    page_size: int = 32,
) -> PagePool:
    """The pages of an engine.

    Args:
        memory: bytes that they take at most; "auto": `max_batch` whole contexts, but no more than `SHARE` says.

    Raises:
        UsageError: the budget holds no page. ResourceError: the system does not give so much.
    """
    assert isinstance(model, Decoder), "asked of models that has_pages is true of"
    weight = model.embed_tokens.weight
    shape = page_shape(model, cache, page_size)
    if memory == "auto":
        most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // SHARE
        wanted = max_batch * shape.pages(model.config.max_position_embeddings)
        num_pages = max(1, min(wanted, most // shape.nbytes))
    else:
        num_pages = memory // shape.nbytes
    if num_pages < 1:
        raise UsageError(
            f"memory={memory} bytes hold no page of {page_size} tokens, which takes {shape.nbytes}; give at least that"
        )
    try:
        return PagePool(shape, num_pages, weight.device)
    except RuntimeError as error:
        raise ResourceError(
            f"the system gives no {num_pages * shape.nbytes:,} bytes for keys and values; set memory lower"
        ) from error


def page_shape(model: Decoder, cache: CacheType = "plain", page_size: int = 32) -> PageShape:
    """What a page of a model's keys and values holds."""
    dtype = model.embed_tokens.weight.dtype
    num_heads, head_dim = model.config.key_heads()
    return PageShape(
        num_layers=model.config.num_hidden_layers,
        num_kv_heads=num_heads,
        head_dim=head_dim,
        dtype=dtype,
        kept_as={"plain": dtype, "bfloat16": torch.bfloat16, "int8": torch.int8}[cache],
        page_size=page_size,
    )


class PagedMemory:
    """Pages of a pool, by way of runners over it.

    Args:
        runners: of the model by itself (None), and of each adapter by name.
        unit: tokens; a multiple of those of a page.
        window: how many tokens a query sees in any layer; None: in some layer all before it.
        keeps_prefixes: whether units that were read stay for other prompts that begin so.
    """

    def __init__(
        self,
        runners: Mapping[str | None, Runner],
        *,
        unit: int,
        window: int | None = None,
        keeps_prefixes: bool = True,
    ) -> None:
        self.pool = runners[None].pool
        self.unit = unit
        self.prefixes = PrefixCache(self.pool)
        self._runners = runners
        self._window = window
        self._keeps_prefixes = keeps_prefixes
        size = self.pool.shape.page_size
        if unit < 1 or unit % size:
            raise UsageError(f"unit={unit}: prompts are read in whole pages of {size} tokens; give a multiple")
        assert all(runner.pool is self.pool for runner in runners.values()), "all runners share the pool"

    def check(self, tokens: int) -> None:
        needed, has = self.pool.shape.pages(tokens), self.pool.num_pages
        if needed > has:
            size = self.pool.shape.nbytes
            raise UsageError(
                f"prompt and answer may take {tokens:,} tokens, for which {needed * size:,} bytes are needed, and the "
                f"budget holds {has * size:,}; raise memory, shorten the prompt, set max_new_tokens lower, or "
                'keep less of each token: cache="int8"'
            )

    def begin(self, seat: Seat) -> None:
        if not self._keeps_prefixes:
            return
        if seat.digests is None:
            seat.digests = digests(seat.prompt, self.unit, adapter=seat.adapter, salt=seat.salt)
        at_most = min(len(seat.prompt), seat.known - 1) // self.unit  # one token is left to read, for its logits
        found = self.prefixes.find(seat.digests[:at_most])
        seat.pages = [page for pages in found for page in pages]
        seat.read = len(found) * self.unit

    def reserve(self, seat: Seat, end: int, *, spare: int = 0) -> bool:
        self._drop_unseen(seat)
        place = seat.read // self.pool.shape.page_size
        written = seat.pages[place] if place < len(seat.pages) else None
        shared = written if written is not None and self.pool.owners(written) > 1 else None
        new = max(0, self.pool.shape.pages(end) - len(seat.pages))
        if not self._make_free(new + (shared is not None) + spare):
            return False
        if shared is not None:
            seat.pages[place] = self.pool.copied(shared)
        seat.pages += self.pool.take(new)
        return True

    def trim(self, seat: Seat) -> None:
        needed = self.pool.shape.pages(seat.read)
        self.pool.release(_held(seat.pages[needed:]))
        del seat.pages[needed:]

    def free(self, seat: Seat) -> None:
        self.pool.release(_held(seat.pages))
        seat.pages = []
        seat.read = 0

    def read(self, parts: Sequence[Part]) -> list[Reading]:
        found = []
        for adapter, runner in self._runners.items():
            own = [part for part in parts if part.seat.adapter == adapter]
            if own:
                found.append(self._read(own, runner))
        return found

    def stats(self) -> PageStats:
        pool, cached = self.pool, self.prefixes.idle
        taken = pool.num_pages - pool.free
        return PageStats(
            used=taken - cached,
            cached=cached,
            free=pool.free,
            nbytes=taken * pool.shape.nbytes,
            budget=pool.num_pages * pool.shape.nbytes,
        )

    def _read(self, parts: list[Part], runner: Runner) -> Reading:
        rows = [(number, place) for number, part in enumerate(parts) for place in range(part.seat.read, part.stop)]
        wanted = [index for index, (number, place) in enumerate(rows) if place >= _first_wanted(parts[number].seat)]
        logits = runner.forward(
            self._tensor([parts[number].token(place) for number, place in rows], torch.int64),
            self._tensor([place for _, place in rows], torch.int32),
            self._tensor([number for number, _ in rows], torch.int32),
            self._tables(parts),
            self._tensor(wanted, torch.int32),
            SeenRows.among(rows, [part.seat.seen for part in parts]),
        )
        seats: list[Seat] = []
        chosen: list[int] = []
        count = 0
        for part in parts:
            seat = part.seat
            count += max(0, part.stop - max(seat.read, _first_wanted(seat)))
            self._keep_units(part)
            seat.read = part.end
            if part.completes:
                behind = len(part.guesses)
                together = [seat] * (behind + 1) + seat.followers
                seats += together
                chosen += [*range(count - 1 - behind, count), *[count - 1] * len(seat.followers)]
                self._share(seat)
        if chosen != [*range(len(logits))]:
            logits = logits[self._tensor(chosen, torch.int64)]
        return Reading(seats, logits)

    def _tables(self, parts: list[Part]) -> Tensor:
        """(B, M) pages; where there are none to be seen stands any of the text's own."""
        most = max(len(part.seat.pages) for part in parts)
        rows = []
        for part in parts:
            pages = part.seat.pages
            any_page = _held(pages)[-1]
            filled = [any_page if page is None else page for page in pages]
            rows.append([*filled, *[any_page] * (most - len(pages))])
        return self._tensor(rows, torch.int32)

    def _share(self, seat: Seat) -> None:
        for follower in seat.followers:
            self.pool.retain(_held(seat.pages))
            follower.pages, follower.read, follower.leader = list(seat.pages), seat.read, None
            follower.found = seat.found
        seat.followers = []

    def _keep_units(self, part: Part) -> None:
        """Keep those that the part ends, for others."""
        digests = part.seat.digests or ()
        before, now = part.seat.read // self.unit, min(part.end // self.unit, len(digests))
        if before < now:
            size = self.unit // self.pool.shape.page_size
            units = [part.seat.pages[size * i : size * (i + 1)] for i in range(before, now)]
            self.prefixes.add(digests[:now], [tuple(_held(pages)) for pages in units])

    def _drop_unseen(self, seat: Seat) -> None:
        """Release the pages of tokens that stand before every window."""
        if self._window is None:
            return
        unseen = max(0, seat.read + 1 - self._window) // self.pool.shape.page_size
        self.pool.release(_held(seat.pages[:unseen]))
        seat.pages[:unseen] = [None] * unseen

    def _make_free(self, count: int) -> bool:
        if self.pool.free < count <= self.pool.free + self.prefixes.idle:
            self.prefixes.shrink(count)
        return self.pool.free >= count

    def _tensor(self, values: Sequence[int] | Sequence[Sequence[int]], dtype: torch.dtype) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=self.pool.keys.device)


def paged_memory(
    models: Mapping[str | None, LanguageModel],
    *,
    max_batch: int,
    memory: int | Literal["auto"] = "auto",
    cache: CacheType = "plain",
    invariant: bool = True,
    page_size: int = 32,
    unit: int = 128,
    keeps_prefixes: bool = True,
    drops_unseen: bool = True,
    weights: Packing = "auto",
) -> PagedMemory:
    """The memory of a model by itself (None), and with adapters by name, over a new pool; see `Engine` for the rest.

    Args:
        drops_unseen: pages before every window are given back; not for texts of which tokens are taken back.
    """
    model = models[None]
    packing = packing_of(model, weights)
    if packing in ("int8", "int4") and cache == "plain":
        cache = "bfloat16"  # finer keys and values than weights would only take longer
    pool = pool_for(model, max_batch=max_batch, memory=memory, cache=cache, page_size=page_size)
    runners: dict[str | None, Runner] = {
        name: TorchRunner(each, pool, unit=unit if invariant else None) for name, each in models.items()
    }
    if packing is not None and page_size == PAGE:
        runners[None] = NativeRunner(model, pool, packing)
    window = window_of(model) if drops_unseen else None
    return PagedMemory(runners, unit=unit, window=window, keeps_prefixes=keeps_prefixes)


def window_of(model: LanguageModel) -> int | None:
    """How many tokens a query sees in any layer; None: in some layer all before it."""
    assert isinstance(model, Decoder), "asked of models that has_pages is true of"
    windows = [view.window for view in model.views]
    return None if None in windows else max(window for window in windows if window is not None)


def _held(pages: Sequence[int | None]) -> list[int]:
    return [page for page in pages if page is not None]


def _first_wanted(seat: Seat) -> int:
    """The first place of prompt and answer whose logits are asked for: the last one of a prompt, all of an answer.

    An answer that is read again is so read as it was written, token by token, if the runner makes a difference.
    """
    return min(len(seat.prompt), seat.known - 1)
