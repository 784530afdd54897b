"""`epic-synccode configure-vm`."""

from __future__ import annotations

import click

from epic_lab.cli import options, wording
from epic_lab.cli.output import Output
from epic_lab.config import BASE_URL, USERNAME, Store, base_url_fault
from epic_lab.lab import Lab
from epic_lab.vm_configuration import configure_vm
from synccore import keys
from synccore.errors import InvalidInputError


def _checked_url(_context: click.Context, _parameter: click.Parameter, url: str) -> str:
    fault = base_url_fault(url)
    if fault is not None:
        expected, example = fault
        raise click.BadParameter(f"{url!r} is not usable: expected {expected}, such as {example}")
    return url


def _checked_name(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    try:
        return keys.user_name(name)
    except InvalidInputError as error:
        raise click.BadParameter(error.message) from error


@click.command(
    epilog=options.examples(
        "epic-synccode configure-vm --base-url gs://lab-bucket/synccode --username ana",
        "epic-synccode configure-vm --base-url file:///mnt/shared/synccode --username ana",
    )
)
@click.option(
    "--base-url",
    required=True,
    metavar="URL",
    callback=_checked_url,
    help=f"Sets {BASE_URL.name}: gs://... or file:///...",
)
@click.option(
    "--username", required=True, metavar="NAME", callback=_checked_name, help=f"Sets {USERNAME.name}: whose code."
)
@options.json_option
def command(base_url: str, username: str, *, as_json: bool) -> None:
    """Write a VM's configuration.

    Sets two keys in ~/.epic/lab (or in the file that EPIC_LAB_CONFIG names), which the user alone can read afterwards; comments
    and other keys stay. Doing it twice is the same as doing it once. On a laptop it changes nothing and says so.
    """
    lab = Lab.here()
    written = configure_vm(lab, Store(base_url, username))
    document = {
        "command": "configure-vm",
        "file": str(written.path),
        "created": written.created,
        "changed": list(written.changed),
    }
    Output.of(lab, as_json=as_json).result(wording.written(written), document)
