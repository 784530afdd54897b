"""Google's own clients of Compute Engine, for tests that ask the server what somebody else did to it."""

from __future__ import annotations

import json
import uuid
from functools import cached_property
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1

PROJECT, ZONE = "proj1", "us-central1-a"


def body(name: str, zone: str = ZONE, machine_type: str = "n2-standard-2", **more: Any) -> dict[str, Any]:
    """A launch as short as may be."""
    return {
        "name": name,
        "machineType": f"zones/{zone}/machineTypes/{machine_type}",
        "disks": [
            {
                "boot": True,
                "autoDelete": True,
                "initializeParams": {
                    "diskSizeGb": "100",
                    "sourceImage": "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64",
                    "diskType": f"zones/{zone}/diskTypes/pd-balanced",
                },
            }
        ],
        "networkInterfaces": [{"accessConfigs": [{"type": "ONE_TO_ONE_NAT", "name": "external-nat"}]}],
        "serviceAccounts": [{"email": "default", "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}],
        "labels": {"owner": "ann"},
        **more,
    }


class Clients:
    """One of each, on an endpoint."""

    def __init__(self, url: str) -> None:
        self._options = {"credentials": AnonymousCredentials(), "client_options": {"api_endpoint": url}}

    @cached_property
    def instances(self) -> compute_v1.InstancesClient:
        return compute_v1.InstancesClient(**self._options)

    @cached_property
    def operations(self) -> compute_v1.ZoneOperationsClient:
        return compute_v1.ZoneOperationsClient(**self._options)

    @cached_property
    def disks(self) -> compute_v1.DisksClient:
        return compute_v1.DisksClient(**self._options)

    @cached_property
    def regions(self) -> compute_v1.RegionsClient:
        return compute_v1.RegionsClient(**self._options)

    @cached_property
    def zones(self) -> compute_v1.ZonesClient:
        return compute_v1.ZonesClient(**self._options)

    @cached_property
    def machine_types(self) -> compute_v1.MachineTypesClient:
        return compute_v1.MachineTypesClient(**self._options)

    @cached_property
    def accelerator_types(self) -> compute_v1.AcceleratorTypesClient:
        return compute_v1.AcceleratorTypesClient(**self._options)

    @cached_property
    def images(self) -> compute_v1.ImagesClient:
        return compute_v1.ImagesClient(**self._options)

    @cached_property
    def projects(self) -> compute_v1.ProjectsClient:
        return compute_v1.ProjectsClient(**self._options)

    def insert(self, asked: dict[str, Any], *, zone: str = ZONE, request_id: str | None = None) -> Any:
        """Ask for a machine, by the JSON of the API, and return the operation."""
        return self.instances.insert_unary(
            request=compute_v1.InsertInstanceRequest(
                project=PROJECT,
                zone=zone,
                request_id=request_id or str(uuid.uuid4()),
                instance_resource=compute_v1.Instance.from_json(json.dumps(asked)),
            ),
            retry=None,
            timeout=20,
        )

    def change(self, verb: str, name: str, *, zone: str = ZONE, request_id: str | None = None) -> Any:
        """Suspend, resume, stop, start or delete a machine, and return the operation."""
        kind = {
            "suspend": compute_v1.SuspendInstanceRequest,
            "resume": compute_v1.ResumeInstanceRequest,
            "stop": compute_v1.StopInstanceRequest,
            "start": compute_v1.StartInstanceRequest,
            "delete": compute_v1.DeleteInstanceRequest,
        }[verb]
        asked = kind(project=PROJECT, zone=zone, instance=name, request_id=request_id or str(uuid.uuid4()))
        return getattr(self.instances, f"{verb}_unary")(request=asked, retry=None, timeout=20)

    def wait(self, operation: Any, *, zone: str = ZONE) -> Any:
        """Wait for an operation and return it as it is then."""
        return self.operations.wait(project=PROJECT, zone=zone, operation=operation.name, retry=None, timeout=20)

    def get(self, name: str, *, zone: str = ZONE) -> Any:
        return self.instances.get(project=PROJECT, zone=zone, instance=name, retry=None, timeout=20)

    def launch(self, name: str, **more: Any) -> None:
        """Make a machine and wait for the operation."""
        zone = more.get("zone", ZONE)
        assert self.wait(self.insert(body(name, **more), zone=zone), zone=zone).error.errors == []
