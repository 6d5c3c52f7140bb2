"""Folders, globs, Hugging Face dataset folders, and several sources at once."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, fetched_by, locate, open_source, open_sources
from wenlu.errors import ConfigError, DataError


def read(path: Path | str, **settings: object) -> list[Item]:
    return list(open_source(SourceSpec.model_validate({"path": str(path), **settings})))


def ids(items: list[Item]) -> list[str]:
    return [item.id for item in items if isinstance(item, Record)]


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text('{"text": "x"}\n' if name.endswith("jsonl") else "x\n")


def test_a_folder_mixes_formats_in_the_order_of_names(tmp_path: Path) -> None:
    root = tmp_path / "notes"
    write(root, "b.txt", "a/2.md", "a/1.jsonl", "a/1.txt", "c.py", "Z.txt")
    assert ids(read(root)) == [
        "notes/Z.txt",
        "notes/a/1.jsonl:1",
        "notes/a/1.txt",
        "notes/a/2.md",
        "notes/b.txt",
        "notes/c.py",
    ]


def test_hidden_files_are_passed_by_and_unknown_ones_counted(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", ".git/x.txt", ".hidden.txt", "__pycache__/a.txt", "photo.jpg")
    items = read(tmp_path, name="n")
    assert ids(items) == ["n/a.txt"]
    assert [(item.record.id, item.reason) for item in items if isinstance(item, Drop)] == [
        ("n/photo.jpg", "unknown file type")
    ]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "a.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "b.txt").symlink_to(tmp_path / "a.txt")
    assert ids(read(tmp_path, name="n")) == ["n/a.txt", "n/b.txt"]


def test_an_empty_folder_holds_no_records(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no records; is it empty\?"):
        read(tmp_path)


def test_a_wrong_file_in_a_folder_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a.txt")
    (tmp_path / "b.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"/b\.txt, line 1, byte 0: 0xFF is not utf-8"):
        read(tmp_path)


def test_a_glob_takes_what_matches(tmp_path: Path) -> None:
    root = tmp_path / "notes"
    write(root, "a.txt", "a.md", "deep/er/b.txt", "deep/c.txt")
    assert ids(read(f"{root}/*.txt")) == ["notes/a.txt"]
    assert ids(read(f"{root}/**/*.txt")) == ["notes/a.txt", "notes/deep/c.txt", "notes/deep/er/b.txt"]
    assert ids(read(f"{root}/d*/c.t[xy]t")) == ["notes/deep/c.txt"]
    with pytest.raises(DataError, match=r"\*\.csv: holds no records"):
        read(f"{root}/*.csv")


def test_a_glob_passes_hidden_files_by_unless_it_names_them(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", ".b.txt", ".git/c.txt", "d/e.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert ids(read(f"{tmp_path}/**/*.txt", name="n")) == ["n/a.txt", "n/d/e.txt"]
    assert ids(read(f"{tmp_path}/**/**/*.txt", name="n")) == ["n/a.txt", "n/d/e.txt"]
    assert ids(read(f"{tmp_path}/.g*/*", name="n")) == ["n/.git/c.txt"]
    assert ids(read(f"{tmp_path}/d/**", name="n")) == ["n/e.txt"]


def test_a_relative_glob_starts_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.txt")
    monkeypatch.chdir(tmp_path)
    assert len(read("*.txt")) == 1


def test_a_file_whose_name_holds_a_wildcard_is_itself(tmp_path: Path) -> None:
    write(tmp_path, "a[1].txt", "a1.txt")
    assert ids(read(tmp_path / "a[1].txt")) == ["a[1].txt"]


def test_an_unknown_kind_is_an_error_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"kind 'jsnol' is unknown; did you mean jsonl\?"):
        read(tmp_path, kind="jsnol")


def test_missing_and_unreadable_paths_are_errors_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        open_source(SourceSpec(path=str(tmp_path / "none.txt")))


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder that the tests may not read, though they may run as root."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    write(root, "open.txt", "locked/a.txt")
    (root / "locked").chmod(0o000)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    yield root
    if is_root:
        os.seteuid(0)
    (root / "locked").chmod(0o755)
    shutil.rmtree(root)


@pytest.mark.parametrize("path", ["", "locked", "**/*.txt", "locked/a.txt"])
def test_a_folder_without_permission_is_an_error_for_users(locked: Path, path: str) -> None:
    with pytest.raises(DataError, match=r"locked.*no permission|no permission to look at .*locked"):
        read(f"{locked}/{path}".rstrip("/"))


class TestHuggingFace:
    """Dataset folders as the hub's own library writes them."""

    @pytest.fixture
    def splits(self, tmp_path: Path) -> Path:
        """As `DatasetDict.save_to_disk` leaves it."""
        for split in ("train", "test"):
            folder = tmp_path / split
            folder.mkdir()
            table = pa.table({"text": [f"{split} one", f"{split} two"]})
            with pa.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as writer:
                writer.write_table(table)
            state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_indices_data_files": None}
            (folder / "state.json").write_text(json.dumps(state))
            (folder / "dataset_info.json").write_text("{}")
        (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
        return tmp_path

    def test_a_saved_split_is_chosen(self, splits: Path) -> None:
        assert [item.text for item in read(splits) if isinstance(item, Record)] == ["train one", "train two"]
        assert len(read(splits, split="test")) == 2
        assert len(read(splits / "test")) == 2
        with pytest.raises(DataError, match=r'no split \'dev\'; there is train, test\. Choose with split = "…"'):
            read(splits, split="dev")

    def test_a_saved_selection_is_refused(self, splits: Path) -> None:
        state = splits / "train/state.json"
        state.write_text(
            json.dumps({**json.loads(state.read_text()), "_indices_data_files": [{"filename": "i.arrow"}]})
        )
        with pytest.raises(
            DataError, match=r"saved with a selection or order of its rows; save it after flatten_indices"
        ):
            read(splits)

    def test_a_state_that_points_outside_is_refused(self, splits: Path) -> None:
        (splits / "train/state.json").write_text('{"_data_files": [{"filename": "../test/data-00000-of-00001.arrow"}]}')
        with pytest.raises(DataError, match=r"its state names '\.\./test.*', which lies outside"):
            read(splits)

    def test_damaged_state_is_named(self, splits: Path) -> None:
        (splits / "train/state.json").write_text("{")
        with pytest.raises(DataError, match=r"state\.json: malformed JSON .*; save the dataset again"):
            read(splits)

    def test_splits_go_by_the_names_of_files(self, tmp_path: Path) -> None:
        write(
            tmp_path,
            "data/train-00001-of-00002.jsonl",
            "data/train-00000-of-00002.jsonl",
            "data/dev.jsonl",
            "x/test/0.txt",
        )
        (tmp_path / "dataset_infos.json").write_text("{}")
        chosen = {"kind": "huggingface", "name": "n"}
        assert ids(read(tmp_path, **chosen)) == [
            "n/data/train-00000-of-00002.jsonl:1",
            "n/data/train-00001-of-00002.jsonl:1",
        ]
        assert ids(read(tmp_path, split="validation", **chosen)) == ["n/data/dev.jsonl:1"]
        assert ids(read(tmp_path, split="test", **chosen)) == ["n/x/test/0.txt"]

    def test_files_without_a_split_in_their_names_are_for_training(self, tmp_path: Path) -> None:
        write(tmp_path, "a.jsonl", "b.jsonl")
        assert len(read(tmp_path, kind="huggingface")) == 2
        with pytest.raises(DataError, match="no split 'test'; there is train"):
            read(tmp_path, kind="huggingface", split="test")

    def test_the_card_says_which_files_are_which(self, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text(
            "---\nconfigs:\n- config_name: zh\n  data_files:\n  - split: train\n    path: [zh/*.parquet]\n"
            "- config_name: en\n  default: true\n  data_files: en.parquet\n---\n# Data\n"
        )
        (tmp_path / "zh").mkdir()
        pq.write_table(pa.table({"text": ["中"]}), tmp_path / "zh/0.parquet")
        pq.write_table(pa.table({"text": ["e"]}), tmp_path / "en.parquet")
        assert [item.text for item in read(tmp_path) if isinstance(item, Record)] == ["e"]
        assert [item.text for item in read(tmp_path, subset="zh") if isinstance(item, Record)] == ["中"]
        with pytest.raises(DataError, match=r'has several subsets; choose one with subset = "…": en, zh'):
            read(tmp_path, subset="fr")

    def test_a_folder_with_a_plain_readme_is_a_plain_folder(self, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text("---\ntitle: My notes\n---\nWords.\n")
        assert ids(read(tmp_path, name="n")) == ["n/README.md"]


def test_sources_are_mixed_by_weight_and_seed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"{name}\n" * 300)
    specs = [SourceSpec(path=f"{tmp_path}/{name}.txt", by="line", weight=w) for name, w in (("a", 1), ("b", 3))]
    mixed = list(open_sources(specs, seed=1))
    assert list(open_sources(specs, seed=1)) == mixed
    assert list(open_sources(specs, seed=2)) != mixed
    assert len(mixed) == 600
    first = Counter(item.meta["source"] for item in mixed[:200] if isinstance(item, Record))
    assert 130 <= first["b.txt"] <= 170
    shares = [list(open_sources(specs, seed=1, rank=rank, world_size=2)) for rank in range(2)]
    assert [item for pair in zip(*shares, strict=True) for item in pair] == mixed


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "x/a.txt", "y/a.txt")
    specs = [SourceSpec(path=f"{tmp_path}/{folder}/a.txt") for folder in "xy"]
    with pytest.raises(ConfigError, match=r"x/a\.txt and .*y/a\.txt would both be called 'a\.txt'; give one of them"):
        open_sources(specs, seed=0)
    named = [specs[0], specs[1].model_copy(update={"name": "other"})]
    assert sorted(ids(list(open_sources(named, seed=0)))) == ["a.txt", "other"]


@pytest.mark.fetch
def test_a_package_is_a_source_with_provenance(package_file: Callable[[str, str], Path]) -> None:
    package_file("chinese-poetry", "dist/quantangshi")
    spec = SourceSpec(
        path="package:chinese-poetry/dist/quantangshi/poet.tang.?.json", text="paragraphs", meta=("author",), limit=3
    )
    first = next(open_source(spec))
    assert isinstance(first, Record)
    assert first.meta == {"author": "太宗皇帝", "source": "quantangshi"}
    assert locate(spec).name == "quantangshi"
    (fetched,) = fetched_by([spec, SourceSpec(path="stdlib")])
    assert (fetched.source, fetched.version) == ("package:chinese-poetry/dist/quantangshi", "2.0.1")
