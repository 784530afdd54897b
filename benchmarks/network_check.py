"""What the network itself costs: that neither it nor the bucket is what the benchmarks measure.

Invariant: the same requests go through the proxy and past it, in turns.
"""

from __future__ import annotations

import http.client
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.network import BUCKET, Network

_LARGE_BYTES = 64 << 20
_UPLOAD = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name="
_OBJECT = f"/storage/v1/b/{BUCKET}/o/"


def measure(*, rtts_ms: Sequence[int], times: int, folder: Path) -> dict[str, Any]:
    """Measure a small and a large object, without TLS, past the proxy and through it."""
    with tempfile.TemporaryDirectory(prefix="epic-bench-", dir=folder) as made, Network(Path(made), 0) as network:
        for name, size in (("small", 100), ("large", _LARGE_BYTES)):
            _exchange(network.past, "POST", _UPLOAD + name, bytes(size))
        cases: dict[str, dict[str, Any]] = {}
        for _ in range(times):
            _take(cases.setdefault("past the network", {}), network.past)
            for rtt_ms in rtts_ms:
                network.set_rtt(rtt_ms / 1000)
                _take(cases.setdefault(f"round trip {rtt_ms} ms", {}), network.http)
    return {"times": times, "cases": {name: _medians(case) for name, case in cases.items()}}


def section(content: dict[str, Any]) -> list[str]:
    """Return the section of the page."""
    rows = [
        (
            name,
            f"{case['fresh'] * 1000:.2f} ms",
            f"{case['kept'] * 1000:.2f} ms",
            f"{_LARGE_BYTES / case['large'] / 1e6:,.0f} MB/s",
        )
        for name, case in content["cases"].items()
    ]
    return [
        "## The network and the bucket themselves",
        "",
        f"Medians of {content['times']}, without TLS. A fresh connection costs two round trips, a kept one one; bytes are not limited, but at first",
        "their window is.",
        "",
        *tables.markdown(
            ("", "get on a fresh connection", "get on a kept one", f"get of {_LARGE_BYTES >> 20} MiB"), rows
        ),
    ]


def _take(case: dict[str, list[float]], host: str) -> None:
    with closing(http.client.HTTPConnection(host)) as connection:
        for kind, name in (("fresh", "small"), ("kept", "small"), ("large", "large")):
            began = time.perf_counter()
            connection.request("GET", f"{_OBJECT}{name}?alt=media")
            connection.getresponse().read()
            case.setdefault(kind, []).append(time.perf_counter() - began)


def _exchange(host: str, method: str, path: str, body: bytes) -> None:
    with closing(http.client.HTTPConnection(host)) as connection:
        connection.request(method, path, body)
        connection.getresponse().read()


def _medians(case: dict[str, list[float]]) -> dict[str, float]:
    return {kind: statistics.median(seconds) for kind, seconds in case.items()}
