"""`epic-lab doctor`: each check passes where all is well, and is wrong for a real cause."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from epic_lab.doctor.checks import CHECKS
from epic_lab.testing.control_server import ControlServer
from synccore.testing.gcs_faults import Refuse
from synccore.testing.gcs_server import GcsServer
from synccore.testing.metadata_server import MetadataServer
from synccore.testing.token_endpoint import TokenEndpoint

Machine = Any

pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="the programs that are looked for are played by scripts of a shell"
)

PROJECT = "our-lab-123456"
ON_LAPTOPS_ONLY = {"repositories", "project-permissions", "writable", "gcloud"}
ON_VMS_ONLY = {"kernel-hook", "unit", "disk"}


@dataclass
class Cloud:
    """All that a laptop or a VM asks over a network."""

    storage: GcsServer
    control: ControlServer
    logins: TokenEndpoint
    metadata: MetadataServer


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode()


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with (
        GcsServer("lab-bucket") as storage,
        ControlServer(PROJECT) as control,
        TokenEndpoint() as logins,
        MetadataServer(token="issued-0") as metadata,
    ):
        storage.service.insert("lab-bucket", "scripts/setup.sh", b"echo\n", {}, {})
        yield Cloud(storage, control, logins, metadata)
        assert control.alarms == []


def install(machine: Machine, **programs: str) -> None:
    """Give *machine* programs of its own, each a shell's script, beside the real git and what it stands on."""
    folder = machine.home / "bin"
    folder.mkdir(exist_ok=True)
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    machine.variables["PATH"] = str(folder)


def settings_of(machine: Machine, **changes: str) -> None:
    """Change keys of *machine*'s configuration; an empty value takes the key out."""
    values = dict(line.split("=", 1) for line in machine.config_path.read_text().splitlines())
    machine.configure(*(f"{key}={value}" for key, value in {**values, **changes}.items() if value))


@pytest.fixture
def well(laptop: Machine, cloud: Cloud, private_key: str) -> Machine:
    """Return a laptop that lacks nothing."""
    key_file = laptop.home / "key.json"
    key = {
        "type": "service_account",
        "client_email": "ana@lab.example",
        "private_key": private_key,
        "token_uri": f"{cloud.logins.url}/token",
    }
    key_file.write_text(json.dumps(key))
    laptop.variables |= {"STORAGE_EMULATOR_HOST": cloud.storage.url, "GOOGLE_APPLICATION_CREDENTIALS": str(key_file)}
    settings_of(
        laptop,
        SYNCCODE_GCS_BASE_URL="gs://lab-bucket/synccode",
        GCP_PROJECT_ID=PROJECT,
        GCP_ZONE="europe-west1-b",
        GCP_GCS_SCRIPTS_BASE_PATH="gs://lab-bucket/scripts",
        GCP_API_ENDPOINT=cloud.control.url,
    )
    install(laptop, gcloud="echo Google Cloud SDK 500.0.0", git="echo git version 2.50.0")
    return laptop


@pytest.fixture
def vm(machine: Machine, cloud: Cloud) -> Machine:
    """Return a VM that lacks nothing, to whose user something was uploaded."""
    store = (machine.home.parent / "store").as_uri()
    (machine.home / "code" / "alpha").mkdir(parents=True)
    (machine.home / "code" / "alpha" / "a.py").write_text("1\n")
    machine.configure(
        f"SYNCCODE_GCS_BASE_URL={store}",
        "SYNCCODE_USERNAME=ana",
        "SYNCCODE_LOCAL_CODE_BASE=~/code",
        "SYNCCODE_REPOS=alpha",
    )
    machine.variables["STORAGE_EMULATOR_HOST"] = cloud.storage.url
    settings_of(machine, SYNCCODE_GCS_BASE_URL="gs://lab-bucket/synccode")
    assert machine.run("upload").code == 0
    settings_of(machine, SYNCCODE_LOCAL_CODE_BASE="", SYNCCODE_REPOS="", GCP_PROJECT_ID=PROJECT)
    settings_of(machine, GCP_API_ENDPOINT=cloud.control.url)
    machine.variables["GCE_METADATA_HOST"] = cloud.metadata.host
    startup = machine.home / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-epic-lab.py").write_text("from epic_lab.ipython_startup import *\n")
    states = "LoadState=loaded\nActiveState=active\nSubState=running"
    install(machine, systemctl=f"printf '{states}\\n'", git="echo git version 2.50.0")
    return machine


def findings(machine: Machine, *arguments: str) -> dict[str, dict[str, Any]]:
    """Run the doctor and return what each check found, having looked at what holds of every run."""
    done = machine.lab("doctor", "--json", *arguments)
    assert "Traceback" not in done.out + done.err
    document = done.document
    found = {it["name"]: it for it in document["checks"]}
    assert list(found) == [check.name for check in CHECKS]
    is_wrong = any(it["mark"] == "wrong" for it in found.values())
    assert (done.code, document["is_well"]) == ((1, False) if is_wrong else (0, True))
    assert all(it["remedy"] for it in found.values() if it["mark"] == "wrong")
    assert "issued-" not in done.out
    return found


def marks(found: dict[str, dict[str, Any]], mark: str) -> set[str]:
    return {name for name, it in found.items() if it["mark"] == mark}


# -- all is well -------------------------------------------------------------------------------------------------------


def test_a_laptop_that_lacks_nothing_is_well(well: Machine, cloud: Cloud) -> None:
    found = findings(well)
    assert marks(found, "not-applicable") == ON_VMS_ONLY
    assert marks(found, "ok") == set(found) - ON_VMS_ONLY
    assert found["identity"]["facts"]["identity"] == "user:ana@lab.example"
    assert found["git"]["facts"] == {"version": "git version 2.50.0"}
    assert found["gcloud"]["facts"] == {"version": "Google Cloud SDK 500.0.0"}
    assert found["bucket-location"]["detail"] == "us"
    assert list(cloud.storage.service.buckets["lab-bucket"]) == ["scripts/setup.sh"]


def test_a_vm_that_lacks_nothing_is_well(vm: Machine) -> None:
    found = findings(vm)
    assert marks(found, "not-applicable") == ON_LAPTOPS_ONLY | {"scripts"}
    assert marks(found, "ok") == set(found) - ON_LAPTOPS_ONLY - {"scripts"}
    assert found["credentials"]["facts"]["type"] == "metadata"
    assert found["head"]["facts"]["repos"] == ["alpha"]
    assert found["bucket-permissions"]["facts"] == {"permissions": {"storage.objects.get": True}}


def test_a_lab_in_a_folder_needs_no_cloud(laptop: Machine) -> None:
    install(laptop, git="echo git version 2.50.0")
    found = findings(laptop)
    assert marks(found, "wrong") == set()
    assert found["gcloud"]["mark"] == "not-applicable"
    assert marks(found, "ok") >= {"configuration", "keys", "store", "repositories", "reachable", "head"}
    assert found["reachable"]["detail"].endswith("the first upload makes it")
    assert not (laptop.home.parent / "store").exists()
    (laptop.home.parent / "store").mkdir()
    assert findings(laptop)["writable"]["mark"] == "ok"
    assert [path for path in (laptop.home.parent / "store").rglob("*") if path.is_file() and path.name != ".lock"] == []


def test_people_read_one_line_a_check_and_what_to_type(well: Machine, cloud: Cloud) -> None:
    cloud.control.projects[PROJECT].enabled.remove("iap.googleapis.com")
    done = well.lab("doctor")
    lines = done.out.splitlines()
    assert done.code == 1
    at = next(number for number, line in enumerate(lines) if line.startswith("wrong"))
    assert lines[at] == f"wrong  {'apis':19}  not enabled in {PROJECT}: iap.googleapis.com"
    assert lines[at + 1] == f"       to do: gcloud services enable iap.googleapis.com --project {PROJECT}"
    assert lines[-1] == f"{len(CHECKS) - 4} ok · 1 wrong · 3 do not matter here"
    assert len(lines) == len(CHECKS) + 2
    assert done.err == ""


# -- the configuration -------------------------------------------------------------------------------------------------


def test_without_a_configuration_nothing_that_needs_it_is_tried(machine: Machine, cloud: Cloud) -> None:
    machine.variables["STORAGE_EMULATOR_HOST"] = cloud.storage.url
    install(machine, git="echo git version 2.50.0", gcloud="echo Google Cloud SDK 500.0.0")
    found = findings(machine)
    assert marks(found, "wrong") == {"configuration"}
    assert found["configuration"]["remedy"].splitlines()[0] == "epic-lab init"
    assert marks(found, "ok") == {"clock", "git", "gcloud"}
    assert found["store"]["detail"] == "not tried: it needs configuration"
    assert found["store"]["facts"] == {"needs": ["configuration"]}


def test_a_line_that_is_no_assignment_is_wrong(well: Machine) -> None:
    with well.config_path.open("a") as file:
        file.write("hello\n")
    found = findings(well)
    assert found["configuration"]["detail"] == "HOME/.epic/lab, line 9: expected KEY=value, found 'hello'"


def test_misspelt_keys_and_values_that_cannot_be_meant_are_all_named_and_no_secret_is(well: Machine) -> None:
    settings_of(well, GCP_ZONE="mars", SYNCCODE_EXCLUSION="(", SYNCODE_REPOS="x", MY_PASSWORD="hunter2")
    found = findings(well)
    assert marks(found, "wrong") == {"keys"}
    faults = found["keys"]["facts"]["faults"]
    assert len(faults) == 3
    assert ["SYNCODE_REPOS is unknown" in faults[0], "SYNCCODE_EXCLUSION" in faults[1], "'mars'" in faults[2]] == [
        True
    ] * 3
    assert found["keys"]["facts"]["unknown"] == ["SYNCODE_REPOS", "MY_PASSWORD"]
    assert "hunter2" not in json.dumps(found)


def test_a_store_that_cannot_be_meant_is_wrong(well: Machine) -> None:
    settings_of(well, SYNCCODE_GCS_BASE_URL="s3://lab")
    found = findings(well)
    assert found["store"]["facts"]["kind"] == "bad-value"
    assert found["reachable"]["detail"] == "not tried: it needs store and token"


def test_a_repository_that_is_not_there_is_wrong(well: Machine) -> None:
    shutil.rmtree(well.home / "code" / "beta")
    found = findings(well)
    assert marks(found, "wrong") == {"repositories"}
    assert found["repositories"]["remedy"] == "Clone the repository there, or take it out: epic-lab init --repos alpha"


def test_a_code_base_that_is_not_there_is_wrong(well: Machine) -> None:
    shutil.rmtree(well.home / "code")
    assert findings(well)["repositories"]["facts"]["kind"] == "bad-value"


# -- who we are --------------------------------------------------------------------------------------------------------


def test_no_credentials_are_wrong_where_they_are_needed(well: Machine) -> None:
    (well.home / "key.json").unlink()
    found = findings(well)
    assert found["credentials"]["detail"].startswith("there is no HOME/key.json")
    assert found["credentials"]["remedy"] == "gcloud auth application-default login"
    assert found["token"]["detail"] == "not tried: it needs credentials"
    assert found["project-permissions"]["mark"] == "not-tried"


def test_a_file_that_is_none_of_credentials_is_wrong(well: Machine) -> None:
    (well.home / "key.json").write_text("[]")
    assert findings(well)["credentials"]["mark"] == "wrong"


def test_credentials_that_google_refuses_are_wrong(well: Machine, cloud: Cloud) -> None:
    cloud.logins.status = 400
    found = findings(well)
    assert marks(found, "wrong") == {"token"}
    assert found["token"]["facts"]["kind"] == "no-credentials"
    assert found["project"]["detail"] == "not tried: it needs token"


def test_credentials_that_are_no_good_for_storage_are_wrong(vm: Machine, cloud: Cloud) -> None:
    cloud.control.scopes = ("https://www.googleapis.com/auth/logging.write",)
    cloud.control.email = "vm@our-lab.iam.gserviceaccount.com"
    found = findings(vm)
    assert marks(found, "wrong") == {"identity"}
    assert "good for logging.write only" in found["identity"]["detail"]
    assert found["identity"]["facts"]["identity"] == "serviceAccount:vm@our-lab.iam.gserviceaccount.com"


def test_a_vms_token_need_not_say_whose_it_is(vm: Machine, cloud: Cloud) -> None:
    cloud.control.email = None
    assert findings(vm)["identity"]["facts"]["identity"] == "serviceAccount:lab@project.iam.gserviceaccount.com"


def test_credentials_that_do_not_say_whose_they_are_are_well(well: Machine, cloud: Cloud) -> None:
    cloud.control.email = None
    assert findings(well)["identity"]["facts"]["identity"] is None


# -- the project -------------------------------------------------------------------------------------------------------


def test_a_project_that_is_not_ours_to_see_is_wrong(well: Machine) -> None:
    settings_of(well, GCP_PROJECT_ID="another-lab-9")
    found = findings(well)
    assert marks(found, "wrong") == {"project"}
    assert marks(found, "not-tried") == {"apis", "project-permissions"}


def test_a_project_that_is_being_deleted_is_wrong(well: Machine, cloud: Cloud) -> None:
    cloud.control.projects[PROJECT].state = "DELETE_REQUESTED"
    assert findings(well)["project"]["remedy"].startswith(f"gcloud projects undelete {PROJECT}")


def test_what_cannot_be_asked_is_not_wrong(well: Machine, cloud: Cloud) -> None:
    cloud.control.switched_off = {"cloudresourcemanager.googleapis.com"}
    cloud.control.refusals = {"serviceusage.services.batchGet": 403}
    found = findings(well)
    assert marks(found, "cannot-tell") == {"project", "apis", "project-permissions"}
    assert (
        found["project"]["remedy"] == f"gcloud services enable cloudresourcemanager.googleapis.com --project {PROJECT}"
    )
    assert marks(found, "wrong") == set()


def test_each_missing_permission_is_named_with_the_role_that_grants_it(well: Machine, cloud: Cloud) -> None:
    cloud.control.projects[PROJECT].denied = {"compute.instances.suspend", "iap.tunnelInstances.accessViaIAP"}
    found = findings(well)
    assert marks(found, "wrong") == {"project-permissions"}
    permissions = found["project-permissions"]["facts"]["permissions"]
    assert {name for name, granted in permissions.items() if not granted} == cloud.control.projects[PROJECT].denied
    start = f"gcloud projects add-iam-policy-binding {PROJECT} --member user:ana@lab.example --role"
    assert found["project-permissions"]["remedy"].splitlines() == [
        f"{start} roles/compute.instanceAdmin.v1",
        f"{start} roles/iap.tunnelResourceAccessor",
    ]


def test_acting_as_the_machines_service_account_may_be_granted_on_that_account_alone(
    well: Machine, cloud: Cloud
) -> None:
    cloud.control.projects[PROJECT].denied = {"iam.serviceAccounts.actAs"}
    found = findings(well)
    assert marks(found, "cannot-tell") == {"project-permissions"}
    assert found["project-permissions"]["remedy"].endswith(" --role roles/iam.serviceAccountUser")


# -- the store ---------------------------------------------------------------------------------------------------------


def test_a_bucket_that_does_not_exist_is_wrong(well: Machine) -> None:
    settings_of(well, SYNCCODE_GCS_BASE_URL="gs://other-bucket/synccode")
    found = findings(well)
    assert marks(found, "wrong") == {"reachable"}
    assert found["reachable"]["remedy"].startswith(
        f"gcloud storage buckets create gs://other-bucket --project {PROJECT} "
    )
    assert marks(found, "not-tried") == {"bucket-location", "bucket-permissions", "head", "writable"}


def test_a_bucket_that_refuses_us_is_wrong_with_the_role_that_we_lack(well: Machine, cloud: Cloud) -> None:
    cloud.storage.inject(Refuse(403, "forbidden", "Access denied."), operation="test_permissions", times=2)
    found = findings(well)
    assert found["reachable"]["detail"] == "gs://lab-bucket refuses us: 403 (Access denied.)"
    assert found["reachable"]["remedy"].endswith("--member user:ana@lab.example --role roles/storage.objectUser")


def test_reading_without_writing_is_wrong_on_a_laptop(well: Machine, cloud: Cloud) -> None:
    cloud.storage.denied_permissions = {"storage.objects.create", "storage.buckets.get"}
    found = findings(well)
    assert marks(found, "wrong") == {"bucket-permissions", "writable"}
    assert found["bucket-permissions"]["remedy"] == (
        "gcloud storage buckets add-iam-policy-binding gs://lab-bucket --member user:ana@lab.example "
        "--role roles/storage.objectUser"
    )
    assert found["bucket-location"]["mark"] == "cannot-tell"


def test_what_a_condition_on_names_grants_is_proven_by_doing_it(well: Machine, cloud: Cloud) -> None:
    cloud.storage.conditional_permissions = {f"storage.objects.{it}" for it in ("get", "create", "delete")}
    assert findings(well)["bucket-permissions"]["mark"] == "ok"
    cloud.storage.denied_permissions = {"storage.objects.list"}
    found = findings(well)
    assert marks(found, "wrong") == set()
    assert found["bucket-permissions"]["detail"] == "all but storage.objects.list, which first uploads and pruning need"


def test_an_object_that_cannot_be_deleted_again_is_named(well: Machine, cloud: Cloud) -> None:
    cloud.storage.denied_permissions = {"storage.objects.delete"}
    found = findings(well)
    left = found["writable"]["facts"]["left"]
    assert found["writable"]["detail"].startswith(
        f"an object could be put but not deleted, so gs://lab-bucket/synccode/{left}"
    )
    assert f"synccode/{left}" in cloud.storage.service.buckets["lab-bucket"]


def test_reading_without_writing_is_all_that_a_vm_needs(vm: Machine, cloud: Cloud) -> None:
    cloud.storage.denied_permissions = {"storage.objects.create", "storage.objects.delete", "storage.objects.list"}
    assert marks(findings(vm), "wrong") == set()
    cloud.storage.denied_permissions = {"storage.objects.get"}
    found = findings(vm)
    assert marks(found, "wrong") == {"bucket-permissions", "head"}
    assert "--role roles/storage.objectViewer" in found["bucket-permissions"]["remedy"]


def test_a_damaged_head_is_wrong(well: Machine, cloud: Cloud) -> None:
    cloud.storage.service.insert("lab-bucket", "synccode/ana/head", b"damaged", {}, {})
    assert findings(well)["head"]["facts"]["kind"] == "damaged-object"


def test_a_vm_to_whose_user_nothing_was_uploaded_is_told_so(vm: Machine) -> None:
    settings_of(vm, SYNCCODE_USERNAME="bob")
    found = findings(vm)
    assert marks(found, "wrong") == {"head"}
    assert found["head"]["detail"] == "nothing was uploaded for bob yet"


def test_a_bucket_that_is_elsewhere_than_the_machines_is_remarked(well: Machine, cloud: Cloud) -> None:
    cloud.storage.service.location = "US-EAST1"
    assert findings(well)["bucket-location"]["detail"] == (
        "us-east1; machines in europe-west1-b are elsewhere, so what they fetch is slower and billed"
    )


def test_scripts_that_are_not_there_are_wrong(well: Machine, cloud: Cloud) -> None:
    del cloud.storage.service.buckets["lab-bucket"]["scripts/setup.sh"]
    found = findings(well)
    assert marks(found, "wrong") == {"scripts"}
    assert found["scripts"]["detail"] == "nothing is in gs://lab-bucket/scripts"


def test_scripts_of_a_neighbour_with_a_longer_name_do_not_count(well: Machine) -> None:
    settings_of(well, GCP_GCS_SCRIPTS_BASE_PATH="gs://lab-bucket/script")
    assert findings(well)["scripts"]["mark"] == "wrong"


# -- networks ----------------------------------------------------------------------------------------------------------


def test_a_storage_at_which_nobody_listens_is_wrong(well: Machine) -> None:
    well.variables["STORAGE_EMULATOR_HOST"] = "http://127.0.0.1:1"
    found = findings(well)
    assert marks(found, "wrong") == {"reachable", "scripts", "clock"}
    assert {found[name]["facts"]["kind"] for name in ("reachable", "scripts", "clock")} == {"unreachable"}


def test_a_storage_that_never_answers_takes_no_longer_than_its_deadline(well: Machine) -> None:
    settings_of(well, GCP_PROJECT_ID="")  # so that nobody must be logged in, which takes its time too
    with socket.create_server(("127.0.0.1", 0), backlog=16) as deaf:
        well.variables["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        found = findings(well, "--timeout", "2")
    assert {"reachable", "scripts", "clock"} <= marks(found, "wrong")
    assert {"bucket-location", "head", "writable"} <= marks(found, "not-tried")


def test_an_error_of_the_storages_is_wrong(well: Machine, cloud: Cloud) -> None:
    cloud.storage.inject(Refuse(503), operation="test_permissions", times=1)
    found = findings(well)
    assert "503" in found["reachable"]["detail"]


@pytest.mark.parametrize(("ahead", "said"), [(-3600, "ahead of"), (3600, "behind")])
def test_a_clock_that_is_wrong_by_the_storages_is_wrong(well: Machine, cloud: Cloud, ahead: int, said: str) -> None:
    cloud.storage.clock_ahead_seconds = float(ahead)
    found = findings(well)
    assert marks(found, "wrong") == {"clock"}
    assert abs(found["clock"]["facts"]["ahead_seconds"] + ahead) <= 2
    assert f" s {said} the storage's" in found["clock"]["detail"]


# -- programs ----------------------------------------------------------------------------------------------------------


def test_programs_that_are_not_on_the_path_are_wrong(well: Machine) -> None:
    for name in ("git", "gcloud"):
        (well.home / "bin" / name).unlink()
    found = findings(well)
    assert marks(found, "wrong") == {"git", "gcloud"}


def test_a_program_that_fails_or_hangs_is_named(well: Machine) -> None:
    install(well, git="echo broken >&2; exit 3", gcloud=f"exec {sys.executable} -c 'import signal; signal.pause()'")
    found = findings(well, "--timeout", "3")
    assert found["git"]["detail"] == "HOME/bin/git --version failed: broken"
    assert found["gcloud"]["mark"] != "ok"


# -- a VM --------------------------------------------------------------------------------------------------------------


def test_a_vm_whose_kernels_do_not_synchronise_is_told_what_to_write(vm: Machine) -> None:
    startup = vm.home / ".ipython" / "profile_default" / "startup"
    (startup / "00-epic-lab.py").write_text("# from epic_lab.ipython_startup import *\n")
    found = findings(vm)
    assert marks(found, "wrong") == {"kernel-hook"}
    assert found["kernel-hook"]["remedy"].splitlines() == [
        "mkdir -p HOME/.ipython/profile_default/startup",
        "echo 'from epic_lab.ipython_startup import *' > HOME/.ipython/profile_default/startup/00-epic-lab.py",
    ]


def test_a_kernels_hook_may_also_be_an_extension_of_a_profile_elsewhere(vm: Machine) -> None:
    shutil.rmtree(vm.home / ".ipython")
    profile = vm.home / "elsewhere" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text("c.InteractiveShellApp.extensions = ['epic_lab']\n")
    vm.variables["IPYTHONDIR"] = str(vm.home / "elsewhere")
    assert findings(vm)["kernel-hook"]["facts"] == {"file": "HOME/elsewhere/profile_default/ipython_config.py"}


@pytest.mark.parametrize(
    ("states", "mark"),
    [
        ("LoadState=loaded ActiveState=failed SubState=failed", "wrong"),
        ("LoadState=loaded ActiveState=inactive SubState=dead", "wrong"),
        ("LoadState=not-found ActiveState=inactive SubState=dead", "not-applicable"),
        ("", "cannot-tell"),
    ],
)
def test_the_service_is_as_systemd_says(vm: Machine, states: str, mark: str) -> None:
    install(vm, systemctl=f"printf '%s\\n' {states}")
    assert findings(vm)["unit"]["mark"] == mark


def test_a_machine_without_systemd_has_no_service(vm: Machine) -> None:
    (vm.home / "bin" / "systemctl").unlink()
    assert findings(vm)["unit"]["mark"] == "not-applicable"


def test_a_vm_without_git_lacks_nothing(vm: Machine) -> None:
    (vm.home / "bin" / "git").unlink()
    assert findings(vm)["git"]["mark"] == "not-applicable"


def test_a_closed_pipe_ends_it_quietly(well: Machine) -> None:
    code = "import os, subprocess, sys; r, w = os.pipe(); os.close(r); print(subprocess.run([sys.executable, '-m', 'epic_lab.cli.lab', 'doctor'], stdout=w, stderr=subprocess.PIPE, env={**os.environ}).stderr)"
    assert well.python(code) == "b''\n"
