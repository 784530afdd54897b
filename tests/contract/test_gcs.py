"""Google Cloud Storage, over HTTP to the exact server of the test kit, by either way of reaching it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from synccore.backends.base import Backend
from synccore.backends.gcs import GcsBackend
from synccore.backends.gcs_light import LightGcsBackend
from synccore.backends.opening import Access, open_backend
from synccore.keys import Key
from synccore.testing.contract import BackendContract
from synccore.testing.gcs_server import GcsServer


class GcsContract(BackendContract):
    prefix = "a prefix/of +names"

    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        with GcsServer("lab") as self.server:
            # A neighbour whose names begin alike is no part of the store.
            self.server.service.insert("lab", self.prefix + "-not/ada/head", b"neighbour", {}, {})
            yield

    def stored(self, key: Key) -> bytes | None:
        return self.server.data("lab", f"{self.prefix}/{key}".removeprefix("/"))

    def store(self, key: Key, data: bytes) -> None:
        self.server.service.insert("lab", f"{self.prefix}/{key}".removeprefix("/"), data, {}, {})

    @property
    def access(self) -> Access:
        return Access(emulator_host=self.server.url, deadline_seconds=20)

    def make(self, bucket: str) -> Backend:
        raise NotImplementedError

    @contextmanager
    def opened(self) -> Iterator[Backend]:
        with closing(self.make("lab")) as backend:
            yield backend

    @contextmanager
    def opened_without_bucket(self) -> Iterator[Backend]:
        with closing(self.make("missing")) as backend:
            yield backend


class TestGcsOverGooglesLibraries(GcsContract):
    def make(self, bucket: str) -> Backend:
        return GcsBackend(bucket, self.prefix, self.access)


class TestGcsOverTheLightWay(GcsContract):
    def make(self, bucket: str) -> Backend:
        return LightGcsBackend(bucket, self.prefix, self.access)


class TestGcsAsOpened(GcsContract):
    def make(self, bucket: str) -> Backend:
        return open_backend(f"gs://{bucket}/{self.prefix}", access=self.access)


class TestGcsWithoutPrefix(GcsContract):
    prefix = ""

    @pytest.fixture(autouse=True)
    def _server(self) -> Iterator[None]:
        with GcsServer("lab") as self.server:
            yield

    def make(self, bucket: str) -> Backend:
        return open_backend(f"gs://{bucket}", access=self.access)
