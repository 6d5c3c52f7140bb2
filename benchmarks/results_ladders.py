"""The ladders on the page of `results.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from results_data import ResultSet

HEAD = """## Ladders: is it worth it?

Made by `make proof-ladders SET=NAME`: `wenlu compare` trains cheap models and the recipe's own on one split within its
budget. p is of approximate randomisation against the best, corrected for the number of pairs (Holm); ≈: not
distinguishable from it; ●: nothing else is as good, as fast and as small."""


def ladders(sets: Mapping[str, ResultSet], found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The parts of the page; none where no ladder was climbed."""
    return [HEAD, *(_section(sets[ladder["set"]], ladder) for ladder in found)] if found else []


def _section(chosen: ResultSet, ladder: Mapping[str, Any]) -> str:
    words = " ".join(f"'{word}'" for word in chosen.ladder_overrides)
    command = f"wenlu compare recipes/{chosen.recipe}.toml {words}".rstrip()
    lines = [
        f"### {ladder['set']}: {chosen.title}",
        f"**{ladder['verdict']}**",
        f"```sh\n{command}\n```",
        f"| rung | {ladder['headline']} | interval | p | training | ms/text | MB |\n|---|---|---|---|---|---|---|",
    ]
    against = {pair["a"]: pair for pair in ladder["pairs"]}
    lines[-1] += "".join(f"\n{_rung(rung, against.get(rung['name']))}" for rung in ladder["rungs"])
    lines += [f"Left out: {each['name']}: {each['reason']}" for each in ladder["left_out"]]
    lines += (
        ["; ".join(_ablated(each, ladder["headline"]) for each in ladder["ablation"])] if ladder["ablation"] else []
    )
    lines.append(
        f"{ladder['n']:,} {ladder['split']} examples, {ladder['seconds'] / 60:.1f} minutes in all, "
        f"{ladder['peak_bytes'] / 2**30:.1f} GiB; {ladder['date']}, {ladder['commit']}, {ladder['machine']}."
    )
    return "\n\n".join(lines)


def _rung(rung: Mapping[str, Any], pair: Mapping[str, Any] | None) -> str:
    head = rung["metrics"][0]
    value = "–" if head["value"] is None else f"{head['value']:.4f}"
    interval = "" if head["low"] is None else f"{head['low']:.3f} to {head['high']:.3f}"
    alike = "≈ " if pair is not None and pair["verdict"] == "not distinguishable" else ""
    p_value = "best" if rung["is_best"] else "" if pair is None else f"{alike}{pair['corrected']:.4f}"
    cells = [f"{'● ' if rung['on_front'] else ''}{rung['name']}: {rung['what']}", value, interval, p_value]
    cells += [f"{rung['seconds']:.1f} s", f"{rung['milliseconds_per_text']:.2f}", f"{rung['megabytes']:.2f}"]
    return f"| {' | '.join(cells)} |"


def _ablated(each: Mapping[str, Any], headline: str) -> str:
    return (
        f"{each['model']} without {each['left_out']}: {headline} {each['value']:.4f}, they bring "
        f"{each['difference']:+.4f} (p = {each['p_value']:.4f})"
    )
