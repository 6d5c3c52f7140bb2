"""Each recipe, at tiny size on fixed text, repeats its losses to the ninth digit.

In float64 on one thread, with AdamW (Muon rounds its updates to bfloat16, which processors do differently). A refactor
leaves `losses.json` as it is; a change of numerics renews it with

    WENLU_RENEW_GOLDEN=1 python -m pytest tests/golden

and says why in its commit.
"""

from __future__ import annotations

import json
import os
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tasks.labelled import LABELLED

from wenlu.bundle import Bundle
from wenlu.config import load
from wenlu.lifecycle import verbs
from wenlu.lifecycle.model_folder import write_bundle
from wenlu.lifecycle.recipe import Recipe
from wenlu.models import family
from wenlu.tokenizers import ROLE_TOKENS, TokenizerConfig, train_tokenizer
from wenlu.training import AdamWConfig

GOLDEN = Path(__file__).with_name("losses.json")
RENEW = os.environ.get("WENLU_RENEW_GOLDEN") == "1"
RECIPES = sorted(
    path.stem
    for path in Path("recipes").glob("*.toml")
    if not {"vectors", "compress", "chapters"} & tomllib.loads(path.read_text("utf-8")).keys()
)
"""Those of word vectors log no losses; tests/lifecycle/test_vectors_life.py runs them, test_compress.py here that of
compression, and tests/lifecycle/chapters those of a whole life."""
TINY = [
    'data.steps=["repair", "exact-dedup"]',
    "data.split_by=random",
    "data.validation=0.1",
    "data.test=0.1",
    "tokenizer.vocab_size=320",
    "train.duration=8 steps",
    "train.context=32",
    "train.global_batch_tokens=128",
    "train.dtype=float64",
    "train.threads=1",
    "train.allocator=as-is",
    "check=false",
    "train.validations=2",
    "train.validation_tokens=256",
]
SIZES = [
    "model.hidden_size=32",
    "model.intermediate_size=64",
    "model.num_hidden_layers=2",
    "model.num_attention_heads=2",
]
OWN = {
    "code": ["task.max_target_tokens=auto"],
    "extend": ["tokenizer={vocab_size = 320}"],
    "poems-zh": ["tokenizer.vocab_size=auto"],
    "pretrain-masked-zh": ["tokenizer.kind=char", "tokenizer.vocab_size=auto"],
    "pretrain-sentence-order-zh": ["tokenizer.kind=char", "tokenizer.vocab_size=auto"],
    "rewards": [
        'rollouts={reward = "pattern", pattern = ".*[aeiou].*", group = 4, max_new_tokens = 3}',
        "optimizer.lr=1e-2",
    ],
    "summarise": ["task.max_target_tokens=auto"],
}
"""What the fixed text needs besides: 38 different characters are no large vocabulary, and its rows are short."""
SIZES_OF_LABELLED = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
TRAIN_OF_LABELLED = {
    "duration": "8 steps",
    "context": 48,
    "batch_size": 8,
    "dtype": "float64",
    "threads": 1,
    "allocator": "as-is",
    "validations": 2,
}
CHARACTERS = "春眠不覺曉處聞啼鳥夜來風雨聲花落知多少床前明月光疑是地上霜舉頭望低思故鄉"


def texts(language: str) -> list[str]:
    """200 short texts, always the same: letters for English, characters for Chinese."""
    drawn = random.Random(20261122)
    words = [*CHARACTERS] if language == "zh" else ["".join(drawn.choices("abcdefghij", k=4)) for _ in range(60)]
    join = "" if language == "zh" else " "
    return [join.join(drawn.choices(words, k=30)) + "。\n" for _ in range(200)]


def adamw(recipe: str) -> str:
    """The recipe's optimizer section, with AdamW and what it uses of it."""
    section = tomllib.loads(Path(f"recipes/{recipe}.toml").read_text(encoding="utf-8")).get("optimizer", {})
    kept = {key: value for key, value in section.items() if key in AdamWConfig.model_fields}
    return (
        f"optimizer={{{', '.join(f'{key}={json.dumps(value)}' for key, value in {**kept, 'name': 'adamw'}.items())}}}"
    )


def overrides(recipe: str, folder: Path) -> list[str]:
    chinese = recipe.endswith("-zh")
    source = folder / "texts.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts("zh" if chinese else "en")))
    tiny = [*TINY, adamw(recipe)]
    if recipe == "architectures":
        return [*tiny, f"data.train={source}", "model.parameters=60000"]
    content = tomllib.loads(Path(f"recipes/{recipe}.toml").read_text(encoding="utf-8"))
    if "base" in content.get("model", {}):  # which is large; a tiny one from random weights takes its place
        tiny.append(f"model={table(family='llama')}")
    return [*tiny, *SIZES, f"data.train={source}", *OWN.get(recipe, ())]


def labelled_overrides(recipe: Recipe, folder: Path) -> list[str]:
    """The recipe's task, or each of several, on its eight examples, over and over, in a tiny model from random
    weights."""
    tasks = {f"members.{name}.": member.task.name for name, member in recipe.members.items()}
    tasks = tasks or {"": recipe.task.name}
    chosen = LABELLED[next(iter(tasks.values()))].family
    sizes = {key: value for key, value in SIZES_OF_LABELLED.items() if key in family(chosen).config.model_fields}
    own = []
    for prefix, task in tasks.items():
        source = folder / f"{prefix}examples.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in LABELLED[task].rows * 12))
        own.append(f"{prefix}data={table(train=str(source), steps=[], split_by='random', validation=0.1, test=0.1)}")
        own += [f"{prefix}task.{key}={json.dumps(value)}" for key, value in LABELLED[task].settings.items()]
    model = table(family=chosen, **sizes)
    if recipe.adapter is not None:  # which stands beside a base, as tiny, of the same texts
        model = table(base=write_base(folder / "base", chosen, sizes, texts("en")))
    return [
        adamw(recipe.name),
        f"model={model}",
        f"train={table(**TRAIN_OF_LABELLED)}",
        "tokenizer.kind=char",
        "tokenizer.vocab_size=auto",
        "check=false",
        *own,
        *OWN.get(recipe.name, ()),
    ]


def write_base(folder: Path, name: str, sizes: dict[str, Any], known: list[str]) -> str:
    tokenizer = train_tokenizer(
        TokenizerConfig(kind="char", vocab_size="auto", extra_special_tokens=ROLE_TOKENS), known
    )
    torch.manual_seed(0)
    row = family(name)
    model = row.build(row.config(vocab_size=tokenizer.vocab_size, **sizes))
    folder.mkdir()
    write_bundle(folder, Bundle(model, tokenizer, None, model.config, folder), name="base", run=None, language="en")
    return str(folder)


def taught(recipe: Recipe, folder: Path, settings: list[str]) -> str:
    """The recipe's section with a teacher that was trained on the same examples; both begin with random weights."""
    assert recipe.distill is not None
    verbs.pretrain(Path("recipes/spam.toml"), folder / "teacher", settings)
    section = recipe.distill.model_dump(exclude={"layers"})
    return f"distill={table(**{**section, 'teacher': str(folder / 'teacher')})}"


def table(**values: Any) -> str:
    return "{" + ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items()) + "}"


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_repeats_its_losses(recipe: str, tmp_path: Path) -> None:
    path = Path(f"recipes/{recipe}.toml")
    content = load(Recipe, path)
    settings = labelled_overrides(content, tmp_path) if content.has_examples else overrides(recipe, tmp_path)
    if recipe == "architectures":
        verbs.run(Path("recipes/architectures.toml"), tmp_path / "run", settings)
        found: Any = {run.name: losses(run) for run in sorted((tmp_path / "run/families").iterdir())}
    else:
        if content.distill is not None:
            settings = [*settings, taught(content, tmp_path, settings)]
        verbs.pretrain(path, tmp_path / "run", settings)
        found = losses(tmp_path / "run")
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if RENEW:
        GOLDEN.write_text(json.dumps({**golden, recipe: found}, indent=2, sort_keys=True) + "\n")
        pytest.skip("renewed")
    assert flat(found) == pytest.approx(flat(golden[recipe]), rel=1e-9)


def losses(run: Path) -> list[float]:
    lines = (json.loads(line) for line in (run / "events.jsonl").read_text().splitlines())
    return [line["value"] for line in lines if line["name"] in ("loss", "validation")]


def flat(value: Any) -> list[float]:
    return [number for key in sorted(value) for number in value[key]] if isinstance(value, dict) else value
