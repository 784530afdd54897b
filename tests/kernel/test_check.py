"""Updates in a kernel that is running."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from epic_lab.testing.kernels import Machine, Notebook
from synccore.backends.opening import Access
from synccore.testing.gcs_server import GcsServer
from synccore.testing.http_serving import Request, Response

RESTART = "restart the kernel or importlib.reload them"


class Doorkeeper(GcsServer):
    """Counts the gets that have come, and can keep those of names that contain a text waiting."""

    def __init__(self) -> None:
        super().__init__("lab")
        self.held = ""
        self.arrived = threading.Semaphore(0)
        self.open = threading.Event()

    def answer(self, request: Request) -> Response:
        if request.method == "GET":
            self.arrived.release()
            if self.held and self.held in "/".join(request.segments):
                self.open.wait(60)
        return super().answer(request)


@pytest.fixture
def door() -> Iterator[Doorkeeper]:
    with Doorkeeper() as door:
        yield door
        door.open.set()


@pytest.fixture
def lab(tmp_path: Path, door: Doorkeeper) -> Machine:
    return Machine(
        tmp_path / "lab",
        base_url="gs://lab",
        access=Access(emulator_host=door.url, deadline_seconds=60),
        variables={"STORAGE_EMULATOR_HOST": door.url},
    )


def await_thread(notebook: Notebook) -> list[str]:
    """Wait until nothing is at work behind the kernel's back, and return what was said of it, if it was done when that began."""
    ran = notebook.run("import threading; [t.join() for t in threading.enumerate() if t.name == 'synccode']")
    assert ran.error is None
    return list(ran.said)


def test_a_check_brings_the_newest_code_and_names_what_is_imported_already(machine: Machine) -> None:
    files = {
        "alpha/__init__.py": "X = 1\n",
        "alpha/core.py": "X = 1\n",
        "alpha/same.py": "",
        "loose/part.py": "X = 1\n",
        "unused.py": "X = 1\n",
    }
    machine.upload("code", files)
    with machine.notebook() as notebook:
        notebook.run("import alpha.core, alpha.same, loose.part, os")
        ran = notebook.run("synccode_check_for_updates()")
        assert ran.result == "<synccode nothing new>"
        assert len(ran.said) == 1

        files |= {"alpha/__init__.py": "X = 2\n", "alpha/core.py": "X = 2\n", "unused.py": "X = 2\n", "os.py": ""}
        machine.upload("code", files)
        ran = notebook.run("found = synccode_check_for_updates(); found")
        assert ran.result == "<synccode changed: code; imported before: alpha, alpha.core>"
        assert " · 4 files changed · " in ran.said[0]
        assert ran.said[1:] == [f"synccode: imported before and changed since: alpha, alpha.core — {RESTART}"]
        assert notebook.run("bool(found), found.changed, found.modules, found.is_current").result == (
            "(True, ('code',), ('alpha', 'alpha.core'), True)"
        )
        assert notebook.run("import importlib, unused; importlib.reload(alpha.core).X, unused.X").result == "(2, 2)"

        del files["alpha/same.py"], files["loose/part.py"]
        machine.upload("code", files | {"loose/__init__.py": "", "fresh.py": "X = 3\n"})
        ran = notebook.run("%synccode")
        assert ran.said[1] == f"synccode: imported before and changed since: alpha.same, loose, loose.part — {RESTART}"
        assert notebook.run("import fresh; fresh.X").result == "3"


def test_python_is_told_to_look_at_its_folders_anew(machine: Machine) -> None:
    machine.upload("code", {"alpha.py": ""})
    with machine.notebook() as notebook:
        notebook.run(
            "import sys\n"
            "class Finder:\n"
            "    told = 0\n"
            "    def find_spec(self, *_): return None\n"
            "    def invalidate_caches(self): self.told += 1\n"
            "finder = Finder(); sys.meta_path.append(finder)"
        )
        machine.upload("code", {"alpha.py": "", "beta.py": ""})
        assert notebook.run("synccode_check_for_updates(); finder.told").result == "1"


def test_what_another_kernel_brought_is_noticed_too(machine: Machine) -> None:
    machine.upload("code", {"early.py": "X = 1\n", "late.py": "X = 1\n", "same.py": ""})
    with machine.notebook() as notebook:
        notebook.run("import early, same")
        machine.upload("code", {"early.py": "X = 2\n", "late.py": "X = 2\n", "same.py": ""})
        machine.pull()
        ran = notebook.run("%synccode")
        assert ran.said[1] == f"synccode: imported before and changed since: early — {RESTART}"
        assert notebook.run("import late; late.X").result == "2"
        machine.upload("code", {"early.py": "X = 2\n", "late.py": "X = 3\n", "same.py": ""})
        machine.pull()
        ran = notebook.run("synccode_check_for_updates(wait=True)")
        assert ran.said[1] == f"synccode: imported before and changed since: late — {RESTART}"


def test_autoreload_is_said_to_do_the_rest_and_does(machine: Machine) -> None:
    machine.upload("code", {"alpha.py": "X = 1\n"})
    with machine.notebook() as notebook:
        notebook.run("%load_ext autoreload\n%autoreload 2\nimport alpha")
        machine.upload("code", {"alpha.py": "X = 2\n"})
        ran = notebook.run("%synccode")
        assert ran.said[1] == (
            "synccode: imported before and changed since: alpha — autoreload brings them up to date with the next cell"
        )
        assert notebook.run("alpha.X").result == "2"


def test_new_sub_paths_and_new_repositories_are_on_the_path_at_once(machine: Machine) -> None:
    machine.upload("alpha", {"one/a.py": "", ".synccode_sub_paths": "one\n"})
    with machine.notebook() as notebook:
        assert notebook.run("import a").error is None
        machine.upload_all({"alpha": {"two/b.py": "", ".synccode_sub_paths": "two\n"}, "beta": {"c.py": ""}})
        ran = notebook.run("%synccode")
        assert "1 file downloaded" in ran.said[0]
        assert notebook.run("import b, c").error is None
        entries = notebook.run("import sys; print(*(p for p in sys.path if 'synccode' in p), sep='\\n')").stdout
        assert entries.splitlines() == [f"{machine.code_home}/alpha/two", f"{machine.code_home}/beta"]


def test_a_sub_path_that_is_none_is_said(machine: Machine) -> None:
    machine.upload("alpha", {"a.py": "", ".synccode_sub_paths": ".\nnowhere\n"})
    with machine.notebook() as notebook:
        ran = notebook.run("import a")
    assert ran.stdout.endswith(
        " · ~/synccode/alpha/.synccode_sub_paths line 2: 'nowhere' is no folder of this repository\n"
    )


def test_waiting_ends_with_the_next_upload(lab: Machine, door: Doorkeeper) -> None:
    lab.upload("alpha", {"alpha.py": "X = 1\n"})
    with lab.notebook() as notebook:
        notebook.run("1")
        while door.arrived.acquire(blocking=False):
            pass
        cell = notebook.begin("synccode_check_for_updates(wait=True)")
        for _ in range(2):
            assert door.arrived.acquire(timeout=60)
        asked = [(it.operation, it.status) for it in door.log[-2:]]
        lab.upload("alpha", {"alpha.py": "X = 2\n"})
        ran = notebook.outcome(cell)
        assert ran.result == "<synccode changed: alpha>"
        assert len(ran.stdout.splitlines()) == 1
        assert notebook.run("import alpha; alpha.X").result == "2"
    assert asked[0] == ("get_media", 304)


def test_waiting_is_interrupted_at_once_and_ends_after_its_time(lab: Machine, door: Doorkeeper) -> None:
    lab.upload("alpha", {"alpha.py": "X = 1\n"})
    with lab.notebook() as notebook:
        notebook.run("1")
        while door.arrived.acquire(blocking=False):
            pass
        cell = notebook.begin("%synccode wait")
        assert door.arrived.acquire(timeout=60)
        notebook.interrupt()
        ran = notebook.outcome(cell)
        assert (ran.error or "").startswith("KeyboardInterrupt")
        assert ran.said == []
        ran = notebook.run("synccode_check_for_updates(wait=True, timeout_seconds=0)")
        assert ran.result == "<synccode nothing new>"
        assert "up to date" in ran.stdout


def test_waiting_outlasts_a_store_that_is_away(lab: Machine, door: Doorkeeper) -> None:
    lab.upload("alpha", {"alpha.py": "X = 1\n"})
    with lab.notebook() as notebook:
        notebook.run("import epic_lab.kernel.check as c; c.ON_REQUEST = c.ON_REQUEST._replace(first_seconds=0.5)")
        lab.upload("alpha", {"alpha.py": "X = 2\n"})
        door.held = "head"
        cell = notebook.begin("synccode_check_for_updates(wait=True)")
        assert "· waiting for it to come back" in notebook.await_output("waiting")
        door.held = ""
        door.open.set()
        ran = notebook.outcome(cell)
        assert ran.result == "<synccode changed: alpha>"


def test_a_check_that_cannot_ask_says_so_and_raises_nothing(lab: Machine, door: Doorkeeper) -> None:
    lab.upload("alpha", {"alpha.py": "X = 1\n"})
    with lab.notebook() as notebook:
        notebook.run("1")
        door.stop()
        notebook.run("import epic_lab.kernel.check as c; c.ON_REQUEST = c.ON_REQUEST._replace(first_seconds=0.5)")
        ran = notebook.run("synccode_check_for_updates()")
        assert ran.result == "<synccode nothing new; not confirmed by the store>"
        assert ran.stdout.startswith("synccode: offline (")
        assert notebook.run("%synccode status").stdout.startswith("synccode: alpha@")
        assert "expected nothing, wait or status" in notebook.run("%synccode nonsense").stdout


def test_an_answer_that_comes_too_late_changes_nothing(lab: Machine, door: Doorkeeper) -> None:
    lab.upload("alpha", {"alpha.py": "X = 1\n"})
    lab.pull()
    lab.upload("alpha", {"alpha.py": "X = 2\n"})
    before = (lab.code_home / "alpha" / "alpha.py").stat()
    # The socket is to outlast the patience, so that the late answer is heard.
    lab.prepare("import epic_lab.kernel.code as c; c._MARGIN_SECONDS = 60")
    door.held = "head"
    with lab.notebook() as notebook:
        ran = notebook.run("1")
        assert ran.stdout.startswith("synccode: offline (no answer from gs://lab within 2 s): alpha@")
        door.open.set()
        await_thread(notebook)
        assert (lab.code_home / "alpha" / "alpha.py").stat() == before
        assert notebook.run("synccode_check_for_updates(); import alpha; alpha.X").result == "2"


def test_what_is_being_written_when_patience_ends_is_finished_and_announced(lab: Machine, door: Doorkeeper) -> None:
    lab.upload("alpha", {"alpha.py": "X = 1\n", "large.txt": "".join(map(str, range(100_000)))})
    lab.prepare(
        "import epic_lab.kernel.code as c, epic_lab.kernel.hook as h; c._MARGIN_SECONDS = 60\n"
        "h.AT_START = h.AT_START._replace(quiet_seconds=1.5)"
    )
    door.held = "bundles"
    with lab.notebook() as notebook:
        ran = notebook.run("1")
        assert ran.stdout == (
            "synccode: an update is being written and takes its time; a later cell will say when it is done\n"
        )
        door.open.set()
        said = await_thread(notebook)
        ran = notebook.run("import alpha; alpha.X")
        assert ran.result == "1"
        assert " · 2 files downloaded · " in [*said, *ran.said][0]
        assert notebook.run("1").stdout == ""
