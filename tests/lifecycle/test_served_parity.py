"""Whether a server answers as a folder does: one that does, one that was made otherwise, one that is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.asking import byte_tokenizer, tiny_llama
from typer.testing import CliRunner

import wenlu
from wenlu.cli.app import app
from wenlu.errors import ResourceError, UsageError
from wenlu.lifecycle.served import Endpoint, serving
from wenlu.lifecycle.served_parity import ServedParity, served_parity


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`writer` continues texts, `other` does so with other weights."""
    root = tmp_path_factory.mktemp("served")
    tiny_llama(root / "writer", byte_tokenizer())
    tiny_llama(root / "other", byte_tokenizer(), seed=4)
    return root


@pytest.fixture(scope="module")
def server(folders: Path) -> Iterator[Endpoint]:
    models = [str(folders / "writer"), f"second={folders / 'writer'}"]
    with serving(models, log=folders / "server.log") as endpoint:
        yield endpoint


def test_what_is_served_of_a_folder_answers_as_the_folder_does(folders: Path, server: Endpoint) -> None:
    found = served_parity(str(folders / "writer"), server)
    assert found.equal, found
    assert (found.name, found.ability, found.same) == ("writer", "complete", 8)
    assert found.apart < 1e-4
    found.write(folders)
    assert json.loads((folders / "parity.json").read_text())["verdict"] == "passed"


def test_other_weights_are_noticed(folders: Path, server: Endpoint) -> None:
    found = wenlu.parity(str(folders / "other"), f"{server.url}#writer")
    assert isinstance(found, ServedParity)
    assert not found.equal
    assert found.first is not None
    assert found.first["folder"] != found.first["server"]


def test_the_command_says_it_and_exits_with_one(folders: Path, server: Endpoint) -> None:
    good = CliRunner().invoke(app, ["parity", str(folders / "writer"), f"{server.url}#writer", "parity.texts=2"])
    assert good.exit_code == 0, good.output
    assert "the server answers 2 of 2 texts as the folder does" in " ".join(good.output.split())
    bad = CliRunner().invoke(app, ["parity", str(folders / "other"), f"{server.url}#writer", "--json"])
    assert bad.exit_code == 1
    assert json.loads(bad.stdout)["equal"] is False


def test_a_name_that_is_not_served_is_told_with_those_that_are(folders: Path, server: Endpoint) -> None:
    with pytest.raises(UsageError, match="serves no model 'other'; it has writer, second"):
        served_parity(str(folders / "other"), server)


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(ResourceError, match=r"cannot be asked: .*; is the server running"):
        Endpoint("http://127.0.0.1:9").ask("/v1/models")
    with pytest.raises(UsageError, match="is no address of a server; write http://HOST:PORT"):
        Endpoint("localhost:8000").ask("/v1/models")


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(ResourceError, match=r"wenlu serve ended with 3: .*no such file or folder"),
        serving([str(tmp_path / "none")], log=tmp_path / "server.log"),
    ):
        pass
