"""The judge of what is said to and by Compute Engine: that it lets pass what is right, and nothing else."""

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from compute_clients import PROJECT, ZONE, Clients, body

from epic_lab.testing.compute_schema import Discovery
from epic_lab.testing.compute_server import ComputeServer

ZONE_PATH = f"projects/{PROJECT}/zones/{ZONE}"
INSTANCES = f"{ZONE_PATH}/instances"
# What Google's own command line sent for the older tool, to this version of the API and to its beta.
GENUINE = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "older_tool_requests.jsonl").read_text(encoding="utf-8").splitlines()
]


def request_alarms(method: str, path: str, content: Any = None, **query: str) -> list[str]:
    discovery = Discovery.load()
    call = discovery.call(method, path)
    assert call is not None, path
    return discovery.request_alarms(call, query=query, body=content)


def post(server: ComputeServer, path: str, content: Any, method: str = "POST") -> tuple[int, Any]:
    connection = http.client.HTTPConnection(server.host, timeout=20)
    try:
        connection.request(method, f"/compute/v1/{path}", None if content is None else json.dumps(content))
        with connection.getresponse() as response:
            return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize("genuine", GENUINE, ids=lambda it: f"{it['method']} {it['path'].rpartition('/')[2]}")
def test_genuine_requests_raise_no_alarm(genuine: dict[str, Any]) -> None:
    split = urlsplit(genuine["path"])
    path = split.path.split("/", 3)[3]
    assert request_alarms(genuine["method"], path, genuine["body"], **dict(parse_qsl(split.query))) == []


def test_genuine_requests_are_carried_out(compute: ComputeServer) -> None:
    statuses = []
    for genuine in GENUINE:
        path = genuine["path"].split("/", 3)[3]
        statuses.append(post(compute, path, genuine["body"], genuine["method"])[0])
        compute.service.timeline.pass_time(60)
    # Refused are the waits for operations that another server had named, the deletion of a machine that never was, and the second spotty-1.
    assert statuses == [
        200,
        200,
        200,
        200,
        200,
        200,
        200,
        404,
        200,
        200,
        404,
        200,
        200,
        200,
        404,
        200,
        409,
        200,
        200,
        200,
    ]


@pytest.mark.parametrize(
    ("change", "alarm"),
    [
        ({"nmae": "ann-1"}, "'nmae' was unexpected"),
        ({"scheduling": {"onHostMaintenance": "MOVE"}}, "'MOVE' is not one of"),
        ({"disks": [{"diskSizeGb": 200}]}, "200 is not of type 'string'"),
        ({"disks": [{"diskSizeGb": "200 GB"}]}, "does not match"),
        ({"disks": [{"initializeParams": {"diskSizeGb": "1", "size": "1"}}]}, "'size' was unexpected"),
        ({"canIpForward": "false"}, "is not of type 'boolean'"),
        ({"guestAccelerators": [{"acceleratorCount": "1"}]}, "is not of type 'integer'"),
        ({"guestAccelerators": [{"acceleratorCount": 2**31}]}, "greater than the maximum"),
        ({"labels": {"a": 1}}, "is not of type 'string'"),
        ({"metadata": {"items": {"a": "b"}}}, "is not of type 'array'"),
        ({"name": "Ann"}, "does not match"),
        ({"name": "ann-1\n"}, "does not match"),
        ({"name": "x" * 64}, "does not match"),
        ({"status": "RUNNING"}, "Instance.status: is for the service to set"),
        ({"tags": {"items": ["EPIC"]}}, "does not match"),
        ({"disks": [{"diskEncryptionKey": {"rawKey": "AAAA"}}]}, "or deprecated"),
    ],
)
def test_a_body_that_is_not_of_the_api_is_caught(change: dict[str, Any], alarm: str) -> None:
    alarms = request_alarms("POST", INSTANCES, {**body("ann-1"), **change})
    assert len(alarms) == 1
    assert alarm in alarms[0]


def test_a_launch_without_a_name_or_a_body_is_caught() -> None:
    nameless = body("ann-1")
    del nameless["name"]
    assert request_alarms("POST", INSTANCES, nameless) == ["instances.insert: Instance.name is required"]
    assert request_alarms("POST", INSTANCES) == ["instances.insert: no body, where a Instance belongs"]


def test_a_body_where_none_belongs_is_caught() -> None:
    assert request_alarms("POST", f"{INSTANCES}/ann-1/suspend", {"force": True}) != []


@pytest.mark.parametrize(
    "query",
    [
        {"requestID": "1"},
        {"maxResults": "many"},
        {"maxResults": "-1"},
        {"includeAllScopes": "yes"},
        {"alt": "xml"},
        {"serviceProjectNumber": "proj1"},
        {"project": PROJECT},
    ],
)
def test_a_parameter_that_is_not_of_the_api_is_caught(query: dict[str, str]) -> None:
    assert len(request_alarms("GET", f"projects/{PROJECT}/aggregated/instances", **query)) == 1


@pytest.mark.parametrize("path", ["projects/Proj_1/zones/z/instances", f"projects/{PROJECT}/zones/Zone/instances"])
def test_a_path_that_does_not_match_is_caught(path: str) -> None:
    assert len(request_alarms("GET", path)) == 1


@pytest.mark.parametrize(
    "path", [f"{ZONE_PATH}/instance", f"{INSTANCES}/ann-1/sleep", "projects", f"{INSTANCES}//suspend"]
)
def test_an_address_that_is_not_of_the_api_is_known_as_such(path: str) -> None:
    assert Discovery.load().call("POST", path) is None


def test_an_answer_may_hold_what_only_the_service_sets_and_nothing_unknown() -> None:
    discovery = Discovery.load()
    call = discovery.call("GET", f"{INSTANCES}/ann-1")
    assert call is not None
    assert discovery.answer_alarms(call, status=200, body={"name": "ann-1", "status": "RUNNING", "id": "7"}) == []
    for wrong in ({"state": "RUNNING"}, {"status": "ASLEEP"}, {"id": 7}, {"id": "-7"}):
        assert len(discovery.answer_alarms(call, status=200, body=wrong)) == 1
    error = {"error": {"code": 404, "message": "m", "errors": [{"message": "m", "domain": "global", "reason": "r"}]}}
    assert discovery.answer_alarms(call, status=404, body=error) == []
    assert len(discovery.answer_alarms(call, status=404, body={"error": "not found"})) == 1


def test_a_request_that_is_wrong_is_answered_400_and_fails_the_check(lax_compute: ComputeServer) -> None:
    lax_compute.check()
    status, answer = post(lax_compute, INSTANCES, {**body("ann-1"), "colour": "blue"})
    assert status == 400
    assert "colour" in answer["error"]["message"]
    assert lax_compute.service.machines == {}
    with pytest.raises(AssertionError, match="'colour' was unexpected"):
        lax_compute.check()


def test_a_request_for_what_there_is_not_fails_the_check(lax_compute: ComputeServer) -> None:
    assert post(lax_compute, f"{INSTANCES}/ann-1/hibernate", None)[0] == 404
    with pytest.raises(AssertionError, match="hibernate is not of the API"):
        lax_compute.check()


def test_a_wrong_answer_of_the_server_fails_the_check(lax_compute: ComputeServer, cloud: Clients) -> None:
    cloud.launch("ann-1")
    lax_compute.service.disks[ZONE, "ann-1"]["sizeGb"] = 100
    post(lax_compute, f"{ZONE_PATH}/disks/ann-1", None, "GET")
    with pytest.raises(AssertionError, match=r"by this server: disks\.get answers Disk\.sizeGb: 100 is not of type"):
        lax_compute.check()


def test_a_call_that_is_not_played_fails_the_check(lax_compute: ComputeServer) -> None:
    assert post(lax_compute, f"{INSTANCES}/ann-1/reset", None)[0] == 501
    with pytest.raises(AssertionError, match=r"instances\.reset is of the API, but not played here"):
        lax_compute.check()


def test_a_word_that_is_deprecated_may_be_answered_and_not_asked() -> None:
    colour = {"type": "string", "enum": ["OLD", "NEW"], "enumDeprecated": [True, False]}
    paint = {"path": "paint", "httpMethod": "POST", "request": {"$ref": "Wall"}, "response": {"$ref": "Wall"}}
    wall = {"type": "object", "properties": {"colour": colour}}
    document = {"parameters": {}, "resources": {"walls": {"methods": {"paint": paint}}}, "schemas": {"Wall": wall}}
    discovery = Discovery(document)
    call = discovery.call("POST", "paint")
    assert call is not None
    for word, alarms in (("OLD", 1), ("NEW", 0)):
        assert len(discovery.request_alarms(call, query={}, body={"colour": word})) == alarms
        assert discovery.answer_alarms(call, status=200, body={"colour": word}) == []


def test_requests_that_come_at_once_are_all_known() -> None:
    discovery = Discovery(Discovery.load().document)
    together = threading.Barrier(8)

    def ask() -> bool:
        together.wait(timeout=20)
        return discovery.call("POST", f"{ZONE_PATH}/operations/operation-1/wait") is not None

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask) for _ in range(8)]
    assert all(it.result() for it in asked)
