"""What the name of a machine type says: family, processors, memory, and the GPUs that come with it.

Invariant: pure; a name that is not understood is answered with what is not known left out, never with a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType

DEFAULT = "n2-standard-4"

# GB for each processor, of https://cloud.google.com/compute/docs/machine-resource, where a family has not the usual.
_USUAL_GB = MappingProxyType({"standard": 4.0, "highmem": 8.0, "highcpu": 1.0})
_OTHER_GB = MappingProxyType(
    {
        ("n1", "standard"): 3.75,
        ("n1", "highmem"): 6.5,
        ("n1", "highcpu"): 0.9,
        ("c2d", "highcpu"): 2.0,
        ("c3", "highcpu"): 2.0,
        ("c3d", "highcpu"): 1.96875,
        ("c4", "standard"): 3.75,
        ("c4", "highmem"): 7.75,
        ("c4", "highcpu"): 2.0,
        ("n4", "highcpu"): 2.0,
    }
)
# Processors as they are billed, and GB.
_SHARED_CORE = MappingProxyType({"e2-micro": (0.25, 1.0), "e2-small": (0.5, 2.0), "e2-medium": (1.0, 4.0)})
_G2_GPUS = MappingProxyType({4: 1, 8: 1, 12: 1, 16: 1, 24: 2, 32: 1, 48: 4, 96: 8})
# For each GPU: processors and GB; of https://cloud.google.com/compute/docs/gpus
_A2 = MappingProxyType({"highgpu": ("nvidia-tesla-a100", 12.0, 85.0), "ultragpu": ("nvidia-a100-80gb", 12.0, 170.0)})
_A3 = MappingProxyType({"highgpu": ("nvidia-h100-80gb", 26.0, 234.0)})
_ARM_FAMILIES = frozenset({"t2a", "c4a", "n4a"})
_BUILT_IN_GPU_FAMILIES = frozenset({"g2", "g4", "a2", "a3", "a4"})


@dataclass(frozen=True, slots=True)
class Gpus:
    """How many of which GPU; the type as the cloud calls it."""

    type: str
    count: int


@dataclass(frozen=True, slots=True)
class MachineType:
    """What a machine type's name says.

    Attributes:
        name: as the cloud calls it.
        vcpus: its processors as they are billed, or ``None`` where the name does not say.
        memory_gb: its memory, or ``None``.
        gpus: those that come with every machine of this type.
    """

    name: str
    vcpus: float | None = None
    memory_gb: float | None = None
    gpus: Gpus | None = None

    @property
    def family(self) -> str:
        """The first part of the name; a name that begins with ``custom`` is of the first family."""
        first = self.name.partition("-")[0]
        return "n1" if first == "custom" else first

    @property
    def is_arm(self) -> bool:
        """Tell whether its processors are of ARM, which needs an image of its own."""
        return self.family in _ARM_FAMILIES

    @property
    def is_custom(self) -> bool:
        """Tell whether its name says its size in full, so that no list has it."""
        return "custom-" in self.name

    @property
    def brings_gpus(self) -> bool:
        """Tell whether the type decides which GPUs there are, so that none can be attached beside them."""
        return self.family in _BUILT_IN_GPU_FAMILIES


def parse(name: str) -> MachineType:
    """Return what *name* says."""
    if name in _SHARED_CORE:
        return MachineType(name, *_SHARED_CORE[name])
    custom = re.fullmatch(r"(?:[a-z0-9]+-)?custom-(\d+)-(\d+)(?:-ext)?", name)
    if custom:
        return MachineType(name, float(custom[1]), int(custom[2]) / 1024)
    accelerated = re.fullmatch(r"(a2|a3)-([a-z]+)-(\d+)g", name)
    if accelerated:
        known = {"a2": _A2, "a3": _A3}[accelerated[1]].get(accelerated[2])
        if known is None:
            return MachineType(name)
        gpu, vcpus, memory_gb = known
        count = int(accelerated[3])
        return MachineType(name, vcpus * count, memory_gb * count, Gpus(gpu, count))
    usual = re.fullmatch(r"([a-z0-9]+)-([a-z]+)-(\d+)(?:-[a-z]+)?", name)
    if usual is None:
        return MachineType(name)
    family, kind, vcpus = usual[1], usual[2], int(usual[3])
    per_vcpu = _OTHER_GB.get((family, kind), _USUAL_GB.get(kind))
    gpus = Gpus("nvidia-l4", _G2_GPUS[vcpus]) if family == "g2" and vcpus in _G2_GPUS else None
    return MachineType(name, float(vcpus), None if per_vcpu is None else per_vcpu * vcpus, gpus)
