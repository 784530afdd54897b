"""How the commands word machines, prices and what was done.

Invariant: pure functions from values to text and documents; docs/reference/notebook.md describes the documents.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from epic_lab.machines import prices
from epic_lab.machines.machine import Machine, State
from epic_lab.machines.machine_types import Gpus
from epic_lab.machines.prices import Price

if TYPE_CHECKING:
    from epic_lab.notebook import Changed, Notebooks
    from epic_lab.notebook_watch import Heard

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TEN_CENTS = 0.1
UNKNOWN = "?"

_DONE = {
    "suspend": "suspended",
    "resume": "resumed",
    "stop": "stopped",
    "start": "started",
    "delete": "terminated",
}


def money(dollars: float | None) -> str:
    """Say a price: ``$1.23``, ``$0.041``; ``?`` where it is not known."""
    if dollars is None:
        return UNKNOWN
    return f"${dollars:.2f}" if dollars >= _TEN_CENTS or dollars == 0 else f"${dollars:.3f}"


def age(elapsed_seconds: float) -> str:
    """Say how long ago something was, in one unit: ``40 s``, ``12 min``, ``5 h``, ``3 d``."""
    seconds = max(0, int(elapsed_seconds))
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"


def elapsed(seconds: float) -> str:
    """Say how long something took, to the second: ``8 s``, ``3 min 20 s``."""
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def price_line(price: Price, *, spot: bool) -> str:
    """Say what a machine costs in each state."""
    at_most = "at most " if spot and price.running is not None else ""
    parts = [f"{at_most}{money(price.running)} an hour running"]
    if price.suspended is not None:
        parts.append(f"{money(price.suspended)} suspended")
    parts.append(f"{money(price.stopped)} stopped")
    return f"{' · '.join(parts)}  ({estimate(price)})"


def estimate(price: Price) -> str:
    """Say what the prices are worth."""
    elsewhere = "" if price.is_own_region else "; this region's are not in the table"
    return f"an estimate: list prices of {price.region}, {price.as_of}{elsewhere}"


def machine_type(machine_type: str, gpus: Gpus | None, *, spot: bool) -> str:
    """Say what kind of machine it is: ``n1-standard-8, 1 nvidia-tesla-t4, spot``."""
    parts = [machine_type]
    if gpus is not None:
        parts.append(f"{gpus.count} {gpus.type}")
    if spot:
        parts.append("spot")
    return ", ".join(parts)


def what(machine: Machine) -> str:
    """Say what kind of machine *machine* is."""
    return machine_type(machine.machine_type, machine.gpus, spot=machine.is_spot)


def changed_lines(notebooks: Notebooks, changed: Changed) -> list[str]:
    """Word what a command did: what the machine was, what it is, and what it costs from now on."""
    name, before = changed.machine.name, changed.before.said
    if changed.done is None:
        now = changed.after.said if changed.after else "gone"
        already = f"is {now} already" if now == before else f"was {before} and is {now}"
        return [f"{name}  {already}; nothing to do"]
    done = f"{name}  {_DONE[changed.done.value]} after {elapsed(changed.elapsed_seconds)}; it was {before}"
    if changed.after is None:
        return [done]
    price = prices.of_machine(changed.machine)
    url = notebooks.url(name)
    following = {
        "start": [f"  it boots now; `epic-notebook wait {name}` says when its JupyterLab answers"],
        "resume": [f"  {url}"] if url else [],
    }
    return [
        f"{done}; {money(price.now(changed.after))} an hour now  ({estimate(price)})",
        *following.get(changed.done.value, []),
    ]


def changed_document(command: str, notebooks: Notebooks, changed: Changed) -> dict[str, object]:
    """Return what a command did as JSON says it."""
    return {
        "command": command,
        "project": notebooks.cloud.project,
        "machine": machine_document(notebooks, changed.machine) if changed.after else None,
        "name": changed.machine.name,
        "before": state_code(changed.before),
        "after": None if changed.after is None else state_code(changed.after),
        "done": None if changed.done is None else changed.done.value,
        "elapsed_seconds": round(changed.elapsed_seconds, 1),
    }


def machine_document(notebooks: Notebooks, machine: Machine) -> dict[str, object]:
    """Return a machine as JSON says it."""
    disk = machine.boot_disk
    return {
        "name": machine.name,
        "owner": notebooks.owner(machine),
        "state": state_code(machine.state),
        "zone": machine.zone,
        "machine_type": machine.machine_type,
        "gpu": gpu_document(machine.gpus),
        "spot": machine.is_spot,
        "disk_gb": None if disk is None else disk.size_gb,
        "created_at_ms": _ms(machine.created_seconds),
        "started_at_ms": _ms(machine.started_seconds),
        "max_run_seconds": machine.max_run_seconds,
        "address": machine.address,
        "url": notebooks.url(machine.name),
        "labels": dict(machine.labels),
        "price": price_document(prices.of_machine(machine), machine.state),
    }


def console_document(name: str, heard: Heard) -> dict[str, object]:
    """Return what a machine wrote to its console as JSON says it."""
    return {
        "command": "logs",
        "name": name,
        "text": heard.text,
        "next": heard.next,
        "missed_bytes": heard.missed_bytes,
    }


def price_document(price: Price, state: State | None) -> Mapping[str, object]:
    """Return prices as JSON says them, dollars an hour; *state* is the machine's, or ``None`` for one that is not made yet."""
    return {
        "estimate": True,
        "currency": "USD",
        "as_of": price.as_of,
        "region": price.region,
        "now_hour": None if state is None else _rounded(price.now(state)),
        "running_hour": _rounded(price.running),
        "suspended_hour": _rounded(price.suspended),
        "stopped_hour": _rounded(price.stopped),
    }


def gpu_document(gpus: Gpus | None) -> dict[str, object] | None:
    """Return GPUs as JSON says them."""
    return None if gpus is None else {"type": gpus.type, "count": gpus.count}


def state_code(state: State) -> str:
    """Return a state as JSON says it: ``running``, ``stopped``, ``pending-stop``."""
    return state.said.replace(" ", "-")


def age_of(machine: Machine) -> str:
    """Say how long ago *machine* was made."""
    return UNKNOWN if machine.created_seconds is None else age(time.time() - machine.created_seconds)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _rounded(dollars: float | None) -> float | None:
    return None if dollars is None else round(dollars, 4)
