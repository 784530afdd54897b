import socket
from contextlib import closing
from pathlib import Path

import pytest

from synccore.backends.base import Found
from synccore.backends.opening import Access, open_backend
from synccore.errors import ErrorKind, InvalidInputError
from synccore.keys import Key

ACCESS = Access()


def test_a_file_url_opens_the_directory_it_names(tmp_path: Path) -> None:
    backend = open_backend((tmp_path / "a store").as_uri(), access=ACCESS)
    backend.put(Key("u/head"), b"x", replacing=None)
    assert (tmp_path / "a store" / "u" / "head").read_bytes() == b"x"
    assert backend.base_url.startswith("file:///")
    assert backend.base_url.endswith(f"{tmp_path.as_posix()}/a store")


def test_a_file_url_may_name_localhost(tmp_path: Path) -> None:
    (tmp_path / "u").mkdir()
    (tmp_path / "u" / "head").write_bytes(b"x")
    found = open_backend("file://localhost" + tmp_path.as_uri().removeprefix("file://"), access=ACCESS).get(
        Key("u/head")
    )
    assert isinstance(found, Found)
    assert found.data == b"x"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no scheme"),
        ("/tmp/store", "no scheme"),
        ("s3://bucket/prefix", "'s3' is unknown"),
        ("file://store", "absolute path after three slashes"),
        ("file://~/store", "absolute path after three slashes"),
        ("file:///", "other than the root"),
        ("file:///a/../b", "without '..'"),
        ("file:///a%00b", "NUL"),
    ],
)
def test_a_url_that_cannot_be_opened_is_refused_with_what_was_expected(url: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        open_backend(url, access=ACCESS)
    assert words in caught.value.message
    assert "expected file:///some/dir" in caught.value.message
    assert caught.value.kind is ErrorKind.BAD_INPUT


@pytest.mark.parametrize("host", ["http://127.0.0.1:abc", "127.0.0.1:99999", "https://localhost:-1"])
def test_an_emulator_at_no_address_is_named(host: str) -> None:
    with pytest.raises(InvalidInputError, match=r"the storage's address .* is not usable") as caught:
        open_backend("gs://bucket/store", access=Access(emulator_host=host), begin=True)
    assert caught.value.facts["endpoint"] == (host if "://" in host else f"http://{host}")


def test_a_connection_is_begun_before_anything_is_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        access = Access(emulator_host=f"127.0.0.1:{listener.getsockname()[1]}")
        with closing(open_backend("gs://bucket/store", access=access, begin=True)):
            listener.accept()[0].close()
