"""The methods of the API, each from its request to its answer.

Invariant: what is answered is what `ComputeService` holds, shaped as the API shapes it; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epic_lab.testing.compute.catalogue import (
    ACCELERATOR_ZONES,
    ACCELERATORS,
    GLOBAL_LIMITS,
    IMAGES,
    MACHINE_TYPES,
    REGIONAL_LIMITS,
    REGIONS,
    ZONES,
    Image,
)
from epic_lab.testing.compute.limits import usage
from epic_lab.testing.compute.listing import chosen, page
from epic_lab.testing.compute.machines import API, PROJECT_NUMBER, fingerprint
from epic_lab.testing.compute.refusals import RefusalError, not_found
from epic_lab.testing.compute.service import ComputeService, Mutation

_SINCE = "1969-12-31T16:00:00.000-08:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a call is about: the path's and the query's parameters, the body, and how it wants to change something."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    mutation: Mutation


_Act = Callable[[ComputeService, Asked], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the API.

    Attributes:
        permission: what the caller needs.
        act: how it is done.
        kind: the type of the operation that it begins; empty where it only looks.
        collection: what the path's last parameter names, for errors.
    """

    permission: str
    act: _Act
    kind: str = ""


# -- what there is -----------------------------------------------------------------------------------------------------


def _number(name: str) -> str:
    return str(int.from_bytes(name.encode()[-6:], "big") + 1000)


def _listed(kind: str, here: str, items: Iterable[Mapping[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    found, following = page(chosen(list(items), query), query)
    return {
        "kind": f"compute#{kind}List",
        "id": here,
        "selfLink": API + here,
        **({"items": found} if found else {}),
        **({"nextPageToken": following} if following else {}),
    }


def _aggregated(
    kind: str, collection: str, here: str, items: Sequence[tuple[str, Mapping[str, Any]]], query: Mapping[str, str]
) -> dict[str, Any]:
    """Return a list of all zones, by zone; *items* come with their zones."""
    zones = {str(item["selfLink"]): zone for zone, item in items}
    found, following = page(chosen([item for _, item in items], query), query)
    scopes: dict[str, dict[str, Any]] = {}
    if query.get("includeAllScopes", "").lower() == "true" or not found:
        scopes = {f"zones/{zone}": _empty(zone) for zone in ZONES}
    for item in found:
        scope = scopes.setdefault(f"zones/{zones[item['selfLink']]}", {})
        scope.pop("warning", None)
        scope.setdefault(collection, []).append(item)
    return {
        "kind": f"compute#{kind}AggregatedList",
        "id": here,
        "selfLink": API + here,
        "items": scopes,
        **({"nextPageToken": following} if following else {}),
    }


def _empty(zone: str) -> dict[str, Any]:
    text = f"There are no results for scope 'zones/{zone}' on this page."
    data = [{"key": "scope", "value": f"zones/{zone}"}]
    return {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": text, "data": data}}


def _project(service: ComputeService, _: Asked) -> dict[str, Any]:
    with service.lock:
        used = usage(service.machines.values(), service.disks, None)
    return {
        "kind": "compute#project",
        "id": PROJECT_NUMBER,
        "name": service.project,
        "creationTimestamp": _SINCE,
        "selfLink": f"{API}projects/{service.project}",
        "defaultServiceAccount": f"{PROJECT_NUMBER}-compute@developer.gserviceaccount.com",
        "defaultNetworkTier": "PREMIUM",
        "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
        "commonInstanceMetadata": {"kind": "compute#metadata", "fingerprint": fingerprint("")},
        "quotas": _quotas({**GLOBAL_LIMITS}, service.limits, used),
    }


def _quotas(limits: Mapping[str, float], changed: Mapping[str, float], used: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {"metric": metric, "limit": float(changed.get(metric, limit)), "usage": float(used.get(metric, 0))}
        for metric, limit in limits.items()
    ]


def _region(service: ComputeService, name: str) -> dict[str, Any]:
    if name not in REGIONS:
        raise RefusalError(not_found(f"projects/{service.project}/regions/{name}"))
    here = f"{API}projects/{service.project}"
    used = usage(service.machines.values(), service.disks, name)
    return {
        "kind": "compute#region",
        "id": _number(name),
        "name": name,
        "description": name,
        "status": "UP",
        "creationTimestamp": _SINCE,
        "selfLink": f"{here}/regions/{name}",
        "zones": [f"{here}/zones/{zone}" for zone in REGIONS[name]],
        "quotas": _quotas(REGIONAL_LIMITS, service.limits, used),
        "supportsPzs": False,
    }


def _zone(service: ComputeService, name: str) -> dict[str, Any]:
    if name not in ZONES:
        raise RefusalError(not_found(f"projects/{service.project}/zones/{name}"))
    here = f"{API}projects/{service.project}"
    return {
        "kind": "compute#zone",
        "id": _number(name),
        "name": name,
        "description": name,
        "status": "UP",
        "creationTimestamp": _SINCE,
        "region": f"{here}/regions/{ZONES[name]}",
        "selfLink": f"{here}/zones/{name}",
        "availableCpuPlatforms": ["Intel Broadwell", "Intel Cascade Lake", "Intel Ice Lake", "Intel Skylake"],
        "supportsPzs": False,
    }


def _machine_type(service: ComputeService, zone: str, name: str) -> dict[str, Any]:
    service.check_zone(zone)
    here = f"projects/{service.project}/zones/{zone}/machineTypes/{name}"
    if name not in MACHINE_TYPES:
        raise RefusalError(not_found(here))
    it = MACHINE_TYPES[name]
    accelerator, _, count = it.accelerator.partition(":")
    bundled = [{"guestAcceleratorType": accelerator, "guestAcceleratorCount": int(count)}] if accelerator else []
    return {
        "kind": "compute#machineType",
        "id": _number(name),
        "name": name,
        "description": f"{it.processors} vCPUs, {it.memory_mib / 1024:g} GB RAM",
        "creationTimestamp": _SINCE,
        "guestCpus": it.processors,
        "memoryMb": it.memory_mib,
        "imageSpaceGb": 0,
        "maximumPersistentDisks": 128,
        "maximumPersistentDisksSizeGb": "263168",
        "isSharedCpu": name in {"e2-micro", "e2-medium"},
        "architecture": "X86_64",
        "zone": zone,
        "selfLink": API + here,
        **({"accelerators": bundled} if bundled else {}),
    }


def _accelerator_type(service: ComputeService, zone: str, name: str) -> dict[str, Any]:
    service.check_zone(zone)
    here = f"projects/{service.project}/zones/{zone}/acceleratorTypes/{name}"
    if zone not in ACCELERATOR_ZONES.get(name, ()):
        raise RefusalError(not_found(here))
    most, description, _ = ACCELERATORS[name]
    return {
        "kind": "compute#acceleratorType",
        "id": _number(name),
        "name": name,
        "description": description,
        "creationTimestamp": _SINCE,
        "maximumCardsPerInstance": most,
        "zone": f"{API}projects/{service.project}/zones/{zone}",
        "selfLink": API + here,
    }


def _accelerator_types(service: ComputeService, zone: str) -> list[dict[str, Any]]:
    return [_accelerator_type(service, zone, name) for name, zones in ACCELERATOR_ZONES.items() if zone in zones]


def _image(it: Image) -> dict[str, Any]:
    return {
        "kind": "compute#image",
        "id": _number(it.name),
        "name": it.name,
        "family": it.family,
        "status": "READY",
        "architecture": it.architecture,
        "diskSizeGb": str(it.size_gb),
        "archiveSizeBytes": str(it.size_gb * 10**8),
        "creationTimestamp": _SINCE,
        "sourceType": "RAW",
        "labelFingerprint": fingerprint({}),
        "selfLink": f"{API}projects/{it.project}/global/images/{it.name}",
        **({"deprecated": {"state": "DEPRECATED"}} if it.deprecated else {}),
    }


def _image_by(asked: Asked, name: str, attribute: str) -> dict[str, Any]:
    project = asked.path["project"]
    for it in reversed(IMAGES):
        if it.project == project and name == getattr(it, attribute):
            return _image(it)
    between = "family/" if attribute == "family" else ""
    raise RefusalError(not_found(f"projects/{project}/global/images/{between}{name}"))


# -- machines ----------------------------------------------------------------------------------------------------------


def _instances(service: ComputeService, asked: Asked) -> dict[str, Any]:
    zone = asked.path["zone"]
    service.check_zone(zone)
    found = [it.resource() for it in service.machines.values() if it.zone == zone]
    return _listed("instance", f"projects/{service.project}/zones/{zone}/instances", found, asked.query)


def _all_instances(service: ComputeService, asked: Asked) -> dict[str, Any]:
    """Return the machines of all zones that answer, and name those that do not."""
    found = [(it.zone, it.resource()) for it in service.machines.values() if it.zone not in service.unreachable]
    here = f"projects/{service.project}/aggregated/instances"
    content = _aggregated("instance", "instances", here, found, asked.query)
    for zone in sorted(service.unreachable):
        text = f"The zone '{zone}' could not be reached."
        content["items"][f"zones/{zone}"] = {"warning": {"code": "UNREACHABLE", "message": text}}
    return content


def _all_types(
    kind: str, collection: str, of_zone: Callable[[ComputeService, str], Iterable[Mapping[str, Any]]]
) -> _Act:
    def act(service: ComputeService, asked: Asked) -> dict[str, Any]:
        found = [(zone, it) for zone in ZONES for it in of_zone(service, zone)]
        return _aggregated(kind, collection, f"projects/{service.project}/aggregated/{collection}", found, asked.query)

    return act


def _types(kind: str, collection: str, of_zone: Callable[[ComputeService, str], Iterable[Mapping[str, Any]]]) -> _Act:
    def act(service: ComputeService, asked: Asked) -> dict[str, Any]:
        zone = asked.path["zone"]
        service.check_zone(zone)
        here = f"projects/{service.project}/zones/{zone}/{collection}"
        return _listed(kind, here, of_zone(service, zone), asked.query)

    return act


def _machine_types(service: ComputeService, zone: str) -> list[dict[str, Any]]:
    return [_machine_type(service, zone, name) for name in MACHINE_TYPES]


def _serial_port(service: ComputeService, asked: Asked) -> dict[str, Any]:
    machine = service.machine(asked.path["zone"], asked.path["instance"])
    start, contents, following = machine.serial.read(int(asked.query.get("start", "0")))
    if asked.query.get("port", "1") != "1":
        start, contents, following = 0, "", 0
    return {
        "kind": "compute#serialPortOutput",
        "selfLink": f"{API}{machine.path}/serialPort",
        "contents": contents,
        "start": str(start),
        "next": str(following),
    }


def _changing(change: Callable[[ComputeService, str, str, Asked], Any]) -> _Act:
    def act(service: ComputeService, asked: Asked) -> dict[str, Any]:
        name = asked.path.get("instance", asked.path.get("disk", ""))
        resource: dict[str, Any] = change(service, asked.path["zone"], name, asked).resource()
        return resource

    return act


def _zone_operations(service: ComputeService, zone: str) -> list[dict[str, Any]]:
    return [
        {**it.resource(), "creationTimestamp": it.inserted} for it in service.operations.values() if it.zone == zone
    ]


def _disks(service: ComputeService, zone: str) -> list[dict[str, Any]]:
    return [disk for (where, _), disk in service.disks.items() if where == zone]


METHODS: Mapping[str, Method] = {
    "projects.get": Method("compute.projects.get", _project),
    "regions.get": Method("compute.regions.get", lambda service, it: _region(service, it.path["region"])),
    "zones.get": Method("compute.zones.get", lambda service, it: _zone(service, it.path["zone"])),
    "zones.list": Method(
        "compute.zones.list",
        lambda service, it: _listed(
            "zone", f"projects/{service.project}/zones", [_zone(service, zone) for zone in ZONES], it.query
        ),
    ),
    "machineTypes.get": Method(
        "compute.machineTypes.get",
        lambda service, it: _machine_type(service, it.path["zone"], it.path["machineType"]),
    ),
    "machineTypes.list": Method("compute.machineTypes.list", _types("machineType", "machineTypes", _machine_types)),
    "machineTypes.aggregatedList": Method(
        "compute.machineTypes.list", _all_types("machineType", "machineTypes", _machine_types)
    ),
    "acceleratorTypes.get": Method(
        "compute.acceleratorTypes.get",
        lambda service, it: _accelerator_type(service, it.path["zone"], it.path["acceleratorType"]),
    ),
    "acceleratorTypes.list": Method(
        "compute.acceleratorTypes.list", _types("acceleratorType", "acceleratorTypes", _accelerator_types)
    ),
    "acceleratorTypes.aggregatedList": Method(
        "compute.acceleratorTypes.list", _all_types("acceleratorType", "acceleratorTypes", _accelerator_types)
    ),
    "images.get": Method("compute.images.get", lambda _, it: _image_by(it, it.path["image"], "name")),
    "images.getFromFamily": Method(
        "compute.images.getFromFamily", lambda _, it: _image_by(it, it.path["family"], "family")
    ),
    "instances.get": Method(
        "compute.instances.get",
        lambda service, it: service.machine(it.path["zone"], it.path["instance"]).resource(),
    ),
    "instances.list": Method("compute.instances.list", _instances),
    "instances.aggregatedList": Method("compute.instances.list", _all_instances),
    "instances.getSerialPortOutput": Method("compute.instances.getSerialPortOutput", _serial_port),
    "instances.insert": Method(
        "compute.instances.create",
        _changing(lambda service, zone, _, it: service.insert(zone, it.body, it.mutation)),
        "insert",
    ),
    "instances.delete": Method(
        "compute.instances.delete",
        _changing(lambda service, zone, name, it: service.delete(zone, name, it.mutation)),
        "delete",
    ),
    "instances.start": Method(
        "compute.instances.start",
        _changing(lambda service, zone, name, it: service.start(zone, name, it.mutation)),
        "start",
    ),
    "instances.stop": Method(
        "compute.instances.stop",
        _changing(lambda service, zone, name, it: service.stop(zone, name, it.mutation)),
        "stop",
    ),
    "instances.suspend": Method(
        "compute.instances.suspend",
        _changing(lambda service, zone, name, it: service.suspend(zone, name, it.mutation)),
        "suspend",
    ),
    "instances.resume": Method(
        "compute.instances.resume",
        _changing(lambda service, zone, name, it: service.resume(zone, name, it.mutation)),
        "resume",
    ),
    "instances.setMachineType": Method(
        "compute.instances.setMachineType",
        _changing(
            lambda service, zone, name, it: service.set_machine_type(
                zone, name, it.body.get("machineType", ""), it.mutation
            )
        ),
        "setMachineType",
    ),
    "instances.setLabels": Method(
        "compute.instances.setLabels",
        _changing(
            lambda service, zone, name, it: service.set_labels(
                zone, name, it.body.get("labels", {}), it.body.get("labelFingerprint", ""), it.mutation
            )
        ),
        "setLabels",
    ),
    "disks.get": Method("compute.disks.get", lambda service, it: dict(service.disk(it.path["zone"], it.path["disk"]))),
    "disks.list": Method("compute.disks.list", _types("disk", "disks", _disks)),
    "disks.resize": Method(
        "compute.disks.update",
        _changing(
            lambda service, zone, name, it: service.resize_disk(
                zone, name, int(it.body.get("sizeGb", "0")), it.mutation
            )
        ),
        "resizeDisk",
    ),
    "zoneOperations.get": Method(
        "compute.zoneOperations.get",
        lambda service, it: service.operation(it.path["zone"], it.path["operation"]).resource(),
    ),
    "zoneOperations.wait": Method(
        "compute.zoneOperations.get",
        lambda service, it: service.wait(it.path["zone"], it.path["operation"]).resource(),
    ),
    "zoneOperations.list": Method("compute.zoneOperations.list", _types("operation", "operations", _zone_operations)),
}
"""What is played, by the names of the discovery document."""
