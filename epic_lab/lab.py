"""Where the lab's things are on this machine.

Invariant: a pure value made from the environment; making one touches no disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from epic_lab.config import Config, Environment, read_config
from epic_lab.errors import LabError, LabErrorKind


class Lab(NamedTuple):
    """The lab as one user of one machine has it.

    Attributes:
        environment: what the process was told from outside.
    """

    environment: Environment

    @classmethod
    def here(cls) -> Lab:
        """Return the lab of this process."""
        return cls(Environment.read())

    @property
    def config_path(self) -> Path:
        """The configuration file: ``~/.epic/lab``, unless the environment names another."""
        return self.environment.config_file or self.environment.home / ".epic" / "lab"

    @property
    def state_dir(self) -> Path:
        """The private folder for what can be found out again: caches, tokens, saved tracebacks."""
        return self.environment.home / ".epic" / "state"

    @property
    def token_cache(self) -> Path:
        """The private file that keeps an access token for its lifetime."""
        return self.state_dir / "token.json"

    @property
    def address_cache(self) -> Path:
        """The file that says where the last connection to the store has led."""
        return self.state_dir / "address"

    @property
    def looked_at_cache(self) -> Path:
        """The file that says where the last upload has looked at many files."""
        return self.state_dir / "looked-at"

    @property
    def code_home(self) -> Path:
        """The folder into which a VM downloads: ``~/synccode``."""
        return self.environment.home / "synccode"

    @property
    def code_paths_cache(self) -> Path:
        """The file in which a kernel's start keeps what it read of `.synccode_sub_paths`; its folder comes with a download."""
        return self.code_home / ".synccode" / "code-paths.json"

    def config(self) -> Config:
        """Read the configuration file.

        Raises:
            LabError: there is none, or it cannot be read.
        """
        return read_config(self.config_path, home=self.environment.home)

    def ensure_state_dir(self) -> Path:
        """Make sure that the state folder exists and is the user's alone, and return it.

        Raises:
            LabError: the disk refuses.
        """
        try:
            for folder in (self.state_dir.parent, self.state_dir):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise LabError(
                LabErrorKind.LOCAL_DISK,
                f"cannot make the state folder {self.state_dir}: {error.strerror or error}",
                hint="The home directory must exist and be writable.",
                path=self.state_dir,
            ) from error
        return self.state_dir
