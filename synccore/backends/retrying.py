"""A decorator that tries again where that is safe and may help.

Invariant: only `UnavailableError` is retried, and never a call that may already have happened and would then answer
differently: a put with *replacing* whose answer was lost goes to the caller, who alone can tell its own write.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from synccore.backends.base import Backend, Found, Listed, Version
from synccore.backends.passing import PassingBackend
from synccore.backends.patience import Patience, random_fraction
from synccore.digest import Digest
from synccore.errors import ConflictError, ErrorKind, NotFoundError, SyncError, UnavailableError
from synccore.keys import Key

_T = TypeVar("_T")


# A machine that finds no way to the storage is mostly offline, and its user should hear of it while still looking.
_TRIES_WITHOUT_CONNECTION = 3


def is_ambiguous(error: SyncError) -> bool:
    """Tell whether the call that *error* ended may have happened all the same."""
    return error.facts.get("ambiguous") is True


class RetryingBackend(PassingBackend):
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
        super().__init__(inner)
        self._patience = Patience(deadline_seconds=deadline_seconds, clock=clock, sleep=sleep, jitter=jitter)

    def pass_on(self, name: str, call: Callable[[], _T]) -> _T:
        """Make *call* until it is answered: what is passed on like this may be repeated as it is."""
        del name
        return self._insist(call)

    def put(self, key: Key, data: bytes, *, replacing: Version | None, digest: Digest | None = None) -> Version:
        """Store an object, trying again where no earlier try can have happened or its outcome can be read back.

        For a create-only put it can: whoever finds the key taken after an unanswered try, and the very same bytes under
        it, has what was asked for.
        """
        if replacing is not None:
            return self._insist(
                lambda: self._inner.put(key, data, replacing=replacing, digest=digest), unless=is_ambiguous
            )
        unanswered = False

        def create() -> Version:
            nonlocal unanswered
            try:
                return self._create(key, data, digest, perhaps_done=unanswered)
            except UnavailableError as error:
                unanswered = unanswered or is_ambiguous(error)
                error.facts["ambiguous"] = unanswered
                raise

        return self._insist(create)

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

    def _create(self, key: Key, data: bytes, digest: Digest | None, *, perhaps_done: bool) -> Version:
        """Create the object; where an earlier try may have done so, the same bytes under the key are success."""
        try:
            return self._inner.put(key, data, replacing=None, digest=digest)
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
        """Make *call* until it is answered, time is up, nothing can be reached, or *unless* says that it must not be repeated."""
        pauses = self._patience.pauses()
        unconnected = 0
        while True:
            try:
                return call()
            except UnavailableError as error:  # noqa: PERF203  # the loop is for this
                unconnected = unconnected + 1 if error.kind is ErrorKind.UNREACHABLE else 0
                is_final = unconnected == _TRIES_WITHOUT_CONNECTION or (unless is not None and unless(error))
                if is_final or not next(pauses):
                    raise
