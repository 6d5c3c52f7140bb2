"""Tokens/s in training beside Hugging Face's Trainer and a compiled loop: `make bench-train [QUICK=1]`.

Each side is a process of its own that sleeps while another is measured; ours and one of the others take turns, and a
ratio is the median over the turns of a pair. The full form writes `benchmarks/training.md`; both print one JSON object
as their last line. "As shipped" has this shell's allocator, "same" the tunables and the pool of memory that Wenlu
trains with.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.page import write_page
from peers.side import Side, summary
from peers.text import prepare
from peers.turns import SHAPES

HERE = Path(__file__).parent
WARM_UP = {"tiny": 2, "small": 5, "124M": 2}


@dataclass(frozen=True)
class Plan:
    """How long to measure: turns of each pair, and the steps of a turn by shape."""

    turns: int
    steps: dict[str, int]
    pairs: tuple[tuple[str, str], ...]


PEERS = (("trainer", "as shipped"), ("trainer", "same"), ("compiled_loop", "as shipped"), ("compiled_loop", "same"))
FULL = Plan(turns=5, steps={"small": 8, "124M": 2}, pairs=PEERS)
QUICK = Plan(
    turns=3,
    steps={"small": 5, "124M": 1},
    pairs=(("trainer", "as shipped"), ("compiled_loop", "as shipped"), ("compiled_loop", "same")),
)


class Trained(Side):
    """A side with the speeds of its turns."""

    def __init__(self, program: str, allocator: str, shape: str, text: Path) -> None:
        super().__init__(program, allocator, ["--shape", shape, "--tokens", str(text)])
        self.tokens = SHAPES[shape].tokens
        self.speeds: list[float] = []
        self.seconds_of(WARM_UP[shape])

    def turn(self, steps: int) -> float:
        """Tokens/s over so many steps."""
        speed = self.tokens * steps / self.seconds_of(steps)
        self.speeds.append(speed)
        return speed


def measure(shape: str, plan: Plan, text: Path) -> dict[str, Any]:
    """Ours against each peer in turn; ratios above 1 are ours ahead."""
    ours = Trained("ours", "same", shape, text)
    found: dict[str, Any] = {}
    for program, allocator in plan.pairs:
        peer = Trained(program, allocator, shape, text)
        ratios = []
        for number in range(plan.turns):
            first, second = (ours, peer) if number % 2 else (peer, ours)
            speeds = {side: side.turn(plan.steps[shape]) for side in (first, second)}
            ratios.append(speeds[ours] / speeds[peer])
        name = f"{program}, {allocator}"
        print(f"{shape}: {name}: {statistics.median(ratios):.2f} ×", file=sys.stderr, flush=True)
        found[name] = {
            "tokens_per_second": summary(peer.speeds),
            "peak_bytes": peer.peak_bytes,
            "ours_over_it": summary(ratios),
            "our_memory_over_its": ours.peak_bytes / peer.peak_bytes,
        }
        peer.close()
    ours.close()
    found["ours"] = {"tokens_per_second": summary(ours.speeds), "peak_bytes": ours.peak_bytes}
    found["ours"]["mfu"] = found["ours"]["tokens_per_second"]["median"] * SHAPES[shape].flops_per_token / 2.5e12
    return found


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """What the goals are stated in, as one flat table."""
    flat: dict[str, float] = {}
    for shape, sides in found.items():
        for name, side in sides.items():
            key = f"{shape}/{name.replace(', ', '/').replace(' ', '-')}"
            if name == "ours":
                flat[f"{key}/tokens_per_second"] = round(side["tokens_per_second"]["median"])
                flat[f"{key}/mfu"] = round(side["mfu"], 3)
            else:
                flat[f"{key}/speed"] = round(side["ours_over_it"]["median"], 3)
                flat[f"{key}/memory"] = round(side["our_memory_over_its"], 3)
        shipped = {name: sides[f"{name}, as shipped"] for name in ("trainer", "compiled_loop")}
        loop, trainer = (shipped[name]["tokens_per_second"]["median"] for name in ("compiled_loop", "trainer"))
        flat[f"{shape}/compiled_loop-over-trainer/as-shipped"] = round(loop / trainer, 3)
    return flat


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="within six minutes, and no page is written")
    parser.add_argument("--shape", choices=("small", "124M"), action="append", help="only this one")
    given = parser.parse_args()
    plan = QUICK if given.quick else FULL
    text = prepare() / "train"
    found = {shape: measure(shape, plan, text) for shape in given.shape or plan.steps}
    if not given.quick and not given.shape:
        write_page(HERE / "training.md", found, plan.turns, plan.steps)
    print(json.dumps(ratios(found)))


if __name__ == "__main__":
    main()
