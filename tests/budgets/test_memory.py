"""A file of 1 GiB takes at most 200 MiB of memory, up and down, and an edit of 1 KiB moves at most 4 MiB."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from synccore.backends.opening import Access, open_backend
from synccore.testing.lab import Lab

pytestmark = [pytest.mark.vm, pytest.mark.slow]

MIB = 2**20
LIMIT = 200 * MIB

# Each side in a process of its own, whose peak is then that of the operation.
PROGRAM = """
import resource, sys
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from synccore.backends.opening import Access, open_backend
from synccore.testing.lab import Lab

side, folder = sys.argv[1], Path(sys.argv[2])
lab = Lab(folder, open_backend((folder / "store").as_uri(), access=Access()))
lab.laptop.push() if side == "up" else lab.machine.pull()
if sys.platform == "darwin":
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
else:
    # Unlike ru_maxrss this does not count what the process that has started this one had in memory.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    print(int(line.split()[1]) * 1024)
"""


def peak_bytes(side: str, folder: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, side, folder], check=True, capture_output=True, text=True, cwd=Path.cwd()
    )
    return int(done.stdout)


def write_noise(path: Path, size: int) -> None:
    """Write a file that neither compresses nor repeats."""
    random = Random(1)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        for _ in range(size // (16 * MIB)):
            file.write(random.randbytes(16 * MIB))


def is_equal(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        while data := first.read(16 * MIB):
            if data != second.read(16 * MIB):
                return False
        return not second.read(1)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that is gone afterwards: pytest would keep its gigabytes."""
    with TemporaryDirectory(prefix="lab-") as folder:
        yield Path(folder)


def test_a_file_of_1_gib_is_carried_in_200_mib_of_memory_and_an_edit_of_it_in_4_mib_of_transfer(folder: Path) -> None:
    large = folder / "laptop/code/alpha/large"
    write_noise(large, 1024 * MIB)
    assert peak_bytes("up", folder) <= LIMIT
    assert peak_bytes("down", folder) <= LIMIT
    arrived = folder / "machine/synccode/alpha/large"
    assert is_equal(large, arrived)
    with large.open("r+b") as file:
        file.seek(500 * MIB)
        file.write(b"edit" * 256)
    lab = Lab(folder, open_backend((folder / "store").as_uri(), access=Access()))
    lab.laptop.push()
    assert lab.backend.bytes_written <= 4 * MIB
    lab.backend.reset()
    lab.machine.pull()
    assert lab.backend.bytes_read <= 4 * MIB
    assert is_equal(large, arrived)
