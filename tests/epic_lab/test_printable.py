"""What others have named does nothing to the terminal or notebook that it is shown on."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epic_lab.cli import wording
from epic_lab.kernel import line
from epic_lab.kernel.shell import tell
from epic_lab.printable import printable, printable_lines
from synccore.digest import digest_of
from synccore.gitfacts import GitFacts
from synccore.problem import Problem, ProblemKind
from synccore.provenance import Author, Provenance, SnapshotId
from synccore.pullreport import PullOutcome, PullReport, RepoPull
from synccore.treepath import TreePath

EVIL = "main\x1b[2J\x1b]0;title\x07\r\nsynccode: all is well\u202e\u2066\x9b31m\x85"


def is_harmless(text: str, *, keeps: str = "") -> bool:
    return not any(
        (
            unicodedata.category(character) in {"Cc", "Zl", "Zp"}
            or unicodedata.bidirectional(character)[:2] in {"LR", "RL"}
        )
        and unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"}
        and character not in keeps
        for character in text
    )


@given(st.text(st.characters(codec="utf-8") | st.sampled_from(EVIL)))
def test_what_is_printable_has_no_control_character(text: str) -> None:
    assert is_harmless(printable(text))
    assert is_harmless(printable_lines(text), keeps="\n\t")


def test_control_characters_are_written_out() -> None:
    assert printable("a\x1b[31m\n\u202eb") == "a\\x1b[31m\\x0a\\u202eb"
    assert printable_lines("a\tb\nc\rd") == "a\tb\nc\\x0dd"


@pytest.mark.parametrize("text", ["", "src/ä é 日本語 👩‍🔬.py", "a b+c", "שלום"])
def test_what_has_none_stays_as_it_is(text: str) -> None:
    assert printable(text) == printable_lines(text) == text


def test_a_branch_and_a_path_cannot_forge_a_line() -> None:
    facts = GitFacts(commit=None, branch=EVIL, origin=None, dirty_count=0)
    problem = Problem(ProblemKind.UNREADABLE, TreePath("a\x1b[2J\nalpha: fine"), "cannot be read")
    for said in (wording.git(facts), line.git(facts), *wording.problem_lines("alpha", [problem])):
        assert is_harmless(said)
    assert all(map(is_harmless, wording.columns([[EVIL, "b"], ["c", EVIL]])))


def test_a_kernels_line_is_one_line_whatever_the_branch_is_called(tmp_path: Path) -> None:
    facts = GitFacts(commit=None, branch=EVIL, origin=None, dirty_count=1)
    repo = RepoPull(
        repo="alpha",
        outcome=PullOutcome.CREATED,
        snapshot=SnapshotId(digest_of(b"")),
        provenance=Provenance(author=Author(user=EVIL, host=EVIL), at_ms=0, git=facts),
        files=1,
        size_bytes=1,
    )
    said = line.synced(PullReport(repos=(repo,)), code_home=tmp_path, home=tmp_path, elapsed_seconds=0.1)
    assert is_harmless(said)


def test_what_a_kernel_tells_is_harmless_whoever_worded_it(capsys: Any) -> None:
    tell(EVIL)
    assert is_harmless(capsys.readouterr().out, keeps="\n")
