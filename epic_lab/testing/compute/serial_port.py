"""A machine's first serial port: a boot that prints by and by, into a buffer that forgets.

Invariant: a position means the same byte for ever; what has been forgotten is never answered for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

KEPT_BYTES = 1 << 20

BootScript = Sequence[tuple[float, str]]
"""What a boot prints: how many seconds after the machine runs, and a line."""

_STEPS = (
    "the jupyter user",
    "gcc and node",
    "conda",
    "JupyterLab",
    "scientific libraries",
    "this library",
    "secrets",
    "repositories",
    "the service",
)
BOOT: BootScript = (
    (0.0, "SeaBIOS (version 1.8.2-google)"),
    (0.5, "[    0.000000] Linux version 6.14.0-1017-gcp (buildd@lcy02-amd64-044)"),
    (2.0, "[    1.834211] EXT4-fs (sda1): mounted filesystem r/w with ordered data mode."),
    (4.0, "systemd[1]: Detected virtualization google."),
    (8.0, "cloud-init[612]: Cloud-init v. 26.1 running 'init'"),
    (12.0, "google_metadata_script_runner[981]: Starting startup scripts (version 20261001.00)."),
    (13.0, "google_metadata_script_runner[981]: Found startup-script in metadata."),
    *(
        (
            20.0 + 10 * at,
            f"google_metadata_script_runner[981]: startup-script: epic-lab: step {at + 1}/{len(_STEPS)} {step}",
        )
        for at, step in enumerate(_STEPS)
    ),
    (110.0, "google_metadata_script_runner[981]: startup-script: epic-lab: ready"),
    (110.5, "google_metadata_script_runner[981]: startup-script exit status 0"),
    (110.7, "google_metadata_script_runner[981]: Finished running startup scripts."),
)


def gaps(script: BootScript) -> list[tuple[float, str]]:
    """Return the lines of a boot, each with how many seconds after the one before it comes."""
    moments = [0.0, *(seconds for seconds, _ in script)]
    return [(seconds - before, line) for before, (seconds, line) in zip(moments, script, strict=False)]


@dataclass(slots=True)
class SerialPort:
    """What has been printed so far.

    Attributes:
        kept: the last of it.
        forgotten: how many bytes came before.
        kept_bytes: how much is remembered.
    """

    kept: bytearray = field(default_factory=bytearray)
    forgotten: int = 0
    kept_bytes: int = KEPT_BYTES

    def print(self, text: str) -> None:
        """Take a text, and forget the oldest where there is too much."""
        self.kept += text.encode()
        surplus = max(0, len(self.kept) - self.kept_bytes)
        del self.kept[:surplus]
        self.forgotten += surplus

    def read(self, start: int) -> tuple[int, str, int]:
        """Return from where on, what, and where the next byte will be.

        Args:
            start: a position; one that is forgotten means the oldest that is kept, and a negative one counts from the end.
        """
        end = self.forgotten + len(self.kept)
        first = max(end + start if start < 0 else start, self.forgotten)
        contents = bytes(self.kept[first - self.forgotten :])
        return first, contents.decode(errors="replace"), first + len(contents)
