"""Every budget is counted on each kind of storage; on Google's, the server's own log must agree with our count."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from synccore.backends.memory import MemoryBackend
from synccore.backends.opening import Access, open_backend
from synccore.testing.gcs_server import GcsServer
from synccore.testing.lab import Lab
from synccore.testing.opened_files import OpenedFiles


class CountedLab(Lab):
    """A lab whose counts are compared with those of whoever answers."""

    server: GcsServer | None = None

    def counted(self, act: Callable[[], object]) -> dict[str, int]:
        if self.server is not None:
            self.server.forget()
        calls = dict(super().counted(act))
        if self.server is not None:
            self._compare(self.server, Counter(calls))
        return calls

    @staticmethod
    def _compare(server: GcsServer, calls: Counter[str]) -> None:
        """Check that each call was one request and that no other was made."""
        assert server.requests == +Counter(
            get_media=calls["get"] + calls["conditional_get"] + calls["get_range"],
            put=calls["put"] + calls["conditional_put"],
        )


@pytest.fixture(params=["memory", "file", "gs"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CountedLab]:
    """A laptop and a machine around a store of each kind; files that were just written count as old."""
    with _opened(request.param, tmp_path) as lab:
        lab.clock.run_ahead()
        yield lab


@contextmanager
def _opened(kind: str, folder: Path) -> Iterator[CountedLab]:
    if kind == "memory":
        yield CountedLab(folder, MemoryBackend())
    elif kind == "file":
        yield CountedLab(folder, open_backend((folder / "store").as_uri(), access=Access()))
    else:
        with (
            GcsServer("lab") as server,
            closing(open_backend("gs://lab/code", access=Access(emulator_host=server.url))) as backend,
        ):
            lab = CountedLab(folder, backend)
            lab.server = server
            yield lab


@pytest.fixture(scope="session")
def opened_files() -> OpenedFiles:
    """An audit hook cannot be taken away again, so there is one."""
    return OpenedFiles()
