"""The debugger and the shorthand names, in a real kernel."""

import re

from epic_lab.testing.kernels import Machine

COLOUR = re.compile(r"\x1b\[[0-9;]*m")

CELL = """
import json, alpha
def mine():
    return alpha.loads_twice("[")
mine()
"""


def test_uu_and_dd_go_to_the_users_own_frames(machine: Machine) -> None:
    machine.upload("code", {"alpha.py": "import json\ndef loads_twice(text):\n    return json.loads(text)\n"})
    with machine.notebook() as notebook:
        assert "JSONDecodeError" in str(notebook.run(CELL).error)
        answers = ["uu", "p text", "uu", "p 'in the cell', text", "uu", "uu", "dd", "dd", "p text", "dd", "q"]
        said = notebook.run("%debug", answers=answers).stdout
    said = COLOUR.sub("", said)
    assert "def loads_twice(text):" in said
    assert "NameError: name 'text' is not defined" in said
    assert "no frame of your own code above" in said
    assert "no frame of your own code below" in said
    assert said.count("'['") == 2


def test_the_debugger_after_each_exception_has_them_too(machine: Machine) -> None:
    machine.upload("code", {"alpha.py": "import json\ndef loads_twice(text):\n    return json.loads(text)\n"})
    with machine.notebook() as notebook:
        notebook.run("%pdb on")
        said = COLOUR.sub("", notebook.run(CELL, answers=["uu", "q"]).stdout)
    assert "def loads_twice(text):" in said


def test_shorthand_names_are_there_when_a_cell_uses_them(machine: Machine) -> None:
    machine.upload("np_stand_in", {"numpy.py": "from decimal import Decimal as array\n"})
    with machine.notebook() as notebook:
        assert notebook.run("import sys; 'numpy' in sys.modules, 'np' in globals()").result == "(False, False)"
        assert notebook.run("str(np.array(2))").result == "'2'"
        assert notebook.run("np is sys.modules['numpy']").result == "True"
        assert notebook.run("%time Counter('aab').most_common(1)").result == "[('a', 2)]"
        assert notebook.run("Path = 'mine'\nPath").result == "'mine'"
        assert notebook.run("Path").result == "'mine'"
        assert "NameError" in str(notebook.run("pd_is_no_shorthand").error)
        assert "NameError" in str(notebook.run("nx").error)
