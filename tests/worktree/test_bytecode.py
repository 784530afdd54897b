"""Python never runs what is no longer in the tree."""

from __future__ import annotations

import errno
import os
import py_compile
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from synccore.digest import digest_of
from synccore.manifest import FileKind
from synccore.testing.disk_tree import Content, Folder, Node, apply, lay_out, read_back
from synccore.treepath import TreePath
from synccore.worktree.rescue import Reason, RescueFolder
from synccore.worktree.tree_writer import TreeWriter

CACHE = "__pycache__"


def run(root: Path, statement: str) -> str:
    """Return what a new Python prints that finds *root* on its path and may write bytecode."""
    command = [sys.executable, "-c", statement]
    environment = {"PYTHONPATH": str(root), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_an_edit_of_the_same_size_within_the_same_second_runs(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    apply(root, {}, {"m.py": "print(1)"}, RescueFolder(tmp_path))
    assert run(root, "import m") == "1"
    assert list((root / CACHE).iterdir())

    apply(root, {"m.py": "print(1)"}, {"m.py": "print(2)"}, RescueFolder(tmp_path))

    assert not (root / CACHE).exists()
    assert run(root, "import m") == "2"


def test_the_time_alone_keeps_python_from_a_stale_module(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    apply(root, {}, {"m.py": "print(1)"}, RescueFolder(tmp_path))
    assert run(root, "import m") == "1"
    (root / CACHE).rename(tmp_path / "kept")

    apply(root, {"m.py": "print(1)"}, {"m.py": "print(2)"}, RescueFolder(tmp_path))

    (tmp_path / "kept").rename(root / CACHE)
    assert run(root, "import m") == "2"


def test_bytecode_that_python_would_never_check_goes(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"m.py": "print(1)"})
    py_compile.compile(str(root / "m.py"), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    assert run(root, "import m") == "1"
    apply(root, {"m.py": "print(1)"}, {"m.py": "print(2)"}, RescueFolder(tmp_path))
    assert run(root, "import m") == "2"


def test_a_source_that_is_recreated_does_not_run_the_bytecode_of_its_predecessor(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"m.py": "print(1)"})
    assert run(root, "import m") == "1"
    times = (root / "m.py").stat()
    (root / "m.py").unlink()
    apply(root, {"m.py": "print(1)"}, {"m.py": "print(2)"}, RescueFolder(tmp_path))
    os.utime(root / "m.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert run(root, "import m") == "2"


def test_an_interrupted_run_that_is_repeated_drops_the_bytecode_too(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"m.py": "print(2)", f"{CACHE}/m.cpython-311.pyc": "of 1", "p": Folder()})
    lay_out(root, {f"p/{CACHE}/gone.cpython-311.pyc": "of 1"})
    apply(root, {"m.py": "print(1)", "p/gone.py": ""}, {"m.py": "print(2)"}, RescueFolder(tmp_path))
    assert read_back(root) == {"m.py": "print(2)"}


def test_a_package_that_went_cannot_be_imported(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    base: dict[str, Content] = {"pack/__init__.py": "", "pack/sub/m.py": "print(1)"}
    apply(root, {}, base, RescueFolder(tmp_path))
    assert run(root, "import pack.sub.m") == "1"
    apply(root, base, {}, RescueFolder(tmp_path))
    assert read_back(tmp_path) == {"alpha": Folder()}
    assert run(root, "import pack") == "ModuleNotFoundError: No module named 'pack'"


def test_a_compiled_module_beside_a_source_that_went_is_saved_and_not_run(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"m.py": "print(1)"})
    py_compile.compile(str(root / "m.py"), cfile=str(root / "m.pyc"))
    rescue = RescueFolder(tmp_path)
    apply(root, {"m.py": "print(1)"}, {}, rescue)
    assert [(str(one.path), one.reason) for one in rescue.saved] == [("m.pyc", Reason.ORPHANED_BYTECODE)]
    assert run(root, "import m") == "ModuleNotFoundError: No module named 'm'"


def test_a_compiled_module_that_is_in_the_tree_stays(tmp_path: Path) -> None:
    base: dict[str, Content] = {"m.py": "1", "m.pyc": "2"}
    lay_out(tmp_path / "alpha", base)
    rescue = RescueFolder(tmp_path)
    apply(tmp_path / "alpha", base, {"m.pyc": "2"}, rescue)
    assert read_back(tmp_path / "alpha") == {"m.pyc": "2"}
    assert not rescue.saved


def test_a_source_with_the_longest_name_can_be_removed(tmp_path: Path) -> None:
    name = "m" * 252 + ".py"
    lay_out(tmp_path / "alpha", {name: "1"})
    apply(tmp_path / "alpha", {name: "1"}, {}, RescueFolder(tmp_path))
    assert read_back(tmp_path) == {"alpha": Folder()}


# Names in a cache of which a.py and a.b.py are rewritten, and whether they go.
NAMES = {
    "a.cpython-311.pyc": True,
    "a.cpython-38.pyc": True,
    "a.cpython-313t.pyc": True,
    "a.cpython-311.opt-1.pyc": True,
    "a.cpython-311.opt-2.pyc": True,
    "a.cpython-311-pytest-8.3.4.pyc": True,
    "a.pypy310.pyc": True,
    "a.cpython-311.pyc.140231": True,
    "a.b.cpython-311.pyc": True,
    "a.c.cpython-311.pyc": False,
    "aa.cpython-311.pyc": False,
    "b.cpython-311.pyc": False,
    "A.cpython-311.pyc": False,
    ".cpython-311.pyc": False,
    "a.cpython-311.nbi": False,
    "a.f-1.py311.nbi": False,
    "a.pyc.txt": False,
    "a": False,
}


@pytest.mark.parametrize("name", NAMES)
def test_of_a_cache_exactly_the_compiled_forms_of_what_changed_go(name: str, tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"a.py": "1", "a.b.py": "1", f"{CACHE}/{name}": "x"})
    base: dict[str, Content] = {"a.py": "1", "a.b.py": "1"}
    target: dict[str, Content] = {"a.py": "2", "a.b.py": "2"}
    apply(root, base, target, RescueFolder(tmp_path))
    kept: dict[str, Node] = {} if NAMES[name] else {f"{CACHE}/{name}": "x"}
    assert read_back(root) == {**target, **kept}


def test_a_cache_with_something_of_somebodys_keeps_the_directory(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"p/m.py": "1", f"p/{CACHE}/m.cpython-311.pyc": "x", f"p/{CACHE}/notes.txt": "y"})
    apply(root, {"p/m.py": "1"}, {}, RescueFolder(tmp_path))
    assert read_back(root) == {f"p/{CACHE}/notes.txt": "y"}


def test_bytecode_of_sources_that_somebody_else_removed_does_not_keep_an_emptied_directory(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"p/m.py": "1", f"p/{CACHE}/other.cpython-311.pyc": "x"})
    apply(root, {"p/m.py": "1"}, {}, RescueFolder(tmp_path))
    assert read_back(tmp_path) == {"alpha": Folder()}


def test_a_source_that_is_not_touched_keeps_its_bytecode(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    tree: dict[str, Node] = {"m.py": "1", f"{CACHE}/m.cpython-311.pyc": "x", f"{CACHE}/n.cpython-311.pyc": "y"}
    lay_out(root, {**tree, "n.py": "1"})
    apply(root, {"n.py": "1"}, {"n.py": "2"}, RescueFolder(tmp_path))
    assert read_back(root) == {"m.py": "1", "n.py": "2", f"{CACHE}/m.cpython-311.pyc": "x"}


def test_bytecode_that_may_not_be_removed_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    for name in ("open", "unlink"):
        lay_out(root, {"m.py": "1", f"{CACHE}/m.cpython-311.pyc": "x"})
        real = getattr(os, name)

        def refuse(path: Any, *rest: Any, real: Any = real, **how: Any) -> Any:
            if path in {b"__pycache__", b"m.cpython-311.pyc"}:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return real(path, *rest, **how)

        with monkeypatch.context() as patched:
            patched.setattr(os, name, refuse)
            apply(root, {"m.py": "1"}, {"m.py": "2"}, RescueFolder(tmp_path))
        assert read_back(root) == {"m.py": "2", f"{CACHE}/m.cpython-311.pyc": "x"}


def test_a_large_source_that_is_there_already_loses_its_bytecode_too(tmp_path: Path) -> None:
    lay_out(tmp_path / "alpha", {"m.py": "2", f"{CACHE}/m.cpython-311.pyc": "of 1"})
    with TreeWriter(tmp_path / "alpha", ours=lambda _: (), rescue=RescueFolder(tmp_path)) as writer:
        large = writer.begin(TreePath("m.py"), FileKind.FILE, 1)
        large.write_at(0, b"2")
        large.finish(digest_of(b"2"))
    assert read_back(tmp_path / "alpha") == {"m.py": "2"}
