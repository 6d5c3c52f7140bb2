"""What the server counts of itself, as Prometheus reads it."""

from __future__ import annotations

import platform
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from wenlu import __version__
from wenlu.server.link.engine import EngineLink
from wenlu.server.messages import ModelInfo

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Counts of the HTTP process; those of the engine are asked of it when somebody reads.

    The values of a label come from a short list of our own: the route that was found, the model that is served, never
    what a client wrote.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        by_model, into = ("model",), self.registry
        self.requests = Counter("requests_total", "Requests by route and status.", ("route", "status"), registry=into)
        self.running = Gauge("requests_running", "Requests that the engine works at.", registry=into)
        self.waiting = Gauge("requests_waiting", "Requests that wait for a place.", registry=into)
        self.first_token = Histogram(
            "time_to_first_token_seconds", "From arrival to the first token.", by_model, buckets=_SECONDS, registry=into
        )
        self.next_token = Histogram(
            "inter_token_latency_seconds",
            "Between two events of an answer.",
            by_model,
            buckets=_TOKEN_SECONDS,
            registry=into,
        )
        self.whole = Histogram(
            "e2e_latency_seconds", "From arrival to the end.", by_model, buckets=_SECONDS, registry=into
        )
        self.prompt_tokens = Counter("prompt_tokens_total", "Tokens of prompts.", by_model, registry=into)
        self.written_tokens = Counter("generation_tokens_total", "Tokens of answers.", by_model, registry=into)
        self.rejected = Counter("rejected_total", "Requests that were refused, by reason.", ("reason",), registry=into)
        self.cancelled = Counter("cancelled_total", "Requests that were given up, by stage.", ("stage",), registry=into)
        build = Gauge("build_info", "Always 1.", ("version", "python"), registry=into)
        build.labels(__version__, platform.python_version()).set(1)

    def watch(self, link: EngineLink) -> None:
        """Tell of an engine too."""
        self.registry.register(_EngineCounts(link))

    def text(self) -> bytes:
        return generate_latest(self.registry)

    @staticmethod
    def label(model: str, served: Iterable[ModelInfo]) -> str:
        """The name of a model as a label: of one that is served, or "unknown"."""
        return model if any(known.name == model for known in served) else "unknown"


class _EngineCounts(Collector):
    def __init__(self, link: EngineLink) -> None:
        self._link = link

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("engine_up", "Whether the engine answers.", value=float(self._link.is_ready))
        yield up
        yield CounterMetricFamily("engine_restarts", "How often it broke.", value=self._link.restarts)
        stats = self._link.stats
        if stats is None:
            return
        yield GaugeMetricFamily("engine_sequences_running", "Answers being written.", value=stats.running)
        yield GaugeMetricFamily("kv_cache_usage_ratio", "Of its memory for keys and values.", value=stats.page_share)
        yield GaugeMetricFamily("engine_resident_bytes", "Of its process.", value=stats.resident_bytes)
        yield CounterMetricFamily("prefix_cache_queries", "Tokens of prompts that it read.", value=stats.prompt_tokens)
        yield CounterMetricFamily("prefix_cache_hits", "Of these, had been read before.", value=stats.cached_tokens)
        yield CounterMetricFamily("preemptions", "Answers that had to wait again.", value=stats.preemptions)
        yield CounterMetricFamily("grammar_compile_seconds", "Spent on forms.", value=stats.form_seconds)
        yield CounterMetricFamily("template_render_seconds", "Spent on templates.", value=stats.template_seconds)
        yield CounterMetricFamily("model_loads", "Models that were loaded.", value=stats.loads)
        yield CounterMetricFamily("model_drops", "Models that left memory.", value=stats.drops)
