"""The HTTP process alone: `wenlu serve` on an engine that writes the same tokens whatever it is asked.

Settings are those of `wenlu serve`, with places for a thousand answers, and pieces, token_seconds, prefill_seconds.
Example: PYTHONPATH=src:. python benchmarks/serving/fixed.py pieces=20 token_seconds=0.05 --port 8000
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.server.fixed_engine import FixedEngine

from wenlu.config import check, override
from wenlu.server.http.logs import start_logging
from wenlu.server.listening import listen, url_of
from wenlu.server.serving import KEY, run_server
from wenlu.server.settings import ServeConfig
from wenlu.server.store.database import open_store

HOST = "127.0.0.1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args()
    settings = override({"log_level": "warning", "engine": {"max_batch": 1024}}, given.settings)
    engine = FixedEngine(
        [" word"] * settings.pop("pieces", 4096),
        token_seconds=settings.pop("token_seconds", 0),
        prefill_seconds=settings.pop("prefill_seconds", 0),
    )
    config = check(ServeConfig, settings, where="fixed")
    start_logging(config.log_level)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(str(Path(folder) / "server.db") if config.store == "auto" else config.store)
        listening = listen(HOST, given.port)
        print(url_of(listening), file=sys.stderr, flush=True)
        run_server(engine, config, listening, store=store, host=HOST, key=os.environ.get(KEY))
        store.dispose()


if __name__ == "__main__":
    main()
