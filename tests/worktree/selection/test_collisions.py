"""Names that some file systems take for one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from synccore.problem import Problem, ProblemKind
from synccore.treepath import TreePath, directories_above
from synccore.worktree.collisions import collisions

NFC, NFD = "caf\u00e9", "cafe\u0301"


def found(*texts: str) -> list[tuple[str, str]]:
    problems = collisions(TreePath.many(texts))
    assert all(problem.kind is ProblemKind.COLLIDES for problem in problems)
    return [(problem.path, problem.detail) for problem in problems]


def test_different_names_do_not_collide() -> None:
    assert found("a", "b", "a.b", "d/a", "d/b", "e/a", "\u00e9", "e") == []
    assert found() == []


def test_names_that_differ_by_case_collide_and_name_each_other() -> None:
    assert collisions(TreePath.many(["d/Read.me", "d/read.ME", "x"])) == (
        Problem(ProblemKind.COLLIDES, "d/read.ME", "differs from 'd/Read.me' only by case or Unicode form"),
    )


def test_names_that_differ_by_unicode_form_collide() -> None:
    assert [path for path, _ in found(NFC, NFD)] == [NFC]
    assert [path for path, _ in found(NFC.upper(), NFD)] == [NFD]
    assert [path for path, _ in found("stra\u00dfe", "STRASSE")] == ["stra\u00dfe"]


def test_directories_collide_and_what_is_below_is_not_reported_again() -> None:
    assert found("A/x", "a/x", "a/y") == [("a", "differs from 'A' only by case or Unicode form")]
    assert [path for path, _ in found("p/A/x", "p/a/y")] == ["p/a"]


def test_a_file_collides_with_a_directory() -> None:
    assert [path for path, _ in found("Data", "data/x")] == ["data"]


def test_of_three_names_each_but_the_first_is_reported() -> None:
    assert [path for path, _ in found("ABC", "Abc", "abc")] == ["Abc", "abc"]


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "A", "b", NFC, NFD, "\u00c9"]), min_size=1, max_size=3).map("/".join), max_size=6
    )
)
def test_a_tree_without_problems_has_as_many_names_when_case_is_ignored(texts: list[str]) -> None:
    nodes = {"/".join(text.split("/")[:depth]) for text in texts for depth in range(1, 4)}
    folded = {plainly_folded(node) for node in nodes}
    paths = TreePath.many(set(texts))
    assert (collisions(paths) == ()) == (len(folded) == len(nodes))
    assert collisions(paths, sorted(directories_above(paths))) == collisions(paths)


def plainly_folded(text: str) -> str:
    return text.replace(NFD, NFC).replace("\u00c9", "\u00e9").lower()
