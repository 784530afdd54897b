"""Fuzz the decoders for as long as you like.

    python tests/fuzz/run.py --seconds 600                  every target in turn
    python tests/fuzz/run.py --seconds 600 "head payload"   one of them
    python tests/fuzz/run.py --atheris "head payload" -- -max_total_time=600   guided by coverage; needs `pip install atheris`

Without atheris good bytes are spoiled at random, by their structure. What is found is saved beside its traceback in
``fuzz-findings/``, and the exit code is 1.

Invariant: a finding can be made again: the bytes that were tried are what is saved.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

if __package__ in {None, ""}:
    here = Path(__file__).resolve()
    sys.path[:0] = [str(here.parents[1]), str(here.parents[2])]

from fuzz.mutations import spoil
from fuzz.targets import TARGETS, Target

FINDINGS = Path("fuzz-findings")
_MOST_BYTES = 4 * 2**30


def loop(names: list[str], *, seconds: float, seed: int) -> int:
    """Spoil and decode until the time is over; return how many different findings there were."""
    source = random.Random(seed)
    end = time.monotonic() + seconds
    tried: Counter[str] = Counter()
    found: set[str] = set()
    slowest = (0.0, "")
    pools = {name: TARGETS[name].seeds() for name in names}
    while time.monotonic() < end:
        name = names[sum(tried.values()) % len(names)]
        data = spoil(source.choice(pools[name]), source)
        began = time.perf_counter()
        try:
            TARGETS[name].check(data)
        except Exception as error:  # noqa: BLE001 - whatever comes here is a finding
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{name}: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
            if place not in found:
                found.add(place)
                save(name, data, traceback.format_exc(), number=len(found))
                say(f"FOUND {place}: {error}")
        slowest = max(slowest, (time.perf_counter() - began, name))
        tried[name] += 1
    for name in names:
        say(f"{tried[name]:>10,} {name}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    say(
        f"{sum(tried.values()):,} executions, {len(found)} findings, slowest {slowest[0] * 1000:.0f} ms ({slowest[1]}), {peak} MiB"
    )
    return len(found)


def save(name: str, data: bytes, text: str, *, number: int) -> None:
    """Keep a finding."""
    FINDINGS.mkdir(exist_ok=True)
    stem = FINDINGS / f"{name.replace(' ', '-')}-{number}"
    stem.with_suffix(".bytes").write_bytes(data)
    stem.with_suffix(".txt").write_text(text)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def guided(target: Target, arguments: list[str]) -> None:
    """Let atheris choose what to try, by the coverage that it sees; does not return."""
    import atheris  # type: ignore[import-not-found,unused-ignore]

    seeds = target.seeds()

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        source = random.Random(seed)
        if len(data) < 4 or source.random() < 0.02:
            data = source.choice(seeds)
        if source.random() < 0.3:
            return bytes(atheris.Mutate(data, most))
        return spoil(data, source)[:most]

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], "-max_len=65536", *arguments], target.check, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="*", help=f"one or more of: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", action="store_true", help="guided by coverage, for one target")
    own, _, others = "\0".join(sys.argv[1:]).partition("\0--\0")
    arguments = parser.parse_args(own.split("\0") if own else [])
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    names = arguments.target or list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        parser.error(f"there is no target {unknown[0]!r}; there are {', '.join(TARGETS)}")
    if arguments.atheris:
        guided(TARGETS[names[0]], others.split("\0") if others else [])
    return 1 if loop(names, seconds=arguments.seconds, seed=arguments.seed) else 0


if __name__ == "__main__":
    sys.exit(main())
