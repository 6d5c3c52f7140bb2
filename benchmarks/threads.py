"""Training speed when another program takes a processor: threads that spin against threads that sleep.

    python benchmarks/threads.py

Each figure comes from a process of its own, the policies in turn, with and without a busy loop beside them. Between
always spinning and always sleeping, OpenMP can spin a while first: so many rounds, then sleep.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys

ROUNDS = 3
POLICIES = {
    "spin": {"OMP_WAIT_POLICY": "active"},
    "sleep": {"OMP_WAIT_POLICY": "passive"},
    **{f"spin {count:,}": {"GOMP_SPINCOUNT": str(count)} for count in (1_000, 10_000, 100_000)},
}
STEPS = """
import sys, time, torch
from wenlu.models import family
from wenlu.kernels.cross_entropy import linear_cross_entropy

torch.manual_seed(0)
llama = family("llama")
sizes = {"hidden_size": 320, "intermediate_size": 864, "num_hidden_layers": 3, "num_attention_heads": 5}
model = llama.build(llama.config(vocab_size=4096, **sizes), dtype=torch.bfloat16)
ids = torch.randint(4096, (8, 257))
durations = []
for _ in range(7):
    begin = time.perf_counter()
    hidden = model.hidden(ids[:, :-1])
    head = model.get_parameter("lm_head.weight")
    linear_cross_entropy(hidden.flatten(0, 1), head, ids[:, 1:].flatten()).backward()
    model.zero_grad()
    durations.append(time.perf_counter() - begin)
print(8 * 256 / sorted(durations[2:])[2])
"""


def tokens_per_second(policy: str) -> float:
    environment = {**os.environ, **POLICIES[policy]}
    result = subprocess.run([sys.executable, "-c", STEPS], env=environment, capture_output=True, text=True, check=True)
    return float(result.stdout)


def main() -> None:
    found: dict[str, float] = {}
    for beside in ("idle", "busy"):
        loop = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if beside == "busy" else None
        try:
            rounds = [{policy: tokens_per_second(policy) for policy in POLICIES} for _ in range(ROUNDS)]
        finally:
            if loop is not None:
                loop.kill()
                loop.wait()
        for policy in POLICIES:
            found[f"{beside} {policy}"] = round(statistics.median(each[policy] for each in rounds))
    print(json.dumps({"unit": f"tokens/s, median of {ROUNDS}", **found}))


if __name__ == "__main__":
    main()
