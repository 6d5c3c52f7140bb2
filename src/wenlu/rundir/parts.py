"""Which part of a tensor a process holds."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A block of a whole tensor.

    Attributes:
        whole: the shape of the tensor. offset, shape: where the block begins in it, and how large it is.
    """

    whole: tuple[int, ...]
    offset: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def slices(self) -> tuple[slice, ...]:
        """The block in the whole tensor."""
        return tuple(slice(begin, begin + size) for begin, size in zip(self.offset, self.shape, strict=True))

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def common(self, other: Part) -> Part | None:
        """What two blocks of one tensor share; None where that is nothing."""
        begin = tuple(max(a, b) for a, b in zip(self.offset, other.offset, strict=True))
        end = tuple(
            min(a + n, b + m) for a, n, b, m in zip(self.offset, self.shape, other.offset, other.shape, strict=True)
        )
        shape = tuple(stop - start for start, stop in zip(begin, end, strict=True))
        return Part(self.whole, begin, shape) if all(size > 0 for size in shape) else None

    def inside(self, other: Part) -> tuple[slice, ...]:
        """This block in the coordinates of `other`, which holds it."""
        return tuple(
            slice(begin - start, begin - start + size)
            for begin, start, size in zip(self.offset, other.offset, self.shape, strict=True)
        )


def whole(shape: tuple[int, ...]) -> Part:
    """All of a tensor."""
    return Part(shape, (0,) * len(shape), shape)
