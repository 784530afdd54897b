"""What can happen to stored bytes.

Invariant: each kind of damage changes what it is done to, also where that is empty.
"""

from __future__ import annotations

from collections.abc import Callable

Damage = Callable[[bytes], bytes | None]
"""Makes other bytes of some; ``None`` is to be gone."""


def _flipped(share: float) -> Damage:
    def flip(data: bytes) -> bytes:
        at = min(int(len(data) * share), len(data) - 1)
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]

    return flip


DAMAGES: dict[str, Damage] = {
    "deleted": lambda _data: None,
    "emptied": lambda _data: b"",
    "cut in half": lambda data: data[: len(data) // 2],
    "cut by a byte": lambda data: data[:-1],
    "longer by a byte": lambda data: data + b"\0",
    "zeroed": lambda data: bytes(len(data)),
    **{f"flipped at {round(100 * share)} %": _flipped(share) for share in (0, 0.03, 0.4, 0.7, 1)},
}
