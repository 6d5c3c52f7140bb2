"""Who may come in: by which name, from which page, with which key."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from starlette.types import ASGIApp, Message
from tests.server.asgi import JSON, Visit, ask
from tests.server.fixed_engine import FixedEngine

from wenlu.server.http.app import Doors, build_app
from wenlu.server.http.logs import JsonLines
from wenlu.server.http.page import page_paths
from wenlu.server.http.served import Served
from wenlu.server.settings import Limits
from wenlu.server.store.database import OWNER, open_store
from wenlu.server.store.keys import make_key, revoke_key
from wenlu.server.store.ring import Ring

PRIVATE = "the-prompt-nobody-may-read"
SECRET = "a-key-of-the-environment"
CHAT = {"model": "writer", "messages": [{"role": "user", "content": PRIVATE}]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = open_store(str(tmp_path_factory.mktemp("store") / "server.db"))
    yield engine
    engine.dispose()


@pytest.fixture
def locked(store: Engine) -> ASGIApp:
    doors = Doors(names=(), origins=("https://notes.example",), ring=Ring(store, OWNER, SECRET))
    return build_app(Served(FixedEngine(), Limits()), doors=doors)


@pytest.fixture(scope="module")
def local() -> ASGIApp:
    return build_app(Served(FixedEngine(), Limits()), doors=Doors(names=("wenlu.lan",)))


HOSTS = [
    ("localhost", True),
    ("LOCALHOST:8000", True),
    ("127.0.0.1", True),
    ("127.0.0.1:8000", True),
    ("127.9.9.9", True),
    ("[::1]", True),
    ("[::1]:8000", True),
    ("wenlu.lan:80", True),
    ("evil.example", False),
    ("localhost.evil.example", False),
    ("evil.localhost", False),
    ("127.0.0.1.evil.example", False),
    ("evil.example#localhost", False),
    ("localhost@evil.example", False),
    ("evil.example@localhost", False),
    ("localhost:8000:80", False),
    ("localhost:", False),
    ("localhost:x", False),
    ("localhost, evil.example", False),
    ("localhost evil.example", False),
    ("192.168.1.7", False),
    ("0.0.0.0", False),
    ("2130706433", False),
    ("0x7f.0.0.1", False),
    ("127.1", False),
    ("::1", False),
    ("[127.0.0.1]", False),
    ("[::ffff:10.0.0.1]", False),
    ("", False),
    ("*", False),
]
ORIGINS = [
    (None, True),
    ("http://localhost:8000", True),
    ("https://localhost:8000", True),
    ("HTTP://LOCALHOST:8000", True),
    ("http://localhost", False),
    ("http://localhost:8001", False),
    ("http://127.0.0.1:8000", False),
    ("http://evil.example", False),
    ("http://localhost:8000.evil.example", False),
    ("http://evil.example/http://localhost:8000", False),
    ("null", False),
    ("", False),
    ("file://", False),
]


@pytest.mark.parametrize(("host", "fits"), HOSTS)
def test_only_names_of_this_server_are_answered(local: ASGIApp, host: str, fits: bool) -> None:
    response = ask(local, "GET", "/v1/models", headers={"host": host})
    assert response.status_code == (200 if fits else 421)


@pytest.mark.parametrize(("origin", "fits"), ORIGINS)
def test_no_other_page_may_send_requests_that_do_anything(local: ASGIApp, origin: str | None, fits: bool) -> None:
    headers = {} if origin is None else {"origin": origin}
    response = ask(local, "POST", "/v1/chat/completions", json=CHAT, headers=headers)
    assert response.status_code == (200 if fits else 403)
    assert "access-control-allow-origin" not in response.headers


def test_a_public_server_is_reached_by_any_address_but_not_by_any_name() -> None:
    app = build_app(Served(FixedEngine(), Limits()), doors=Doors(names=("box",), addresses=True))
    found = [
        ask(app, "GET", "/health", headers={"host": host}).status_code for host in ("10.0.0.7:80", "box", "evil.com")
    ]
    assert found == [200, 200, 421]


def test_a_probe_may_ask_for_the_head_alone(locked: ASGIApp) -> None:
    for path in ("/health", "/ready"):
        found = ask(locked, "HEAD", path)
        assert (found.status_code, found.content) == (200, b"")


def test_a_page_that_is_named_may_ask_and_the_browser_is_told_so(locked: ASGIApp) -> None:
    page = {"origin": "https://notes.example"}
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, x-stainless-os"}
    before = ask(locked, "OPTIONS", "/v1/chat/completions", headers=page | asked)
    assert before.status_code == 204
    assert before.headers["access-control-allow-origin"] == "https://notes.example"
    assert before.headers["access-control-allow-headers"] == asked["access-control-request-headers"]
    response = ask(locked, "POST", "/v1/chat/completions", json=CHAT, headers=page | {"x-api-key": SECRET})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://notes.example"
    refused = ask(locked, "POST", "/v1/chat/completions", json=CHAT, headers=page)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://notes.example"
    assert "access-control-allow-credentials" not in refused.headers


def test_nothing_but_health_and_the_page_is_reached_without_a_key(locked: ASGIApp) -> None:
    schema = ask(locked, "GET", "/openapi.json", headers={"x-api-key": SECRET}).json()
    free = {"/health", "/ready"} | page_paths()
    routes = {path.replace("{", "").replace("}", "") for path in schema["paths"]} | {
        "/openapi.json",
        "/docs",
        "/admin/x",
    }
    assert {"/v1/chat/completions", "/v1/models", "/metrics", "/version", "/tokenize"} <= routes
    odd = {
        "//v1/models",
        "/V1/models",
        "/v1/models/",
        "/%2e/v1/models",
        "/health/../v1/models",
        "/health/",
        "/health%2f",
    }
    odd |= {"/static/../v1/models", "/static/%2e%2e/v1/models", "/health;x", "/HEALTH", "/.", "/v1", "/static/"}

    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get")

    async def walk() -> None:
        for method in methods:
            for path in sorted(routes | odd | free):
                visit = Visit(locked, path, method=method)
                await visit.task
                if path in free and method in ("GET", "HEAD"):
                    assert visit.status in (200, 405), (method, path)
                else:
                    assert visit.status == 401, (method, path)
                    assert (b"www-authenticate", b"Bearer") in visit.messages[0]["headers"]

    asyncio.run(walk())


def test_websockets_are_closed_before_anything_is_asked(locked: ASGIApp) -> None:
    sent: list[Message] = []

    async def run() -> None:
        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await locked({"type": "websocket", "path": "/health", "headers": [(b"host", b"localhost")]}, receive, send)

    asyncio.run(run())
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("authorization", f"Bearer {SECRET}")], 200),
        ([("authorization", f"bearer  {SECRET}")], 200),
        ([("x-api-key", SECRET)], 200),
        ([("x-api-key", SECRET), ("authorization", f"Bearer {SECRET}")], 200),
        ([("authorization", SECRET)], 401),
        ([("authorization", f"Basic {SECRET}")], 401),
        ([("authorization", f"Bearer {SECRET}x")], 401),
        ([("authorization", f"Bearer {SECRET[:-1]}")], 401),
        ([("authorization", "Bearer ")], 401),
        ([("authorization", "Bearer wk-" + "0" * 43)], 401),
        ([("authorization", "Bearer wk-" + "0" * 4300)], 401),
        ([("x-api-key", SECRET), ("authorization", "Bearer other")], 401),
        ([("x-api-key", "other"), ("x-api-key", SECRET)], 401),
        ([("cookie", f"key={SECRET}")], 401),
    ],
)
def test_a_key_is_sent_in_one_of_two_headers(locked: ASGIApp, headers: list[tuple[str, str]], status: int) -> None:
    assert ask(locked, "GET", "/v1/models", headers=headers).status_code == status


def test_a_key_does_what_its_scopes_say(locked: ASGIApp, store: Engine) -> None:
    _, reader = make_key(store, OWNER, "reader", ["infer"])
    _, keeper = make_key(store, OWNER, "keeper", ["admin"])

    def status(secret: str, path: str) -> int:
        return ask(locked, "GET", path, headers={"x-api-key": secret}).status_code

    assert [status(reader, path) for path in ("/v1/models", "/metrics", "/admin/x")] == [200, 200, 403]
    assert [status(keeper, path) for path in ("/v1/models", "/metrics", "/admin/x")] == [403, 200, 404]


def test_limits_of_a_key_are_told_with_every_answer(store: Engine) -> None:
    limits = Limits(per_minute=2)
    app = build_app(Served(FixedEngine(), limits), doors=Doors(ring=Ring(store, OWNER, SECRET)))
    found = [ask(app, "GET", "/v1/models", headers={"x-api-key": SECRET}) for _ in range(3)]
    assert [response.status_code for response in found] == [200, 200, 429]
    assert [response.headers["x-ratelimit-remaining-requests"] for response in found] == ["1", "0", "0"]
    assert 0 < int(found[2].headers["retry-after"]) <= 30
    assert found[2].json()["error"]["code"] == "rate_limit_exceeded"


def test_a_revoked_key_opens_nothing_a_second_later(store: Engine) -> None:
    async def run() -> None:
        ring = Ring(store, OWNER)
        key, secret = make_key(store, OWNER, "short", ["infer"])
        assert await ring.find(secret) == (key.id, frozenset({"infer"}))
        revoke_key(store, OWNER, "short")
        await asyncio.sleep(0.6)
        assert await ring.find(secret) is None

    asyncio.run(run())


def test_a_key_is_hashed_once_and_then_known(store: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    import wenlu.server.store.ring as module

    checked = []

    def count(*given: object) -> object:
        checked.append(given)
        return check(*given)

    check = module.check_key
    monkeypatch.setattr(module, "check_key", count)

    async def run() -> None:
        ring = Ring(store, OWNER)
        _, secret = make_key(store, OWNER, "often", ["infer"])
        for _ in range(50):
            assert await ring.find(secret)

    asyncio.run(run())
    assert len(checked) == 1


def test_a_server_that_runs_asks_for_a_key_once_there_is_one(tmp_path: Path) -> None:
    async def run() -> None:
        store = open_store(str(tmp_path / "server.db"))
        ring = Ring(store, OWNER)
        assert not await ring.is_needed()
        make_key(store, OWNER, "first", ["infer"])
        await asyncio.sleep(0.6)
        assert await ring.is_needed()
        revoke_key(store, OWNER, "first")
        assert await Ring(store, OWNER).is_needed(), "revoking the last key must not open the server"
        store.dispose()

    asyncio.run(run())


def test_every_answer_has_an_id_and_says_what_browsers_must_not_do(locked: ASGIApp) -> None:
    for path in ("/health", "/v1/models", "/nothing"):
        headers = ask(locked, "GET", path).headers
        assert len(headers["x-request-id"]) == 32
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines([SECRET]))
    logger = logging.getLogger("wenlu")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_the_log_tells_of_requests_but_never_prompts_nor_keys(locked: ASGIApp, store: Engine, log: io.StringIO) -> None:
    key, secret = make_key(store, OWNER, "logged", ["infer"])
    ask(locked, "POST", "/v1/chat/completions", json=CHAT, headers={"x-api-key": secret})
    ask(locked, "POST", "/v1/chat/completions", json={**CHAT, "model": PRIVATE}, headers={"x-api-key": SECRET})
    ask(locked, "POST", "/v1/chat/completions", content=PRIVATE, headers=JSON | {"x-api-key": "wk-wrong" + PRIVATE})
    ask(locked, "GET", f"/{secret}?key={secret}&prompt={PRIVATE}", headers={"authorization": f"Bearer {SECRET}"})
    ask(locked, "GET", "/a%0d%0a%e2%80%a8{}", headers={"x-request-id": "mine\r"[:4]})
    lines = log.getvalue().splitlines()
    assert len(lines) == 5
    told = [json.loads(line) for line in lines]
    assert told[0]["key"] == key.id
    assert told[0]["status"] == 200
    assert told[1]["key"] == "environment"
    for canary in (PRIVATE, secret, SECRET):
        assert canary not in log.getvalue()
    assert "mine" not in log.getvalue()


def test_prompts_are_logged_only_where_that_is_asked(log: io.StringIO) -> None:
    for tells in (False, True):
        app = build_app(Served(FixedEngine(), Limits(), tells=tells))
        assert ask(app, "POST", "/v1/chat/completions", json=CHAT).status_code == 200
        assert (PRIVATE in log.getvalue()) == tells


def test_an_exception_is_logged_by_its_place_not_by_its_words(log: io.StringIO) -> None:
    try:
        raise ValueError(PRIVATE)
    except ValueError:
        logging.getLogger("wenlu.server").exception("failed with %s", "wk-" + "a" * 43)
    line = json.loads(log.getvalue())
    assert line["error"] == "ValueError"
    assert line["event"] == "failed with [key]"
    assert line["where"][-1].startswith("test_doors.py:")
    assert PRIVATE not in log.getvalue()


def test_readiness_says_why_not() -> None:
    engine = FixedEngine()
    served = Served(engine, Limits())
    app = build_app(served)
    assert ask(app, "GET", "/ready").json() == {"status": "ready"}
    engine.is_ready = False
    response = ask(app, "GET", "/ready")
    assert (response.status_code, response.json()["reason"]) == (503, "the engine is starting")
    served.admission.closed = True
    assert ask(app, "GET", "/ready").json()["reason"] == "the server is stopping"
    assert ask(app, "GET", "/health").status_code == 200


def test_metrics_name_routes_as_they_are_declared() -> None:
    app = build_app(Served(FixedEngine(), Limits()))
    for path in ("/v1/models/writer", "/v1/models", '/no/such"} 1'):
        ask(app, "GET", path)
    text = ask(app, "GET", "/metrics").text
    assert 'requests_total{route="/v1/models",status="200"} 1.0' in text
    assert 'route="none",status="404"' in text
    assert "such" not in text
    assert "writer" not in text
    assert "build_info{" in text
