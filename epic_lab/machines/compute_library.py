"""google-cloud-compute, of which only the services that are used are loaded.

The package's own beginning loads all of its hundred and twenty services, which takes two seconds; the two or three of a command take
0.8 s. So the package is put in its place without its beginning, which is run when somebody asks for a name that none of its parts has.

Invariant: whoever else imports the package finds it whole.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec, module_from_spec
from typing import Any

PACKAGE = "google.cloud.compute_v1"

_SERVICES = {
    "DisksClient": "disks",
    "InstancesClient": "instances",
    "MachineTypesClient": "machine_types",
    "ProjectsClient": "projects",
    "RegionsClient": "regions",
    "ZoneOperationsClient": "zone_operations",
}


def messages() -> Any:
    """Return the module that has the messages of the API."""
    _ensure_package()
    return importlib.import_module(f"{PACKAGE}.types")


def client_class(name: str) -> Any:
    """Return a client's class, as ``InstancesClient``."""
    _ensure_package()
    return getattr(importlib.import_module(f"{PACKAGE}.services.{_SERVICES[name]}"), name)


def _ensure_package() -> None:
    """Make sure that parts of the package can be imported, without running its beginning."""
    if PACKAGE in sys.modules:
        return
    spec = find_spec(PACKAGE)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(PACKAGE)
    package, loader = module_from_spec(spec), spec.loader

    def missing(name: str) -> Any:
        """Return a part by its name, or run the package's beginning for what it has beside parts."""
        if not name.startswith("__") and find_spec(f"{PACKAGE}.{name}") is not None:
            return importlib.import_module(f"{PACKAGE}.{name}")
        package.__dict__.pop("__getattr__")
        loader.exec_module(package)
        return getattr(package, name)

    package.__dict__["__getattr__"] = missing  # https://peps.python.org/pep-0562/
    sys.modules[PACKAGE] = package
