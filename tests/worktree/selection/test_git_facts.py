"""What a snapshot records of the commit below it; every case with git and without it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from synccore.gitfacts import GitFacts
from synccore.worktree.asking_facts import AskingFacts, git_facts
from synccore.worktree.origin import without_credentials
from synccore.worktree.selection import Lister, Selecting

Make = Callable[[str], Any]


def test_a_plain_folder_has_none(tree: Any, lister: Lister) -> None:
    assert git_facts(tree.root, lister=lister) is None


def test_before_the_first_commit_there_is_none(tree: Any, lister: Lister) -> None:
    tree.init().write({"a": "", "b": ""}).add("a")
    assert git_facts(tree.root, lister=lister) == GitFacts(
        commit=None, branch="main", origin=None, dirty=("a", "b"), dirty_count=2
    )


def test_a_clean_tree_has_its_commit_branch_and_origin(tree: Any, lister: Lister) -> None:
    tree.init().write({"a": "", "run": "", "d/b": ""})
    (tree.root / "run").chmod(0o755)
    (tree.root / "link").symlink_to("a")
    tree.add().commit()
    tree.git("remote", "add", "origin", "https://ann:secret@example.org/lab/code.git")
    tree.git("checkout", "-q", "-b", "topic/one")
    assert git_facts(tree.root, lister=lister) == GitFacts(
        commit=tree.git("rev-parse", "HEAD"), branch="topic/one", origin="https://example.org/lab/code.git"
    )


def test_a_detached_head_has_no_branch(tree: Any, lister: Lister) -> None:
    tree.init().write({"a": ""}).add().commit()
    tree.git("checkout", "-q", "--detach")
    facts = git_facts(tree.root, lister=lister)
    assert facts == GitFacts(commit=tree.git("rev-parse", "HEAD"), branch=None, origin=None)


def test_every_kind_of_edit_is_dirty(tree: Any, lister: Lister) -> None:
    names = [
        "same",
        "edited",
        "staged",
        "both",
        "removed",
        "unstaged-removal",
        "forgotten",
        "mode",
        "link",
        "kind",
        "assumed",
    ]
    tree.init().write({name: name for name in names if name != "link"} | {".gitignore": "*.log\n"})
    (tree.root / "link").symlink_to("same")
    tree.add().commit()
    tree.write(
        {"edited": "2", "staged": "2", "both": "2", "added": "", "intended": "", "new": "", "d/new": "", "x.log": ""}
    )
    tree.add("staged", "both", "added")
    tree.git("add", "--intent-to-add", "intended")
    tree.write({"both": "3"})
    tree.git("rm", "-q", "removed")
    tree.git("rm", "-q", "--cached", "forgotten")
    (tree.root / "unstaged-removal").unlink()
    (tree.root / "mode").chmod(0o755)
    (tree.root / "link").unlink()
    (tree.root / "link").symlink_to("elsewhere")
    (tree.root / "kind").unlink()
    (tree.root / "kind").symlink_to("same")
    tree.git("update-index", "--assume-unchanged", "assumed")
    tree.write({"assumed": "2"})
    expected = sorted({*names, "added", "intended", "new", "d/new"} - {"same", "assumed"})
    facts = git_facts(tree.root, lister=lister)
    assert facts is not None
    assert (list(facts.dirty), facts.dirty_count) == (expected, len(expected))


def test_an_edit_of_the_same_size_in_the_instant_of_the_commit_is_dirty(tree: Any, lister: Lister) -> None:
    tree.init().write({"a": "1"}).add().commit().write({"a": "2"})
    facts = git_facts(tree.root, lister=lister)
    assert facts is not None
    assert facts.dirty == ("a",)


def test_a_touched_file_is_compared_as_git_would_store_it(tree: Any, lister: Lister) -> None:
    tree.init().git("config", "core.autocrlf", "true")
    tree.write({"a.txt": "one\r\ntwo\r\n", "b.txt": "one\r\n"}).add().commit()
    os.utime(tree.root / "a.txt", (1, 1))
    tree.write({"b.txt": "one\n"})
    facts = git_facts(tree.root, lister=lister)
    assert facts is not None
    assert facts.dirty == ("b.txt",)


def test_an_unfinished_merge_is_dirty(tree: Any, lister: Lister) -> None:
    tree.init().write({"a": "1", "b": "1"}).add().commit()
    tree.git("checkout", "-q", "-b", "side")
    tree.write({"a": "2"}).add().commit()
    tree.git("checkout", "-q", "main")
    tree.write({"a": "3"}).add().commit()
    with pytest.raises(Exception, match="exit status 1"):
        tree.git("merge", "-q", "side")
    facts = git_facts(tree.root, lister=lister)
    assert facts is not None
    assert facts.dirty == ("a",)


def test_below_a_directory_only_its_own_paths_are_dirty(tree: Any, lister: Lister) -> None:
    tree.init().write({"top": "", "sub/a": "", "sub/deep/b": ""}).add().commit()
    tree.write({"top": "2", "sub/deep/b": "2", "sub/new": "", "other": ""})
    facts = git_facts(tree.root / "sub", lister=lister)
    assert facts is not None
    assert facts.dirty == ("deep/b", "new")
    assert facts.commit == tree.git("rev-parse", "HEAD")


def test_a_repository_inside_is_one_dirty_path(tree: Any, another: Make, lister: Lister) -> None:
    inner = another("inner").init().write({"lib": ""}).add().commit()
    tree.init().write({"a": ""}).add().git("submodule", "--quiet", "add", str(inner.root), "sub")
    tree.commit()
    facts = git_facts(tree.root, lister=lister)
    assert facts is not None
    assert facts.dirty == ()
    another("tree/untracked").init().write({"x": ""})
    another("tree/sub").commit("another commit")
    facts = git_facts(tree.root, lister=lister)
    assert facts is not None
    assert facts.dirty == ("sub", "untracked")


def test_a_sparse_checkout_is_clean(tree: Any, lister: Lister) -> None:
    tree.init().write({"in/a": "", "out/b": "", "out/deep/c": ""}).add().commit()
    tree.git("sparse-checkout", "init", "--cone", "--sparse-index")
    tree.git("sparse-checkout", "set", "in")
    facts = git_facts(tree.root, lister=lister)
    assert facts is not None
    assert facts.dirty == ()


def test_many_dirty_paths_are_counted_and_the_first_hundred_named(tree: Any, lister: Lister) -> None:
    tree.init().write({f"f{number:03}": "" for number in range(123)})
    facts = git_facts(tree.root, lister=lister)
    assert facts is not None
    assert facts.dirty == tuple(f"f{number:03}" for number in range(100))
    assert facts.dirty_count == 123


def test_a_linked_work_tree_has_its_own_branch(tree: Any, lister: Lister) -> None:
    tree.init().write({"a": ""}).add().commit()
    tree.git("remote", "add", "origin", "git@example.org:lab/code.git")
    tree.git("worktree", "add", "-q", "../linked", "-b", "side")
    facts = git_facts(tree.root.parent / "linked", lister=lister)
    assert facts == GitFacts(commit=tree.git("rev-parse", "HEAD"), branch="side", origin="git@example.org:lab/code.git")


def test_an_ignored_root_has_none(tree: Any, lister: Lister) -> None:
    tree.init().write({".gitignore": "/mine/\n", "mine/a": ""}).add(".gitignore").commit()
    assert git_facts(tree.root / "mine", lister=lister) is None


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        ("https://example.org/a.git", "https://example.org/a.git"),
        ("https://token@example.org/a.git", "https://example.org/a.git"),
        ("https://user:token@example.org:8443/a.git", "https://example.org:8443/a.git"),
        ("http://user:p@ss@example.org/a@b.git", "http://example.org/a@b.git"),
        ("https://user:p/ss@example.org/a.git", "https://example.org/a.git"),
        ("https://example.org/a@b.git", "https://example.org/a@b.git"),
        ("https://[::1]:8443/a@b.git", "https://[::1]:8443/a@b.git"),
        ("https://example.org/a.git?private_token=x#y", "https://example.org/a.git"),
        ("HTTPS://user:token@example.org", "HTTPS://example.org"),
        ("ssh://git@example.org/a.git", "ssh://git@example.org/a.git"),
        ("ssh://git:secret@example.org:22/a.git", "ssh://git@example.org:22/a.git"),
        ("ftp://user:secret@example.org/a", "ftp://example.org/a"),
        ("git@example.org:lab/a.git", "git@example.org:lab/a.git"),
        ("user:secret@example.org:lab/a.git", "user@example.org:lab/a.git"),
        ("/srv/git/a@b.git", "/srv/git/a@b.git"),
        ("../a.git", "../a.git"),
        ("C:\\code\\a", "C:\\code\\a"),
        ("file:///srv/git/a.git", "file:///srv/git/a.git"),
    ],
)
def test_an_origin_carries_no_credentials(url: str, stripped: str) -> None:
    assert without_credentials(url) == stripped


def test_what_a_list_says_of_untracked_files_is_dirty(tree: Any, another: Make) -> None:
    """Git is asked only once what it does not track."""
    tree.write({".gitignore": "*.o\n", "a": "1", "sub/b": "1"}).init().add().commit()
    tree.write({"a": "2", "new": "1", "sub/é": "1", "x.o": "1", "inner/c": "1"})
    another("tree/inner").init().add().commit()
    for root in (tree.root, tree.root / "sub"):
        with Selecting(root) as selecting, AskingFacts(root, beside=selecting) as asking:
            selecting.finish()
            assert asking.finish() == git_facts(root)
    assert git_facts(tree.root).dirty == ("a", "inner", "new", "sub/é")  # type: ignore[union-attr]  # there are some
