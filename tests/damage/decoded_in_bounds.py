"""A process of its own that decodes one hostile object and says how much memory that took.

Invariant: it cannot harm the machine that the tests run on, whatever the decoders do: its address space is bounded.
"""

import resource
import sys

from synccore.envelope import ObjectKind, unseal
from synccore.errors import IntegrityError
from synccore.head import decode_head
from synccore.journal import Change, decode_delta, decode_journal
from synccore.manifest import decode_manifest

_MOST_BYTES = 3 * 2**30

DECODERS = {
    "head": decode_head,
    "manifest": decode_manifest,
    "journal": decode_journal,
    "delta": lambda data, what: decode_delta(
        Change("alpha", None, None, int.from_bytes(data[:4], "big"), data[4:]), what
    ),
}


def peak_kib() -> int:
    """Return the most memory that this process has had, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(name: str) -> None:
    """Decode what standard input brings; print how many KiB that took beyond what reading it takes."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    data = sys.stdin.buffer.read()
    if name in {"head", "manifest", "journal"}:
        # What decompression takes is bounded by the limit of the payload, and not what is asked about here.
        unseal(ObjectKind[name.upper()], data, "it")
    before = peak_kib()
    try:
        DECODERS[name](data, "it")
    except IntegrityError:
        sys.stdout.write(str(peak_kib() - before))
    else:
        raise SystemExit("it was taken for good")


if __name__ == "__main__":
    main(sys.argv[1])
