"""Words on the user's terminal.

Invariant: nothing here is imported that an everyday command does not need; click, which knows the consoles of Windows, is
imported there only.
"""

from __future__ import annotations

import re
import sys

_COLOURS = {"red": 31, "yellow": 33, "cyan": 36}
_BOLD = "\x1b[1m"
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def styled(text: str, colour: str, *, bold: bool = False) -> str:
    """Return *text* as a terminal shows it in *colour*."""
    return f"\x1b[{_COLOURS[colour]}m{_BOLD if bold else ''}{text}\x1b[0m"


def say(text: str, *, err: bool = False, color: bool | None = None) -> None:
    """Write *text* and a line's end to standard output, or to standard error, at once.

    Args:
        text: what to say; without its styles where it goes to something that is no terminal.
        err: whether it goes to standard error.
        color: ``False`` if styles are unwanted in any case.

    Raises:
        OSError: whoever reads it has gone, or the disk refuses.
    """
    stream = sys.stderr if err else sys.stdout
    if stream is None:  # as it is where the shell said >&-
        return
    if sys.platform == "win32":
        import click

        click.echo(text, err=err, color=color)
        return
    if color is False or not stream.isatty():
        text = _STYLE.sub("", text)
    stream.write(text + "\n")
    stream.flush()
