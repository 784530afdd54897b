"""Asking git, or what stands in for it, about the commit of a working tree.

Invariant: what follows no rules of git is never asked about, and no process outlives its question.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synccore.gitfacts import Differing, Doubtful, GitFacts
from synccore.worktree.git_status import GitStatus
from synccore.worktree.listing import NoGitProgramError, NotARepositoryError
from synccore.worktree.selection import Lister, Selecting, absolute, refuse_without_git, work_tree_around

if TYPE_CHECKING:
    from typing_extensions import Self

    from synccore.worktree.grounds import KnownList


def git_facts(root: Path, *, lister: Lister = Lister.AUTO) -> GitFacts | None:
    """Return what git says of the commit below *root*; ``None`` for a plain folder.

    Raises:
        WorktreeError: there is no such directory, or git refuses to read it.
    """
    with AskingFacts(root, lister=lister) as asking:
        return asking.finish()


class AskingFacts:
    """What git says of the commit below *root*, in the making: git is at work until its caller asks for the answer.

    Use it as a context manager: leaving it ends what still runs. Arguments and errors as for `git_facts`; *beside* is a list in the
    making, which says what git does not track: to find that out takes git half of its time, and need not be done twice; *among* as for
    `synccore.worktree.git_status.GitStatus`.
    """

    def __init__(
        self,
        root: Path,
        *,
        lister: Lister = Lister.AUTO,
        beside: Selecting | KnownList | None = None,
        among: Doubtful | None = None,
    ) -> None:
        self._root = absolute(root)
        self._lister = lister
        self._asking: GitStatus | None = None
        self._is_known_by_git = work_tree_around(self._root) is not None
        if self._is_known_by_git and lister is not Lister.DULWICH:
            try:
                self._asking = GitStatus(self._root, beside.git_listing if beside is not None else None, among)
            except NotARepositoryError:
                self._is_known_by_git = False
            except NoGitProgramError:
                self._refuse_to_do_without()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._asking is not None:
            self._asking.drop()

    @property
    def differing(self) -> Differing | None:
        """What git tracks and found to differ; ``None`` if that is not known, or not yet."""
        return self._asking.differing if self._asking is not None else None

    def finish(self) -> GitFacts | None:
        """Wait for the answer."""
        if not self._is_known_by_git:
            return None
        try:
            if self._asking is not None:
                try:
                    return self._asking.finish()
                except NoGitProgramError:
                    self._refuse_to_do_without()
            from synccore.worktree.dulwich_git import read_facts

            return read_facts(self._root)
        except NotARepositoryError:
            return None

    def _refuse_to_do_without(self) -> None:
        if self._lister is Lister.GIT:
            refuse_without_git(self._root)
