"""Where words go: results to standard output, everything that is said beside them to standard error.

Invariant: standard output has the result and nothing else, so that it can be piped; with ``--json`` that is one document. No
control character that is somebody else's reaches a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from epic_lab.cli.terminal import say, styled
from epic_lab.config import Config
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.lab import Lab
from epic_lab.printable import printable_lines

if TYPE_CHECKING:
    from epic_lab.synccode import Run


class Output(NamedTuple):
    """What a command prints through.

    Attributes:
        as_json: whether the result is a JSON document.
        no_color: whether colours are unwanted even on a terminal.
    """

    as_json: bool
    no_color: bool = False

    @classmethod
    def of(cls, lab: Lab, *, as_json: bool) -> Output:
        """Return the output of a command of *lab*."""
        return cls(as_json, lab.environment.no_color)

    def result(self, lines: Iterable[str], document: Mapping[str, object]) -> None:
        """Print the result: as *document* with ``--json``, otherwise as *lines*.

        Raises:
            LabError: the disk to which standard output goes refused.
        """
        try:
            if self.as_json:
                import json

                say(json.dumps(document, indent=2))
                return
            text = "\n".join(lines)
            if text:
                # What is piped is for programs, which want paths as they are.
                is_seen = sys.stdout is not None and sys.stdout.isatty()
                say(printable_lines(text) if is_seen else text, color=self._color)
        except BrokenPipeError:
            raise  # by a reader that has seen enough
        except OSError as error:
            raise LabError(
                LabErrorKind.LOCAL_DISK,
                f"the report could not be written to standard output: {error.strerror or error}",
                hint="What the command was to do is done; only its report is lost. Make room where the output goes.",
            ) from error

    def note(self, text: str) -> None:
        """Say something that the user should know beside the result."""
        say(styled("note: ", "cyan") + printable_lines(text), err=True, color=self._color)

    def warn(self, text: str) -> None:
        """Say something that the user should probably change."""
        said = styled("warning: ", "yellow", bold=True) + printable_lines(text)
        say(said, err=True, color=self._color)

    def warn_of_misspelt_keys(self, config: Config) -> None:
        """Warn of keys of *config* that are almost known ones; others are somebody else's business."""
        for unknown in config.unknown_keys():
            if unknown.nearest is not None:
                self.warn(
                    f"{config.path}, line {unknown.line}: {unknown.key} is unknown; did you mean {unknown.nearest}?"
                )

    @property
    def shows_progress(self) -> bool:
        """Tell whether somebody is looking: standard error is a terminal."""
        return sys.stderr is not None and sys.stderr.isatty()

    @property
    def _color(self) -> bool | None:
        return False if self.no_color else None


def run_document(command: str, run: Run[object]) -> dict[str, object]:
    """Return what every report says of its run, to be completed by what it did."""
    return {
        "command": command,
        "store": run.store.base_url,
        "user": run.store.username,
        "calls": {kind: run.calls[kind] for kind in sorted(run.calls)},
        "stored_bytes": run.stored_bytes,
        "fetched_bytes": run.fetched_bytes,
        "elapsed_seconds": round(run.elapsed_seconds, 4),
    }
