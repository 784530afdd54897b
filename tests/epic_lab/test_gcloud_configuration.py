"""What gcloud was told, read from its files as gcloud writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from epic_lab.config import Environment
from epic_lab.gcloud_configuration import GcloudFacts, gcloud_facts

WORK = "[core]\naccount = ana@lab.example\nproject = our-lab-123456\n\n[compute]\nzone = europe-west1-b\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gcloud" / "configurations").mkdir(parents=True)
    return tmp_path / "gcloud"


def facts(folder: Path, name: str | None = None) -> GcloudFacts:
    return gcloud_facts(Environment(home=folder.parent, gcloud_folder=folder, gcloud_configuration=name))


def test_the_active_configuration_is_read(folder: Path) -> None:
    (folder / "active_config").write_text("work")
    (folder / "configurations" / "config_work").write_text(WORK)
    (folder / "configurations" / "config_default").write_text("[core]\nproject = other\n")
    assert facts(folder) == GcloudFacts("our-lab-123456", "europe-west1-b", "ana@lab.example")
    assert facts(folder, "default") == GcloudFacts("other", None, None)


def test_without_an_active_one_it_is_the_default(folder: Path) -> None:
    (folder / "configurations" / "config_default").write_text(WORK)
    assert facts(folder).project == "our-lab-123456"


@pytest.mark.parametrize(
    "text", ["no section\n", "[core\n", "", "[core]\nproject =\n", "[core]\nproject %(x)s\n", "\0"]
)
def test_a_file_that_is_not_what_it_should_be_says_nothing(folder: Path, text: str) -> None:
    (folder / "configurations" / "config_default").write_text(text)
    assert facts(folder) == GcloudFacts()


def test_no_file_says_nothing(folder: Path) -> None:
    (folder / "configurations" / "config_default").write_bytes(b"[core]\nproject = \xff\n")
    assert facts(folder) == GcloudFacts()
    assert facts(folder, "none") == GcloudFacts()
    assert facts(folder, "../../passwd") == GcloudFacts()
    assert gcloud_facts(Environment(home=folder.parent)) == GcloudFacts()


def test_a_percent_sign_is_a_percent_sign(folder: Path) -> None:
    (folder / "configurations" / "config_default").write_text("[core]\nproject = a%b\n")
    assert facts(folder).project == "a%b"
