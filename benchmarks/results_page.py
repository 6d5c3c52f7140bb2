"""The page of `results.py`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from results_data import ResultSet
from results_explanations import explanations
from results_ladders import ladders

WANTED = 3
HEAD = """# Results on real data

Made by `make proof-results SET=NAME`; do not edit. Each set is trained from one recipe, scored on a part that training
never saw, beside a cheap baseline that learnt from the same training part. Intervals are 95 % bootstrap intervals over
held-out examples (clusters of near-duplicates stay together); the difference is paired. Minutes are of training alone
and, in brackets, of the whole command: reading, tokenizer, baseline and evaluation included. Pretrained weights may
have seen the texts that they are tried on.
"""


def page(
    sets: Mapping[str, ResultSet],
    found: Mapping[str, Sequence[Mapping[str, Any]]],
    climbed: Sequence[Mapping[str, Any]] = (),
    explained: Sequence[Mapping[str, Any]] = (),
) -> str:
    rows = ["| set | recipe | score | ours | baseline | difference | minutes | peak memory | seeds |"]
    rows.append("|---|---|---|---|---|---|---|---|---|")
    parts = [HEAD]
    for name, chosen in sets.items():
        runs = found.get(name, ())
        rows.append(
            _row(name, chosen, runs) if runs else f"| {name} | [{chosen.recipe}]({_path(chosen)}) | not run yet |||||||"
        )
    parts.append("\n".join(rows))
    parts += ladders(sets, climbed)
    parts += [_section(name, sets[name], runs) for name, runs in found.items() if runs]
    parts += explanations(explained)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _path(chosen: ResultSet) -> str:
    return f"../recipes/{chosen.recipe}.toml"


def _row(name: str, chosen: ResultSet, runs: Sequence[Mapping[str, Any]]) -> str:
    ours = [run["headline"]["value"] for run in runs]
    seeds = f"{len(runs)}" if len(runs) >= WANTED else f"{len(runs)} of {WANTED} seeds"
    training = statistics.mean(run["training"]["seconds"] for run in runs) / 60
    whole = statistics.mean(run["seconds"] for run in runs) / 60
    baseline = statistics.mean(run["baseline"]["value"] for run in runs) if runs[0]["baseline"] else None
    return (
        "| "
        + " | ".join(
            [
                f"[{name}](#{name})",
                f"[{chosen.recipe}]({_path(chosen)})",
                runs[0]["headline"]["name"],
                _mean(ours),
                "" if baseline is None else f"{baseline:.3f}",
                "; ".join(_difference(run) for run in runs),
                f"{training:.1f} ({whole:.1f})",
                f"{max(run['peak_bytes'] for run in runs) / 2**30:.1f} GiB",
                seeds,
            ]
        )
        + " |"
    )


def _mean(values: Sequence[float]) -> str:
    spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
    return f"**{statistics.mean(values):.3f}**{spread}"


def _difference(run: Mapping[str, Any]) -> str:
    it = run["difference"]
    if not it:
        return "none"
    return f"{it['value']:+.3f} ({it['low']:+.3f} to {it['high']:+.3f}): {it['verdict']}"


def _section(name: str, chosen: ResultSet, runs: Sequence[Mapping[str, Any]]) -> str:
    settings = " ".join(f"'{word}'" for word in runs[0]["overrides"])
    command = f"wenlu finetune recipes/{chosen.recipe}.toml {settings} --out runs/{name}".replace("  ", " ")
    lines = [
        f"## {name}",
        f"{chosen.title}. {chosen.note}",
        f"```sh\nmake proof-results SET={name}\n{command}\n```",
        "| seed | score | value | interval | n | conventions |\n|---|---|---|---|---|---|",
    ]
    lines[-1] += "".join(f"\n{_score(run['seed'], score)}" for run in runs for score in run["metrics"])
    lines += [_facts(run) for run in runs]
    lines += [part for run in runs for part in run["looks"]]
    return "\n\n".join(lines)


def _facts(run: Mapping[str, Any]) -> str:
    training = f"{run['training']['step']:,} steps, {run['training']['tokens']:,} tokens"
    busy = run["processor_seconds"] / run["seconds"]
    return f"Seed {run['seed']}: {training}, {busy:.1f} threads busy; {run['date']}, {run['commit']}, {run['machine']}."


def _score(seed: int, score: Mapping[str, Any]) -> str:
    interval = "" if score["low"] is None else f"{score['low']:.3f} to {score['high']:.3f}"
    signature = score["signature"].replace("|", "\\|")
    return f"| {seed} | {score['name']} | {score['value']:.4f} | {interval} | {score['n']:,} | `{signature}` |"
