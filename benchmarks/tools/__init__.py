"""What is measured side by side: one adapter a tool.

Invariant: an adapter says what a person would type; each command is a fresh process, and what a tool keeps between two of
them is in its site's homes.
"""

from __future__ import annotations

from benchmarks.tools.archive import Archive
from benchmarks.tools.base import Tool
from benchmarks.tools.gcloud import Gcloud
from benchmarks.tools.gitpush import GitPush
from benchmarks.tools.gsutil import Gsutil
from benchmarks.tools.ours import Ours
from benchmarks.tools.rclone import Rclone
from benchmarks.tools.restic import Restic

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Ours(),
        Gsutil(),
        Gcloud(),
        Rclone("rclone"),
        Rclone("rclone-strong", "--fast-list", "--transfers=32", "--checkers=32"),
        Restic(),
        GitPush(),
        Archive(),
        Ours("ours-dir", in_directory=True),
    )
}
