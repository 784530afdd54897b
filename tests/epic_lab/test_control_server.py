"""The kit's control APIs, and the judge of what is said to them: what is wrong is noticed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from epic_lab.gcp.apis import OAUTH2, RESOURCE_MANAGER, SERVICE_USAGE, GoogleApis
from epic_lab.testing.control_server import ControlServer
from epic_lab.testing.descriptions import CONTROL, answer_alarms, method_of, request_alarms
from synccore.backends.gcs_tokens import Tokens
from synccore.backends.opening import Access
from synccore.errors import ErrorKind, UnavailableError
from synccore.testing.gcs_faults import Redirect
from synccore.testing.gcs_server import GcsServer
from synccore.testing.metadata_server import MetadataServer

PROJECT = "/v3/projects/our-lab-123456"


@pytest.fixture
def server() -> Iterator[ControlServer]:
    with ControlServer() as server:
        yield server


@pytest.fixture
def tokens() -> Iterator[Tokens]:
    with MetadataServer(token="good") as metadata:
        yield Tokens(Access(metadata_host=metadata.host))


def apis(server: ControlServer | GcsServer, tokens: Tokens | None, **more: str) -> GoogleApis:
    return GoogleApis(tokens=tokens, endpoint=server.url, patience_seconds=5, **more)


def alarms_of(http_method: str, path: str, *parameters: tuple[str, str], body: object = None) -> list[str]:
    method = method_of(CONTROL, http_method, path)
    assert method is not None, path
    return request_alarms(method, parameters=parameters, body=body)


def test_what_the_doctor_asks_raises_no_alarm(server: ControlServer, tokens: Tokens) -> None:
    ask = apis(server, tokens).ask
    assert ask(RESOURCE_MANAGER, PROJECT).document["state"] == "ACTIVE"
    names = [("names", f"projects/our-lab-123456/services/{it}.googleapis.com") for it in ("storage", "iap")]
    answer = ask(SERVICE_USAGE, "/v1/projects/our-lab-123456/services:batchGet", query=names)
    assert [it["state"] for it in answer.document["services"]] == ["ENABLED", "ENABLED"]
    body = {"permissions": ["compute.instances.get"]}
    assert ask(RESOURCE_MANAGER, f"{PROJECT}:testIamPermissions", method="POST", body=body).document == body
    assert ask(OAUTH2, "/oauth2/v2/tokeninfo", query=[("access_token", "x")], method="POST").is_ok
    assert server.alarms == []
    assert sum(server.requests.values()) == 4


@pytest.mark.parametrize(
    ("alarms", "noticed"),
    [
        (
            alarms_of("POST", f"{PROJECT}:testIamPermissions", body={"permission": ["x"]}),
            "Additional properties are not allowed ('permission' was unexpected)",
        ),
        (alarms_of("POST", f"{PROJECT}:testIamPermissions", body={"permissions": "x"}), "'x' is not of type 'array'"),
        (alarms_of("POST", f"{PROJECT}:testIamPermissions"), "None is not of type 'object'"),
        (alarms_of("GET", PROJECT, ("view", "FULL")), "the parameter view is not known"),
        (alarms_of("GET", PROJECT, body={}), "a body, where none is known"),
        (alarms_of("GET", PROJECT, ("alt", "xml")), "which is none of json, media, proto"),
    ],
)
def test_a_wrong_request_is_noticed(alarms: list[str], noticed: str) -> None:
    assert len(alarms) == 1
    assert noticed in alarms[0]


def test_a_path_that_nobody_serves_is_noticed(server: ControlServer, tokens: Tokens) -> None:
    assert method_of(CONTROL, "GET", "/v3/projects/a/b") is None
    assert method_of(CONTROL, "PUT", PROJECT) is None
    assert apis(server, tokens).ask(RESOURCE_MANAGER, "/v9/projects/x").status == 404
    assert server.alarms == ["nobody knows GET /v9/projects/x"]


def test_a_wrong_answer_of_the_kits_own_is_noticed() -> None:
    method = method_of(CONTROL, "GET", PROJECT)
    assert method is not None
    assert answer_alarms(method, {"state": "ACTIVE"}) == []
    assert "'LIVELY' is not one of" in answer_alarms(method, {"state": "LIVELY"})[0]


def test_a_refusal_says_its_reason_and_its_words(server: ControlServer, tokens: Tokens) -> None:
    server.switched_off = {"serviceusage.googleapis.com"}
    answer = apis(server, tokens).ask(SERVICE_USAGE, "/v1/projects/our-lab-123456/services:batchGet")
    assert (answer.status, answer.reason) == (403, "SERVICE_DISABLED")
    assert answer.said.startswith("403 (serviceusage.googleapis.com has not been used in project")
    other = apis(server, tokens).ask(RESOURCE_MANAGER, "/v3/projects/other")
    assert (other.reason, other.said) == ("PERMISSION_DENIED", "403 (The caller does not have permission)")


def test_a_question_without_a_token_is_refused(server: ControlServer) -> None:
    assert apis(server, None).ask(RESOURCE_MANAGER, PROJECT).status == 401


def test_a_persons_questions_name_the_project_that_pays(server: ControlServer, tokens: Tokens) -> None:
    apis(server, tokens, quota_project="our-lab-123456").ask(RESOURCE_MANAGER, PROJECT)
    assert server.headers["cloudresourcemanager.projects.get"]["x-goog-user-project"] == "our-lab-123456"
    apis(server, tokens).ask(RESOURCE_MANAGER, PROJECT)
    assert "x-goog-user-project" not in server.headers["cloudresourcemanager.projects.get"]


def test_a_redirection_is_not_followed_so_that_the_token_stays(server: ControlServer, tokens: Tokens) -> None:
    with GcsServer("lab") as elsewhere:
        elsewhere.inject(Redirect(f"{server.url}{PROJECT}"))
        assert apis(elsewhere, tokens).ask(RESOURCE_MANAGER, "/").status == 307
    assert sum(server.requests.values()) == 0


def test_nobody_there_is_an_error_without_the_token_or_the_path(tokens: Tokens) -> None:
    nowhere = GoogleApis(tokens=tokens, endpoint="http://127.0.0.1:1", patience_seconds=5)
    with pytest.raises(UnavailableError) as caught:
        nowhere.ask(OAUTH2, "/oauth2/v2/tokeninfo", query=[("access_token", "secret")], method="POST")
    assert caught.value.kind is ErrorKind.UNREACHABLE
    assert caught.value.message.startswith("http://127.0.0.1:1 does not answer: ")
    assert "secret" not in caught.value.message
