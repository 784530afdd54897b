"""How checks are carried out: side by side, in time, and each to an end of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from epic_lab.config import Environment
from epic_lab.doctor.case import Case
from epic_lab.doctor.checks import CHECKS
from epic_lab.doctor.examination import examine
from epic_lab.doctor.finding import Check, Checked, Finding, Mark, cannot_tell, not_applicable, ok, wrong
from epic_lab.doctor.machine import LEAST_FREE_BYTES, disk_finding
from epic_lab.doctor.storage import age
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.lab import Lab
from synccore.errors import ErrorKind, UnavailableError


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(Lab(Environment(home=tmp_path)), patience_seconds=1)


def check(name: str, look: Callable[[], Finding], *, needs: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Check:
    return Check(name=name, asks="", look=lambda _: look(), needs=needs, after=after)


def run(case: Case, *checks: Check, deadline_seconds: float = 60) -> dict[str, Finding]:
    return {it.check.name: it.finding for it in examine(checks, case, deadline_seconds=deadline_seconds)}


def fine() -> Finding:
    return ok("fine")


def raising(error: Exception) -> Callable[[], Finding]:
    def look() -> Finding:
        raise error

    return look


def test_checks_that_do_not_need_each_other_run_side_by_side(case: Case) -> None:
    both = threading.Barrier(2)

    def meet() -> Finding:
        both.wait(timeout=60)
        return fine()

    assert {it.mark for it in run(case, check("a", meet), check("b", meet)).values()} == {Mark.OK}


def test_a_check_waits_for_those_that_it_needs_and_those_that_it_comes_after(case: Case) -> None:
    seen: list[str] = []

    def noting(name: str, finding: Finding) -> Callable[[], Finding]:
        return lambda: (seen.append(name), finding)[1]

    found = run(
        case,
        check("a", noting("a", fine())),
        check("b", noting("b", wrong("no", remedy="do")), needs=("a",)),
        check("c", noting("c", fine()), after=("b",)),
    )
    assert seen == ["a", "b", "c"]
    assert found["c"] == fine()


@pytest.mark.parametrize(
    ("finding", "mark"),
    [
        (fine(), Mark.OK),
        (cannot_tell("?"), Mark.OK),
        (not_applicable("-"), Mark.OK),
        (wrong("no", remedy="do"), Mark.NOT_TRIED),
    ],
)
def test_only_what_is_wrong_keeps_others_from_being_tried(case: Case, finding: Finding, mark: Mark) -> None:
    found = run(case, check("a", lambda: finding), check("b", fine, needs=("a",)), check("c", fine, needs=("b",)))
    assert (found["b"].mark, found["c"].mark) == (mark, mark)
    if mark is Mark.NOT_TRIED:
        assert found["c"].detail == "not tried: it needs b"


def test_findings_come_in_order_and_as_soon_as_they_are_known(case: Case) -> None:
    go_on = threading.Event()

    def wait() -> Finding:
        go_on.wait(timeout=60)
        return fine()

    findings = examine([check("a", fine), check("b", wait), check("c", fine)], case, deadline_seconds=60)
    assert next(findings).check.name == "a"
    go_on.set()
    assert [it.check.name for it in findings] == ["b", "c"]


def test_a_check_that_never_ends_is_given_up_and_the_others_go_on(case: Case) -> None:
    never = threading.Event()

    def hang() -> Finding:
        never.wait()
        return fine()

    checks = (check("a", hang), check("b", fine, needs=("a",)), check("c", fine), check("d", fine, after=("a",)))
    found = run(case, *checks, deadline_seconds=0.2)
    never.set()
    assert found["a"].mark is Mark.WRONG
    assert found["a"].detail == "no answer within 0.2 s"
    assert [found[name].mark for name in "bcd"] == [Mark.NOT_TRIED, Mark.OK, Mark.OK]


def test_an_expected_failure_is_wrong_with_its_hint(case: Case) -> None:
    lab = LabError(LabErrorKind.MISSING_KEY, "no key", hint="add it")
    net = UnavailableError(ErrorKind.UNREACHABLE, "no network", ambiguous=False)
    found = run(case, check("a", raising(lab)), check("b", raising(net)))
    assert found["a"] == Finding(mark=Mark.WRONG, detail="no key", remedy="add it", facts={"kind": "missing-key"})
    assert (found["b"].detail, found["b"].facts) == ("no network", {"kind": "unreachable"})


def test_a_broken_check_says_so_and_keeps_its_traceback_in_a_file(case: Case) -> None:
    found = run(case, check("a", raising(ZeroDivisionError("by zero\nand more"))), check("b", fine))
    assert found["a"].mark is Mark.CANNOT_TELL
    assert found["a"].detail == "this check itself is broken: ZeroDivisionError: by zero"
    file = found["a"].facts["traceback_file"]
    assert isinstance(file, Path)
    assert str(file) in (found["a"].remedy or "")
    assert "raising.<locals>.look" in file.read_text() or "in look" in file.read_text()
    assert found["b"] == fine()


def test_how_long_each_took_is_known(case: Case) -> None:
    (checked,) = examine([check("a", fine)], case, deadline_seconds=60)
    assert isinstance(checked, Checked)
    assert checked.elapsed_seconds >= 0


def test_each_check_stands_after_those_that_it_needs_or_waits_for() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    for at, it in enumerate(CHECKS):
        assert {*it.needs, *it.after} <= set(names[:at]), it.name


def test_only_a_persons_questions_name_the_project_that_pays(tmp_path: Path) -> None:
    (tmp_path / ".epic").mkdir()
    (tmp_path / ".epic" / "lab").write_text("GCP_PROJECT_ID=our-lab-123456\n")
    file = tmp_path / "credentials.json"
    case = Case(Lab(Environment(home=tmp_path, credentials_file=file)), patience_seconds=1)
    for kind, project in (("authorized_user", "our-lab-123456"), ("service_account", None)):
        file.write_text(f'{{"type": "{kind}"}}')
        assert case.google._quota_project == project


def test_a_disk_needs_room() -> None:
    home = Path("/home/ana")
    assert disk_finding(home, free_bytes=LEAST_FREE_BYTES, total_bytes=10**11).mark is Mark.OK
    full = disk_finding(home, free_bytes=LEAST_FREE_BYTES - 1, total_bytes=10**11)
    assert full.mark is Mark.WRONG
    assert full.detail == "only 2.0 GB of 100 GB are free at /home/ana"
    assert full.facts == {"free_bytes": LEAST_FREE_BYTES - 1, "total_bytes": 10**11}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (119, "119 s"), (120, "2 minutes"), (7199, "119 minutes"), (7200, "2 hours"), (172800, "2 days")],
)
def test_an_age_is_said_in_the_largest_unit_of_which_there_are_two(seconds: int, said: str) -> None:
    assert age(seconds) == said
