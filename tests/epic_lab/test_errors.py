"""Every failure has a remedy."""

from __future__ import annotations

import pytest

from epic_lab.errors import HINTS, LabError, LabErrorKind, hint_for
from synccore.errors import ErrorKind, SyncError


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_of_the_engine_has_a_hint_in_sentences(kind: ErrorKind) -> None:
    hint = hint_for(SyncError(kind, "what happened"))
    assert hint[0].isupper() or hint.startswith("`")
    assert hint.endswith((".", ")"))


def test_there_is_no_hint_for_a_kind_that_does_not_exist() -> None:
    assert set(HINTS) == set(ErrorKind)


def test_a_labs_error_brings_its_own() -> None:
    assert hint_for(LabError(LabErrorKind.BAD_LINE, "message", hint="do this")) == "do this"


def test_no_code_means_two_things() -> None:
    assert not {kind.value for kind in ErrorKind} & {kind.value for kind in LabErrorKind}
