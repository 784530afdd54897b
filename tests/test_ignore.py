"""Ignore rules, held against git itself where they are git's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synccore.errors import InvalidInputError
from synccore.ignore import (
    PathRules,
    RegexpRules,
    RuleList,
    always_left_out,
    compile_exclusion,
    parse_synccodeignore,
    read_rules,
)

# Names that tell patterns apart: every special character of a pattern is also part of a name.
NAMES = [
    "a", "b", "ab", "ba", "A", "AB", "a.b", ".a", "a b", "a ", "é", "1", "-", "]", "[", "!", "^", "\\", "*", "?", ":", "#a", "!a", "[a]", "a\\",
    "a/a", "a/b", "b/a", "ab/a", "A/b", "a/A", "é/a", "-/-", "a/ab/b", "b/a/a", "a/b/a/b", "a/*/b", "?/a", "a b/a", "ab/ab/ab",
]  # fmt: skip

PIECES = [
    "a",
    "b",
    "A",
    "é",
    "1",
    "*",
    "**",
    "/",
    "?",
    "[",
    "]",
    "-",
    "!",
    "^",
    "\\",
    " ",
    ":",
    "[:alpha:]",
    "[:upper:]",
    "#",
    ".",
    "\t",
]
patterns = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join),
    st.tuples(
        st.sampled_from(["", "/", "!", "**/"]),
        st.lists(
            st.sampled_from(["a", "b", "*", "**", "a*", "*b", "?", "[ab]", "[!a]", "a**"]), min_size=1, max_size=3
        ),
        st.sampled_from(["", "/", "/**"]),
    ).map(lambda parts: parts[0] + "/".join(parts[1]) + parts[2]),
)


@pytest.fixture(scope="module", params=[False, True], ids=["case", "no-case"])
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bool]:
    root = tmp_path_factory.mktemp("repository")
    git(root, "init", "-q")
    git(root, "config", "core.ignoreCase", str(request.param).lower())
    return root, request.param


def git(root: Path, *arguments: str, given: bytes = b"") -> bytes:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "XDG_CONFIG_HOME": str(root)}
    done = subprocess.run(["git", *arguments], cwd=root, env=environment, input=given, capture_output=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout


def ignored_by_git(root: Path) -> set[str]:
    given = b"".join(b"./%s\0" % name.encode() for name in NAMES)
    out = git(root, "check-ignore", "--no-index", "--stdin", "-z", given=given)
    return {path[2:].decode() for path in out.split(b"\0")[:-1]}


def ignored_by_rules(rules: RuleList) -> set[str]:
    """Apply *rules* as git does: from the top, and nothing below an ignored directory comes back."""

    def is_ignored(path: str, *, is_dir: bool) -> bool:
        above = path.rpartition("/")[0]
        if above and is_ignored(above, is_dir=True):
            return True
        found = rules.last_match(path.encode(), is_dir=is_dir)
        return found >= 0 and not rules.rules[found].negated

    return {name for name in NAMES if is_ignored(name, is_dir=False)}


def assert_agrees(repository: tuple[Path, bool], data: bytes) -> None:
    root, ignore_case = repository
    (root / ".gitignore").write_bytes(data)
    rules = RuleList(read_rules(data, ignore_case=ignore_case), ignore_case=ignore_case)
    assert ignored_by_rules(rules) == ignored_by_git(root)


@given(lines=st.lists(patterns, min_size=1, max_size=4), end=st.sampled_from(["\n", "\r\n", " \n", ""]))
@settings(max_examples=200, deadline=None)
def test_generated_rules_mean_what_they_mean_to_git(repository: tuple[Path, bool], lines: list[str], end: str) -> None:
    assert_agrees(repository, ("\n".join(lines) + end).encode())


@pytest.mark.parametrize(
    "text",
    [
        "a**/b", "a**b", "**", "**/", "/**", "a/**", "a/**/b", "**/a/**/b", "***/a", "a//", "//a", "/", "!", "!\na", "*\n!a", "*\n!*/\n!a/b",
        "a/", "/a/", "ab/*\n!ab/ab", "*b", "*.b", "[a", "[]]", "[!]]", "[^a]", "[a-]", "[-a]", "[b-a]", "[a-b-z]", "[[:alpha:]]", "[[:nope:]]",
        "[[:alpha:]", "[\\]]", "[a\\-z]", "\\a", "\\A", "\\*", "\\#a", "#a", "\\!a", "a\\", "a\\\\", "a\\ ", "a ", "a\\  ", " a", "a\t", "\ufeffa", "a\r\r", "\r",
        "?", "??", "é", "[é]", "A", "[A]", "[A-B]", "[B-a]", "./a", "../a", "a/./b", "a\0b", "a b", "*/a", "*/*/a", "**/b/a", "?/a", "a/?/b", "!a/b\na",
    ],
)  # fmt: skip
def test_the_corners_mean_what_they_mean_to_git(repository: tuple[Path, bool], text: str) -> None:
    assert_agrees(repository, text.encode())


def rules_of(text: str) -> PathRules:
    found = parse_synccodeignore(text.encode())
    assert isinstance(found, PathRules)
    return found


def verdicts(text: str, *paths: str) -> list[str]:
    """Say of each path what the rules make of it."""
    decided = parse_synccodeignore(text.encode()).decide_all(paths)
    return ["-" if rule is None else f"{'take' if rule.negated else 'leave'}:{rule.line}" for rule in decided]


def test_the_last_rule_that_matches_decides() -> None:
    assert verdicts("*.dat\n!keep.dat\n", "a.dat", "keep.dat", "x/keep.dat", "a.py") == [
        "leave:1",
        "take:2",
        "take:2",
        "-",
    ]
    assert verdicts("!keep.dat\n*.dat\n", "keep.dat") == ["leave:2"]


def test_a_rule_matches_a_file_through_the_directories_above_it() -> None:
    assert verdicts("data/\n", "data/a", "x/data/b/c", "data", "database/a") == ["leave:1", "leave:1", "-", "-"]
    assert verdicts("/data\n", "data/a", "x/data/a", "data") == ["leave:1", "-", "leave:1"]


def test_a_later_rule_takes_back_a_file_below_a_directory_that_is_left_out() -> None:
    assert verdicts("data/\n!data/keep.csv\n", "data/keep.csv", "data/other.csv") == ["take:2", "leave:1"]
    assert verdicts("*.csv\n!data/\n", "data/a.csv", "b.csv") == ["take:2", "leave:1"]


def test_an_earlier_rule_for_a_file_yields_to_a_later_one_for_its_directory() -> None:
    assert verdicts("!data/keep.csv\ndata/\n", "data/keep.csv") == ["leave:2"]


def test_rules_tell_whether_they_can_take_anything_back() -> None:
    assert not rules_of("a\nb\n").takes_back
    assert rules_of("a\n!b\n").takes_back


def test_empty_lines_and_comments_are_no_rules() -> None:
    assert verdicts("\n# all\n   \n\r\na\r\n", "a", "# all") == ["leave:5", "-"]


def test_deciding_for_many_paths_is_deciding_for_each() -> None:
    rules = rules_of("*.dat\n!keep.dat\nout/\n/a/*/c\n!out/x\nb\n")
    paths = ["a.dat", "keep.dat", "out/x", "out/y", "a/b/c", "a/q/c", "b", "c/b/d", "e"]
    assert rules.decide_all(paths) == [rules.decide(path) for path in paths]


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("[a", "has a '[' without its ']'"),
        ("a\\", "ends in a backslash that escapes nothing"),
        ("[[:word:]]", "has an unknown class [:word:]"),
        ("!", "names nothing"),
        ("/", "names nothing"),
        ("a//b", "has two slashes in a row, which no path has"),
        ("./a", "has a component '.' or '..', which no path has; a leading '/' means this directory"),
        ("../a", "has a component '.' or '..', which no path has; a leading '/' means this directory"),
    ],
)
def test_a_rule_that_can_match_nothing_is_refused_with_its_place(rule: str, fault: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_synccodeignore(f"# first\n{rule}\n".encode(), name="repo/.synccodeignore")
    assert caught.value.message == f"repo/.synccodeignore, line 2: {rule!r} {fault}"
    assert caught.value.facts == {"file": "repo/.synccodeignore", "line": 2, "text": rule, "fault": fault}


def test_a_line_that_is_not_utf8_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidInputError, match=r"line 2: '\\\\xff\.dat' is not UTF-8"):
        parse_synccodeignore(b"a\n\xff.dat\n")


def test_the_older_syntax_matches_from_the_beginning_of_the_path() -> None:
    text = "syntax: regexp\n\n# a comment\n.*\\.dat$\ntmp/\n"
    assert isinstance(parse_synccodeignore(text.encode()), RegexpRules)
    paths = ["a.dat", "x/y.dat", "a.data", "tmp/a", "x/tmp/a", "# a comment"]
    assert verdicts(text, *paths) == ["leave:4", "leave:4", "-", "leave:5", "-", "-"]


def test_the_older_syntax_is_recognised_with_windows_line_ends_and_a_mark() -> None:
    assert verdicts("\ufeffsyntax: regexp\r\ntmp/\r\n", "tmp/a") == ["leave:2"]


def test_a_bad_regular_expression_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidInputError, match=r"line 3: 'a\(' is no regular expression: missing \)"):
        parse_synccodeignore(b"syntax: regexp\nok\na(\n")


def test_an_unknown_syntax_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="line 1: 'syntax: glob' names an unknown syntax: expected 'regexp'"):
        parse_synccodeignore(b"syntax: glob\n*.dat\n")


def test_a_bad_exclusion_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"the exclusion '\*' is no regular expression: nothing to repeat"):
        compile_exclusion("*")


@pytest.mark.parametrize("path", [".git/config", "a/.git", "__pycache__/m", "a/__pycache__/b/c", "m.pyc", "a/b.pyc"])
def test_git_s_own_and_compiled_files_are_always_left_out(path: str) -> None:
    assert always_left_out(path)


@pytest.mark.parametrize("path", [".gitignore", "a.git/b", "pycache", "m.pyc.txt", "m.pyc/readme", ".github/x"])
def test_what_only_looks_like_them_is_not(path: str) -> None:
    assert not always_left_out(path)


@pytest.mark.parametrize("expression", ["a{99999999999999999999}", "(", "*", "[", "(" * 5000])
def test_an_expression_that_cannot_be_compiled_is_refused_however_that_fails(expression: str) -> None:
    with pytest.raises(InvalidInputError, match="is no regular expression"):
        parse_synccodeignore(f"syntax: regexp\n{expression}\n".encode())
    with pytest.raises(InvalidInputError, match="is no regular expression"):
        compile_exclusion(expression)


def test_an_expression_that_may_mean_something_else_one_day_is_taken_without_a_word() -> None:
    assert compile_exclusion("[[a]").match("[")
