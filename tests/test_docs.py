"""What the guides show is what the program accepts."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
from tests.pages import blocks_of

from wenlu.cli.app import VERBS
from wenlu.config import check
from wenlu.lifecycle.chapters.settings import ChaptersConfig
from wenlu.lifecycle.compressing.settings import CompressConfig
from wenlu.lifecycle.recipe import Recipe
from wenlu.models import FAMILIES, IMAGE_FAMILIES, Family, ImageFamily
from wenlu.tasks import LABELLED_TASKS, LabelledConfig

GUIDES = [Path("docs/guide.md"), Path("docs/zh/guide.md")]
EXAMPLES = [Path("docs/examples.md"), Path("docs/zh/examples.md")]


@pytest.mark.parametrize("guide", [*GUIDES, *EXAMPLES], ids=str)
def test_every_recipe_in_a_guide_is_valid(guide: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        check(Recipe, tomllib.loads(block), where=str(guide))


@pytest.mark.parametrize("recipe", sorted(Path("recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid_and_says_how_to_run_it(recipe: Path) -> None:
    text = recipe.read_text(encoding="utf-8")
    content = tomllib.loads(text)
    if "compress" in content:
        assert check(CompressConfig, content, where=str(recipe)).name == recipe.stem
        assert re.search(rf"wenlu compress {recipe} model=.*--out runs/", text)
        return
    if "chapters" in content:
        whole = check(ChaptersConfig, content, where=str(recipe))
        whole.check(recipe)
        assert whole.name == recipe.stem
        assert re.search(rf"wenlu run {recipe} --out runs/", text)
        return
    found = check(Recipe, content, where=str(recipe))
    assert found.name == recipe.stem
    verb = "finetune" if isinstance(found.task, LabelledConfig) or found.model.base is not None else "run"
    assert re.search(rf"wenlu {verb} {recipe} .*--out runs/", text)


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readmes_list_every_verb_and_link_only_to_what_exists(readme: str) -> None:
    text = Path(readme).read_text(encoding="utf-8")
    for verb, _ in VERBS:
        assert f"`wenlu {verb.__name__}" in text
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert Path(link).exists(), link


def test_both_guides_show_the_same_recipe_keys() -> None:
    keys = [re.findall(r"^(\w+) =", guide.read_text(encoding="utf-8"), re.MULTILINE) for guide in GUIDES]
    assert keys[0] == keys[1]


def test_both_pages_of_examples_show_the_same_code_and_the_same_output() -> None:
    """But for comments; the English one is run by tests/test_examples.py."""
    english, chinese = ([block.without_comments for block in blocks_of(page.read_text("utf-8"))] for page in EXAMPLES)
    assert english == chinese != []


@pytest.mark.parametrize("page", ["docs/models.md", "docs/zh/models.md"])
@pytest.mark.parametrize("row", [*FAMILIES, *IMAGE_FAMILIES], ids=lambda row: row.name)
def test_both_pages_of_models_have_a_row_for_each_family(page: str, row: Family | ImageFamily) -> None:
    cells = f"| `{row.name}` | {', '.join(row.hf_types) or '–'} | "
    assert cells in Path(page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["docs/tasks.md", "docs/zh/tasks.md"])
def test_both_pages_of_tasks_have_a_row_for_each(page: str) -> None:
    text = Path(page).read_text(encoding="utf-8")
    assert [task.name for task in LABELLED_TASKS if f"| `{task.name}` |" not in text] == []


@pytest.mark.parametrize("page", sorted(Path("docs").rglob("*.md")), ids=str)
def test_pages_link_only_to_what_exists(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


RELIABILITY = [Path("docs/reliability.md"), Path("docs/zh/reliability.md")]


def named_in(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/\S+\.py)::(\w+)`", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", RELIABILITY, ids=str)
def test_every_promise_of_reliability_names_a_test_that_exists(page: Path) -> None:
    named = named_in(page)
    rows = re.findall(r"^\| (?!fault|故障|---).*", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(named) == len(rows) > 0
    for file, name in named:
        functions = {node.name for node in ast.parse(Path(file).read_text()).body if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{file}::{name}"


def test_both_pages_of_reliability_name_the_same_tests() -> None:
    assert named_in(RELIABILITY[0]) == named_in(RELIABILITY[1])
