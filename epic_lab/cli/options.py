"""Options and arguments that several commands share.

Invariant: what has one meaning has one spelling.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from epic_lab.cli.boundary import ExitCode

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def json_option(function: FunctionT) -> FunctionT:
    """Give a command the option ``--json``."""
    decorate = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document, also for a failure, on standard output."
    )
    return decorate(function)


def examples(*lines: str) -> str:
    """Return the end of a command's help: *lines* as they are typed, and where exit codes are explained."""
    typed = "\n".join(f"  {line}" for line in lines)
    program = re.findall(r"epic-[a-z]+", lines[0])[0]
    return f"\b\nExamples:\n{typed}\n\nExit codes: see `{program} --help`."


def repo_names(context: click.Context, _argument: click.Parameter, values: Sequence[str]) -> list[str]:
    """Split each of *values* at its commas; empty names, and the slash with which a shell completes a folder, do not count.

    Raises:
        click.UsageError: there are values and no name among them, as when a script's variable is empty.
    """
    names = [name.strip().rstrip("/" + os.sep) for value in values for name in value.split(",")]
    named = [name for name in names if name]
    if values and not named:
        raise click.UsageError(f"expected the name of a repository, found {','.join(values)!r}", ctx=context)
    return named


class LazyCommand(NamedTuple):
    """A command whose module is imported when it is run.

    Attributes:
        module: where its `command` stands.
        summary: its line in the group's help; the same as the command's own.
        alias: a second, shorter name, or ``None``.
        attribute: what it is called in its module.
    """

    module: str
    summary: str
    alias: str | None = None
    attribute: str = "command"


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports only the one that is run."""

    def __init__(self, *args: Any, commands_by_name: dict[str, LazyCommand], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = commands_by_name
        self._aliases = {lazy.alias: name for name, lazy in commands_by_name.items() if lazy.alias}

    @property
    def lazy(self) -> dict[str, LazyCommand]:
        """The commands by their first names."""
        return dict(self._lazy)

    @property
    def aliases(self) -> dict[str, str]:
        """The second names, with the first names that they stand for."""
        return dict(self._aliases)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order in which they were given."""
        return list(self._lazy)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, whichever of its names is given."""
        lazy = self._lazy.get(self._aliases.get(cmd_name, cmd_name))
        if lazy is None:
            return None
        command: click.Command = getattr(import_module(lazy.module), lazy.attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that *args* begin with, under its first name, and say which is near if there is none."""
        name = args[0]
        if ctx.resilient_parsing and name not in self._lazy and name not in self._aliases:
            return None, None, args  # a shell completes what is half typed; mistakes are told when it is run
        if name not in self._lazy and name not in self._aliases:
            from difflib import get_close_matches

            nearest = get_close_matches(name, [*self._lazy, *self._aliases], n=1)
            ctx.fail(f"no such command {name!r}" + (f"; did you mean {nearest[0]}?" if nearest else ""))
        first_name = self._aliases.get(name, name)
        return first_name, self.get_command(ctx, first_name), args[1:]

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        rows = [(", ".join(filter(None, (name, lazy.alias))), lazy.summary) for name, lazy in self._lazy.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands, importing none, and the group's options."""
        from click.shell_completion import CompletionItem

        names = [name for name in (*self._lazy, *self._aliases) if name.startswith(incomplete)]
        offered = [CompletionItem(name, help=self._lazy[self._aliases.get(name, name)].summary) for name in names]
        return [*offered, *click.Command.shell_complete(self, ctx, incomplete)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as any group does; no arguments at all show the help, as a usage error, unless they have a meaning."""
        if not args and not self.invoke_without_command and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)
