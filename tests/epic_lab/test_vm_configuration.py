"""Writing a VM's configuration: private, atomic, and careful with what stands there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from epic_lab.config import Environment, Store
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.lab import Lab
from epic_lab.vm_configuration import Written, configure_vm

STORE = Store("gs://lab-bucket/synccode", "ana")
BOTH = ("SYNCCODE_GCS_BASE_URL", "SYNCCODE_USERNAME")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Environment(home=tmp_path))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_file_names_the_store_and_is_private(lab: Lab) -> None:
    assert configure_vm(lab, STORE) == Written(path=lab.config_path, created=True, changed=BOTH)
    assert lab.config_path.read_text() == "SYNCCODE_GCS_BASE_URL=gs://lab-bucket/synccode\nSYNCCODE_USERNAME=ana\n"
    assert lab.config().require_store() == STORE
    if os.name != "nt":
        assert (mode(lab.config_path), mode(lab.config_path.parent)) == (0o600, 0o700)
    assert list(lab.config_path.parent.iterdir()) == [lab.config_path]


def test_twice_is_once(lab: Lab) -> None:
    configure_vm(lab, STORE)
    before = lab.config_path.read_bytes()
    assert configure_vm(lab, STORE) == Written(path=lab.config_path, created=False, changed=())
    assert lab.config_path.read_bytes() == before


def test_comments_and_other_keys_stay(lab: Lab) -> None:
    lab.config_path.parent.mkdir()
    lab.config_path.write_bytes(b"# ours\r\nGCP_ZONE=z # here\r\nSYNCCODE_USERNAME=bob # who\r\nMINE=$X\r\n")
    assert configure_vm(lab, STORE).changed == BOTH
    assert lab.config_path.read_bytes() == (
        b"# ours\r\nGCP_ZONE=z # here\r\nSYNCCODE_USERNAME=ana # who\r\nMINE=$X\r\n"
        b"SYNCCODE_GCS_BASE_URL=gs://lab-bucket/synccode\r\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="modes mean little there")
def test_an_open_file_and_folder_become_private(lab: Lab) -> None:
    lab.config_path.parent.mkdir(mode=0o755)
    lab.config_path.touch(mode=0o644)
    configure_vm(lab, STORE)
    assert (mode(lab.config_path), mode(lab.config_path.parent)) == (0o600, 0o700)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_stays_a_link_and_what_it_names_is_written(lab: Lab, tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles"
    kept.write_text("GCP_ZONE=z\n")
    lab.config_path.parent.mkdir()
    lab.config_path.symlink_to(kept)
    configure_vm(lab, STORE)
    assert lab.config_path.is_symlink()
    assert kept.read_text().startswith("GCP_ZONE=z\nSYNCCODE_GCS_BASE_URL=")


@pytest.mark.skipif(os.name == "nt", reason="modes mean little there")
def test_a_file_named_by_the_environment_is_written_and_its_folder_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    lab = Lab(Environment(home=tmp_path, config_file=folder / "lab.conf"))
    configure_vm(lab, STORE)
    assert (mode(folder / "lab.conf"), mode(folder)) == (0o600, 0o755)


def test_a_laptops_file_is_not_touched(lab: Lab) -> None:
    lab.config_path.parent.mkdir()
    lab.config_path.write_text("GCP_ZONE=z\nSYNCCODE_REPOS=alpha\n")
    with pytest.raises(LabError) as error:
        configure_vm(lab, STORE)
    assert error.value.kind is LabErrorKind.WRONG_MACHINE
    assert error.value.message == f"{lab.config_path}, line 2: SYNCCODE_REPOS makes this machine a laptop, not a VM"
    assert lab.config_path.read_text() == "GCP_ZONE=z\nSYNCCODE_REPOS=alpha\n"


def test_a_disk_that_refuses_is_named(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / ".epic").touch()
    with pytest.raises(LabError) as error:
        configure_vm(lab, STORE)
    assert error.value.kind in {LabErrorKind.LOCAL_DISK, LabErrorKind.UNREADABLE_CONFIGURATION}
    assert str(lab.config_path) in error.value.message
