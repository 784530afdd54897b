"""The configuration: what each key must be, and the one line that says what is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from epic_lab.config import Config, Environment, RepoFolder, Store, UnknownKey, expand, read_config
from epic_lab.errors import LabError, LabErrorKind

LAPTOP = {
    "SYNCCODE_GCS_BASE_URL": "gs://lab-bucket/synccode",
    "SYNCCODE_USERNAME": "ana",
    "SYNCCODE_LOCAL_CODE_BASE": "~/code",
    "SYNCCODE_REPOS": "alpha,beta",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    return tmp_path


def write(home: Path, **changes: str | None) -> Config:
    """Read a laptop's configuration with some keys changed, or missing where ``None``."""
    settings = {**LAPTOP, **changes}
    lines = [f"{key}={value}" for key, value in settings.items() if value is not None]
    file = home / "lab"
    file.write_text("\n".join(lines), encoding="utf-8")
    return read_config(file, home=home)


def refusal(error: pytest.ExceptionInfo[LabError], home: Path) -> tuple[str, str, str]:
    """Return the kind, message and hint of an error, with the home directory shown as HOME."""
    found = error.value
    return found.kind.value, found.message.replace(str(home), "HOME"), found.hint.replace(str(home), "HOME")


def test_a_laptops_configuration_names_store_repos_and_exclusion(home: Path) -> None:
    config = write(home, SYNCCODE_EXCLUSION=r"data/.*\.csv$")
    assert config.is_laptop
    assert config.require_store() == Store("gs://lab-bucket/synccode", "ana")
    assert config.require_repos() == (
        RepoFolder("alpha", home / "code" / "alpha"),
        RepoFolder("beta", home / "code" / "beta"),
    )
    assert config.exclusion() == r"data/.*\.csv$"
    assert config.unknown_keys() == ()


def test_a_machine_that_names_no_repos_is_a_vm(home: Path) -> None:
    assert not write(home, SYNCCODE_REPOS=None).is_laptop
    assert not write(home, SYNCCODE_REPOS="").is_laptop


@pytest.mark.parametrize("text", ["alpha,beta", "alpha beta", " alpha ,\tbeta, ", "alpha,beta,alpha"])
def test_repos_are_separated_by_commas_or_spaces_and_count_once(home: Path, text: str) -> None:
    assert [folder.repo for folder in write(home, SYNCCODE_REPOS=text).require_repos()] == ["alpha", "beta"]


def test_a_wrong_key_stops_only_what_needs_it(home: Path) -> None:
    config = write(home, SYNCCODE_GCS_BASE_URL="s3://bucket", SYNCCODE_EXCLUSION="(")
    assert config.require_repos()
    with pytest.raises(LabError):
        config.require_store()
    with pytest.raises(LabError):
        config.exclusion()


@pytest.mark.parametrize("url", ["gs://lab", "gs://lab-bucket/", "gs://lab.b_1/a/b", "file:///mnt/x", "file:///C:/x"])
def test_a_store_is_a_bucket_or_an_absolute_folder(home: Path, url: str) -> None:
    assert write(home, SYNCCODE_GCS_BASE_URL=url).require_store().base_url == url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("lab-bucket", "a URL that begins with gs:// or file:///"),
        ("s3://bucket/x", "a URL that begins with gs:// or file:///"),
        ("gs:/bucket", "a URL that begins with gs:// or file:///"),
        ("gs://", "gs://BUCKET or gs://BUCKET/PREFIX"),
        ("gs://Upper", "gs://BUCKET or gs://BUCKET/PREFIX"),
        ("gs://bucket/a//b", "gs://BUCKET or gs://BUCKET/PREFIX"),
        ("gs://bucket/../other", "gs://BUCKET or gs://BUCKET/PREFIX"),
        ("gs://bucket//a", "gs://BUCKET or gs://BUCKET/PREFIX"),
        ("file://relative/x", "file:// and an absolute path, three slashes in all"),
        ("file://~/x", "file:// and an absolute path, three slashes in all"),
        ("file:///~/x", "file:// and an absolute path, three slashes in all"),
    ],
)
def test_any_other_store_is_refused_with_what_was_expected(home: Path, url: str, expected: str) -> None:
    with pytest.raises(LabError) as error:
        write(home, SYNCCODE_GCS_BASE_URL=url).require_store()
    kind, message, hint = refusal(error, home)
    assert kind == "bad-value"
    assert message == f"HOME/lab, line 1: SYNCCODE_GCS_BASE_URL is {url!r}; expected {expected}"
    assert hint.startswith("Write for example:\n  SYNCCODE_GCS_BASE_URL=")


def test_a_missing_key_is_named_with_its_meaning_and_the_line_to_write(home: Path) -> None:
    with pytest.raises(LabError) as error:
        write(home, SYNCCODE_USERNAME=None).require_store()
    assert refusal(error, home) == (
        "missing-key",
        "HOME/lab: expected SYNCCODE_USERNAME (whose code it is there), but the key is missing",
        "Add this line to HOME/lab:\n  SYNCCODE_USERNAME=YOUR-NAME",
    )


def test_a_key_without_a_value_is_found_by_its_line(home: Path) -> None:
    with pytest.raises(LabError) as error:
        write(home, SYNCCODE_USERNAME="").require_store()
    assert "but line 2 gives it no value" in error.value.message


def test_a_misspelt_key_is_recognised_where_the_right_one_is_missing(home: Path) -> None:
    with pytest.raises(LabError) as error:
        write(home, SYNCCODE_USERNAME=None, SYNCODE_USERNAME="ana").require_store()
    assert refusal(error, home) == (
        "missing-key",
        "HOME/lab: expected SYNCCODE_USERNAME (whose code it is there), but line 4 has SYNCODE_USERNAME",
        "Write SYNCCODE_USERNAME in place of SYNCODE_USERNAME.",
    )


@pytest.mark.parametrize("name", ["a/b", "ana@lab", ".git", "ends.", "x" * 65])
def test_a_user_name_that_cannot_name_a_part_of_a_store_is_refused(home: Path, name: str) -> None:
    with pytest.raises(LabError) as error:
        write(home, SYNCCODE_USERNAME=name).require_store()
    assert error.value.message.startswith(f"{home / 'lab'}, line 2: SYNCCODE_USERNAME is {name!r}; expected 1 to 64")


def test_a_repo_that_is_no_folder_name_is_refused_by_name(home: Path) -> None:
    with pytest.raises(LabError) as error:
        write(home, SYNCCODE_REPOS="alpha,sub/beta").require_repos()
    assert refusal(error, home)[1] == (
        "HOME/lab, line 4: SYNCCODE_REPOS is 'alpha,sub/beta'; expected folder names inside SYNCCODE_LOCAL_CODE_BASE of "
        "letters, digits, '.', '_' or '-'; 'sub/beta' is none"
    )


def test_separators_alone_name_no_repo(home: Path) -> None:
    with pytest.raises(LabError) as error:
        write(home, SYNCCODE_REPOS=" , ,").require_repos()
    assert "expected names separated by commas or spaces" in error.value.message


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("code", "an absolute path or one that begins with ~/ (variables are not expanded)"),
        ("$HOME/code", "an absolute path or one that begins with ~/ (variables are not expanded)"),
        ("~/missing", "an existing folder (HOME/missing is none)"),
    ],
)
def test_a_code_base_must_be_an_existing_folder_named_in_full(home: Path, base: str, expected: str) -> None:
    with pytest.raises(LabError) as error:
        write(home, SYNCCODE_LOCAL_CODE_BASE=base).require_repos()
    assert (
        refusal(error, home)[1]
        == f"HOME/lab, line 3: SYNCCODE_LOCAL_CODE_BASE is {base.replace(str(home), 'HOME')!r}; "
        f"expected {expected}"
    )


def test_a_wrong_exclusion_is_refused_with_the_reason(home: Path) -> None:
    with pytest.raises(LabError) as error:
        write(home, SYNCCODE_EXCLUSION="(").exclusion()
    assert refusal(error, home)[1].startswith(
        "HOME/lab, line 5: SYNCCODE_EXCLUSION is '('; expected a regular expression (missing )"
    )


def test_no_exclusion_is_fine(home: Path) -> None:
    assert write(home).exclusion() is None


def test_a_bad_line_is_reported_by_whatever_needs_a_key(home: Path) -> None:
    (home / "lab").write_text("SYNCCODE_USERNAME=ana\nwhat is this\n", encoding="utf-8")
    config = read_config(home / "lab", home=home)
    assert not config.is_laptop
    with pytest.raises(LabError) as error:
        config.require_store()
    assert refusal(error, home) == (
        "bad-line",
        "HOME/lab, line 2: expected KEY=value, found 'what is this'",
        "Each line must be KEY=value, blank, or a comment that begins with #.",
    )


def test_unknown_keys_are_kept_and_reported_with_the_nearest_known_one(home: Path) -> None:
    config = write(home, SYNCCODE_EXCLUSIONS="x", MY_OWN_KEY="kept", synccode_repos="y")
    assert config.unknown_keys() == (
        UnknownKey("SYNCCODE_EXCLUSIONS", 5, "SYNCCODE_EXCLUSION"),
        UnknownKey("MY_OWN_KEY", 6, None),
        UnknownKey("synccode_repos", 7, "SYNCCODE_REPOS"),
    )
    assert config.settings["MY_OWN_KEY"].value == "kept"


def test_no_file_is_answered_with_what_to_write_on_either_machine(home: Path) -> None:
    with pytest.raises(LabError) as error:
        read_config(home / "none", home=home)
    assert refusal(error, home) == (
        "no-configuration",
        "there is no configuration file HOME/none",
        (
            "On a laptop run `epic-lab init`, or write these lines into it, with your own values:\n"
            "  SYNCCODE_GCS_BASE_URL=gs://YOUR-BUCKET/synccode\n"
            "  SYNCCODE_USERNAME=YOUR-NAME\n"
            "  SYNCCODE_LOCAL_CODE_BASE=~/code\n"
            "  SYNCCODE_REPOS=alpha,beta\n"
            "On a VM run\n"
            "  epic-synccode configure-vm --base-url URL --username NAME"
        ),
    )


def test_a_folder_or_binary_in_the_files_place_is_refused(home: Path) -> None:
    (home / "binary").write_bytes(b"KEY=\xff\n")
    for name, why in (("code", "Is a directory"), ("binary", "it is not UTF-8 text")):
        with pytest.raises(LabError) as error:
            read_config(home / name, home=home)
        assert error.value.kind is LabErrorKind.UNREADABLE_CONFIGURATION
        if os.name != "nt":  # where opening a folder is refused in other words
            assert refusal(error, home)[1] == f"cannot read the configuration file HOME/{name}: {why}"


def test_the_environment_is_read_once_into_a_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    variables = {
        "EPIC_LAB_CONFIG": "~/other",
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9",
        "GCE_METADATA_HOST": "127.0.0.1:8",
        "CLOUDSDK_CONFIG": "/gcloud",
        "CLOUDSDK_ACTIVE_CONFIG_NAME": "work",
        "GOOGLE_APPLICATION_CREDENTIALS": "/key.json",
        "https_proxy": "http://proxy",
        "IPYTHONDIR": "~/ipython",
        "XDG_DATA_HOME": "/data",
        "XDG_CONFIG_HOME": "/settings",
        "NO_COLOR": "1",
    }
    assert Environment.read(variables) == Environment(
        home=tmp_path,
        config_file=tmp_path / "other",
        storage_emulator_host="http://127.0.0.1:9",
        gce_metadata_host="127.0.0.1:8",
        gcloud_folder=Path("/gcloud"),
        gcloud_configuration="work",
        ipython_folder=tmp_path / "ipython",
        data_folder=Path("/data"),
        settings_folder=Path("/settings"),
        credentials_file=Path("/key.json"),
        has_proxies=True,
        no_color=True,
    )


def test_an_empty_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    names = ("EPIC_LAB_CONFIG", "STORAGE_EMULATOR_HOST", "GCE_METADATA_HOST", "HTTPS_PROXY", "NO_COLOR")
    assert Environment.read(dict.fromkeys(names, "")) == Environment.read({})


def test_credentials_are_by_default_where_gcloud_keeps_them() -> None:
    found = Environment.read({"CLOUDSDK_CONFIG": "/gcloud"}).credentials_file
    assert found == Path("/gcloud/application_default_credentials.json")


@pytest.mark.parametrize(
    ("text", "path"), [("~", "/home/ana"), ("~/x", "/home/ana/x"), ("/x/~", "/x/~"), ("~bob/x", "~bob/x")]
)
def test_only_a_leading_tilde_is_expanded(text: str, path: str) -> None:
    assert expand(text, Path("/home/ana")) == Path(path)
