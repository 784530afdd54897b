"""Making a machine a VM of the lab, as far as its configuration file says so.

Invariant: a laptop's file is never turned into a VM's.
"""

from __future__ import annotations

from epic_lab.config import BASE_URL, REPOS, USERNAME, Store
from epic_lab.config_file import Written, carry_out, plan_rewriting
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.lab import Lab


def configure_vm(lab: Lab, store: Store) -> Written:
    """Make the configuration file of this machine name *store*, keeping everything else in it; twice is once.

    The file is private to the user, and so is its folder where that is the usual one.

    Raises:
        LabError: the file is a laptop's, or cannot be read or written.
    """
    rewriting = plan_rewriting(lab, {BASE_URL.name: store.base_url, USERNAME.name: store.username})
    if rewriting.before is not None and (config := lab.config()).is_laptop:
        raise LabError(
            LabErrorKind.WRONG_MACHINE,
            f"{config.path}, line {config.settings[REPOS.name].line}: {REPOS.name} makes this machine a laptop, not a VM",
            hint=f"If it is to be a VM take that line out. To change a laptop's store edit {BASE_URL.name} in the file.",
            file=config.path,
            key=REPOS.name,
        )
    return carry_out(lab, rewriting)
