"""A lab machine of its own in a folder, with real IPython kernels.

    machine = Machine(tmp_path, base_url="file:///…", username="ada")
    machine.upload("alpha", {"alpha.py": "X = 1"})
    with machine.notebook() as notebook:
        assert notebook.run("import alpha; alpha.X").result == "1"

Invariant: nothing of the person who runs the test is read or written, and no kernel outlives its ``with``.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synccore.backends.opening import Access, open_backend
from synccore.look import Source
from synccore.provenance import Author
from synccore.pull import pull
from synccore.push import PushReport, push
from synccore.store import Store
from synccore.worktree.laptop import LaptopState

_STARTUP_LINE = "from epic_lab.ipython_startup import *\n"
_PATIENCE_SECONDS = 60.0
_PRODUCT = Path(__file__).parents[2]


@dataclass(slots=True)
class Ran:
    """What came of a cell.

    Attributes:
        stdout: what was printed, up to its end, since the last cell or the kernel's start.
        stderr: likewise.
        result: the representation of the cell's last expression.
        error: the traceback's last line, if the cell raised.
    """

    stdout: str = ""
    stderr: str = ""
    result: str | None = None
    error: str | None = None

    @property
    def said(self) -> list[str]:
        """The lines of `stdout` that the synchronisation printed."""
        return [line for line in self.stdout.splitlines() if line.startswith("synccode")]


class Notebook:
    """A running kernel and its only client."""

    def __init__(self, manager: Any, client: Any) -> None:
        self._manager = manager
        self._client = client
        self._first: list[Any] = []
        self._await_subscription()

    def run(self, code: str, *, answers: Sequence[str] = ()) -> Ran:
        """Run a cell to its end; whatever it asks gets the next of *answers*."""
        cell = str(self._client.execute(code, allow_stdin=bool(answers)))
        for answer in answers:
            self._client.get_stdin_msg(timeout=_PATIENCE_SECONDS)
            self._client.input(answer)
        return self.outcome(cell)

    def begin(self, code: str) -> str:
        """Begin to run a cell and return what `outcome` knows it by."""
        return str(self._client.execute(code, allow_stdin=False))

    def await_output(self, text: str) -> str:
        """Wait until a cell that is running has printed something with *text*; return all that was printed meanwhile."""
        seen = ""
        while text not in seen:
            message = self._next()
            if message["msg_type"] == "stream":
                seen += message["content"]["text"]
        return seen

    def outcome(self, cell: str) -> Ran:
        """Wait for the end of a cell."""
        ran = Ran()
        while True:
            message = self._next()
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                setattr(ran, content["name"], getattr(ran, content["name"]) + content["text"])
            if message["parent_header"].get("msg_id") != cell:
                continue
            if kind == "execute_result":
                ran.result = content["data"]["text/plain"]
            elif kind == "error":
                ran.error = f"{content['ename']}: {content['evalue']}"
            elif kind == "status" and content["execution_state"] == "idle":
                return ran

    def interrupt(self) -> None:
        """Press the button that interrupts the kernel."""
        self._manager.interrupt_kernel()

    def _await_subscription(self) -> None:
        """Ask until what the kernel publishes is heard: what it published before we were connected is lost."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            self._client.kernel_info()
            with suppress(queue.Empty):
                self._first.append(self._client.get_iopub_msg(timeout=1))
                return
            assert self._manager.is_alive(), "the kernel has died"
        raise AssertionError(f"the kernel published nothing for {_PATIENCE_SECONDS:g} s")

    def _next(self) -> Any:
        if self._first:
            return self._first.pop()
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            try:
                return self._client.get_iopub_msg(timeout=1)
            except queue.Empty:  # noqa: PERF203 - the loop is for this
                assert self._manager.is_alive(), "the kernel has died"
        raise AssertionError(f"the kernel said nothing for {_PATIENCE_SECONDS:g} s")


@dataclass
class Machine:
    """A home directory with a store to synchronise with, and a laptop beside it that uploads.

    Attributes:
        folder: where all of it is.
        base_url: of the store.
        username: whose code it is.
        access: how the laptop reaches the store.
        variables: what a kernel's environment has beside the least.
    """

    folder: Path
    base_url: str
    username: str = "ada"
    access: Access = field(default_factory=Access)
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        self.laptop.mkdir()
        self.write_config(f"SYNCCODE_GCS_BASE_URL={self.base_url}\nSYNCCODE_USERNAME={self.username}\n")
        self.write_startup(_STARTUP_LINE)

    @property
    def home(self) -> Path:
        """The home directory in which kernels run."""
        return self.folder / "home"

    @property
    def laptop(self) -> Path:
        """The folder from which the laptop uploads."""
        return self.folder / "laptop"

    @property
    def code_home(self) -> Path:
        """Where the code arrives."""
        return self.home / "synccode"

    def write_config(self, text: str | None) -> None:
        """Let the configuration file be *text*, or none."""
        file = self.home / ".epic" / "lab"
        file.parent.mkdir(exist_ok=True)
        if text is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(text)

    def prepare(self, text: str) -> None:
        """Let the IPython profile run *text* before the line that synchronises."""
        self.write_startup(text + "\n" + _STARTUP_LINE)

    def write_startup(self, text: str) -> None:
        """Let *text* be what the IPython profile runs at a start."""
        file = self.home / ".ipython" / "profile_default" / "startup" / "10-epic-lab.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def upload(self, repo: str, files: Mapping[str, str]) -> PushReport:
        """Upload a tree of *files*, and no others, as *repo*."""
        return self.upload_all({repo: files})

    def upload_all(self, repos: Mapping[str, Mapping[str, str]]) -> PushReport:
        """Upload several trees together."""
        for repo, files in repos.items():
            root = self.laptop / repo
            with suppress(FileNotFoundError):
                shutil.rmtree(root)
            for path, text in files.items():
                file = root / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        with self.store() as store:
            return push([Source(repo=repo, root=self.laptop / repo) for repo in repos], store=store)

    def pull(self) -> None:
        """Pull as another kernel of the machine would."""
        backend = open_backend(self.base_url, access=self.access)
        try:
            pull(self.code_home, user=self.username, backend=backend, store=backend.base_url, now_ns=time.time_ns)
        finally:
            backend.close()

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Open the store as the laptop does."""
        backend = open_backend(self.base_url, access=self.access)
        try:
            yield Store(
                backend=backend,
                user=self.username,
                state=LaptopState(self.folder / "laptop-state"),
                author=Author(user=self.username, host="laptop"),
                now_ns=time.time_ns,
            )
        finally:
            backend.close()

    @contextmanager
    def notebook(self, **variables: str) -> Iterator[Notebook]:
        """Start a kernel in the home directory, with *variables* in its environment, and end it with the ``with``."""
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import KernelManager

        specs = self.folder / "kernels"
        spec = specs / "lab" / "kernel.json"
        spec.parent.mkdir(parents=True, exist_ok=True)
        argv = [
            sys.executable,
            "-Xfrozen_modules=off",
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
            "--log-level=40",
        ]
        spec.write_text(json.dumps({"argv": argv, "display_name": "lab", "language": "python"}))
        # Sockets in a folder, where nobody else can take them; the path of one must be short.
        with tempfile.TemporaryDirectory(prefix="epic-lab-", ignore_cleanup_errors=True) as sockets:
            manager = KernelManager(
                kernel_name="lab",
                kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(specs)], ensure_native_kernel=False),
                connection_file=f"{sockets}/kernel.json",
                transport="ipc",
            )
            manager.start_kernel(env=self.environment(variables), cwd=str(self.home))
            client = manager.blocking_client()
            try:
                client.start_channels()
                yield Notebook(manager, client)
            finally:
                client.stop_channels()
                manager.shutdown_kernel(now=True)
                manager.cleanup_resources()

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the whole environment of a process on this machine."""
        return {
            "HOME": str(self.home),
            "IPYTHONDIR": str(self.home / ".ipython"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "LC_ALL": "C.UTF-8",
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(_PRODUCT),
            **self.variables,
            **variables,
        }
