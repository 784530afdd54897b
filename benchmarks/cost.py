"""What the storage costs a lab in a month, from counted requests and bytes: `docs/cost-of-storage.md`.

A day of one person is really done, with a real laptop's and a real machine's part of the engine, and counted; prices and limits
are Google's, with where they stand.

Invariant: what the page says follows from the counts in ``results/cost.json`` and the constants here, and from nothing else.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.trees import Tree, files_of
from synccore.backends.memory import MemoryBackend
from synccore.prune import prune
from synccore.testing.lab import USER, Lab

# List prices in US dollars, for Standard storage in a region such as us-central1 or europe-west1. No free quota is counted.
PRICES_FROM = "https://cloud.google.com/storage/pricing"
PRICES_READ = "2026-11-22"
STORAGE_PER_GB_MONTH = 0.020
CLASS_A_PER_1000 = 0.005  # puts and listings
CLASS_B_PER_1000 = 0.0004  # gets, those answered "not modified" included
EGRESS_PER_GB = 0.12  # out to the internet; a machine in the bucket's region pays none, and what is sent in is free

LIMITS_FROM = "https://cloud.google.com/storage/docs/request-rate"
WRITES_A_SECOND = 1_000  # of a bucket, before it has grown with its load
READS_A_SECOND = 5_000
WRITES_A_SECOND_TO_ONE_NAME = 1

DAYS_IN_A_MONTH = 21
PRUNES_IN_A_MONTH = 4
RETENTION_DAYS = 64  # working days within the 90 days of which prune keeps everything
LABS = (10, 100, 1_000)

_CLASS_A = {"put", "conditional_put", "keys"}
_FREE = {"delete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What one person does on a working day.

    Attributes:
        name: of this way to work.
        edits: uploads with something new, each of one to five files.
        looks: uploads with nothing new.
        kernels: that are started on the machine, some after an edit and some not.
        waits: looks of kernels that wait for the next upload, every three seconds.
        laptop_downloads: first downloads to a computer outside the cloud in a month.
    """

    name: str
    edits: int
    looks: int
    kernels: int
    waits: int
    laptop_downloads: int


DAYS = (
    Day(name="by hand", edits=40, looks=20, kernels=15, waits=0, laptop_downloads=1),
    Day(name="at every save", edits=400, looks=40, kernels=40, waits=1_200, laptop_downloads=1),
)


def measure(tree: Tree, folder: Path) -> dict[str, Any]:
    """Do each kind of day for once and count it."""
    return {
        "files": tree.files,
        "size_bytes": tree.size_bytes,
        "days": {day.name: _done(day, tree, folder) for day in DAYS},
    }


def _done(day: Day, tree: Tree, folder: Path) -> dict[str, Any]:
    chosen = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="epic-bench-", dir=folder) as made:
        memory = MemoryBackend()
        lab = Lab(Path(made), memory)
        repo = lab.laptop.code / "repo"
        lab.laptop.code.mkdir(parents=True)
        subprocess.run(["cp", "-a", str(tree.path), str(repo)], check=True)
        lab.clock.run_ahead()
        first = _counted(lab, lab.laptop.push)
        download = _counted(lab, lab.machine.pull)
        sources = [it for it in files_of(repo) if it.suffix == ".py" and it.stat().st_size < 50_000]
        stored_before = _stored(memory)
        totals: Counter[str] = Counter()
        events = [*["edit"] * day.edits, *["look"] * day.looks, *["kernel"] * day.kernels]
        chosen.shuffle(events)
        for number, event in enumerate(events):
            if event == "edit":
                for file in chosen.sample(sources, chosen.randint(1, 5)):
                    with file.open("a", encoding="utf-8") as stream:
                        stream.write(f"\n# edit {number}: {chosen.random()}\n")
            totals += _counted(lab, lab.machine.pull if event == "kernel" else lab.laptop.push)
        lab.machine.pull()
        wait = _counted(lab, lab.machine.pull)
        for _ in range(day.waits):
            totals += wait
        grown = _stored(memory) - stored_before
        pruned = _counted(lab, lambda: prune(USER, lab.backend, dry_run=True))
    return {
        "first_upload": dict(first),
        "first_download": dict(download),
        "day": dict(totals),
        "prune": dict(pruned),
        "stored_first": stored_before,
        "stored_a_day": grown,
    }


def _counted(lab: Lab, act: Any) -> Counter[str]:
    """Return requests by class, and bytes."""
    calls: Mapping[str, int] = lab.counted(act)
    found = Counter(bytes_read=lab.backend.bytes_read, bytes_written=lab.backend.bytes_written)
    for name, times in calls.items():
        found["free" if name in _FREE else "class_a" if name in _CLASS_A else "class_b"] += times
    return found


def _stored(memory: MemoryBackend) -> int:
    return sum(len(it.data) for it in memory.objects.values())


def monthly(day: Day, counts: dict[str, Any]) -> dict[str, float]:
    """Return what one person pays in a month, by what for, once the history is as long as it gets.

    A prune gets each manifest and journal object that stays, so it costs as many times what it did after one day as there are
    days in the history.
    """
    requests: Counter[str] = Counter()
    for part, times in (
        ("day", DAYS_IN_A_MONTH),
        ("prune", PRUNES_IN_A_MONTH * RETENTION_DAYS),
        ("first_upload", 1),
        ("first_download", 1),
    ):
        for kind, number in counts[part].items():
            requests[kind] += number * times
    stored = counts["stored_first"] + counts["stored_a_day"] * RETENTION_DAYS
    egress = counts["first_download"]["bytes_read"] * day.laptop_downloads
    return {
        "storage": stored / 1e9 * STORAGE_PER_GB_MONTH,
        "class A": requests["class_a"] / 1000 * CLASS_A_PER_1000,
        "class B": requests["class_b"] / 1000 * CLASS_B_PER_1000,
        "egress": egress / 1e9 * EGRESS_PER_GB,
    }


def page(content: dict[str, Any]) -> str:
    """Return `docs/cost-of-storage.md`."""
    lines = [
        "# What the storage costs",
        "",
        "Made by `python -m benchmarks cost`, from requests and bytes that were counted while the engine did a person's day, and from",
        f"Google's list prices ({PRICES_FROM}, as of {PRICES_READ}; look there before you rely on them):",
        f"${STORAGE_PER_GB_MONTH:.3f} for a gigabyte and month of Standard storage in a region such as `us-central1` or `europe-west1`,",
        f"${CLASS_A_PER_1000:.4f} for a thousand puts or listings (class A), ${CLASS_B_PER_1000:.4f} for a thousand gets (class B), a get",
        f'that is answered with "not modified" included, ${EGRESS_PER_GB:.2f} for a gigabyte out to the internet. Deletions, what is sent',
        "in, and what a machine in the bucket's region gets are free. No free quota is taken off; machines are not storage.",
        "",
        f"Each person has {content['files']:,} files, {content['size_bytes'] / 1e6:.0f} MB, works {DAYS_IN_A_MONTH} days and prunes {PRUNES_IN_A_MONTH} times a month,",
        f"and keeps {RETENTION_DAYS} working days of history, which is 90 days.",
        "",
        "## What was counted",
        "",
    ]
    rows = []
    for day in DAYS:
        counts = content["days"][day.name]
        done = counts["day"]
        rows.append(
            (
                day.name,
                f"{day.edits} / {day.looks} / {day.kernels} / {day.waits:,}",
                f"{done.get('class_a', 0):,}",
                f"{done.get('class_b', 0):,}",
                tables.size(done["bytes_written"]),
                tables.size(done["bytes_read"]),
                tables.size(counts["stored_first"]),
                tables.size(counts["stored_a_day"]),
            )
        )
    header = (
        *("one person's day", "uploads / nothing new / kernels / looks while waiting", "class A", "class B"),
        *("sent", "received", "stored at first", "more each day"),
    )
    lines += tables.markdown(header, rows)
    lines += ["## What a lab pays in a month, in dollars", ""]
    paid: list[tuple[str, ...]] = []
    for day in DAYS:
        each = monthly(day, content["days"][day.name])
        paid.append((f"one person, {day.name}", *[f"{it:.4f}" for it in each.values()], f"{sum(each.values()):.3f}"))
        paid += [
            (
                f"{people:,} people, {day.name}",
                *[f"{it * people:.2f}" for it in each.values()],
                f"{sum(each.values()) * people:.2f}",
            )
            for people in LABS
        ]
    lines += tables.markdown(("", "storage", "class A", "class B", "egress", "together"), paid)
    lines += _limits(content)
    return "\n".join(lines).rstrip() + "\n"


def _limits(content: dict[str, Any]) -> list[str]:
    busiest = DAYS[-1]
    done = content["days"][busiest.name]["day"]
    day_seconds = 8 * 3600
    writes, reads = done.get("class_a", 0) / day_seconds, done.get("class_b", 0) / day_seconds
    writes_of_upload = content["days"][busiest.name]["first_upload"].get("class_a", 0)
    rows = [
        (
            "one upload a second by one person",
            f"{WRITES_A_SECOND_TO_ONE_NAME} write a second to one name: that person's head",
            "a refused put is tried again; nobody else notices",
        ),
        (
            f"everybody uploads at once for the first time ({writes_of_upload} writes each)",
            f"{WRITES_A_SECOND:,} writes a second",
            f"{WRITES_A_SECOND // max(1, writes_of_upload):,} people in the same second",
        ),
        (
            "everybody uploads an edit at once (1 write each)",
            f"{WRITES_A_SECOND:,} writes a second",
            f"{WRITES_A_SECOND:,} people in the same second",
        ),
        (
            "everybody starts a kernel at once (1 read each)",
            f"{READS_A_SECOND:,} reads a second",
            f"{READS_A_SECOND:,} people in the same second",
        ),
        (
            f"everybody works {busiest.name}, spread over eight hours",
            f"{WRITES_A_SECOND:,} writes, {READS_A_SECOND:,} reads a second",
            f"{min(WRITES_A_SECOND / writes, READS_A_SECOND / reads):,.0f} people",
        ),
    ]
    return [
        "## Where the first limit is met",
        "",
        f"A bucket takes about {WRITES_A_SECOND:,} writes and {READS_A_SECOND:,} reads a second before it grows with its load, and about",
        f"{WRITES_A_SECOND_TO_ONE_NAME} write a second to one name ({LIMITS_FROM}). Each person has a head of their own, so the limit of one name does not",
        "depend on the size of the lab; it is met first, by one person alone:",
        "",
        *tables.markdown(("what", "limit", "met by"), rows),
    ]
