"""Compute Engine for the tests about machines.

What a test may ask for:

``compute``
    a running `ComputeServer` of the project ``proj1``; ``compute.url`` is the API's endpoint, as ``GCP_COMPUTE_ENDPOINT`` takes it, and
    ``compute.service`` the cloud's state. At the test's end `ComputeServer.check` fails if anything was said that the discovery document of
    Compute v1 does not allow: an unknown field or parameter, a wrong type, an unknown word.
``lax_compute``
    the same without that check, for a test that says something wrong on purpose.
``cloud``
    Google's own clients for ``compute``: ``cloud.instances``, ``cloud.operations`` and so on, see `Clients`.
``launched``
    a machine ``ann-1`` in ``us-central1-a`` that runs.

How to let things go wrong: ``compute.inject(fault, call="instances.insert", name=…, zone=…, times=1)`` with the faults of
`epic_lab.testing.compute.faults` and the refusals of `epic_lab.testing.compute.refusals`; and lasting states, ``compute.service.stocked_out``,
``compute.service.limits``, ``compute.service.told_at_once``, ``compute.denied_permissions``, ``compute.enabled``, ``compute.tokens``.

Time there passes only as somebody looks: ``compute.service.seconds_a_look`` with each request that changes nothing, and until its end with a wait
for an operation; ``compute.service.timeline.pass_time(60)`` lets a minute pass. What was asked stands in ``compute.log``, ``compute.calls`` and
``compute.asked("instances.insert")``.
"""

from collections.abc import Iterator

import pytest
from compute_clients import Clients

from epic_lab.testing.compute_server import ComputeServer


@pytest.fixture
def lax_compute() -> Iterator[ComputeServer]:
    with ComputeServer("proj1") as server:
        yield server


@pytest.fixture
def compute(lax_compute: ComputeServer) -> Iterator[ComputeServer]:
    yield lax_compute
    lax_compute.check()


@pytest.fixture
def cloud(lax_compute: ComputeServer) -> Clients:
    return Clients(lax_compute.url)


@pytest.fixture
def launched(compute: ComputeServer, cloud: Clients) -> str:
    cloud.launch("ann-1")
    compute.service.timeline.pass_time(10)
    compute.forget()
    return "ann-1"
