import re
from pathlib import Path

import pytest

from epic_lab.kernel.shorthand import SHORTHAND, define


@pytest.mark.parametrize(
    ("cell", "defined"),
    [
        ("Path('.')", {"Path"}),
        ("x = json.dumps(1)", {"json"}),
        ("import json\njson.dumps(1)", set()),
        ("from os.path import join as re\nre('a')", set()),
        ("def Path():\n    return partial(int)", {"partial"}),
        ("def f(time): return time", set()),
        ("sum = 1\nprint(sum)", set()),
        ("'np and pd'  # plt", set()),
        ("get_ipython().run_line_magic('time', 'math.pi')", {"math"}),
        ("get_ipython().run_cell_magic('time', '', 'x = 1\\nmath.pi\\n')", {"math"}),
        ("get_ipython().run_line_magic('re', '')", set()),
        ("this is no Python, Path", set()),
        ("nul \0 Path", set()),
    ],
)
def test_what_a_cell_defines(cell: str, defined: set[str]) -> None:
    names: dict[str, object] = {}
    define(cell, names)
    assert names.keys() == defined


def test_a_name_that_has_a_meaning_keeps_it() -> None:
    names: dict[str, object] = {"Path": "mine"}
    define("Path", names)
    assert names == {"Path": "mine"}


def test_what_is_not_installed_stays_undefined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHORTHAND, "np", "there_is_no_such_package")
    names: dict[str, object] = {}
    define("np.array(Path)", names)
    assert names.keys() == {"Path"}


def test_the_page_lists_every_name() -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "kernel.md"
    listed = dict(re.findall(r"^\| `(\w+)` \| `([\w.]+)` \|$", page.read_text(), re.MULTILINE))
    assert listed == {name: where.replace(":", ".") for name, where in SHORTHAND.items()}
