"""Figures: what Prometheus is told of requests, batches, confidence, the queue, the cache and the release."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from hfrecipes.serving.batching import Batcher
    from hfrecipes.serving.monitoring import Watch

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
SHARES = tuple(place / 20 for place in range(1, 21))


class Figures:
    """Counted since the service began."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter("hfrecipes_requests", "Requests by path and status", ["path", "status"], registry=self.registry)
        self._seconds = Histogram(
            "hfrecipes_request_seconds", "Seconds of a request", ["path"], buckets=SECONDS, registry=self.registry
        )
        self._batches = Histogram("hfrecipes_batch_rows", "Rows answered together", buckets=ROWS, registry=self.registry)
        self._confidence = Histogram("hfrecipes_confidence", "Confidence of claims", buckets=SHARES, registry=self.registry)
        self._swaps = Counter("hfrecipes_swaps", "Releases put in place of others", ["outcome"], registry=self.registry)

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request that was answered, or refused."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, rows: int) -> None:
        """Rows that go to the model together."""
        self._batches.observe(rows)

    def sure(self, confidences: Iterable[float]) -> None:
        """How sure answers are."""
        for each in confidences:
            self._confidence.observe(each)

    def swap(self, outcome: str) -> None:
        """A release that was `swapped` in, or `refused`."""
        self._swaps.labels(outcome).inc()

    def watch(self, batcher: Batcher, problem: Callable[[], str]) -> None:
        """Tell also what is the case when it is asked."""
        self.registry.register(_Now(batcher, problem))

    def page(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)


class _Now(Collector):
    def __init__(self, batcher: Batcher, problem: Callable[[], str]) -> None:
        self.batcher, self.problem = batcher, problem

    def collect(self) -> Iterator[Metric]:
        served = self.batcher.served
        predictor = served.predictor
        yield GaugeMetricFamily("hfrecipes_rows_in_flight", "Rows that were accepted", self.batcher.rows)
        yield GaugeMetricFamily("hfrecipes_rows_waiting", "Rows in no batch yet", self.batcher.waiting)
        yield GaugeMetricFamily("hfrecipes_swap_problem", "1: what is in production is not served", float(bool(self.problem())))
        facts = {"release": served.release, "fingerprint": predictor.fingerprint, "task": predictor.task.name}
        yield InfoMetricFamily("hfrecipes_model", "What answers", facts)
        yield from _drift(served.watch, served.release)
        if predictor.cache is not None:
            yield CounterMetricFamily("hfrecipes_cache_hits", "Questions that the cache knew", predictor.cache.hits)
            yield CounterMetricFamily("hfrecipes_cache_misses", "Questions that it did not know", predictor.cache.misses)


def _drift(watch: Watch, release: str) -> Iterator[Metric]:
    yield GaugeMetricFamily("hfrecipes_monitored", "1: a monitor looks at rows and answers", float(watch.monitor is not None))
    if watch.monitor is None:
        return
    labels = ["detector", "release"]
    distance = GaugeMetricFamily("hfrecipes_drift_distance", "Distance from held-out rows in the last window", labels=labels)
    limit = GaugeMetricFamily("hfrecipes_drift_limit", "The distance that chance may bring", labels=labels)
    for each in watch.last.findings:
        distance.add_metric([each.detector, release], each.distance)
        limit.add_metric([each.detector, release], each.limit)
    counts = {
        "rows": ("Rows that the monitor looked at", watch.rows),
        "rows_skipped": ("Rows that it had no time for", watch.skipped),
        "windows": ("Windows that it judged", watch.last.window),
        "alarms": ("Windows with a detector beyond its limit", watch.alarms),
    }
    yield from (distance, limit)
    for name, (words, count) in counts.items():
        counted = CounterMetricFamily(f"hfrecipes_drift_{name}", words, labels=["release"])
        counted.add_metric([release], count)
        yield counted
    worth = {"estimated": watch.last.estimated, "labelled": watch.last.accuracy, "held_out": watch.last.held_out}
    accuracy = GaugeMetricFamily(
        "hfrecipes_accuracy", "Expected by confidence, by labels, on held-out rows", labels=["kind", "release"]
    )
    for kind, value in worth.items():
        if value is not None:
            accuracy.add_metric([kind, release], value)
    yield accuracy
