"""The images that machines begin from: the pinned profiles, by name.

Invariant: what is pinned is pinned here. A profile names a family of one publisher, of which the cloud takes the newest image.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import NamedTuple

from epic_lab.errors import LabError, LabErrorKind


class Profile(NamedTuple):
    """An image that the lab knows: whose, which family for each kind of processor, and what to know of it."""

    project: str
    family: str
    arm_family: str | None
    about: str


DEFAULT = "ubuntu-24.04"
PROFILES = MappingProxyType(
    {
        "ubuntu-24.04": Profile(
            "ubuntu-os-cloud", "ubuntu-2404-lts-amd64", "ubuntu-2404-lts-arm64", "long-term support until 2029"
        ),
        "ubuntu-22.04": Profile(
            "ubuntu-os-cloud",
            "ubuntu-2204-lts",
            "ubuntu-2204-lts-arm64",
            "long-term support until 2027, with Python 3.10",
        ),
        "ubuntu-20.04": Profile(
            "ubuntu-os-cloud", "ubuntu-2004-lts", None, "the older lab's; out of support since 2025"
        ),
    }
)


def source_image(image: str, *, arm: bool) -> str:
    """Return where *image* is, below the API's address: a profile by name, or ``projects/P/global/images/…`` as it stands.

    Raises:
        LabError: it is neither, or the profile has nothing for that kind of processor.
    """
    if re.fullmatch(r"projects/[a-z0-9.:-]+/global/images/(?:family/)?[a-z0-9-]+", image):
        return image
    profile = PROFILES.get(image)
    if profile is None:
        raise LabError(
            LabErrorKind.BAD_LAUNCH,
            f"there is no image profile {image!r}: expected {', '.join(PROFILES)} or projects/PROJECT/global/images/NAME",
            hint=f"Without --image it is {DEFAULT}.",
            image=image,
        )
    family = profile.arm_family if arm else profile.family
    if family is None:
        raise LabError(
            LabErrorKind.BAD_LAUNCH,
            f"the image profile {image} has nothing for ARM processors, which this machine type has",
            hint=f"Use {DEFAULT}, or a machine type such as n2-standard-4.",
            image=image,
        )
    return f"projects/{profile.project}/global/images/family/{family}"
