"""A list for which git is not asked again, and everything after which it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ticks import a_tick_later

from synccore.intake import Intake, take_in
from synccore.look import Look, Source
from synccore.reading import Claims
from synccore.view import View
from synccore.worktree import finding_grounds, git
from synccore.worktree.grounds import KnownList
from synccore.worktree.selection import select
from synccore.worktree.statcache import load_stat_cache

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="a directory's times say little there, and git is asked each time")
]

LATER_NS = 2 * 10**18  # by this clock all times are long past, and believed
FILES = {
    "1.py": "1",
    "a/1.py": "1",
    "a/b/1.py": "1",
    "c/1.py": "1",
    ".gitignore": "left\n*.tmp\n__pycache__\n!kept.tmp\n",
    "a/.gitignore": "*.log\n",
}
BESIDE = {"left/1": "1", "left/.gitignore": "!1\n", "a/__pycache__/1.pyc": "1", "empty/": "", "only/x.tmp": "1"}


@pytest.fixture
def root(tree: Any) -> Path:
    found: Path = tree.write(FILES).init().add(".").commit().write({**BESIDE, "new.py": "1"}).root
    return found


@pytest.fixture
def git_is_told_of(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Return what git is asked, from now on."""
    asked: list[tuple[str, ...]] = []
    begin = git.Question.__init__

    def noting(self: git.Question, root: Path, *arguments: str, **others: Any) -> None:
        asked.append(arguments)
        begin(self, root, *arguments, **others)

    monkeypatch.setattr(git.Question, "__init__", noting)
    return asked


def look(root: Path, exclusion: str | None = None) -> tuple[View, bool]:
    """Look at the tree; return what is there, and whether its list was known."""
    a_tick_later(root.parent)
    found = Look(Source("alpha", root, exclusion), root.parent / "cache", lambda: LATER_NS)
    intake = Intake()
    assert not list(take_in(root, found.scan.unread, Claims(lambda _digest: True), intake))
    view = found.finish(intake)
    a_tick_later(root.parent)
    return view, isinstance(found._selecting, KnownList)


def is_known(root: Path, exclusion: str | None = None) -> bool:
    """Look at the tree, hold what is found to what git lists, and return whether the list was known."""
    view, known = look(root, exclusion)
    listed = [path for path in select(root, exclusion=exclusion).paths if os.path.lexists(root / path)]
    assert list(view.paths) == listed
    return known


def test_of_an_unchanged_tree_git_is_asked_nothing(root: Path, git_is_told_of: list[tuple[str, ...]]) -> None:
    look(root)
    assert git_is_told_of
    git_is_told_of.clear()
    for _ in range(3):
        assert look(root)[1]
        (root / "a" / "1.py").write_text("another")
        (root / "new.py").write_text("another")
    assert not git_is_told_of


Deed = Callable[[Path], object]


def writing(name: str, text: str = "x") -> Deed:
    def write(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)

    return write


def configuring(*arguments: str) -> Deed:
    return lambda root: git_in(root, "config", *arguments)


def git_in(root: Path, *arguments: str) -> None:
    import subprocess

    subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True)


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(writing("a/1.py", "edited"), id="a file"),
        pytest.param(writing("new.py", "edited"), id="a file that git does not track"),
        pytest.param(writing("left/2"), id="a new file in an ignored directory"),
        pytest.param(writing("a/__pycache__/2.pyc"), id="another compiled form"),
        pytest.param(writing("left/.gitignore", ""), id="rules in an ignored directory"),
        pytest.param(writing("only/x.tmp", "edited"), id="a file that is ignored"),
        pytest.param(lambda root: (root / "left" / "new").mkdir(), id="a directory in an ignored one"),
        pytest.param(writing(".git/description"), id="what git does not read for it"),
    ],
)
def test_after_what_is_nothing_to_the_list_it_is_known(root: Path, deed: Deed) -> None:
    look(root)
    deed(root)
    assert is_known(root)


def made_as_a_link(root: Path) -> None:
    (root / "c" / "1.py").unlink()
    (root / "c" / "1.py").symlink_to("../1.py")


def moved_elsewhere(root: Path) -> None:
    (root / "a" / "b").rename(root.parent / "outside")
    (root / "a" / "b").symlink_to(root.parent / "outside")


CHANGES = [
    pytest.param(lambda root: (root / "c" / "1.py").unlink(), id="a tracked file deleted"),
    pytest.param(lambda root: (root / "a").rename(root / "d"), id="a tracked directory renamed"),
    pytest.param(writing("2.py"), id="a new file"),
    pytest.param(writing("empty/1.py"), id="a file in a directory that was empty"),
    pytest.param(writing("only/1.py"), id="a file in a directory of which all was ignored"),
    pytest.param(lambda root: (root / "a" / "deep" / "er").mkdir(parents=True), id="a new directory"),
    pytest.param(made_as_a_link, id="a link for a file"),
    pytest.param(writing(".gitignore", "new.py\n"), id="rules edited"),
    pytest.param(writing("c/.gitignore", "1.py\n"), id="new rules"),
    pytest.param(writing(".synccodeignore", "a\n"), id="rules of our own"),
    pytest.param(writing(".git/info/exclude", "new.py\n"), id="rules of the repository"),
    pytest.param(lambda root: git_in(root, "add", "new.py"), id="a file tracked"),
    pytest.param(lambda root: git_in(root, "rm", "-q", "--cached", "a/1.py"), id="a file tracked no more"),
    pytest.param(configuring("core.fileMode", "false"), id="modes that count no more"),
]
REFUSED = [
    pytest.param(moved_elsewhere, id="a link for a directory"),
    pytest.param(lambda root: git_in(root, "init", "-q", "empty"), id="a repository inside"),
    pytest.param(lambda root: (root / ".git").rename(root / "was.git"), id="no repository any more"),
]


@pytest.mark.parametrize("deed", CHANGES)
def test_after_what_may_change_the_list_git_is_asked_and_then_it_is_known_again(root: Path, deed: Deed) -> None:
    look(root)
    deed(root)
    assert not is_known(root)
    assert is_known(root)


def test_what_was_away_is_found_when_it_is_back(root: Path) -> None:
    look(root)
    for name in ("a", "c/1.py", "new.py"):
        (root / name).rename(root.parent / "away")
        assert [is_known(root) for _ in range(2)] == [False, True]
        (root.parent / "away").rename(root / name)
        assert [is_known(root) for _ in range(2)] == [False, True]


@pytest.mark.parametrize("deed", REFUSED)
def test_while_a_list_follows_from_more_git_is_asked_each_time(root: Path, deed: Deed) -> None:
    look(root)
    deed(root)
    for _ in range(3):
        assert not is_known(root)


def users_rules(root: Path, home: Path) -> Path:
    """Return the file of rules that git reads for each user without being told to."""
    assert root
    return home / ".config" / "git" / "ignore"


def rules_named_by_the_user(root: Path, home: Path) -> Path:
    git_in(root, "config", "--global", "core.excludesFile", "~/rules")
    return home / "rules"


def rules_behind_a_link(root: Path, home: Path) -> Path:
    git_in(root, "config", "core.excludesFile", str(home / "link"))
    (home / "link").symlink_to("behind")
    return home / "behind"


def included(root: Path, home: Path) -> Path:
    (root / ".git" / "rules").write_text("new.py\n")
    git_in(root, "config", "include.path", str(home / "included"))
    return home / "included"


def included_for_this_repository(root: Path, home: Path) -> Path:
    (root / ".git" / "rules").write_text("new.py\n")
    git_in(root, "config", "--global", f"includeIf.gitdir:{root.parent}/.path", "mine")
    return home / "mine"


def rules_that_git_ignores(root: Path, home: Path) -> Path:
    assert home
    (root / ".git" / "info" / "exclude").write_text(".gitignore\n")
    git_in(root, "rm", "-q", "--cached", "a/.gitignore")
    (root / "a" / "new.py").write_text("1")
    return root / "a" / ".gitignore"


@pytest.mark.parametrize(
    "place",
    [
        users_rules,
        rules_named_by_the_user,
        rules_behind_a_link,
        included,
        included_for_this_repository,
        rules_that_git_ignores,
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_rules_that_stand_elsewhere_are_watched(
    root: Path,
    clean_environment: Path,
    place: Callable[[Path, Path], Path],
    is_there: bool,  # noqa: FBT001
) -> None:
    file = place(root, clean_environment)
    names = ("included", "mine")
    text = f"[core]\n\texcludesFile = {root}/.git/rules\n" if file.name in names else "new.py\n"
    file.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    if is_there:
        file.write_text("[core]\n" if file.name in names else "\n")
    try:
        assert "new.py" in look(root)[0].paths
        assert is_known(root)
        file.write_text(text)
        assert not is_known(root)
        assert "new.py" not in look(root)[0].paths or file.name == ".gitignore"
        assert is_known(root)
    finally:
        for left in (file, clean_environment / "link"):
            left.unlink(missing_ok=True)
        git_in(
            root, "config", "--global", "--unset-all", "core.excludesFile"
        ) if place is rules_named_by_the_user else None


def test_another_exclusion_or_environment_has_git_asked(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    look(root)
    assert not is_known(root, "a/")
    assert is_known(root, "a/")
    for name in ("HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
        assert not is_known(root, "a/")
        assert is_known(root, "a/")


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(writing("d/.git", "gitdir: nowhere"), id="a repository elsewhere, in a directory without files"),
        pytest.param(
            lambda root: (writing("d/e/1.py")(root), writing("d/.git", "gitdir: nowhere")(root)),
            id="a repository elsewhere, above files that git does not track",
        ),
        pytest.param(lambda root: git_in(root, "init", "-q", "only/inner"), id="a repository inside"),
        pytest.param(configuring("core.excludesFile", "relative"), id="rules beside wherever git is started"),
        pytest.param(configuring("core.worktree", ".."), id="a tree that is elsewhere"),
        pytest.param(writing(".synccodeignore", "!left/\n"), id="rules that take back what git ignores"),
    ],
)
def test_where_something_cannot_be_watched_git_is_asked_each_time(root: Path, deed: Deed) -> None:
    deed(root)
    for _ in range(3):
        assert not look(root)[1]


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(lambda root: git_in(root, "init", "-q", "a"), id="a repository"),
        pytest.param(writing("a/.git", "gitdir: ../other"), id="one that is elsewhere"),
    ],
)
def test_among_files_that_git_tracks_another_repository_changes_nothing(root: Path, deed: Deed) -> None:
    deed(root)
    look(root)
    assert is_known(root)
    git_in(root, "init", "-q", "--bare", "other")
    writing("a/2.py")(root)
    assert not is_known(root)
    assert "a/2.py" in look(root)[0].paths


@pytest.mark.parametrize(
    ("limit", "name"), [("_MOST_UNTRACKED", "untracked {}.py"), ("_MOST_DIRECTORIES", "empty/{}/deep")]
)
def test_of_too_many_git_is_asked_each_time(root: Path, monkeypatch: pytest.MonkeyPatch, limit: str, name: str) -> None:
    monkeypatch.setattr(finding_grounds, limit, 5)
    look(root)
    assert is_known(root)
    for number in range(5):
        (root / name.format(number)).mkdir(parents=True) if "/" in name else writing(name.format(number))(root)
    look(root)
    assert not is_known(root)


@pytest.mark.parametrize("counts", [True, False])
def test_directories_are_found_where_the_file_system_counts_their_links_and_where_not(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    counts: bool,  # noqa: FBT001
) -> None:
    if not counts:
        monkeypatch.setattr(finding_grounds._Finding, "_links", lambda _self, _directory: 1)
    look(root)
    grounds = load_stat_cache(root.parent / "cache", root).grounds
    assert grounds is not None
    assert {"empty", "only"} <= set(grounds.names)
    assert not {"left", "a/__pycache__"} & set(grounds.names)


def test_what_was_changed_while_git_was_listing_is_not_believed(root: Path, tmp_path: Path) -> None:
    """With the true clock: a name may have come in the moment after git was there."""
    for _ in range(2):
        made = Look(Source("alpha", root), tmp_path / "other", __import__("time").time_ns)
        made.finish(Intake())
        assert not isinstance(made._selecting, KnownList)


MOUNTS = """\
22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home/ann rw - fuse.sshfs far:/ rw
31 30 0:41 / /home/ann/with\\040space rw - xfs /dev/sdb rw
32 22 0:42 / /home/annette rw - vfat /dev/sdc rw
33 22 0:43 / /hidden rw - vfat /dev/sdc rw
34 22 0:44 / /hidden rw - ext4 /dev/sdd rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/tree", "ext4"),
        ("/home/ann", "fuse.sshfs"),
        ("/home/ann/tree", "fuse.sshfs"),
        ("/home/ann/with space/tree", "xfs"),
        ("/home/annette/tree", "vfat"),
        ("/home/anne", "ext4"),
        ("/hidden/tree", "ext4"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert finding_grounds._kind_of_mount(path, MOUNTS.splitlines()) == kind


def test_on_a_file_system_that_is_not_known_git_is_asked_each_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding_grounds, "_is_sound", lambda _root: False)
    look(root)
    assert not look(root)[1]
