"""`epic-notebook open`."""

from __future__ import annotations

import click

from epic_lab.cli import options
from epic_lab.cli.notebook import life, wording
from epic_lab.config import PROXY_DOMAIN
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines.machine import Machine, State
from epic_lab.machines.states import Refuse, Verb, decide
from epic_lab.notebook import Notebooks, wrong_state

JUPYTER_PORT = 8888


@click.command(epilog=options.examples("epic-notebook open gpu", "epic-notebook open gpu --print"))
@life.name_argument
@click.option("--print", "only_print", is_flag=True, help="Print the address and open nothing.")
@options.json_option
def command(name: str, *, only_print: bool, as_json: bool) -> None:
    """Open a machine's JupyterLab in the browser.

    The address is https://DOMAIN/NAME, the domain being GCP_PROXY_DOMAIN of ~/.epic/lab. Without a domain the way is a tunnel of SSH.
    """
    notebooks, output = life.opened(as_json=as_json)
    machine = notebooks.find(name)
    decision = decide(Verb.USE, machine.state)
    if isinstance(decision, Refuse):
        raise wrong_state(Verb.USE, machine, decision)
    url = notebooks.url(machine.name)
    if url is None:
        raise LabError(
            LabErrorKind.MISSING_KEY,
            f"the lab has no domain at which machines are reached: expected {PROXY_DOMAIN.name} in ~/.epic/lab",
            hint=f"Without one, leave a tunnel open and go to http://localhost:{JUPYTER_PORT}/\n"
            f"  epic-notebook ssh {machine.name} -- -N -L {JUPYTER_PORT}:localhost:{JUPYTER_PORT}",
            key=PROXY_DOMAIN.name,
        )
    if machine.state is not State.RUNNING:
        output.note(f"{machine.name} is {machine.state.said}; `epic-notebook wait {machine.name}` says when it answers")
    output.result([url], document(notebooks, machine, url))
    if not only_print and not as_json and click.launch(url) != 0:
        output.note("no browser could be opened; the address is above")


def document(notebooks: Notebooks, machine: Machine, url: str) -> dict[str, object]:
    """Return the address as JSON says it."""
    return {
        "command": "open",
        "project": notebooks.cloud.project,
        "machine": wording.machine_document(notebooks, machine),
        "url": url,
    }
