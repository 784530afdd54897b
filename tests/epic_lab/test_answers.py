"""What `epic-lab init` offers, and what it takes for an answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from epic_lab.answers import answer_fault, guesses
from epic_lab.config import (
    API_ENDPOINT,
    BASE_URL,
    CODE_BASE,
    COMPUTE_ENDPOINT,
    EXCLUSION,
    KNOWN_KEYS,
    PROJECT,
    PROXY_DOMAIN,
    REPOS,
    SCRIPTS,
    USERNAME,
    ZONE,
    Environment,
    KnownKey,
)
from epic_lab.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    home = tmp_path / "ana"
    for repo in ("alpha", "beta"):
        (home / "src" / repo / ".git").mkdir(parents=True)
    (home / "src" / "notes").mkdir()
    (home / "code").mkdir()
    return Lab(Environment(home=home, gcloud_folder=tmp_path / "gcloud"))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (BASE_URL, "gs://lab-bucket"),
        (BASE_URL, "file:///mnt/lab"),
        (USERNAME, "ana.b"),
        (CODE_BASE, "~/src"),
        (REPOS, "alpha, notes"),
        (EXCLUSION, r".*\.csv$"),
        (EXCLUSION, ""),
        (PROJECT, "our-lab-123456"),
        (PROJECT, ""),
        (ZONE, "europe-west1-b,europe-west4-a"),
        (SCRIPTS, "gs://lab-bucket/scripts"),
        (PROXY_DOMAIN, "lab.example.org"),
        (COMPUTE_ENDPOINT, "https://compute-lab.p.googleapis.com"),
        (API_ENDPOINT, "http://127.0.0.1:9024"),
    ],
)
def test_what_can_be_meant_is_taken(lab: Lab, key: KnownKey, text: str) -> None:
    assert answer_fault(lab, key, {CODE_BASE: "~/src", key: text}) is None


@pytest.mark.parametrize(
    ("key", "text", "fault"),
    [
        (
            BASE_URL,
            "lab-bucket",
            "expected a URL that begins with gs:// or file:///, such as gs://YOUR-BUCKET/synccode",
        ),
        (BASE_URL, "", "a value is needed, such as gs://YOUR-BUCKET/synccode"),
        (USERNAME, "ana b", "expected 1 to 64 letters, digits, '.', '_' or '-', as in ana or ana.b"),
        (CODE_BASE, "src", "expected an absolute path or one that begins with ~/ (variables are not expanded)"),
        (CODE_BASE, "~/none", "expected an existing folder (HOME/none is none)"),
        (REPOS, "alpha,gama", "there is no folder gama in HOME/src; the repositories there are alpha, beta"),
        (REPOS, ",", "expected names separated by commas or spaces"),
        (EXCLUSION, "(", "expected a regular expression (missing ), unterminated subpattern at position 0)"),
        (PROJECT, "Our Lab", "expected a project's id: small letters, digits and hyphens"),
        (ZONE, "europe-west1", "expected zones separated by commas, each like europe-west1-b"),
        (PROXY_DOMAIN, "https://lab", "expected a domain without https:// and slashes"),
        (COMPUTE_ENDPOINT, "compute", "expected https:// and a host, without a path"),
        (API_ENDPOINT, "http://elsewhere.example", "expected https:// and a host, or http:// and this very machine"),
        (EXCLUSION, "'\"", "expected one line, and not both kinds of quotes"),
        (EXCLUSION, "a\nb", "expected one line, and not both kinds of quotes"),
    ],
)
def test_what_cannot_be_meant_is_told_why(lab: Lab, key: KnownKey, text: str, fault: str) -> None:
    found = answer_fault(lab, key, {CODE_BASE: "~/src", key: text})
    assert found is not None
    assert found.replace(str(lab.environment.home), "HOME").replace(os.sep, "/") == fault


@pytest.mark.parametrize("key", KNOWN_KEYS, ids=lambda key: key.name)
def test_each_key_has_a_judge(lab: Lab, key: KnownKey) -> None:
    assert answer_fault(lab, key, {CODE_BASE: "~/src", key: "\0 (?"}) is not None


def test_the_likely_code_base_is_the_one_with_repositories(lab: Lab) -> None:
    assert guesses(lab, {}, CODE_BASE) == "~/src"
    assert guesses(lab, {CODE_BASE: "~/src"}, REPOS) == "alpha,beta"
    assert guesses(lab, {CODE_BASE: "~/none"}, REPOS) is None
    for repo in ("alpha", "beta"):
        (lab.environment.home / "src" / repo / ".git").rmdir()
    assert guesses(lab, {}, CODE_BASE) == "~/code"


def test_gcloud_knows_the_project_the_zone_and_the_user(lab: Lab, tmp_path: Path) -> None:
    assert [guesses(lab, {}, key) for key in (USERNAME, PROJECT, ZONE, BASE_URL)] == ["ana", None, None, None]
    (tmp_path / "gcloud" / "configurations").mkdir(parents=True)
    (tmp_path / "gcloud" / "configurations" / "config_default").write_text(
        "[core]\naccount = Bob.B@lab.example\nproject = our-lab-123456\n[compute]\nzone = europe-west1-b\n"
    )
    assert [guesses(lab, {}, key) for key in (USERNAME, PROJECT, ZONE)] == ["bob.b", "our-lab-123456", "europe-west1-b"]
