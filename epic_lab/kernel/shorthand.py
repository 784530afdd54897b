"""Names that every notebook imports: `np`, `pd`, `Path` … without the import.

A name is defined when a cell is about to run that uses it and does not define it, in a notebook that does not either. It is then
bound to the very thing that an import would have bound, so nothing is loaded that is not used, and `np` is numpy and no stand-in.

Invariant: a name that the user has given a meaning keeps it.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

SHORTHAND = {
    "np": "numpy",
    "pd": "pandas",
    "plt": "matplotlib.pyplot",
    "nx": "networkx",
    "tqdm": "tqdm.auto:tqdm",
    "Counter": "collections:Counter",
    "Path": "pathlib:Path",
    "date": "datetime:date",
    "datetime": "datetime:datetime",
    "defaultdict": "collections:defaultdict",
    "json": "json",
    "math": "math",
    "os": "os",
    "partial": "functools:partial",
    "pickle": "pickle",
    "random": "random",
    "re": "re",
    "sys": "sys",
    "time": "time",
    "timedelta": "datetime:timedelta",
}

_MAGICS = {"run_line_magic", "run_cell_magic"}


def define(cell: str, names: MutableMapping[str, Any]) -> None:
    """Define in *names* the shorthand names that *cell* uses and nobody has defined; what is not installed stays undefined."""
    try:
        used, bound = _names_in(ast.parse(cell))
    except (SyntaxError, ValueError, RecursionError):
        return
    for name in used.intersection(SHORTHAND) - bound:
        if name not in names and not hasattr(builtins, name):
            try:
                names[name] = _load(SHORTHAND[name])
            except ImportError:
                continue


def _load(where: str) -> Any:
    module, _, attribute = where.partition(":")
    loaded = import_module(module)
    return getattr(loaded, attribute) if attribute else loaded


def _names_in(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Return the names that are read in *tree*, those in the code that magics run included, and those that it binds."""
    used: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.alias):
            bound.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MAGICS:
            for text in _texts(node):
                more_used, more_bound = _names_in_text(text)
                used |= more_used
                bound |= more_bound
    return used, bound


def _texts(call: ast.Call) -> Iterator[str]:
    """Yield what a magic is given, without the magic's own name."""
    for argument in call.args[1:]:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value


def _names_in_text(text: str) -> tuple[set[str], set[str]]:
    try:
        return _names_in(ast.parse(text.strip()))
    except (SyntaxError, ValueError, RecursionError):
        return set(), set()
