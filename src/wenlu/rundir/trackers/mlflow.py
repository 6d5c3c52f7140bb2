"""MLflow: a SQLite file beside the run, or the server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import os
from typing import Any

from wenlu.rundir.events import Event
from wenlu.rundir.trackers.tracker import Sink, Subject, Tracker

EXPERIMENT, ID_TAG = "wenlu", "wenlu.id"
METRICS_AT_ONCE, PARAMETERS_AT_ONCE, LONGEST_PARAMETER = 1000, 100, 6000
"""What MLflow takes."""


class MlflowSink(Sink):
    def __init__(self, subject: Subject) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
        from mlflow import MlflowClient

        store = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{subject.folder.absolute() / 'mlflow.db'}")
        self._client = MlflowClient(tracking_uri=store)
        self._began = subject.began
        self._waiting: list[Any] = []
        self._run_id = self._known(subject) or self._new(subject)
        self._client.set_terminated(self._run_id, "RUNNING")

    def write(self, event: Event) -> None:
        from mlflow.entities import Metric

        if not isinstance(event.value, str):
            when = int(1000 * (self._began + event.seconds))
            self._waiting.append(Metric(event.name, float(event.value), when, event.step))

    def flush(self) -> None:
        for start in range(0, len(self._waiting), METRICS_AT_ONCE):
            self._client.log_batch(self._run_id, metrics=self._waiting[start : start + METRICS_AT_ONCE])
        self._waiting = []

    def close(self) -> None:
        self._client.set_terminated(self._run_id)

    def _experiment(self, subject: Subject) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        kept = (subject.folder / "artifacts").absolute().as_uri() if "MLFLOW_TRACKING_URI" not in os.environ else None
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=kept))

    def _known(self, subject: Subject) -> str | None:
        runs = self._client.search_runs([self._experiment(subject)], f"tags.`{ID_TAG}` = '{subject.id}'")
        return str(runs[0].info.run_id) if runs else None

    def _new(self, subject: Subject) -> str:
        from mlflow.entities import Param

        run = self._client.create_run(
            self._experiment(subject),
            start_time=int(1000 * subject.began),
            run_name=subject.name,
            tags={ID_TAG: subject.id},
        )
        parameters = [Param(name, value[:LONGEST_PARAMETER]) for name, value in subject.settings.items()]
        for start in range(0, len(parameters), PARAMETERS_AT_ONCE):
            self._client.log_batch(run.info.run_id, params=parameters[start : start + PARAMETERS_AT_ONCE])
        return str(run.info.run_id)


MLFLOW = Tracker("mlflow", "MLflow", "mlflow", "mlflow-skinny", MlflowSink)
