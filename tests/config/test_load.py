from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlu.config import Config, check, load, override, to_toml
from wenlu.errors import ConfigError


class Optimizer(Config):
    lr: float
    weight_decay: float = 0.1


class Settings(Config):
    name: str = "x"
    optimizer: Optimizer
    sources: tuple[Optimizer, ...] = ()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "run.toml"
    file.write_text('name = "a"\n[optimizer]\nlr = 3e-4\n')
    return file


def test_an_unknown_key_suggests_the_nearest_known_one(path: Path) -> None:
    path.write_text("[optimizer]\nlr = 3e-4\nweight_deacy = 0.1\n")
    with pytest.raises(ConfigError) as error:
        load(Settings, path)
    assert str(error.value) == f"{path}:\n  optimizer.weight_deacy: unknown key; did you mean weight_decay?"


def test_an_unknown_key_far_from_all_lists_the_known_ones(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.zzz: unknown key; known: lr, weight_decay"):
        load(Settings, path, ["optimizer.zzz=1"])


def test_an_unknown_key_inside_a_list_of_tables_is_named_with_its_place(path: Path) -> None:
    path.write_text("sources = [{lr = 1.0, weight_decy = 2.0}]\n[optimizer]\nlr = 1.0\n")
    with pytest.raises(ConfigError, match=r"sources\.0\.weight_decy: unknown key; did you mean weight_decay"):
        load(Settings, path)


def test_a_missing_key_is_named(path: Path) -> None:
    path.write_text("[optimizer]\n")
    with pytest.raises(ConfigError, match=r"optimizer\.lr: required, but not set"):
        load(Settings, path)


def test_a_wrong_value_is_shown(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.lr: .*valid number.*, not 'fast'"):
        load(Settings, path, ["optimizer.lr=fast"])


def test_every_wrong_key_is_listed_at_once(path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(Settings, path, ["optimizer.lr=fast", "nme=1"])
    assert len(str(error.value).splitlines()) == 3


def test_an_override_is_toml_and_otherwise_a_string(path: Path) -> None:
    settings = load(Settings, path, ["optimizer.lr=1e-3", "name=runs/a b", "sources=[{lr=2}]"])
    assert settings == Settings(name="runs/a b", optimizer=Optimizer(lr=1e-3), sources=(Optimizer(lr=2),))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("optimizer.lr", "write KEY=VALUE, for example optimizer.lr=1e-3"),
        ("=3", "write KEY=VALUE"),
        ("a.b.c=1", "at most two levels deep"),
        ("name.x=1", "name is a single value, not a section"),
    ],
)
def test_a_malformed_override_says_how_to_write_one(path: Path, item: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(Settings, path, [item])


def test_a_member_of_several_has_sections_of_its_own() -> None:
    settings = {"members": {"spam": {"task": "labels", "data": {"train": "a"}}}}
    found = override(settings, ["members.spam.data.train=b", "members.spam.task=tags"])
    assert found == {"members": {"spam": {"task": "tags", "data": {"train": "b"}}}}
    assert settings == {"members": {"spam": {"task": "labels", "data": {"train": "a"}}}}
    with pytest.raises(ConfigError, match=r"no members\.spma; did you mean spam\?"):
        override(settings, ["members.spma.data.train=b"])
    with pytest.raises(ConfigError, match=r"override 'data\.train\.path=b': settings are at most two levels deep"):
        override(settings, ["members.spam.data.train.path=b"])


def test_overrides_leave_the_given_settings_as_they_were() -> None:
    settings = {"optimizer": {"lr": 1.0}}
    override(settings, ["optimizer.lr=2.0"])
    assert settings == {"optimizer": {"lr": 1.0}}


def test_a_duplicate_key_is_an_error_with_its_line(path: Path) -> None:
    path.write_text("[optimizer]\nlr = 1.0\nlr = 2.0\n")
    with pytest.raises(ConfigError, match=r"not valid TOML: .*at line 3"):
        load(Settings, path)


def test_a_missing_file_a_folder_and_a_wrong_encoding_each_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such settings file"):
        load(Settings, tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="a folder, not a settings file"):
        load(Settings, tmp_path)
    (tmp_path / "gb.toml").write_bytes('name = "文炉"'.encode("gb18030"))
    with pytest.raises(ConfigError, match=r"not UTF-8 text \(byte 8\)"):
        load(Settings, tmp_path / "gb.toml")


@given(name=st.text(), lr=st.floats(allow_nan=False, allow_infinity=False), count=st.integers(0, 3))
def test_settings_survive_toml(name: str, lr: float, count: int) -> None:
    settings = Settings(name=name, optimizer=Optimizer(lr=lr), sources=(Optimizer(lr=1),) * count)
    import tomllib

    assert check(Settings, tomllib.loads(to_toml(settings)), where="again") == settings


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Optimizer(lr=1.0).lr = 2.0  # type: ignore[misc]
