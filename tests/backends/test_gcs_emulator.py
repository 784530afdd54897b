"""A first handshake with a server that others wrote: it ignores every condition, but it speaks the same requests."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from synccore.backends.gcs import GcsBackend
from synccore.backends.opening import Access
from synccore.errors import ErrorKind, NotFoundError
from synccore.keys import Key

HEAD = Key("ada/head")


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """Run gcp-storage-emulator and yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--in-memory", "--default-bucket=lab"]
    process = subprocess.Popen(
        [*command, f"--port={port}", "--host=127.0.0.1"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    with process.stderr:
        try:
            told = next((line for line in process.stderr if "All services started" in line), None)
            assert told, "the emulator has ended before it began to serve"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def test_what_we_put_googles_client_gets_and_the_reverse(emulator: str) -> None:
    client = storage.Client(project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": emulator})
    client._bucket_metadata_cache = None  # a thread of its own, which may outlive the test
    access = Access(emulator_host=emulator)
    with closing(GcsBackend("lab", "p", access)) as backend, closing(client):
        theirs = client.bucket("lab").blob("p/ada/bundles/01")
        theirs.upload_from_string(b"0123456789")
        backend.put(HEAD, b"one", replacing=None)
        assert client.bucket("lab").blob("p/ada/head").download_as_bytes() == b"one"
        assert backend.get_range(Key("ada/bundles/01"), 3, 4) == b"3456"
        listed = list(backend.keys("ada/"))
        assert [(it.key, it.size_bytes) for it in listed] == [(Key("ada/bundles/01"), 10), (HEAD, 3)]
        for it in listed:
            backend.delete(it.key, expecting=it.version)
        assert list(backend.keys("")) == []
        with pytest.raises(NotFoundError) as caught:
            backend.get(HEAD)
        assert caught.value.kind is ErrorKind.NOT_FOUND
