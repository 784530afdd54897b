"""How the suite's own Compute Engine reads filters, orders and pages."""

import pytest

from epic_lab.testing.compute.listing import chosen, page
from epic_lab.testing.compute.refusals import RefusalError

ITEMS = [
    {
        "name": "ann-1",
        "creationTimestamp": "2026-01-03",
        "status": "RUNNING",
        "labels": {"owner": "ann"},
        "tags": {"items": ["epic-lab", "web"]},
        "scheduling": {"preemptible": True},
        "size": "20",
    },
    {
        "name": "ann-2",
        "creationTimestamp": "2026-01-01",
        "status": "TERMINATED",
        "labels": {"owner": "ann"},
        "size": "5",
    },
    {"name": "bob-1", "creationTimestamp": "2026-01-02", "status": "RUNNING"},
]


def names(**query: str) -> list[str]:
    return [str(it["name"]) for it in chosen(ITEMS, query)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "ann-1 ann-2 bob-1"),
        ("labels.owner=ann", "ann-1 ann-2"),
        ("labels.owner:*", "ann-1 ann-2"),
        ("NOT labels.owner:*", "bob-1"),
        ("status != RUNNING", "ann-2"),
        ('status = "RUNNING"', "ann-1 bob-1"),
        ("name:bob", "bob-1"),
        ("name=ann-*", "ann-1 ann-2"),
        ("name=ann", ""),
        ("name eq ann-.*", "ann-1 ann-2"),
        ("name eq ann", ""),
        ("name ne 'ann-.*'", "bob-1"),
        ("tags.items=epic-lab", "ann-1"),
        ("scheduling.preemptible = true", "ann-1"),
        ("size > 6", "ann-1"),
        ("size <= 5", "ann-2"),
        ("(status = RUNNING) (labels.owner = ann)", "ann-1"),
        ("status = RUNNING AND labels.owner = ann", "ann-1"),
        ("name=ann-1 OR name=bob-1", "ann-1 bob-1"),
        ("status=RUNNING AND name=ann-1 OR name=ann-2", "ann-1"),
        ("(status=RUNNING AND name=ann-1) OR name=ann-2", "ann-1 ann-2"),
    ],
)
def test_a_filter_finds_what_it_describes(text: str, found: str) -> None:
    assert names(filter=text) == found.split()


@pytest.mark.parametrize(
    "text", ["status", "status=", "status ~ RUN", "(status=RUNNING", "a=b)", "name eq (", "size > x"]
)
def test_a_filter_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(RefusalError, match="Invalid list filter expression"):
        names(filter=text)


def test_lists_come_by_name_or_with_the_newest_first() -> None:
    assert names() == names(orderBy="name") == ["ann-1", "ann-2", "bob-1"]
    assert names(orderBy="creationTimestamp desc") == ["ann-1", "bob-1", "ann-2"]
    with pytest.raises(RefusalError, match="Sorting by that"):
        names(orderBy="status")


def test_pages_hold_each_item_once() -> None:
    found, token = page(range(5), {"maxResults": "2"})
    following: list[int] = []
    while token:
        more, token = page(range(5), {"maxResults": "2", "pageToken": token})
        following += more
    assert found + following == [0, 1, 2, 3, 4]
    with pytest.raises(RefusalError, match="page token"):
        page(range(5), {"pageToken": "third"})
