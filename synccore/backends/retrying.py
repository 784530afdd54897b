"""A decorator that tries again where that is safe and may help.

Invariant: only `UnavailableError` is retried, and never a call that may already have happened and would then answer
differently: a put with *replacing* whose answer was lost goes to the caller, who alone can tell its own write.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from synccore.backends.base import Backend, Found, Listed, Unchanged, Version
from synccore.backends.patience import Patience, random_fraction
from synccore.errors import ConflictError, ErrorKind, NotFoundError, SyncError, UnavailableError
from synccore.keys import Key

_T = TypeVar("_T")


def is_ambiguous(error: SyncError) -> bool:
    """Tell whether the call that *error* ended may have happened all the same."""
    return error.facts.get("ambiguous") is True


class RetryingBackend:
    """Pass calls on to *inner* and repeat those that were not answered, with growing pauses, for *deadline_seconds*.

    Args:
        inner: the backend that does the work.
        deadline_seconds: after this long no further try is begun, and the last error is the caller's. A listing has this
            long from each line that it brings.
        clock: seconds, by a clock that only goes forward.
        sleep: how to wait.
        jitter: a new number in [0, 1) at each call, so that many clients do not come back together.
    """

    def __init__(
        self,
        inner: Backend,
        *,
        deadline_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random_fraction,
    ) -> None:
        self._inner = inner
        self._patience = Patience(deadline_seconds=deadline_seconds, clock=clock, sleep=sleep, jitter=jitter)

    @property
    def base_url(self) -> str:
        """The inner backend's."""
        return self._inner.base_url

    def warm(self) -> None:
        """Warm the inner backend."""
        self._inner.warm()

    def close(self) -> None:
        """Close the inner backend."""
        self._inner.close()

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        """Get an object, trying again."""
        return self._insist(lambda: self._inner.get(key, unless=unless))

    def get_range(self, key: Key, start: int, length: int) -> bytes:
        """Get a part of an object, trying again."""
        return self._insist(lambda: self._inner.get_range(key, start, length))

    def put(self, key: Key, data: bytes, *, replacing: Version | None) -> Version:
        """Store an object, trying again where no earlier try can have happened or its outcome can be read back.

        For a create-only put it can: whoever finds the key taken after an unanswered try, and the very same bytes under
        it, has what was asked for.
        """
        if replacing is not None:
            return self._insist(lambda: self._inner.put(key, data, replacing=replacing), unless=is_ambiguous)
        unanswered = False

        def create() -> Version:
            nonlocal unanswered
            try:
                return self._create(key, data, perhaps_done=unanswered)
            except UnavailableError as error:
                unanswered = unanswered or is_ambiguous(error)
                error.facts["ambiguous"] = unanswered
                raise

        return self._insist(create)

    def delete(self, key: Key, *, expecting: Version) -> None:
        """Delete an object, trying again: what an unanswered try has deleted is gone, which is no error."""
        self._insist(lambda: self._inner.delete(key, expecting=expecting))

    def keys(self, prefix: str) -> Iterator[Listed]:
        """List objects; a listing that breaks off is begun again and goes on after the last key it brought."""
        last: Key | None = None
        pauses = self._patience.pauses()
        while True:
            try:
                for listed in self._inner.keys(prefix):
                    if last is None or listed.key > last:
                        yield listed
                        last = listed.key
                        pauses = self._patience.pauses()
            except UnavailableError:  # noqa: PERF203  # the loop is for this
                if not next(pauses):
                    raise
            else:
                return

    def now_seconds(self) -> float:
        """Return the storage's clock, trying again."""
        return self._insist(self._inner.now_seconds)

    def _create(self, key: Key, data: bytes, *, perhaps_done: bool) -> Version:
        """Create the object; where an earlier try may have done so, the same bytes under the key are success."""
        try:
            return self._inner.put(key, data, replacing=None)
        except ConflictError as error:
            if not perhaps_done or error.kind is not ErrorKind.KEY_TAKEN:
                raise
            try:
                found = self._inner.get(key)
            except NotFoundError:
                # Somebody has deleted it since: the key is free again.
                raise UnavailableError(ErrorKind.UNAVAILABLE, error.message, **error.facts, ambiguous=True) from error
            if isinstance(found, Found) and found.data == data:
                return found.version
            # Ours may have been there and been replaced since, which only the caller can find out.
            error.facts["ambiguous"] = True
            raise

    def _insist(self, call: Callable[[], _T], *, unless: Callable[[UnavailableError], bool] | None = None) -> _T:
        """Make *call* until it is answered, time is up, or *unless* says of its error that it must not be repeated."""
        pauses = self._patience.pauses()
        while True:
            try:
                return call()
            except UnavailableError as error:  # noqa: PERF203  # the loop is for this
                if (unless is not None and unless(error)) or not next(pauses):
                    raise
