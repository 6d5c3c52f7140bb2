"""What each tracker shows of a run, read back by its own means."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

Points = dict[str, list[tuple[int, float]]]
"""Step and value by name, in order."""


def tensorboard(folder: Path) -> Points:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    read.Reload()
    return {name: [(point.step, point.value) for point in read.Scalars(name)] for name in read.Tags()["scalars"]}


def mlflow(folder: Path) -> Points:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    (experiment,) = (each for each in client.search_experiments() if each.name == "wenlu")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "ward")
    assert run.data.params == {"name": "ward", "train.lr": "0.5"}
    return {
        name: sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }


def wandb(folder: Path) -> Points:
    from wandb.proto.wandb_internal_pb2 import Record

    points: Points = {}
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns):
        for content in records_of(path.read_bytes()):
            record = Record()
            record.ParseFromString(content)
            row = {item.key or item.nested_key[0]: float(item.value_json) for item in record.history.item}
            for name, value in row.items():
                if not name.startswith("_") and name not in ("tokens", "seconds"):
                    points.setdefault(name, []).append((int(row["_step"]), value))
    return points


def records_of(data: bytes) -> Iterator[bytes]:
    """The records of a LevelDB log: blocks of 32 KiB, each piece behind a checksum, its length and its type."""
    block, whole = 32768, b""
    at = 7  # behind the file's own header
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield whole
            whole = b""


def trackio(folder: Path) -> Points:
    import json

    points: Points = {}
    with sqlite3.connect(folder / "wenlu.db") as database:
        rows = database.execute("SELECT step, metrics FROM metrics ORDER BY id").fetchall()
    database.close()
    for step, metrics in rows:
        for name, value in json.loads(metrics).items():
            if name not in ("tokens", "seconds"):
                points.setdefault(name, []).append((step, value))
    return points


READERS: dict[str, Callable[[Path], Points]] = {
    "tensorboard": tensorboard,
    "mlflow": mlflow,
    "wandb": wandb,
    "trackio": trackio,
}
