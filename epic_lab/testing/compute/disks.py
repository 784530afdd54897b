"""The disks that come with a machine.

Invariant: a disk is shown by the one mapping that this module makes; whoever changes it, changes it in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from epic_lab.testing.compute.machines import API, Machine, image_named, last

_USUAL_GB = 500


def disk_names(asked: Mapping[str, Any]) -> list[str]:
    """Return what the disks of a machine that is *asked* for will be called."""
    name = asked["name"]
    wanted = [str(it.get("initializeParams", {}).get("diskName", "")) for it in asked["disks"]]
    return [it or (name if at == 0 else f"{name}-{at}") for at, it in enumerate(wanted)]


def new_disk(
    machine: Machine, name: str, asked: Mapping[str, Any], *, number: int, stamp: str
) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
    """Return a machine's disk as the API shows it, and what there is to warn of."""
    parameters = asked.get("initializeParams", {})
    image = image_named(parameters["sourceImage"]) if "sourceImage" in parameters else None
    size = int(parameters.get("diskSizeGb", image.size_gb if image else _USUAL_GB))
    zone_link = f"{API}projects/{machine.project}/zones/{machine.zone}"
    image_path = f"projects/{image.project}/global/images/{image.name}" if image else ""
    disk = {
        "kind": "compute#disk",
        "id": str(number),
        "name": name,
        "zone": zone_link,
        "selfLink": f"{zone_link}/disks/{name}",
        "status": "READY",
        "sizeGb": str(size),
        "type": f"{zone_link}/diskTypes/{last(parameters.get('diskType', 'pd-standard'))}",
        "creationTimestamp": stamp,
        "users": [API + machine.path],
        "physicalBlockSizeBytes": "4096",
        **({"sourceImage": API + image_path} if image else {}),
    }
    warnings: list[Mapping[str, Any]] = []
    if image and image.deprecated:
        text = f"The resource '{image_path}' is deprecated."
        warnings.append({"code": "DEPRECATED_RESOURCE_USED", "message": text})
    if image and size > image.size_gb:
        text = f"Disk size: '{size} GB' is larger than image size: '{image.size_gb} GB'."
        warnings.append({"code": "DISK_SIZE_LARGER_THAN_IMAGE_SIZE", "message": text})
    return disk, warnings
