"""What there is in the cloud before anybody makes a machine: zones, machine types, accelerators, images, limits.

Invariant: facts of the service only, nothing that a request can change. They are few and true, as of 2026.
"""

from __future__ import annotations

from dataclasses import dataclass

REGIONS: dict[str, tuple[str, ...]] = {
    "us-central1": ("us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f"),
    "us-east1": ("us-east1-b", "us-east1-c", "us-east1-d"),
    "europe-west4": ("europe-west4-a", "europe-west4-b", "europe-west4-c"),
}
ZONES: dict[str, str] = {zone: region for region, zones in REGIONS.items() for zone in zones}
"""The region of each zone."""


@dataclass(frozen=True, slots=True)
class MachineType:
    """A size of machine.

    Attributes:
        quota: which limit its processors count against.
        accelerator: what comes with it, as ``nvidia-l4:1``.
    """

    name: str
    processors: int
    memory_mib: int
    quota: str
    accelerator: str = ""


def _family(family: str, kinds: dict[str, float], sizes: tuple[int, ...], quota: str) -> list[MachineType]:
    return [
        MachineType(f"{family}-{kind}-{size}", size, round(size * gib_each * 1024), quota)
        for kind, gib_each in kinds.items()
        for size in sizes
    ]


_USUAL = {"standard": 4.0, "highmem": 8.0, "highcpu": 1.0}
MACHINE_TYPES: dict[str, MachineType] = {
    it.name: it
    for it in [
        *_family("n2", _USUAL, (2, 4, 8, 16, 32, 64, 80), "N2_CPUS"),
        *_family("n1", {"standard": 3.75, "highmem": 6.5}, (1, 2, 4, 8, 16, 32, 64, 96), "CPUS"),
        *_family("e2", _USUAL, (2, 4, 8, 16), "E2_CPUS"),
        *_family("c3", {"standard": 4.0, "highmem": 8.0}, (4, 8, 22, 44, 88, 176), "C3_CPUS"),
        MachineType("e2-micro", 2, 1024, "E2_CPUS"),
        MachineType("e2-medium", 2, 4096, "E2_CPUS"),
        MachineType("a2-highgpu-1g", 12, 85 * 1024, "A2_CPUS", "nvidia-tesla-a100:1"),
        MachineType("g2-standard-4", 4, 16 * 1024, "CPUS", "nvidia-l4:1"),
    ]
}

ACCELERATORS: dict[str, tuple[int, str, str]] = {
    "nvidia-tesla-t4": (4, "NVIDIA T4", "NVIDIA_T4_GPUS"),
    "nvidia-l4": (8, "NVIDIA L4", "NVIDIA_L4_GPUS"),
    "nvidia-tesla-v100": (8, "NVIDIA V100", "NVIDIA_V100_GPUS"),
    "nvidia-tesla-a100": (16, "NVIDIA A100 40GB", "NVIDIA_A100_GPUS"),
}
"""How many of each go into one machine, what it is called, and which limit it counts against."""

ACCELERATOR_ZONES: dict[str, tuple[str, ...]] = {
    "nvidia-tesla-t4": ("us-central1-a", "us-central1-b", "us-central1-f", "us-east1-c", "europe-west4-b"),
    "nvidia-l4": ("us-central1-a", "us-central1-b", "us-east1-b", "europe-west4-a"),
    "nvidia-tesla-v100": ("us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f", "europe-west4-b"),
    "nvidia-tesla-a100": ("us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f", "europe-west4-a"),
}


@dataclass(frozen=True, slots=True)
class Image:
    """A public image."""

    project: str
    name: str
    family: str
    size_gb: int = 10
    architecture: str = "X86_64"
    deprecated: bool = False


IMAGES: tuple[Image, ...] = (
    Image("ubuntu-os-cloud", "ubuntu-2004-focal-v20250522", "ubuntu-2004-lts"),
    Image("ubuntu-os-cloud", "ubuntu-2204-jammy-v20261015", "ubuntu-2204-lts"),
    Image("ubuntu-os-cloud", "ubuntu-2404-noble-amd64-v20260916", "ubuntu-2404-lts-amd64", deprecated=True),
    Image("ubuntu-os-cloud", "ubuntu-2404-noble-amd64-v20261020", "ubuntu-2404-lts-amd64"),
    Image("ubuntu-os-cloud", "ubuntu-2404-noble-arm64-v20261020", "ubuntu-2404-lts-arm64", architecture="ARM64"),
    Image("ubuntu-os-cloud", "ubuntu-2604-resolute-amd64-v20261022", "ubuntu-2604-lts-amd64"),
    Image("debian-cloud", "debian-12-bookworm-v20261014", "debian-12"),
    Image(
        "deeplearning-platform-release", "common-cu124-ubuntu-2204-v20261001", "common-cu124-ubuntu-2204", size_gb=50
    ),
)
"""By age: of a family the last is the current one."""

REGIONAL_LIMITS: dict[str, float] = {
    "CPUS": 72.0,
    "N2_CPUS": 72.0,
    "E2_CPUS": 72.0,
    "C3_CPUS": 24.0,
    "A2_CPUS": 12.0,
    "INSTANCES": 240.0,
    "IN_USE_ADDRESSES": 24.0,
    "DISKS_TOTAL_GB": 8192.0,
    "SSD_TOTAL_GB": 4096.0,
    "PREEMPTIBLE_CPUS": 0.0,
    "NVIDIA_T4_GPUS": 2.0,
    "NVIDIA_L4_GPUS": 2.0,
    "NVIDIA_V100_GPUS": 1.0,
    "NVIDIA_A100_GPUS": 0.0,
}
"""What a young project may have in each region."""

GLOBAL_LIMITS: dict[str, float] = {"CPUS_ALL_REGIONS": 96.0, "GPUS_ALL_REGIONS": 1.0, "NETWORKS": 5.0, "IMAGES": 2000.0}
