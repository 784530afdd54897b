"""What becomes of figures: kept, read, put into tables and plots, and judged by counts."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import charts, quick, report, tables
from benchmarks.growth import slope
from benchmarks.results import DOWN, UP, Measure, Results, ToolResult, load
from benchmarks.steps import EDIT, FIRST, SAME


def measured(seconds: list[float], *, requests: int = 1, connections: int = 1, moved: int = 1000) -> Measure:
    times = len(seconds)
    return Measure(
        seconds=seconds,
        requests=[requests] * times,
        connections=[connections] * times,
        bytes_up=[moved] * times,
        bytes_down=[moved] * times,
    )


def results(**tools: ToolResult) -> Results:
    facts = {"processors": "2", "processor": "p", "memory": "m", "system": "s", "python": "3", "file_system": "tmpfs"}
    return Results(tree="300", files=300, size_bytes=1_000_000, source="s", rtt_ms=20, machine=facts, tools=dict(tools))


def tool(seconds: float) -> ToolResult:
    directions = {UP: measured([seconds]), DOWN: measured([seconds])}
    return ToolResult(version="1", measures={step: dict(directions) for step in ("first", "same", "edit")})


def test_results_are_read_as_they_were_kept(tmp_path: Path) -> None:
    kept = results(ours=tool(0.5), gsutil=ToolResult(absent="it is not here"))
    kept.save(tmp_path)
    assert load(tmp_path / kept.file_name) == kept


def test_a_tool_that_is_measured_again_leaves_the_others_alone(tmp_path: Path) -> None:
    results(ours=tool(0.5), restic=tool(2.0)).save(tmp_path)
    results(ours=tool(0.4)).save(tmp_path)
    found = load(tmp_path / results().file_name)
    assert found.tools == {"ours": tool(0.4), "restic": tool(2.0)}


def test_a_cell_says_the_median_and_how_often() -> None:
    assert tables.time_cell(measured([0.1, 0.3, 0.2])) == "0.20 (3)"
    assert tables.time_cell(Measure(ended_after=150.0)) == "> 150"
    assert tables.time_cell(None) == ""


def test_the_best_other_tool_is_neither_ours_nor_the_archive() -> None:
    found = results(ours=tool(0.5), restic=tool(2.0), git=tool(1.0), **{"tar-zstd": tool(0.1)})
    assert tables.best_other(found, SAME, UP) == ("git", 1.0)
    assert tables.ratio_cell(found, SAME, UP) == "2.0x git"


def test_the_page_names_each_cell_in_which_another_tool_was_faster(tmp_path: Path) -> None:
    slow = tool(1.0)
    slow.measures["edit"][UP] = measured([0.3])
    results(ours=tool(0.5), git=slow, gsutil=tool(20.0)).save(tmp_path / "results")
    page = report.write_report(tmp_path / "results", tmp_path / "docs").read_text()
    assert "faster in 1 cells" in page
    assert f"* 300 files, 1 MB, round trip 20 ms; {EDIT.title}, up: git 0.30 s, ours 0.50 s" in page
    assert "0.50 (1), 40x" in page
    assert (tmp_path / "docs" / "benchmarks" / "tree-300-rtt-20.svg").exists()


def within_ceilings() -> Results:
    found = results(ours=ToolResult(version="1"))
    for (step, direction), ceiling in quick.CEILINGS.items():
        of = found.size_bytes if step == FIRST.name else 1
        moved = int(ceiling.bytes_each_way * of)
        measure = measured([9.9], requests=ceiling.requests, connections=ceiling.connections, moved=moved)
        found.tools["ours"].measures.setdefault(step, {})[direction] = measure
    return found


def test_counts_at_their_ceilings_are_no_regression() -> None:
    assert quick.regressions(within_ceilings()) == []


@pytest.mark.parametrize(
    ("worse", "said"),
    [
        ({"requests": 2}, "expected at most 1 requests, found 2"),
        ({"connections": 3}, "expected at most 2 connections, found 3"),
        ({"moved": 200_000}, "found 200,000"),
    ],
)
def test_a_count_above_its_ceiling_is_a_regression_and_a_time_is_not(worse: dict[str, int], said: str) -> None:
    found = within_ceilings()
    found.tools["ours"].measures["edit"][UP] = measured([999.0], **worse)
    lines = quick.regressions(found)
    assert lines
    assert all(line.startswith("edit up: ") for line in lines)
    assert said in lines[0]


def test_the_slope_tells_what_grows_from_what_does_not() -> None:
    sizes = [10.0, 100.0, 1000.0, 10_000.0]
    assert slope([(it, 3.0) for it in sizes]) == pytest.approx(0)
    assert slope([(it, it / 7) for it in sizes]) == pytest.approx(1)
    assert slope([(it, it**2) for it in sizes]) == pytest.approx(2)


def test_plots_are_documents_with_a_mark_for_each_figure() -> None:
    drawn = charts.dots("<title>", ["one", "two"], {"a": [0.1, None], "b": [1.0, 100.0]})
    assert (
        len([it for it in ET.fromstring(drawn).iter() if it.tag.endswith("circle")]) == 1 + 1
    )  # its legend, its figure
    ET.fromstring(charts.lines("title", {"a": [(1, 0.1), (10, 0.2)]}, across_unit="files"))
