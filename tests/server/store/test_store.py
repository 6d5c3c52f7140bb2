"""Keys and the audit log, as they are kept."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from wenlu.errors import ConfigError, ResourceError, UsageError
from wenlu.server.store import audit
from wenlu.server.store.database import OWNER, open_store
from wenlu.server.store.keys import (
    SCOPES,
    check_key,
    find_key,
    has_keys,
    key_id,
    list_keys,
    make_key,
    mark_used,
    revoke_key,
)
from wenlu.server.store.tables import Base


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "server.db"


@pytest.fixture
def store(file: Path) -> Iterator[Engine]:
    engine = open_store(str(file))
    yield engine
    engine.dispose()


def test_the_file_is_for_its_owner_alone_and_many_may_read_it(store: Engine, file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    with store.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_migrations_make_the_tables_that_the_code_reads(store: Engine) -> None:
    with store.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_store_is_found_again_as_it_was_left(file: Path) -> None:
    first = open_store(str(file))
    key, _ = make_key(first, OWNER, "laptop", ["infer"])
    first.dispose()
    again = open_store(f"sqlite:///{file}")
    assert list_keys(again, OWNER) == [key]
    again.dispose()


def test_a_key_is_shown_once_and_only_its_hash_is_kept(store: Engine, file: Path) -> None:
    key, secret = make_key(store, OWNER, "laptop", SCOPES)
    assert secret.startswith("wk-")
    assert len(secret) == 3 + 43
    assert secret[3:].isalnum()
    assert key.id == key_id(secret)
    assert key.scopes == ("infer", "admin")
    found = check_key(store, OWNER, secret)
    assert found == key
    store.dispose()
    content = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert b"$argon2id$" in content
    assert secret.encode() not in content
    assert secret[3:].encode() not in content


def test_two_keys_are_never_alike(store: Engine) -> None:
    made = [make_key(store, OWNER, "same name", ["infer"]) for _ in range(5)]
    assert len({secret for _, secret in made}) == len({key.id for key, _ in made}) == 5
    with pytest.raises(UsageError, match="5 keys are named 'same name'; say which: key-"):
        revoke_key(store, OWNER, "same name")


def test_a_revoked_key_is_none(store: Engine) -> None:
    key, secret = make_key(store, OWNER, "laptop", ["infer"])
    assert revoke_key(store, OWNER, key.id).revoked is not None
    assert check_key(store, OWNER, secret) is None
    assert find_key(store, OWNER, key.id) is None
    assert has_keys(store, OWNER), "so that the server stays closed"
    with pytest.raises(UsageError, match="no key has the id or the name 'laptop'; there are no keys"):
        revoke_key(store, OWNER, "laptop")


def test_no_owner_sees_or_ends_another_one_s_keys(store: Engine) -> None:
    key, secret = make_key(store, "alice", "hers", ["infer"])
    assert list_keys(store, "bob") == []
    assert not has_keys(store, "bob")
    assert check_key(store, "bob", secret) is None
    assert find_key(store, "bob", key.id) is None
    mark_used(store, "bob", key.id)
    with pytest.raises(UsageError, match="no key has"):
        revoke_key(store, "bob", key.id)
    (same,) = list_keys(store, "alice")
    assert (same.used, same.revoked) == (None, None)
    assert audit.entries(store, "bob") == []


def test_what_is_done_with_keys_stands_in_the_audit_log(store: Engine) -> None:
    key, secret = make_key(store, OWNER, "laptop", ["infer"])
    revoke_key(store, OWNER, "laptop")
    audit.record(store, OWNER, actor="command line", action="server started", subject="x" * 1000)
    told = audit.entries(store, OWNER)
    assert [entry.action for entry in told] == ["key made", "key revoked", "server started"]
    assert told[0].subject == f"{key.id} laptop"
    assert len(told[2].subject) == 255
    assert secret not in str(told)


@pytest.mark.parametrize("name", ["", " lead", "a\nb", "名", "x" * 97, "<b>"])
def test_names_that_could_mislead_are_refused(store: Engine, name: str) -> None:
    with pytest.raises(UsageError, match="name a key"):
        make_key(store, OWNER, name, ["infer"])


def test_an_unknown_scope_is_refused_with_the_nearest_one(store: Engine) -> None:
    with pytest.raises(UsageError, match=r"scope adm: did you mean admin\?"):
        make_key(store, OWNER, "laptop", ["adm"])
    with pytest.raises(UsageError, match="scope missing"):
        make_key(store, OWNER, "laptop", [])


def test_many_may_write_at_once(store: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: audit.record(store, OWNER, actor="t", action=f"act {n}"), range(40)))
    assert len(audit.entries(store, OWNER)) == 40


def test_a_store_that_cannot_be_opened_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no database, but a text that is long enough to be read as one" * 20)
    with pytest.raises(ResourceError, match="store: cannot be opened: DatabaseError; set store=FILE"):
        open_store(str(tmp_path / "file"))
    with pytest.raises(ResourceError, match="cannot keep keys there"):
        open_store(str(tmp_path / "file" / "server.db"))
    with pytest.raises((ConfigError, ResourceError), match="store: "):
        open_store("nothing://known")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE keys (a)")
    other.close()
    with pytest.raises(ConfigError, match="tables of another program"):
        open_store(str(tmp_path / "other.db"))
