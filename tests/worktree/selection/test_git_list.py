"""How git's list is told apart into what it tracks and what it does not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from synccore.worktree.git import GitListing

H = b"H 100644 e69de29bb2d1d6434b8b29ae775ad8c2e48c5391 0\t"


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [H + b"a"],
        [b"? b"],
        [b"? b", b"? c/", H + b"a"],
        [b"? ? b", b"? c\xff", H + b"? a", H + b"z"],
        # Git does not promise an order.
        [H + b"a", b"? b"],
        [b"? b", H + b"a", b"? c", H + b"z\xff"],
    ],
)
def test_what_is_not_tracked_is_told_apart(tmp_path: Path, lines: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    listing = GitListing(tmp_path, left_out=False, nested=False)
    try:
        out = b"".join(line + b"\0" for line in lines)
        monkeypatch.setattr(listing._list, "_ended", (0, out, ""))
        untracked = {line[2:].decode("utf-8", "surrogateescape") for line in lines if line.startswith(b"? ")}
        tracked = [line[len(H) :].decode("utf-8", "surrogateescape") for line in lines if line.startswith(b"H")]
        assert listing.untracked() == {path.rstrip("/") for path in untracked}
        found = listing.finish()
        assert sorted(found.taken) == sorted([*tracked, *(path for path in untracked if path[-1] != "/")])
        assert found.nested == sorted(path.rstrip("/") for path in untracked if path[-1] == "/")
    finally:
        listing.drop()
