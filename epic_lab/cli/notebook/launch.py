"""`epic-notebook launch`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from epic_lab import notebook_watch
from epic_lab.cli import options
from epic_lab.cli.notebook import life, wait, wording
from epic_lab.cli.notebook.stages import stages_on
from epic_lab.cli.output import Output
from epic_lab.config import is_zone
from epic_lab.lab import Lab
from epic_lab.machines import images, prices
from epic_lab.machines import launch as launches
from epic_lab.machines.launch import Launch
from epic_lab.machines.machine import Machine
from epic_lab.notebook import Notebooks, open_notebooks
from epic_lab.notebook_launch import Launched
from epic_lab.notebook_launch import launch as launch_machine
from epic_lab.notebook_watch import Waited


def zone_names(context: click.Context, _option: click.Parameter, values: Sequence[str]) -> list[str]:
    """Split each of *values* at its commas.

    Raises:
        click.UsageError: one cannot be a zone.
    """
    zones = [zone.strip() for value in values for zone in value.split(",") if zone.strip()]
    wrong = next((zone for zone in zones if not is_zone(zone)), None)
    if wrong is not None or (values and not zones):
        raise click.UsageError(f"expected zones like europe-west1-b, found {wrong or ','.join(values)!r}", ctx=context)
    return list(dict.fromkeys(zones))


@click.command(
    epilog=options.examples(
        "epic-notebook launch gpu n1-standard-8 --gpu t4",
        "epic-notebook launch big n2-highmem-32 500 spot --max-run 12h",
        "epic-notebook launch test --zone europe-west1-b,europe-west1-c --dry-run",
    )
)
@life.name_argument
@click.argument("machine_type", metavar="[MACHINE_TYPE]", required=False)
@click.argument(
    "disk_gb", metavar="[DISK_GB]", required=False, type=click.IntRange(min=1), default=launches.DEFAULT_DISK_GB
)
@click.argument(
    "spot", metavar="[spot|nospot]", required=False, type=click.Choice(["spot", "nospot"]), default="nospot"
)
@click.option("--gpu", metavar="TYPE[:N]", help="GPUs: t4, l4, v100, a100 … or the cloud's name, and how many.")
@click.option(
    "--zone",
    "zones",
    metavar="ZONE[,ZONE]...",
    multiple=True,
    callback=zone_names,
    help="Zones to try in turn while one has none left; GCP_ZONE otherwise.",
)
@click.option(
    "--image",
    metavar="PROFILE",
    default=images.DEFAULT,
    show_default=True,
    help=f"What to start from: {', '.join(images.PROFILES)}, or projects/P/global/images/NAME.",
)
@click.option("--label", "labels", metavar="KEY=VALUE", multiple=True, help="A label to write on it; may be repeated.")
@click.option(
    "--service-account", metavar="EMAIL", help="As whom its programs ask the cloud; the project's default otherwise."
)
@click.option("--max-run", metavar="TIME", help="Stop it by itself after that long, as in 12h; its disk stays.")
@click.option("--dry-run", is_flag=True, help="Print the request and the price, and ask for nothing.")
@click.option(
    "--wait/--no-wait",
    "waits",
    default=None,
    help="Wait until JupyterLab answers, or only until it is made; on a terminal it waits.",
)
@options.json_option
def command(
    name: str,
    machine_type: str | None,
    disk_gb: int,
    spot: str,
    *,
    zones: list[str],
    dry_run: bool,
    waits: bool | None,
    as_json: bool,
    **choices: Any,
) -> None:
    """Make a machine and wait until its JupyterLab answers.

    Without more it is an n2-standard-4 with a disk of 200 GB. A spot machine costs much less, and the cloud takes it back when it needs it:
    it is then stopped, and its disk stays.

    What follows NAME comes in this order and may end early: `launch big n2-highmem-32 500 spot`.
    """
    lab = Lab.here()
    config = lab.config()
    output = Output.of(lab, as_json=as_json)
    output.warn_of_misspelt_keys(config)
    notebooks = open_notebooks(lab, config)
    wanted = launches.judged(
        notebooks.name(name),
        scripts=config.require_scripts(),
        machine_type=machine_type,
        disk_gb=disk_gb,
        spot=spot == "spot",
        **choices,
    )
    places = zones or list(config.require_zones())
    if dry_run:
        output.result(dry_lines(notebooks, wanted, places), dry_document(notebooks, wanted, places))
        return
    price = prices.of_launch(wanted, places[0])
    if not as_json:
        kind = wording.machine_type(wanted.machine_type, wanted.gpus, spot=wanted.spot)
        output.note(f"{wanted.name} is {kind}: {wording.price_line(price, spot=wanted.spot)}")
    launched, waited = _launch(
        notebooks, wanted, places, output, waits=output.shows_progress if waits is None else waits
    )
    output.result(lines(notebooks, launched, waited), document(notebooks, launched, waited))
    if launched.beside and not as_json:
        output.note(f"also running: {', '.join(map(_running, launched.beside))}; suspend what is not needed")


def lines(notebooks: Notebooks, launched: Launched, waited: Waited | None) -> list[str]:
    """Word what was made."""
    machine = launched.machine
    made = (
        f"{machine.name}  {wording.what(machine)}  {machine.zone}  made in {wording.elapsed(launched.elapsed_seconds)}"
    )
    short = f"  without stock: {', '.join(launched.without_stock)}" if launched.without_stock else ""
    if waited is not None:
        return [made + short, *wait.lines(notebooks, waited)]
    return [made + short, f"  it boots now; `epic-notebook wait {machine.name}` says when its JupyterLab answers"]


def document(notebooks: Notebooks, launched: Launched, waited: Waited | None) -> dict[str, object]:
    """Return what was made as JSON says it."""
    machine = launched.machine if waited is None else waited.machine
    took = launched.elapsed_seconds + (0.0 if waited is None else waited.elapsed_seconds)
    return {
        "command": "launch",
        "dry_run": False,
        "project": notebooks.cloud.project,
        "machine": wording.machine_document(notebooks, machine),
        "zones_without_stock": list(launched.without_stock),
        "also_running": [each.name for each in launched.beside],
        "readiness": None if waited is None else waited.readiness.value,
        "elapsed_seconds": round(took, 1),
    }


def dry_lines(notebooks: Notebooks, wanted: Launch, zones: Sequence[str]) -> list[str]:
    """Word what would be asked for."""
    import json

    body = launches.instance(wanted, project=notebooks.cloud.project, zone=zones[0])
    others = f"# and where {zones[0]} has none left, in turn: {', '.join(zones[1:])}"
    return [
        f"POST projects/{notebooks.cloud.project}/zones/{zones[0]}/instances",
        *json.dumps(body, indent=2).splitlines(),
        *([others] if zones[1:] else []),
        f"# {wording.price_line(prices.of_launch(wanted, zones[0]), spot=wanted.spot)}",
    ]


def dry_document(notebooks: Notebooks, wanted: Launch, zones: Sequence[str]) -> dict[str, object]:
    """Return what would be asked for as JSON says it."""
    return {
        "command": "launch",
        "dry_run": True,
        "project": notebooks.cloud.project,
        "zones": list(zones),
        "request": launches.instance(wanted, project=notebooks.cloud.project, zone=zones[0]),
        "price": wording.price_document(prices.of_launch(wanted, zones[0]), None),
    }


def _running(machine: Machine) -> str:
    price = prices.of_machine(machine)
    return f"{machine.name} ({wording.age_of(machine)} old, {wording.money(price.now(machine.state))} an hour)"


def _launch(
    notebooks: Notebooks, wanted: Launch, zones: Sequence[str], output: Output, *, waits: bool
) -> tuple[Launched, Waited | None]:
    with life.left_going(wanted.name, wait.hint(wanted.name)), stages_on(output) as tell:
        launched = launch_machine(notebooks, wanted, zones, tell=tell)
        if not waits:
            return launched, None
        return launched, notebook_watch.wait_until_ready(notebooks, launched.machine, tell=tell)
