"""One working tree through many updates and edits: the writer and the looks at it, against a dictionary."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from synccore.intake import Intake, take_in
from synccore.look import Look, Source
from synccore.reading import Claims
from synccore.snapshot import snapshot_id
from synccore.testing.disk_tree import Content, Link, Program, apply, kind_and_data, make_node, read_back
from synccore.testing.trees import entries, read
from synccore.worktree.rescue import RescueFolder

pytestmark = pytest.mark.vm

NAMES = st.sampled_from(("a", "b", "m.py"))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS = st.one_of(
    st.sampled_from(("", "1", "2")), st.sampled_from(("1", "2")).map(Program), st.just(Link("../outside"))
)


def stands_in_the_way(path: str, other: str) -> bool:
    return (path != other and f"{path}/".startswith(f"{other}/")) or other.startswith(f"{path}/")


class WorkingTree(RuleBasedStateMachine):
    """The model is what must be there; what was somebody's is there, or was saved."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="working-tree-")
        self.home = Path(self.folder.name)
        self.root = self.home / "alpha"
        self.root.mkdir()
        (self.home / "outside").mkdir()
        (self.home / "outside" / "a").write_text("theirs")
        self.rescue = RescueFolder(self.home)
        self.base: dict[str, Content] = {}
        self.there: dict[str, Content] = {}
        self.edits: dict[str, Content] = {}
        self.number = 0

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(wanted=st.dictionaries(PATHS, CONTENTS, max_size=5))
    def update(self, wanted: dict[str, Content]) -> None:
        kept: dict[str, Content] = {}
        for path, content in wanted.items():
            if not any(stands_in_the_way(path, other) for other in kept):
                kept[path] = content
        apply(self.root, self.base, kept, self.rescue)
        hers = {
            path: content
            for path, content in self.there.items()
            if path not in self.base and path not in kept and not any(stands_in_the_way(path, it) for it in kept)
        }
        # Python would run a compiled form that lies about in the place of a source that has gone; there are none here.
        self.base, self.there = kept, {**hers, **kept}

    @rule(path=PATHS, kind=st.sampled_from(("text", "text", "program", "mode", "gone")))
    def edit(self, path: str, kind: str) -> None:
        place = self.root / path
        blocked = any(other != path and path.startswith(f"{other}/") for other in self.there)
        if blocked or (place.is_dir() and not place.is_symlink()):
            return
        old = self.there.pop(path, None)
        self.edits.pop(path, None)
        with suppress(FileNotFoundError):
            place.unlink()
        if kind == "gone":
            return
        self.number += 1
        text = f"hers {self.number}"
        new: Content = Program(text) if kind == "program" else text
        if kind == "mode" and isinstance(old, str):
            new = Program(old)
        place.parent.mkdir(parents=True, exist_ok=True)
        make_node(place, new)
        self.there[path] = new
        if self.base.get(path) != new:
            self.edits[path] = new

    @invariant()
    def what_must_be_there_is_there(self) -> None:
        found = {path: node for path, node in read_back(self.root).items() if isinstance(node, str | Program | Link)}
        assert found == self.there

    @invariant()
    def nothing_of_somebodys_is_lost(self) -> None:
        saved = [
            read_back(folder / "alpha") for folder in (self.home / ".rescued").glob("*/") if (folder / "alpha").is_dir()
        ]
        for path, content in self.edits.items():
            if self.there.get(path) != content and kind_and_data(content)[1].startswith(b"hers"):
                assert any(content == node for tree in saved for node in tree.values()), path
        assert (self.home / "outside" / "a").read_text() == "theirs"
        assert len(list((self.home / "outside").iterdir())) == 1

    @invariant()
    def a_look_finds_it(self) -> None:
        looked = Look(Source(repo="alpha", root=self.root), self.home / "cache", self.clock)
        intake = Intake()
        for _ in take_in(self.root, looked.scan.unread, Claims(lambda _digest: True), intake):
            raise AssertionError("nothing is packed where everything counts as stored")
        view = looked.finish(intake)
        assert view.tree == entries(read(self.root))
        assert view.snapshot == snapshot_id(view.tree)

    @staticmethod
    def clock() -> int:
        import time

        return time.time_ns()


IS_DEEP = settings().max_examples > 100
WorkingTree.TestCase.settings = settings(max_examples=400 if IS_DEEP else 60, stateful_step_count=50 if IS_DEEP else 20)
TestAWorkingTree = WorkingTree.TestCase
