"""GPUs: what people call them, and which machine types can have them.

Invariant: pure. Of https://cloud.google.com/compute/docs/gpus, as of November 2026: an L4, an A100 or an H100 comes with a machine
type of its own, and the older ones are attached to machines of the family N1.
"""

from __future__ import annotations

import re
from types import MappingProxyType

from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines.machine_types import DEFAULT, Gpus, parse

SHORT_NAMES = MappingProxyType(
    {
        "t4": "nvidia-tesla-t4",
        "p4": "nvidia-tesla-p4",
        "p100": "nvidia-tesla-p100",
        "v100": "nvidia-tesla-v100",
        "l4": "nvidia-l4",
        "a100": "nvidia-tesla-a100",
        "a100-80gb": "nvidia-a100-80gb",
        "h100": "nvidia-h100-80gb",
    }
)
_MOST = 16
_ATTACHED_TO_N1 = {"nvidia-tesla-t4": 4, "nvidia-tesla-p4": 4, "nvidia-tesla-p100": 4, "nvidia-tesla-v100": 8}
# Machine types that come with that many.
_TYPES_WITH = MappingProxyType(
    {
        "nvidia-l4": {1: "g2-standard-4", 2: "g2-standard-24", 4: "g2-standard-48", 8: "g2-standard-96"},
        "nvidia-tesla-a100": {count: f"a2-highgpu-{count}g" for count in (1, 2, 4, 8)},
        "nvidia-a100-80gb": {count: f"a2-ultragpu-{count}g" for count in (1, 2, 4, 8)},
        "nvidia-h100-80gb": {count: f"a3-highgpu-{count}g" for count in (1, 2, 4, 8)},
    }
)
# Processors for each GPU that suit it, within what N1 takes.
_N1_VCPUS_EACH = 8


def gpus_of(text: str) -> Gpus:
    """Read ``TYPE`` or ``TYPE:N``, the type by its short name or as the cloud calls it.

    Raises:
        LabError: it is neither.
    """
    found = re.fullmatch(r"([a-z0-9][a-z0-9-]*)(?::(\d{1,3}))?", text.lower())
    count = int(found[2] or 1) if found else 0
    gpu = SHORT_NAMES.get(found[1], found[1]) if found else ""
    if not 1 <= count <= _MOST or not (gpu in SHORT_NAMES.values() or gpu.startswith("nvidia-")):
        raise _refused(
            f"{text!r} is no GPU: expected TYPE or TYPE:N with 1 to {_MOST} of them",
            f"TYPE is one of {', '.join(SHORT_NAMES)}, or what the cloud calls it, such as nvidia-tesla-t4.",
            gpu=text,
        )
    return Gpus(gpu, count)


def machine_type_for(gpus: Gpus, machine_type: str | None) -> str:
    """Return the machine type for *gpus*: *machine_type* where it can have them, or one that suits where none was asked for.

    Raises:
        LabError: that machine type cannot have them, or there is none that comes with so many.
    """
    fitting = _fitting(gpus)
    if machine_type is None:
        if fitting is None:
            raise _refused(
                f"no machine type is known here that comes with {gpus.count} of {gpus.type}",
                _counts_of(gpus)
                or "Name a machine type too; `gcloud compute accelerator-types list` shows what there is.",
                gpu=gpus.type,
            )
        return fitting
    asked = parse(machine_type)
    if asked.brings_gpus:
        if asked.gpus is not None and asked.gpus != gpus:
            found = f"{asked.gpus.count} of {asked.gpus.type}"
            raise _refused(
                f"{machine_type} comes with {found}: expected {gpus.count} of {gpus.type}",
                f"Leave out --gpu, or ask for {fitting or DEFAULT}.",
                gpu=gpus.type,
                machine_type=machine_type,
            )
    elif gpus.type in _TYPES_WITH or (gpus.type in _ATTACHED_TO_N1 and asked.family != "n1"):
        raise _refused(
            f"{machine_type} cannot have {gpus.type}: expected {_home_of(gpus)}",
            f"Leave out the machine type, or ask for {fitting}." if fitting else _counts_of(gpus),
            gpu=gpus.type,
            machine_type=machine_type,
        )
    return machine_type


def _fitting(gpus: Gpus) -> str | None:
    if gpus.type in _ATTACHED_TO_N1:
        return f"n1-standard-{_N1_VCPUS_EACH * gpus.count}" if gpus.count in {1, 2, 4, 8} else None
    return _TYPES_WITH.get(gpus.type, {}).get(gpus.count)


def _home_of(gpus: Gpus) -> str:
    if gpus.type in _ATTACHED_TO_N1:
        return "a machine type of the family n1"
    return "one of " + ", ".join(_TYPES_WITH[gpus.type].values())


def _counts_of(gpus: Gpus) -> str:
    counts = _TYPES_WITH.get(gpus.type) or ({1: "", 2: "", 4: ""} if gpus.type in _ATTACHED_TO_N1 else {})
    return f"{gpus.type} comes in numbers of {', '.join(map(str, counts))}." if counts else ""


def _refused(message: str, hint: str, **facts: object) -> LabError:
    return LabError(LabErrorKind.BAD_LAUNCH, message, hint=hint, **facts)
