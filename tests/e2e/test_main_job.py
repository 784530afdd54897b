"""From the laptop's working tree to the machine's, through the installed commands."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

from actors import Lab, files_below

PACKAGES = Path(sysconfig.get_path("purelib"))


def given_a_repository(lab: Lab) -> Path:
    """Lay out a git repository of some hundred real files, with an edit that is not committed."""
    code = lab.code(lab.laptop)
    shutil.rmtree(code)
    shutil.copytree(PACKAGES / "pip", code, ignore=shutil.ignore_patterns("__pycache__"))
    lab.laptop.git("init", "-q", "-b", "main", at=code)
    lab.laptop.git("add", "-A", at=code)
    lab.laptop.git("commit", "-q", "-m", "first", at=code)
    (code / "__init__.py").write_text("edited = True\n")
    (code / "tool.sh").write_text("#!/bin/sh\n")
    (code / "tool.sh").chmod(0o755)
    (code / "latest").symlink_to("_internal/cli")
    return code


def test_a_repository_arrives_exactly_with_its_uncommitted_edits(lab: Lab) -> None:
    code = given_a_repository(lab)
    up = lab.laptop.report("upload")
    down = lab.machine.report("download")
    assert files_below(lab.tree(lab.machine)) == files_below(code)
    assert up["repos"][0]["snapshot"] == down["repos"][0]["snapshot"]
    assert up["repos"][0]["git"]["branch"] == "main"
    assert up["repos"][0]["git"]["dirty_count"] == 3


def test_edits_renames_and_deletions_arrive(lab: Lab) -> None:
    code = given_a_repository(lab)
    lab.laptop.report("upload")
    lab.machine.report("download")
    (code / "_internal" / "cli").rename(code / "_internal" / "console")
    (code / "__main__.py").unlink()
    (code / "latest").unlink()
    (code / "latest").mkdir()
    (code / "latest" / "now.py").write_text("now = 1\n")
    (code / "tool.sh").chmod(0o644)
    lab.laptop.report("upload")
    lab.machine.report("download")
    assert files_below(lab.tree(lab.machine)) == files_below(code)
    assert not (lab.tree(lab.machine) / "_internal" / "cli").exists()


def test_an_everyday_edit_is_one_request_each_way_and_nothing_else_is_asked(cloud: Lab) -> None:
    code = given_a_repository(cloud)
    cloud.laptop.report("upload")
    cloud.machine.report("download")
    server = cloud.store.server
    assert server is not None
    server.forget()
    (code / "__init__.py").write_text("edited = 'again'\n")
    cloud.laptop.report("upload")
    cloud.machine.report("download")
    assert [(it.operation, it.status) for it in server.log] == [("put", 200), ("get_media", 200)]
    assert files_below(cloud.tree(cloud.machine)) == files_below(code)


def test_several_repositories_become_visible_together(lab: Lab) -> None:
    other = lab.new_laptop("laptop2", "alpha,beta,gamma")
    for repo in ("alpha", "beta", "gamma"):
        (lab.code(other, repo) / "m.py").write_text(f"{repo} = 1\n")
    up = other.report("upload")
    assert [repo["repo"] for repo in up["repos"]] == ["alpha", "beta", "gamma"]
    down = lab.machine.report("download")
    assert [repo["outcome"] for repo in down["repos"]] == ["created"] * 3
    assert other.report("log")["uploads"][0]["sequence"] == 1


def test_a_file_that_was_only_touched_is_not_uploaded(cloud: Lab) -> None:
    code = given_a_repository(cloud)
    cloud.laptop.report("upload")
    for path in (code / "__init__.py", code / "tool.sh"):
        path.touch()
    (code / "__main__.py").write_bytes((code / "__main__.py").read_bytes())
    up = cloud.laptop.report("upload")
    assert up["repos"][0]["outcome"] == "unchanged"
    assert up["calls"] == {"conditional_get": 1}
