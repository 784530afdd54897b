"""`epic-lab completion`."""

from __future__ import annotations

import click

from epic_lab.cli import options
from epic_lab.cli.output import Output
from epic_lab.lab import Lab
from epic_lab.shell_completion import PROGRAMS, SHELLS, install


@click.command(
    epilog=options.examples(
        "epic-lab completion bash --install",
        'eval "$(epic-lab completion zsh)"',
        "epic-lab completion fish | source",
    )
)
@click.argument("shell", metavar="|".join(SHELLS), type=click.Choice(SHELLS))
@click.option("--install", "installs", is_flag=True, help="Write the scripts where the shell finds them by itself.")
def command(shell: str, *, installs: bool) -> None:
    """Let the shell complete what is typed after the lab's commands.

    Prints one script for all of the lab's commands, to be run by the shell when it starts; with --install writes one for each command
    into the user's own folder for them. Commands, options, repositories and paths are completed, without asking any network.
    """
    lab = Lab.here()
    output = Output.of(lab, as_json=False)
    scripts = {program: script(shell, program) for program in PROGRAMS}
    if not installs:
        output.result(["\n".join(scripts.values())], {})
        return
    installed = install(lab.environment, shell, scripts)
    output.result([f"{path}{'' if installed.changed else ' is there already'}" for path in installed.files], {})
    output.note(installed.advice)


def script(shell: str, program: str) -> str:
    """Return what *shell* must run so that it completes *program*."""
    from click.shell_completion import ShellComplete, get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - for the shells that click knows and the argument lets pass
    variable = f"_{program}_complete".replace("-", "_").upper()
    # Not the class's own source(): bash's runs bash to look at its version, which says nothing of the bash that is meant.
    return ShellComplete.source(found(click.Command(program), {}, program, variable)).strip() + "\n"
