"""The steps of a synchronisation, each alone, on 3,000 files of 44 MB, or on a notebook of 100 MB where it says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from synccore.backends.memory import MemoryBackend
from synccore.bundle import Bundle, open_block, pack_block, parse_bundle
from synccore.chunking import cut
from synccore.diff import diff
from synccore.digest import Digest, digest_of
from synccore.manifest import Entry, decode_manifest, encode_manifest
from synccore.plan import plan_from_trees
from synccore.snapshot import snapshot_id
from synccore.testing.lab import Lab
from synccore.treepath import TreePath

Contents = dict[TreePath, bytes]
Entries = dict[TreePath, Entry]
Blocks = list[list[tuple[Digest, bytes]]]


def edited(entries: Entries) -> Entries:
    """Return the tree with each tenth file changed."""
    other = digest_of(b"other")
    return {
        path: entry._replace(digest=other) if number % 10 == 0 else entry
        for number, (path, entry) in enumerate(entries.items())
    }


@pytest.fixture
def lab(folder: Path, tree: Path) -> Lab:
    made = Lab(folder, MemoryBackend())
    made.laptop.code.mkdir(parents=True)
    subprocess.run(["cp", "-a", str(tree), str(made.laptop.code / "repo")], check=True)
    made.clock.run_ahead()
    return made


def bench_hash(benchmark: Any, contents: Contents) -> None:
    benchmark(lambda: [digest_of(it) for it in contents.values()])


def bench_cut_100_mb_notebook(benchmark: Any, notebook: bytes) -> None:
    benchmark.pedantic(lambda: sum(len(it) for it in cut(BytesIO(notebook))), rounds=5)


def bench_snapshot_id(benchmark: Any, entries: Entries) -> None:
    benchmark(snapshot_id, entries)


def bench_compress_blocks(benchmark: Any, blocks: Blocks) -> None:
    benchmark.pedantic(lambda: [pack_block(it) for it in blocks], rounds=5)


def bench_open_blocks(benchmark: Any, bundle: Bundle) -> None:
    def open_all() -> None:
        for it in parse_bundle(bundle.data, "bundle"):
            open_block(it.frame, it.plain_bytes, it.checksum, "block")

    benchmark.pedantic(open_all, rounds=5)


def bench_encode_manifest(benchmark: Any, entries: Entries, bundle: Bundle) -> None:
    benchmark(encode_manifest, snapshot_id(entries), entries, bundle.places)


def bench_decode_manifest(benchmark: Any, entries: Entries, bundle: Bundle) -> None:
    data = encode_manifest(snapshot_id(entries), entries, bundle.places)
    benchmark(decode_manifest, data, "manifest")


def bench_diff(benchmark: Any, entries: Entries) -> None:
    benchmark(diff, entries, edited(entries))


def bench_plan(benchmark: Any, entries: Entries) -> None:
    benchmark(plan_from_trees, entries, edited(entries))


def bench_scan_unchanged_in_git(benchmark: Any, lab: Lab) -> None:
    """All of an upload of nothing: git's list, the stat cache, the request that costs nothing here."""
    lab.laptop.push()
    benchmark(lab.laptop.push)


def bench_first_upload(benchmark: Any, lab: Lab) -> None:
    def forget() -> None:
        lab.laptop.forget()
        lab.inner.__init__()  # type: ignore[misc]  # as empty as it was

    benchmark.pedantic(lab.laptop.push, setup=forget, rounds=5)


def bench_materialise(benchmark: Any, lab: Lab) -> None:
    """All of a first download."""
    lab.laptop.push()
    benchmark.pedantic(lab.machine.pull, setup=lambda: shutil.rmtree(lab.machine.home, ignore_errors=True), rounds=5)


def bench_kernel_hook_unchanged(benchmark: Any, lab: Lab) -> None:
    """What a kernel's start does when nothing changed, without the network."""
    lab.laptop.push()
    lab.machine.pull()
    benchmark(lab.machine.pull)


@pytest.mark.parametrize(
    "module",
    [
        "epic_lab.cli.synccode",
        "epic_lab.cli.synccode.uploading",
        "epic_lab.cli.synccode.group",
        "synccore.push",
        "synccore.pull",
        "epic_lab.ipython_startup",
        "synccore.backends.gcs_light",
    ],
)
def bench_import(benchmark: Any, module: str) -> None:
    """A fresh interpreter that imports this and nothing else."""
    benchmark.pedantic(subprocess.run, ([sys.executable, "-c", f"import {module}"],), {"check": True}, rounds=10)


def bench_start_of_python(benchmark: Any) -> None:
    """What an import is to be compared with."""
    benchmark.pedantic(subprocess.run, ([sys.executable, "-c", ""],), {"check": True}, rounds=10)
