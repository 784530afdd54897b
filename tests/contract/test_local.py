from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from synccore.backends.base import Backend
from synccore.backends.local import LocalBackend
from synccore.backends.recording import RecordingBackend
from synccore.backends.retrying import RetryingBackend
from synccore.keys import Key
from synccore.testing.contract import BackendContract


class TestLocal(BackendContract):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path / "store"
        self.directory.mkdir()

    @contextmanager
    def opened(self) -> Iterator[Backend]:
        yield LocalBackend(self.directory)

    @contextmanager
    def opened_without_bucket(self) -> Iterator[Backend]:
        yield LocalBackend(self.directory / "missing")

    def stored(self, key: Key) -> bytes | None:
        path = self.directory / key
        return path.read_bytes() if path.is_file() else None

    def store(self, key: Key, data: bytes) -> None:
        path = self.directory / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class TestLocalWithoutHardLinks(TestLocal):
    """As on exFAT and some network mounts."""

    @pytest.fixture(autouse=True)
    def _no_links(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def link(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr("os.link", link)


class TestLocalDecorated(TestLocal):
    """The decorators change nothing of the contract."""

    @contextmanager
    def opened(self) -> Iterator[Backend]:
        yield RecordingBackend(RetryingBackend(LocalBackend(self.directory), deadline_seconds=1))
