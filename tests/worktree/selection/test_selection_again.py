"""A list that is taken over from the last look is the list that would be made anew, whatever has happened between the two."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ticks import a_tick_later

from synccore.gitfacts import GitFacts
from synccore.intake import Intake, take_in
from synccore.look import Look, Source
from synccore.reading import Claims
from synccore.snapshot import snapshot_id
from synccore.view import View
from synccore.worktree.asking_facts import AskingFacts, git_facts
from synccore.worktree.chosen import NOTHING_CHOSEN
from synccore.worktree.selection import Lister, Selecting, Selection, select

FILES = {
    "a/1": "1",
    "a/b/1": "1",
    "a/b/2": "1",
    "c/1": "1",
    "c/run": "1",
    "1": "1",
    "left/1": "1",
    # Of what is tracked in c, git says the same when c has become a link.
    ".gitignore": "left\n*.tmp\nlink\nc\n",
    ".synccodeignore": "*.bak\n",
}
NAMES = ["1", "2", "a/1", "a/b/1", "a/b/3", "c/1", "c/run", "c/x.tmp", "left/1", "left/2", "a/__pycache__/1", "new/1"]
DIRECTORIES = ["a", "a/b", "c", "left", "new", "link"]
RULES = ["", "*.tmp\n", "/a/b/\n", "*\n!c/**\n", "!left/\n!*.tmp\n", "left\nlink\nc\n", "a/b/1\n"]


def git(root: Path, *arguments: str) -> None:
    """Ask git for something that it may well refuse."""
    subprocess.run(["git", *arguments], cwd=root, check=False, capture_output=True)


Deed = Callable[[Path], None]


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with suppress(NotADirectoryError):
            path.unlink(missing_ok=True)


def writing(name: str, text: str) -> Deed:
    def do(root: Path) -> None:
        with suppress(OSError):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)

    return do


def removing(name: str) -> Deed:
    return lambda root: remove(root / name)


def running_git(*arguments: str) -> Deed:
    return lambda root: git(root, *arguments)


def putting_a_link_in_its_place(name: str, *, elsewhere: str) -> Deed:
    """Move a directory and leave a link to it: every file is found below it as it was."""

    def do(root: Path) -> None:
        if (root / name).is_dir() and not (root / name).is_symlink() and name != elsewhere:
            target = root.parent / "outside" if elsewhere == "outside" else root / elsewhere
            remove(target)
            shutil.move(root / name, target)
            (root / name).symlink_to(target)

    return do


def putting_it_back(name: str) -> Deed:
    def do(root: Path) -> None:
        if (root / name).is_symlink():
            target = (root / name).readlink()
            (root / name).unlink()
            if target.is_dir():
                shutil.move(target, root / name)

    return do


def putting_a_file_in_its_place(name: str) -> Deed:
    def do(root: Path) -> None:
        remove(root / name)
        writing(name, "1")(root)

    return do


def nesting(name: str, *, tracked: bool) -> Deed:
    def do(root: Path) -> None:
        if (root / name).is_dir():
            git(root / name, "init", "-q")
            git(root / name, "add", "-A")
            git(root / name, "commit", "-q", "-m", "m")
            if tracked:
                git(root, "add", "-f", name)

    return do


def flipping_the_mode(name: str) -> Deed:
    def do(root: Path) -> None:
        if (root / name).is_file():
            (root / name).chmod((root / name).stat().st_mode ^ 0o100)

    return do


def making(name: str) -> Deed:
    def do(root: Path) -> None:
        with suppress(OSError):
            (root / name).mkdir(parents=True)

    return do


def naming_rules(name: str) -> Deed:
    """Have git read more rules from a file outside."""
    return lambda root: git(root, "config", "core.excludesFile", str(root.parent / name))


def moving_the_repository(root: Path) -> None:
    """Put another repository in its place, which tracks less."""
    remove(root / ".git")
    git(root, "init", "-q")
    git(root, "add", "1")


names, directories = st.sampled_from(NAMES), st.sampled_from(DIRECTORIES)
deeds = st.one_of(
    st.builds(writing, names, st.sampled_from(["1", "22"])),
    st.builds(writing, st.sampled_from([".gitignore", "a/.gitignore", ".git/info/exclude"]), st.sampled_from(RULES)),
    st.builds(writing, st.just(".synccodeignore"), st.sampled_from(RULES)),
    st.builds(writing, st.sampled_from(["../rules", "left/.gitignore", "empty/.gitignore"]), st.sampled_from(RULES)),
    st.builds(writing, st.just(".git/more"), st.sampled_from(["", "[core]\n\tfileMode = false\n"])),
    st.builds(making, st.sampled_from(["empty", "empty/deep", "a/__pycache__", "left/deep", "new"])),
    st.builds(writing, st.sampled_from(["empty/1", "empty/deep/1", "left/deep/1", "a/x.tmp"]), st.just("1")),
    st.builds(running_git, st.just("config"), st.just("include.path"), st.just("more")),
    st.builds(naming_rules, st.sampled_from(["rules", "no-rules"])),
    st.builds(removing, st.sampled_from([*NAMES, *DIRECTORIES, ".synccodeignore", ".gitignore", "a/.git"])),
    st.builds(
        putting_a_link_in_its_place, directories, elsewhere=st.sampled_from(["outside", "link", "left", "x.tmp"])
    ),
    st.builds(putting_it_back, directories),
    st.builds(putting_a_file_in_its_place, directories),
    st.builds(nesting, directories, tracked=st.booleans()),
    st.builds(flipping_the_mode, names),
    st.builds(running_git, st.just("add"), st.just("-f"), names | directories),
    st.builds(running_git, st.just("add"), st.just("-A")),
    st.builds(running_git, st.just("commit"), st.sampled_from(["-qmm", "-aqmm"])),
    st.builds(running_git, st.just("checkout"), st.just("-q"), st.just("--"), names | directories),
    st.builds(running_git, st.just("reset"), st.just("-q"), st.sampled_from(["--soft", "--mixed"]), st.just("HEAD~1")),
    st.builds(running_git, st.just("rm"), st.just("--cached"), st.just("-rfq"), names | directories),
    st.builds(running_git, st.just("update-index"), st.sampled_from(["--chmod=+x", "--chmod=-x"]), names),
    st.builds(running_git, st.just("config"), st.just("core.fileMode"), st.sampled_from(["true", "false"])),
    st.sampled_from([moving_the_repository, removing(".git")]),
)
exclusions = st.sampled_from([None, None, "c/", ".*1$"])
steps = st.lists(st.tuples(st.lists(deeds, max_size=2), exclusions), min_size=2, max_size=5)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, clean_environment: Path) -> Path:
    root = tmp_path_factory.mktemp("template") / "tree"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A", "-f")
    git(root, "commit", "-q", "-m", "m")
    assert (root / ".git").is_dir(), clean_environment
    return root


def copied(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("again") / "tree"
    shutil.copytree(template, root, symlinks=True)
    return root


def listed(root: Path, before: Any, paths: Any, exclusion: str | None = None) -> tuple[Selection, Any]:
    with Selecting(root, exclusion=exclusion) as selecting:
        return selecting.finish(before, paths), selecting.chosen


def facts_beside_a_list(root: Path) -> GitFacts | None:
    with Selecting(root) as selecting, AskingFacts(root, beside=selecting) as asking:
        selecting.finish()
        return asking.finish()


@given(steps)
def test_a_list_that_is_taken_over_is_the_one_that_would_be_made(
    template: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[Deed], str | None]]
) -> None:
    root = copied(template, tmp_path_factory)
    chosen, paths = NOTHING_CHOSEN, ()
    for made, exclusion in steps:
        for deed in made:
            deed(root)
        found, chosen = listed(root, chosen, paths, exclusion)
        expected = select(root, exclusion=exclusion)
        assert facts_beside_a_list(root) == git_facts(root)
        assert found._replace(paths=tuple(found.paths)) == expected
        paths = found.paths
    shutil.rmtree(root.parent)


def looked(root: Path, cache: Path, exclusion: str | None) -> View:
    a_tick_later(root.parent)
    look = Look(Source("alpha", root, exclusion), cache, lambda: 2 * 10**18)  # long after: every time is believed
    intake = Intake()
    for _ in take_in(root, look.scan.unread, Claims(lambda _digest: True), intake):
        raise AssertionError("nothing is packed where everything counts as stored")
    view = look.finish(intake)
    a_tick_later(root.parent)
    return view


@given(steps)
@settings(max_examples=settings().max_examples * 2)
def test_what_git_says_when_asked_about_few_files_is_what_it_says_of_all(
    template: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[Deed], str | None]]
) -> None:
    root = copied(template, tmp_path_factory)
    cache = root.parent / "cache"
    for made, exclusion in steps:
        for deed in made:
            deed(root)
        a_tick_later(root.parent)
        with ExitStack() as asked:
            look = Look(Source("alpha", root, exclusion), cache, lambda: 2 * 10**18)
            intake = Intake()
            assert not list(take_in(root, look.scan.unread, Claims(lambda _digest: True), intake))
            asking = look.ask(asked)
            assert asking.finish() == git_facts(root)
            look.finish(intake, asked)
            look.keep(asking.differing)
        a_tick_later(root.parent)
    shutil.rmtree(root.parent)


@given(steps)
@settings(max_examples=settings().max_examples * 2)
def test_a_look_finds_what_one_that_remembers_nothing_finds(
    template: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[Deed], str | None]]
) -> None:
    root = copied(template, tmp_path_factory)
    cache, none = root.parent / "cache", root.parent / "none"
    for made, exclusion in steps:
        for deed in made:
            deed(root)
        found = looked(root, cache, exclusion)
        none.unlink(missing_ok=True)
        expected = looked(root, none, exclusion)
        assert list(found.tree.items()) == list(expected.tree.items())
        assert found.snapshot == expected.snapshot == snapshot_id(found.tree)
        assert (found.files, found.size_bytes) == (expected.files, expected.size_bytes)
    shutil.rmtree(root.parent)


@pytest.mark.parametrize("exclusion", [None, "c/"])
@pytest.mark.parametrize("rules", [None, "a/b/1\n", "!left/\n"])
def test_the_list_of_an_unchanged_tree_is_taken_over(tree: Any, rules: str | None, exclusion: str | None) -> None:
    """Else the laws would hold by making it anew always."""
    tree.write(FILES).init().add().commit()
    tree.write({"untracked": "1", "left/2": "1"})
    if rules is None:
        removing(".synccodeignore")(tree.root)
        tree.add()
    else:
        tree.write({".synccodeignore": rules})
    first, chosen = listed(tree.root, NOTHING_CHOSEN, (), exclusion)
    again, kept = listed(tree.root, chosen, first.paths, exclusion)
    assert again.paths is first.paths
    assert kept is chosen
    tree.write({"a/1": "edited", "left/2": "edited"})
    assert listed(tree.root, chosen, first.paths, exclusion)[0].paths is first.paths


@pytest.mark.parametrize("file_mode", ["true", "false"])
def test_what_is_executable_is_taken_over(tree: Any, file_mode: str) -> None:
    tree.write(FILES).init().add()
    tree.git("config", "core.fileMode", file_mode)
    tree.git("update-index", "--chmod=+x", "c/run")
    first, chosen = listed(tree.root, NOTHING_CHOSEN, ())
    assert first.executable == (frozenset({"c/run"}) if file_mode == "false" else None)
    again, _ = listed(tree.root, chosen, first.paths)
    assert again.paths is first.paths
    assert again.executable == first.executable


def saying_the_same(root: Path) -> str:
    return subprocess.run(
        ["git", "ls-files", "-t", "-s", "-c", "-o", "--exclude-standard"], cwd=root, check=True, capture_output=True
    ).stdout.decode()


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(writing(".synccodeignore", "a\n"), id="another rule of our own"),
        pytest.param(putting_a_link_in_its_place("c", elsewhere="left"), id="a link to where git does not look"),
        pytest.param(putting_a_link_in_its_place("c", elsewhere="outside"), id="a link that leads out"),
        pytest.param(putting_a_file_in_its_place("c"), id="a file in place of a directory"),
        pytest.param(running_git("config", "core.fileMode", "false"), id="modes that count no more"),
    ],
)
def test_a_list_of_which_git_says_the_same_is_made_anew_where_it_is_another(tree: Any, deed: Deed) -> None:
    tree.write(FILES).init().add().commit()
    first, chosen = listed(tree.root, NOTHING_CHOSEN, ())
    said = saying_the_same(tree.root)
    deed(tree.root)
    assert saying_the_same(tree.root) == said
    again, _ = listed(tree.root, chosen, first.paths)
    assert again == select(tree.root)
    assert again != first


def test_a_directory_that_was_a_link_meanwhile_is_back_in_the_list(tree: Any) -> None:
    tree.write(FILES).init().add().commit()
    first = select(tree.root)
    putting_a_link_in_its_place("c", elsewhere="outside")(tree.root)
    without, chosen = listed(tree.root, NOTHING_CHOSEN, ())
    assert "c/1" not in without.paths
    putting_it_back("c")(tree.root)
    again, _ = listed(tree.root, chosen, without.paths)
    assert "c/1" in again.paths
    assert again.paths == first.paths


def test_a_tracked_file_that_was_away_for_a_look_is_found_again(tree: Any, tmp_path: Path) -> None:
    tree.write(FILES).init().add().commit()
    for is_there in (True, False, False, True):
        if is_there:
            tree.write({"1": "1"})
        else:
            removing("1")(tree.root)
        assert ("1" in looked(tree.root, tmp_path / "cache", None).tree) == is_there


@pytest.mark.parametrize(
    "deed",
    [
        pytest.param(writing("new/1", "1"), id="a new file"),
        pytest.param(writing(".gitignore", "left\nlink\n"), id="a rule taken away"),
        pytest.param(writing(".synccodeignore", "a\n"), id="a rule of our own"),
        pytest.param(putting_a_link_in_its_place("c", elsewhere="left"), id="a link that git is not told of"),
        pytest.param(putting_a_file_in_its_place("a/b"), id="a file in place of a directory"),
        pytest.param(running_git("rm", "--cached", "-q", "left/1"), id="one that is tracked no more"),
        pytest.param(nesting("c", tracked=False), id="a repository inside"),
    ],
)
def test_a_list_that_may_be_another_is_made_anew(tree: Any, deed: Deed) -> None:
    tree.write(FILES | {"b.tmp": "1", "d/__pycache__/1": "1"}).init().add().commit()
    tree.write({"c/x.tmp": "1"})
    first, chosen = listed(tree.root, NOTHING_CHOSEN, ())
    deed(tree.root)
    again, _ = listed(tree.root, chosen, first.paths)
    expected = select(tree.root)
    assert again.paths is not first.paths or tuple(first.paths) == tuple(expected.paths)
    assert again == expected


@pytest.mark.parametrize(
    ("lister", "is_git"),
    [pytest.param(Lister.DULWICH, True, id="without git"), pytest.param(Lister.AUTO, False, id="in a plain folder")],
)
def test_where_git_does_not_say_it_the_list_is_made_anew(tree: Any, lister: Lister, is_git: bool) -> None:  # noqa: FBT001
    tree.write(FILES)
    if is_git:
        tree.init().add()
    with Selecting(tree.root, lister=lister) as selecting:
        selecting.finish()
        assert selecting.chosen == NOTHING_CHOSEN


def test_a_repository_inside_is_asked_each_time(tree: Any) -> None:
    """What git says of the outer one is the same whatever is in the inner one."""
    tree.write(FILES | {"new/1": "1"}).init().add("a", "c")
    nesting("new", tracked=False)(tree.root)
    first, chosen = listed(tree.root, NOTHING_CHOSEN, ())
    tree.write({"new/2": "1"})
    again, _ = listed(tree.root, chosen, first.paths)
    assert "new/2" in again.paths
