"""The numbers of `GET /metrics`, read by Prometheus' own parser for Python.

Usage: metrics.py BIN
"""

import asyncio
import json
import re
import sys
import tempfile
import urllib.request

import websockets
from prometheus_client.parser import text_string_to_metric_families
from serving import Server

# What operators watch; the parser leaves `_total` off the names of counters.
WATCHED = {
    "app_server_connections": "gauge",
    "app_server_requests": "counter",
    "app_server_request_duration_seconds": "histogram",
    "app_server_inbox_messages": "gauge",
    "app_server_worker_events": "gauge",
    "app_server_store_jobs": "gauge",
    "app_server_outbox_bytes": "gauge",
    "app_server_requests_overloaded": "counter",
    "app_server_clients_cut_off": "counter",
    "app_server_turns_running": "gauge",
    "app_server_commands_running": "gauge",
    "app_server_model_retries": "counter",
    "app_server_store_commit_duration_seconds": "histogram",
    "app_server_thread_unloads": "counter",
    "process_resident_memory_bytes": "gauge",
    "process_os_threads": "gauge",
}
# Base units (https://prometheus.io/docs/practices/naming/); no name says another.
FOREIGN_UNITS = re.compile(r"_(ms|us|ns|millis|milliseconds|kb|kib|mb|mib|minutes|hours|percent)(_|$)")


async def talk(url: str) -> None:
    """A few requests, one of them refused, so that there is something to count."""
    async with websockets.connect(url) as socket:
        requests = [
            ("initialize", {"clientInfo": {"name": 'quo"te\\d', "version": "1"}}),
            ("thread/start", {}),
            ("no/such", {}),
        ]
        for number, (method, params) in enumerate(requests):
            await socket.send(json.dumps({"id": number, "method": method, "params": params}))
            while json.loads(await socket.recv()).get("id") != number:
                pass


def check(text: str) -> int:
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name, kind in WATCHED.items():
        assert name in families, f"{name} is missing"
        assert families[name].type == kind, f"{name} is a {families[name].type}"
    for name, family in families.items():
        assert re.fullmatch(r"(app_server|process)_[a-z0-9_]+", name), name
        assert not FOREIGN_UNITS.search(name), name
        assert family.documentation.strip(), f"{name} says nothing about itself"
        assert family.type in ("counter", "gauge", "histogram"), f"{name}: {family.type}"
        if family.type == "histogram":
            openmetrics_rules(family)
    asked = families["app_server_requests"].samples
    outcomes = {(s.labels["method"], s.labels["outcome"]): s.value for s in asked}
    assert outcomes[("thread/start", "result")] == 1 and outcomes[("other", "error")] == 1, outcomes
    return len(families)


def openmetrics_rules(family: object) -> None:
    """Buckets rise to +Inf, which is the count."""
    series: dict = {}
    for sample in family.samples:
        labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
        if sample.name.endswith("_bucket"):
            series.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
    for labels, buckets in series.items():
        assert buckets == sorted(buckets), f"{family.name} {labels}"
        assert [v for _, v in buckets] == sorted(v for _, v in buckets), f"{family.name} {labels}"
        counts = [s.value for s in family.samples if s.name.endswith("_count") and tuple(sorted(s.labels.items())) == labels]
        assert buckets[-1] == (float("inf"), counts[0]), f"{family.name} {labels}"


def main() -> None:
    with tempfile.TemporaryDirectory() as home, Server(sys.argv[1], "ws://127.0.0.1:0", home, home) as server:
        asyncio.run(talk(server.url))
        with urllib.request.urlopen(server.url.replace("ws://", "http://") + "/metrics") as answer:
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4"), answer.headers
            count = check(answer.read().decode())
    print(f"metrics: {count} families, read by prometheus_client")


main()
