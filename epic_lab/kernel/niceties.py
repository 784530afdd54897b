"""What makes a notebook pleasant: the ``%synccode`` magic, the debugger's ``uu``, shorthand names.

Invariant: offering them imports none of what they need; each is loaded when it is first used.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from epic_lab.kernel.shell import Shell, tell


def offer(shell: Shell) -> None:
    """Offer the niceties in *shell*."""
    shell.inner.register_magic_function(synccode, magic_kind="line", magic_name="synccode")
    _offer_debugger(shell)
    _offer_shorthand(shell)


def synccode(line: str) -> Any:
    """Bring the synchronised code up to date: ``%synccode``, ``%synccode wait`` (for the next upload), ``%synccode status``."""
    from epic_lab.kernel.hook import check_for_updates, kernel_code

    word = line.strip()
    if word in {"", "wait"}:
        check_for_updates(wait=word == "wait", timeout_seconds=None)
    elif word == "status":
        tell("\n".join(kernel_code().describe()))
    else:
        tell(f"synccode: expected nothing, wait or status after %synccode, found {word!r}")


def _offer_debugger(shell: Shell) -> None:
    """Let ``%debug``, ``%pdb`` and post-mortems make our debugger, which is loaded by the first of them."""

    def make_debugger(*arguments: Any, **options: Any) -> Any:
        from epic_lab.kernel.debugger import debugger_class

        return debugger_class(shell.debugger_class)(*arguments, **options)

    shell.inner.InteractiveTB.debugger_cls = make_debugger


def _offer_shorthand(shell: Shell) -> None:
    """Give shorthand names their meaning in the cells that use them."""

    def before_cell(info: Any) -> None:
        from epic_lab.kernel.shorthand import define

        with suppress(Exception):  # whatever is wrong with a cell, running it says so better
            define(shell.inner.transform_cell(info.raw_cell), shell.inner.user_ns)

    shell.inner.events.register("pre_run_cell", before_cell)
