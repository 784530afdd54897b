"""The lines of a configuration file: what they mean, and that rewriting keeps what it need not change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epic_lab.config_lines import BadLine, parse, rewrite


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("KEY=plain", "plain"),
        ("KEY = with blanks around ", "with blanks around"),
        ("export KEY=exported", "exported"),
        ("  export\tKEY=exported", "exported"),
        ("KEY=value # comment", "value"),
        ("KEY=value\t# comment", "value"),
        ("KEY=a#b", "a#b"),
        ("KEY=#b", "#b"),
        ("KEY= # only a comment", ""),
        ("KEY=", ""),
        ("KEY='single # quoted' # comment", "single # quoted"),
        ('KEY="double \' quoted"', "double ' quoted"),
        ("KEY=''", ""),
        ('KEY="C:\\new\\table"', "C:\\new\\table"),
        ("KEY=C:\\new\\table", "C:\\new\\table"),
        ("KEY=$HOME/`id`/$(id)", "$HOME/`id`/$(id)"),
        ('KEY="$HOME"', "$HOME"),
        ("KEY=a=b", "a=b"),
        ("KEY=it's", "it's"),
        ("KEY=gs://bucket/prefix", "gs://bucket/prefix"),
    ],
)
def test_an_assignment_means_its_text_and_nothing_is_executed(line: str, value: str) -> None:
    settings, bad_line = parse(line)
    assert bad_line is None
    assert settings["KEY"].value == value


def test_blank_lines_and_comments_are_no_assignments_and_count_as_lines() -> None:
    settings, bad_line = parse("# first\n\n  # third\nKEY=value\n")
    assert bad_line is None
    assert settings == {"KEY": ("KEY", "value", 4)}


def test_a_byte_order_mark_and_windows_line_ends_do_not_count() -> None:
    settings, bad_line = parse("\ufeffONE=1\r\nTWO='2'\r\n")
    assert bad_line is None
    assert {key: setting.value for key, setting in settings.items()} == {"ONE": "1", "TWO": "2"}


def test_the_later_of_two_assignments_stands() -> None:
    settings, _ = parse("KEY=1\nOTHER=x\nKEY=2\n")
    assert settings["KEY"] == ("KEY", "2", 3)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("no assignment", "expected KEY=value, found 'no assignment'"),
        ("9KEY=value", "expected KEY=value, found '9KEY=value'"),
        ("x" * 50, f"expected KEY=value, found '{'x' * 37}...'"),
        ("KEY='open", "KEY begins with ' and has no closing '"),
        ('KEY="a" b', "KEY has 'b' after its closing \""),
        ("KEY='a'#b", "KEY has '#b' after its closing '"),
    ],
)
def test_a_line_that_is_no_assignment_is_described(line: str, fault: str) -> None:
    settings, bad_line = parse(f"GOOD=1\n{line}\nalso bad\n")
    assert bad_line == BadLine(2, fault)
    assert list(settings) == ["GOOD"]


def test_rewriting_changes_a_value_where_it_stands_and_keeps_everything_else() -> None:
    before = "\ufeff# mine\r\nexport NAME = 'old' # who\r\nOTHER=`x`\r\nnot an assignment\r\nLAST=1"
    after = rewrite(before, {"NAME": "new", "ADDED": "a b"})
    assert after == (
        "\ufeff# mine\r\nexport NAME = new # who\r\nOTHER=`x`\r\nnot an assignment\r\nLAST=1\r\nADDED=a b\r\n"
    )


def test_rewriting_with_the_values_that_stand_there_changes_no_byte() -> None:
    text = "A='1'\nB= 2 # two\n\n"
    assert rewrite(text, {"A": "1", "B": "2"}) == text


def test_rewriting_changes_the_assignment_that_counts() -> None:
    assert rewrite("A=1\nA=2\n", {"A": "3"}) == "A=1\nA=3\n"


def test_an_empty_value_is_filled_in_before_its_comment() -> None:
    assert rewrite("A= # none yet\n", {"A": "1"}) == "A=1 # none yet\n"


@pytest.mark.parametrize("value", ["two\nlines", "both ' and \""])
def test_a_value_that_no_line_can_say_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"two|both"):
        rewrite("", {"A": value})


def _sayable(value: str) -> bool:
    return len(value.splitlines()) <= 1 and not value.endswith(("\n", "\r")) and not ("'" in value and '"' in value)


VALUES = st.text(alphabet="ab #'\"=\\$\t~", max_size=8).filter(_sayable)
LINES = st.lists(st.sampled_from(["A=1", "B='x' # c", "# note", "", "junk", "export A=2  # c", "A="]), max_size=5)


@given(lines=LINES, line_end=st.sampled_from(["\n", "\r\n"]), value=VALUES)
def test_what_is_written_is_what_is_read_back(lines: list[str], line_end: str, value: str) -> None:
    text = line_end.join(lines)
    after = rewrite(text, {"A": value})
    settings, _ = parse(after)
    assert settings["A"].value == value
    assert rewrite(after, {"A": value}) == after
    assert {k: s.value for k, s in settings.items() if k != "A"} == {
        k: s.value for k, s in parse(text)[0].items() if k != "A"
    }
