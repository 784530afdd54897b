"""`epic-notebook ssh`, and what it has in common with `ssh_raw`."""

from __future__ import annotations

import time

import click

from epic_lab.cli import options
from epic_lab.cli.notebook import life
from epic_lab.cli.notebook.stages import stages_on
from epic_lab.machines import ssh
from epic_lab.machines.machine import Machine
from epic_lab.machines.ssh import Answer, Way
from epic_lab.machines.stage import Stage, StageListener
from epic_lab.machines.states import Verb
from epic_lab.notebook import Notebooks

# A machine that was started longer ago answers at once, or not at all.
_FRESH_SECONDS = 15 * 60.0
_TUNNEL_SECONDS = 5 * 60.0


@click.command(
    epilog=options.examples(
        "epic-notebook ssh gpu",
        "epic-notebook ssh gpu -- -L 8888:localhost:8888",
        "epic-notebook ssh gpu -- nvidia-smi",
    )
)
@life.name_argument
@click.argument("flags", metavar="[-- ARGS]...", nargs=-1, type=click.UNPROCESSED)
def command(name: str, flags: tuple[str, ...]) -> int:
    """Log in to a machine as the jupyter user.

    gcloud makes the connection, through the tunnel of Google's identity-aware proxy, so the machine needs no open port. ARGS go to ssh as they
    are. A machine that was just started is waited for until it answers.
    """
    return log_in(name, user=ssh.USER, flags=flags)


def log_in(name: str, *, user: str | None, flags: tuple[str, ...]) -> int:
    """Open a session on the machine that *name* means, and return what it ends with."""
    notebooks, output = life.opened(as_json=False)
    machine = notebooks.find(name)
    way = ssh.way_to(machine, notebooks.cloud.project)
    with stages_on(output) as tell:
        machine, _ = notebooks.prepared(Verb.USE, machine, tell=tell)
        if _is_fresh(machine):
            _wait_for_tunnel(notebooks, way, tell)
    ended_with = ssh.run(way.command(user=user, flags=flags))
    if ended_with == ssh.NO_SESSION:
        output.note(f"if access was refused: the account needs the roles {', '.join(ssh.ROLES)}")
    return ended_with


def _is_fresh(machine: Machine) -> bool:
    return machine.started_seconds is not None and time.time() - machine.started_seconds < _FRESH_SECONDS


def _wait_for_tunnel(notebooks: Notebooks, way: Way, tell: StageListener) -> None:
    """Return when the machine's SSH answers, or when it cannot be told why it does not, which SSH itself will then say.

    Raises:
        LabError: the account may not use the tunnel, or the machine does not answer in time.
    """
    tell(Stage(f"waiting until the SSH of {way.name} answers"))
    for _ in notebooks.looks(_TUNNEL_SECONDS):
        answer = way.try_tunnel()
        if answer is Answer.NOT_ALLOWED:
            raise ssh.not_allowed(way.name, way.project)
        if answer is not Answer.NOT_YET:
            return
    raise ssh.no_tunnel(way.name)
