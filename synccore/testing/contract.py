# ruff: noqa: D102  # a test's name is its sentence
"""What every backend must do, as tests that each of them inherits.

Invariant: what is really stored is checked and prepared by the abstract methods of `BackendContract`, which go past the
backend (to the files, to the server's memory), so that a backend that is wrong both ways cannot hide it.

To use it, inherit `BackendContract` in a class named ``Test…`` and give it the abstract methods.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from synccore.backends.base import Backend, Found, Unchanged, Version
from synccore.digest import digest_of
from synccore.errors import ConflictError, ErrorKind, IntegrityError, InvalidInputError, NotFoundError
from synccore.keys import Key

_HEAD = Key("ada/head")
_NEVER = Version("1234567890123456")

_UNUSUAL_KEYS = [
    Key("a"),
    Key("A.B-c_d/head"),
    Key("_/manifests/" + "0" * 64),
    Key("x..y/bundles/a.b"),
    Key("deep/" + "/".join("d" * 30 for _ in range(3))),
    Key("tmp/lock.tmp~"),
    Key("space in name/and 100% & more + = #"),
    Key("ümläut/日本語/é"),
]


def found_in(answer: Found | Unchanged) -> Found:
    """Return *answer*, which must be an object."""
    assert isinstance(answer, Found), answer
    return answer


def at_once(count: int, act: Callable[[int], None]) -> None:
    """Do ``act(0)`` … ``act(count - 1)`` in as many threads, started together, and raise what the first of them raised."""
    start = threading.Barrier(count)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        start.wait()
        try:
            act(number)
        except BaseException as error:  # noqa: BLE001  # raised again below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class BackendContract(ABC):
    """Inherit, say how to open a backend on a new and empty store, and how to reach what is stored without it.

    An instance is one test's: a fixture of the inheriting class makes its store.
    """

    @abstractmethod
    @contextmanager
    def opened(self) -> Iterator[Backend]:
        """Yield a backend on this test's store, which is empty at first; each call is as another process would have it."""

    @abstractmethod
    @contextmanager
    def opened_without_bucket(self) -> Iterator[Backend]:
        """Yield a backend whose bucket or directory does not exist."""

    @abstractmethod
    def stored(self, key: Key) -> bytes | None:
        """Return what is stored under *key*, past the backend."""

    @abstractmethod
    def store(self, key: Key, data: bytes) -> None:
        """Store *data* under *key*, past the backend."""

    @pytest.fixture
    def backend(self) -> Iterator[Backend]:
        """Yield a backend on an empty store."""
        with self.opened() as backend:
            yield backend

    def test_what_is_put_is_stored_byte_for_byte(self, backend: Backend) -> None:
        data = bytes(range(256)) + b"\r\n\0" + os.urandom(100)
        backend.put(_HEAD, data, replacing=None)
        assert self.stored(_HEAD) == data

    def test_what_is_stored_is_got_byte_for_byte(self, backend: Backend) -> None:
        data = bytes(range(256)) + b"\r\n\0" + os.urandom(100)
        self.store(_HEAD, data)
        assert found_in(backend.get(_HEAD)).data == data

    def test_an_empty_object_is_an_object(self, backend: Backend) -> None:
        version = backend.put(_HEAD, b"", replacing=None)
        assert self.stored(_HEAD) == b""
        assert backend.get(_HEAD) == Found(b"", version)
        assert [it.size_bytes for it in backend.keys("")] == [0]

    def test_an_object_of_some_mebibytes_goes_and_comes_whole(self, backend: Backend) -> None:
        data = os.urandom(17 << 20)
        backend.put(_HEAD, data, replacing=None)
        # Compared by digest: an assertion on the bytes would show them.
        assert hashlib.sha256(self.stored(_HEAD) or b"").digest() == hashlib.sha256(data).digest()
        assert hashlib.sha256(found_in(backend.get(_HEAD)).data).digest() == hashlib.sha256(data).digest()

    @pytest.mark.parametrize("key", _UNUSUAL_KEYS)
    def test_an_unusual_key_is_a_key(self, backend: Backend, key: Key) -> None:
        version = backend.put(key, b"one", replacing=None)
        assert self.stored(key) == b"one"
        assert backend.get(key) == Found(b"one", version)
        assert backend.get_range(key, 1, 2) == b"ne"
        assert [(it.key, it.version) for it in backend.keys(key)] == [(key, version)]
        second = backend.put(key, b"two", replacing=version)
        assert self.stored(key) == b"two"
        backend.delete(key, expecting=second)
        assert self.stored(key) is None

    def test_a_key_that_looks_like_another_is_not_the_other(self, backend: Backend) -> None:
        self.store(Key("u/a%2Fb"), b"percent")
        with pytest.raises(NotFoundError):
            backend.get(Key("u/a/b"))

    def test_every_backend_sees_at_once_what_one_has_put(self, backend: Backend) -> None:
        with self.opened() as other:
            version = backend.put(_HEAD, b"one", replacing=None)
            assert other.get(_HEAD) == Found(b"one", version)
            second = other.put(_HEAD, b"two", replacing=version)
            assert backend.get(_HEAD, unless=version) == Found(b"two", second)
            backend.delete(_HEAD, expecting=second)
            assert list(other.keys("")) == []

    # -- versions ------------------------------------------------------------------------------------------------------

    def test_the_version_that_put_returns_is_that_of_get_and_keys(self, backend: Backend) -> None:
        version = backend.put(_HEAD, b"one", replacing=None)
        assert found_in(backend.get(_HEAD)).version == version
        assert [it.version for it in backend.keys("")] == [version]

    def test_another_content_has_another_version(self, backend: Backend) -> None:
        first = backend.put(_HEAD, b"one", replacing=None)
        assert backend.put(_HEAD, b"two", replacing=first) != first

    def test_a_get_unless_the_version_is_current_brings_nothing(self, backend: Backend) -> None:
        version = backend.put(_HEAD, b"one", replacing=None)
        assert backend.get(_HEAD, unless=version) == Unchanged()

    def test_a_get_unless_another_version_brings_the_object(self, backend: Backend) -> None:
        first = backend.put(_HEAD, b"one", replacing=None)
        second = backend.put(_HEAD, b"two", replacing=first)
        assert backend.get(_HEAD, unless=first) == Found(b"two", second)

    def test_a_get_of_an_empty_object_unless_it_is_current_brings_nothing(self, backend: Backend) -> None:
        version = backend.put(_HEAD, b"", replacing=None)
        assert backend.get(_HEAD, unless=version) == Unchanged()

    # -- compare and swap ----------------------------------------------------------------------------------------------

    def test_a_key_that_must_be_free_and_is_not_stays_as_it_was(self, backend: Backend) -> None:
        self.store(_HEAD, b"theirs")
        with pytest.raises(ConflictError) as caught:
            backend.put(_HEAD, b"ours", replacing=None)
        assert caught.value.kind is ErrorKind.KEY_TAKEN
        assert _HEAD in caught.value.message
        assert self.stored(_HEAD) == b"theirs"

    def test_the_same_bytes_do_not_make_a_taken_key_free(self, backend: Backend) -> None:
        backend.put(_HEAD, b"same", replacing=None)
        with pytest.raises(ConflictError) as caught:
            backend.put(_HEAD, b"same", replacing=None)
        assert caught.value.kind is ErrorKind.KEY_TAKEN

    def test_a_digest_that_is_known_makes_no_difference(self, backend: Backend) -> None:
        """Who knows what the data's digest is may say so."""
        version = backend.put(_HEAD, b"one", replacing=None, digest=digest_of(b"one"))
        found = backend.get(_HEAD)
        assert isinstance(found, Found)
        assert (found.data, found.version) == (b"one", version)
        assert isinstance(backend.get(_HEAD, unless=version), Unchanged)
        assert backend.put(_HEAD, b"two", replacing=version, digest=digest_of(b"two")) != version

    def test_a_put_replaces_the_version_that_it_names(self, backend: Backend) -> None:
        version = backend.put(_HEAD, b"one", replacing=None)
        backend.put(_HEAD, b"two", replacing=version)
        assert self.stored(_HEAD) == b"two"

    def test_a_put_that_names_a_past_version_changes_nothing(self, backend: Backend) -> None:
        first = backend.put(_HEAD, b"one", replacing=None)
        second = backend.put(_HEAD, b"two", replacing=first)
        with pytest.raises(ConflictError) as caught:
            backend.put(_HEAD, b"three", replacing=first)
        assert caught.value.kind is ErrorKind.VERSION_MOVED
        assert _HEAD in caught.value.message
        assert self.stored(_HEAD) == b"two"
        assert found_in(backend.get(_HEAD)).version == second

    def test_a_put_that_would_replace_a_version_of_nothing_stores_nothing(self, backend: Backend) -> None:
        with pytest.raises(ConflictError) as caught:
            backend.put(_HEAD, b"two", replacing=_NEVER)
        assert caught.value.kind is ErrorKind.VERSION_MOVED
        assert self.stored(_HEAD) is None

    def test_a_key_is_free_again_after_a_delete(self, backend: Backend) -> None:
        version = backend.put(_HEAD, b"one", replacing=None)
        backend.delete(_HEAD, expecting=version)
        with pytest.raises(ConflictError):
            backend.put(_HEAD, b"two", replacing=version)
        backend.put(_HEAD, b"three", replacing=None)
        assert self.stored(_HEAD) == b"three"

    def test_of_many_who_create_one_key_exactly_one_wins(self, backend: Backend) -> None:
        won: list[bytes] = []
        lost: list[ErrorKind] = []

        def create(number: int) -> None:
            data = b"%d" % number
            try:
                backend.put(_HEAD, data, replacing=None)
            except ConflictError as error:
                lost.append(error.kind)
            else:
                won.append(data)

        at_once(8, create)
        assert lost == [ErrorKind.KEY_TAKEN] * 7
        assert [self.stored(_HEAD)] == won

    def test_of_many_who_replace_one_version_exactly_one_wins(self, backend: Backend) -> None:
        version = backend.put(_HEAD, b"first", replacing=None)
        won: list[bytes] = []
        lost: list[ErrorKind] = []

        def replace(number: int) -> None:
            data = b"%d" % number
            try:
                backend.put(_HEAD, data, replacing=version)
            except ConflictError as error:
                lost.append(error.kind)
            else:
                won.append(data)

        at_once(8, replace)
        assert lost == [ErrorKind.VERSION_MOVED] * 7
        assert [self.stored(_HEAD)] == won

    def test_counting_by_compare_and_swap_in_many_threads_loses_no_count(self, backend: Backend) -> None:
        backend.put(_HEAD, b"0", replacing=None)

        def count_one(_number: int) -> None:
            while True:
                found = found_in(backend.get(_HEAD))
                try:
                    backend.put(_HEAD, b"%d" % (int(found.data) + 1), replacing=found.version)
                except ConflictError:
                    continue
                return

        def count(number: int) -> None:
            for _ in range(4):
                count_one(number)

        at_once(5, count)
        assert self.stored(_HEAD) == b"20"

    def test_a_reader_beside_a_writer_sees_only_whole_objects(self, backend: Backend) -> None:
        version = backend.put(_HEAD, b"0" * 50_000, replacing=None)
        done = threading.Event()
        seen: set[bytes] = set()

        def read_or_write(number: int) -> None:
            nonlocal version
            if number == 0:
                while not done.is_set():
                    seen.add(found_in(backend.get(_HEAD)).data)
                return
            try:
                for digit in b"123456789":
                    version = backend.put(_HEAD, bytes([digit]) * 50_000, replacing=version)
            finally:
                done.set()

        at_once(2, read_or_write)
        assert seen <= {bytes([digit]) * 50_000 for digit in b"0123456789"}

    # -- parts ---------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(("start", "length"), [(0, 1), (0, 10), (3, 4), (9, 1)])
    def test_a_range_is_exactly_those_bytes(self, backend: Backend, start: int, length: int) -> None:
        self.store(_HEAD, b"0123456789")
        assert backend.get_range(_HEAD, start, length) == b"0123456789"[start : start + length]

    @pytest.mark.parametrize(("start", "length"), [(0, 11), (9, 2), (10, 1), (400, 1)])
    def test_a_range_past_the_end_is_damage(self, backend: Backend, start: int, length: int) -> None:
        self.store(_HEAD, b"0123456789")
        with pytest.raises(IntegrityError) as caught:
            backend.get_range(_HEAD, start, length)
        assert _HEAD in caught.value.message

    def test_a_range_of_an_empty_object_is_damage(self, backend: Backend) -> None:
        self.store(_HEAD, b"")
        with pytest.raises(IntegrityError):
            backend.get_range(_HEAD, 0, 1)

    @pytest.mark.parametrize(("start", "length"), [(-1, 1), (0, 0), (3, -1)])
    def test_a_range_that_is_none_is_the_callers_mistake(self, backend: Backend, start: int, length: int) -> None:
        self.store(_HEAD, b"0123456789")
        with pytest.raises(InvalidInputError):
            backend.get_range(_HEAD, start, length)

    # -- what is not there ---------------------------------------------------------------------------------------------

    def test_a_get_of_what_is_not_there_says_which_key(self, backend: Backend) -> None:
        self.store(Key("ada/other"), b"")
        for get in (
            lambda: backend.get(_HEAD),
            lambda: backend.get(_HEAD, unless=_NEVER),
            lambda: backend.get_range(_HEAD, 0, 1),
        ):
            with pytest.raises(NotFoundError) as caught:
                get()
            assert caught.value.kind is ErrorKind.NOT_FOUND
            assert _HEAD in caught.value.message

    def test_a_key_that_only_begins_others_is_not_there(self, backend: Backend) -> None:
        self.store(_HEAD, b"x")
        with pytest.raises(NotFoundError) as caught:
            backend.get(Key("ada"))
        assert caught.value.kind is ErrorKind.NOT_FOUND

    def test_a_missing_bucket_is_told_from_a_missing_object(self) -> None:
        with self.opened_without_bucket() as backend:
            for act in (
                lambda: backend.get(_HEAD),
                lambda: backend.get(_HEAD, unless=_NEVER),
                lambda: backend.get_range(_HEAD, 0, 1),
                lambda: list(backend.keys("")),
                lambda: backend.delete(_HEAD, expecting=_NEVER),
                backend.now_seconds,
            ):
                with pytest.raises(NotFoundError) as caught:
                    act()
                assert caught.value.kind is ErrorKind.NO_BUCKET

    # -- delete --------------------------------------------------------------------------------------------------------

    def test_a_deleted_object_is_gone(self, backend: Backend) -> None:
        version = backend.put(_HEAD, b"one", replacing=None)
        backend.delete(_HEAD, expecting=version)
        assert self.stored(_HEAD) is None
        assert list(backend.keys("")) == []
        with pytest.raises(NotFoundError):
            backend.get(_HEAD)

    def test_a_delete_that_expects_another_version_changes_nothing(self, backend: Backend) -> None:
        first = backend.put(_HEAD, b"one", replacing=None)
        backend.put(_HEAD, b"two", replacing=first)
        with pytest.raises(ConflictError) as caught:
            backend.delete(_HEAD, expecting=first)
        assert caught.value.kind is ErrorKind.VERSION_MOVED
        assert self.stored(_HEAD) == b"two"

    def test_a_delete_of_what_is_gone_is_no_error(self, backend: Backend) -> None:
        version = backend.put(_HEAD, b"one", replacing=None)
        backend.delete(_HEAD, expecting=version)
        backend.delete(_HEAD, expecting=version)
        backend.delete(Key("never/was"), expecting=version)

    def test_a_delete_takes_the_version_of_a_listing(self, backend: Backend) -> None:
        self.store(_HEAD, b"one")
        for listed in backend.keys(""):
            backend.delete(listed.key, expecting=listed.version)
        assert self.stored(_HEAD) is None

    # -- listing -------------------------------------------------------------------------------------------------------

    def test_an_empty_store_lists_nothing(self, backend: Backend) -> None:
        assert list(backend.keys("")) == []
        assert list(backend.keys("ada/")) == []

    def test_a_listing_is_in_key_order_whatever_the_separators(self, backend: Backend) -> None:
        keys = ["a-b/x", "a.b", "a/b/c", "a/b0", "a/c", "a0", "aa", "C", "b/é", "b/z", "b/日"]
        for key in reversed(keys):
            self.store(Key(key), key.encode())
        assert [it.key for it in backend.keys("")] == sorted(keys)
        assert [it.size_bytes for it in backend.keys("")] == [len(key.encode()) for key in sorted(keys)]

    @pytest.mark.parametrize(
        "prefix", ["", "ada", "ada/", "ada/b", "ada/bundles/", "ada/bundles/0", "eve/", "x", "ada/head"]
    )
    def test_a_prefix_need_not_end_at_a_separator(self, backend: Backend, prefix: str) -> None:
        keys = ["ada/bundles/00", "ada/bundles/01", "ada/bundles/10", "ada/head", "ada2/head", "eve/head"]
        for key in keys:
            self.store(Key(key), b"")
        assert [it.key for it in backend.keys(prefix)] == [key for key in keys if key.startswith(prefix)]

    def test_a_long_listing_is_whole(self, backend: Backend) -> None:
        keys = [f"ada/bundles/{number:04}" for number in range(1100)]
        for key in keys:
            self.store(Key(key), b"")
        assert [it.key for it in backend.keys("ada/")] == keys

    # -- the clock -----------------------------------------------------------------------------------------------------

    def test_the_storages_clock_is_about_right_and_stamps_what_is_stored(self, backend: Backend) -> None:
        self.store(Key("ada/other"), b"")
        before = backend.now_seconds()
        assert abs(before - time.time()) < 3600  # these machines do keep time
        backend.put(_HEAD, b"one", replacing=None)
        after = backend.now_seconds()
        (listed,) = backend.keys(_HEAD)
        # A service may tell its time in whole seconds.
        assert before - 1 <= listed.modified_seconds <= after + 1
