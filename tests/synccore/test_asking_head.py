"""A question about the head that is begun before it is known whether anybody wants the answer."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import cast

import pytest

from synccore.asking_head import AskingHead
from synccore.backends.base import Version
from synccore.errors import ErrorKind, UnavailableError
from synccore.refs import HeadAt, NoHead
from synccore.store import Store

PATIENCE_SECONDS = 30.0


def head_at(version: str) -> HeadAt:
    return HeadAt(None, b"", Version(version))  # type: ignore[arg-type]


class FakeStore:
    """A store that counts how often it is asked, answers when it may, and remembers a head."""

    def __init__(self, seen: HeadAt | None = None) -> None:
        self.asked: list[HeadAt | NoHead] = []
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.answer: HeadAt | Exception | None = None
        self.state = SimpleNamespace(seen=lambda: None if seen is None else SimpleNamespace(at=seen))

    def newer_head(self, at: HeadAt | NoHead) -> HeadAt | None:
        self.asked.append(at)
        self.is_asked.set()
        assert self.may_answer.wait(PATIENCE_SECONDS)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def asking(store: FakeStore) -> AskingHead:
    return AskingHead(cast("Store", store))


def test_what_was_asked_early_is_not_asked_again() -> None:
    store = FakeStore(head_at("1"))
    store.answer = head_at("2")
    question = asking(store)
    question.begin_if(lambda: True)
    assert store.is_asked.wait(PATIENCE_SECONDS)
    question.begin(head_at("1"))
    assert question.finish(head_at("1")) == head_at("2")
    assert question.finish(head_at("1")) == head_at("2")
    assert len(store.asked) == 1


@pytest.mark.parametrize("seen", [None, head_at("1")])
def test_where_it_is_not_needed_or_nothing_was_seen_nothing_is_asked_early(seen: HeadAt | None) -> None:
    store = FakeStore(seen)
    question = asking(store)
    told = threading.Event()

    def needed() -> bool:
        told.set()
        return False

    question.begin_if(needed)
    assert seen is None or told.wait(PATIENCE_SECONDS)
    question.settle()
    assert store.asked == []
    assert question.finish(NoHead()) is None
    assert question.finish(head_at("1")) is None
    assert len(store.asked) == 2


def test_an_answer_about_another_head_is_nobodys() -> None:
    store = FakeStore()
    question = asking(store)
    question.begin(head_at("1"))
    assert store.is_asked.wait(PATIENCE_SECONDS)
    assert question.finish(head_at("3")) is None
    assert [at.version for at in store.asked if isinstance(at, HeadAt)] == ["1", "3"]


def test_what_storage_says_is_raised_where_the_answer_is_wanted_and_nowhere_else() -> None:
    store = FakeStore(head_at("1"))
    store.answer = UnavailableError(ErrorKind.UNAVAILABLE, "away")
    question = asking(store)
    question.begin_if(lambda: True)
    assert store.is_asked.wait(PATIENCE_SECONDS)
    question.settle()
    with pytest.raises(UnavailableError, match="away"):
        question.finish(head_at("1"))


def test_who_wants_the_connection_waits_for_the_answer() -> None:
    store = FakeStore(head_at("1"))
    store.may_answer.clear()
    question = asking(store)
    question.begin_if(lambda: True)
    assert store.is_asked.wait(PATIENCE_SECONDS)
    settled = threading.Thread(target=question.settle)
    settled.start()
    assert settled.is_alive()
    store.may_answer.set()
    settled.join(PATIENCE_SECONDS)
    assert not settled.is_alive()
