"""Snapshots from a hub of our own on this machine: fetched once, checked, and used offline."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "README.md": b"---\nlicense: cc0-1.0\n---\n# Poems\n",
    "data/train.jsonl": '{"text": "床前明月光"}\n'.encode(),
    "data/test.jsonl": '{"text": "疑是地上霜"}\n'.encode(),
    "pytorch_model.bin": b"a pickle",
    "script.py": b"print('never fetched')",
}


class _Hub(BaseHTTPRequestHandler):
    """The part of the hub's protocol that a snapshot needs."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        api, files = "/api/datasets/org/poems/", f"/datasets/org/poems/resolve/{COMMIT}/"
        if path.startswith(api + "revision/"):
            facts = {"id": "org/poems", "sha": COMMIT, "siblings": [{"rfilename": name} for name in FILES]}
            self._send(json.dumps(facts).encode(), "application/json", body=body)
        elif path.startswith(api + "tree/"):
            entries = [{"type": "file", "path": n, "size": len(c), "oid": _etag(c)} for n, c in FILES.items()]
            self._send(json.dumps(entries).encode(), "application/json", body=body)
        elif path.removeprefix(files) in FILES:
            self._send(FILES[path.removeprefix(files)], "application/octet-stream", body=body)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _send(self, content: bytes, kind: str, *, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{_etag(content)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a process that knows our hub, and nothing but it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield {
            **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HOME": str(tmp_path / "hf"),
            "WENLU_CACHE": str(tmp_path / "cache"),
        }
        server.shutdown()
        thread.join()


_PROGRAM = """
import json, sys
from wenlu.errors import WenluError
from wenlu.hub import resolve
answer = []
for text in sys.argv[1:]:
    try:
        resolved = resolve(text)
        f = resolved.fetched
        answer.append({"path": str(resolved.path), "source": f.source, "version": f.version, "sha256": f.sha256})
    except WenluError as error:
        answer.append({"error": type(error).__name__ + ": " + str(error)})
print(json.dumps({"answer": answer, "imported": "huggingface_hub" in sys.modules}))
"""


def run(environment: dict[str, str], *texts: str) -> dict[str, Any]:
    """What `resolve` answers in a process of its own, as the hub's settings are read when its package is imported."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *texts], env=environment, capture_output=True, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_snapshot_is_fetched_once_then_used_offline_and_checked(hub: dict[str, str]) -> None:
    online = run(hub, "hf:org/poems", "org/poems", "hf:org/prose")
    first, bare, unknown = online["answer"]
    assert bare == first
    assert (first["source"], first["version"]) == ("hf:org/poems", COMMIT)
    assert unknown["error"] == "ResourceError: hf:org/prose: the hub knows no such dataset; is the name right?"

    path = Path(first["path"])
    found = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    assert found == ["README.md", "data/test.jsonl", "data/train.jsonl"]
    assert (path / "data/train.jsonl").read_bytes() == FILES["data/train.jsonl"]

    nowhere = {**hub, "HF_ENDPOINT": "http://127.0.0.1:9"}
    offline = run(nowhere, "hf:org/poems")
    assert offline == {"answer": [first], "imported": False}

    (path / "data/test.jsonl").resolve().write_bytes(b"other")
    changed, missing = run(nowhere, "hf:org/poems", "hf:org/novels")["answer"]
    assert "test.jsonl: changed since it was fetched" in changed["error"]
    assert missing["error"].startswith(
        "ResourceError: hf:org/novels: not in the local cache, and the hub cannot be reach"
    )
