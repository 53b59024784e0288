"""Fixtures and waits around the real control plane.

One control plane serves a whole session, and each test has a namespace of its own in it. Tests that break
servers ask for one of their own (`fresh_plane`).
"""

import asyncio
import contextlib
import inspect
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol, TypeVar

import pytest

from tools.controlplane.argo import create_namespace
from tools.controlplane.plane import ControlPlane
from tools.controlplane.rest import HttpError

T = TypeVar("T")
POLL_SECONDS = 0.05
SLOWEST_POLL_SECONDS = 0.5


class PlaneFactory(Protocol):
    """Starts control planes that end with the test."""

    def __call__(self, **options: Any) -> ControlPlane:
        """Starts one; the options are those of `ControlPlane`."""


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """The session's control plane, with an audit log; started by the first test that asks for it."""
    with ControlPlane(audit=True) as started:
        yield started


@pytest.fixture
def fresh_plane() -> Iterator[PlaneFactory]:
    """Makes control planes for tests that break them."""
    with contextlib.ExitStack() as planes:

        def start(**options: Any) -> ControlPlane:
            return planes.enter_context(ControlPlane(**options))

        yield start


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    """A new namespace of the session's control plane, in which `argo_token` may send events."""
    name = new_namespace(plane)
    yield name
    with contextlib.suppress(HttpError, OSError):
        delete_namespace(plane, name)


@pytest.fixture
def kubectl(plane: ControlPlane, namespace: str) -> Callable[..., str]:
    """The pinned kubectl as administrator, in the test's namespace."""

    def run(*args: str, stdin: str | None = None, check: bool = True) -> str:
        return plane.kubectl("--namespace", namespace, *args, stdin=stdin, check=check)

    return run


def new_namespace(plane: ControlPlane, prefix: str = "test") -> str:
    """Creates a namespace with a name of its own, in which `argo_token` may send events.

    Waits for the ConfigMap that kube-controller-manager puts into each: an EventSource that is made before it
    would rightly tell of it, whenever that is.
    """
    name = f"{prefix}-{secrets.token_hex(4)}"
    create_namespace(plane.api, name)
    plane.allow_sending(name)
    if "kube-controller-manager" in plane.processes:
        own = f"/api/v1/namespaces/{name}/configmaps?fieldSelector=metadata.name=kube-root-ca.crt"
        wait_for(lambda: plane.api.request("GET", own)["items"], 30.0, f"the ConfigMap of {name}")
    return name


def delete_namespace(plane: ControlPlane, name: str) -> None:
    """Deletes a namespace, its EventSources at once: the next test's operator would still serve them meanwhile.

    Nobody waits for the end of the rest.
    """
    plane.api.request("DELETE", f"/apis/eventsource-operator.dev/v1alpha1/namespaces/{name}/eventsources")
    plane.api.request("DELETE", f"/api/v1/namespaces/{name}")


def wait_for(
    predicate: Callable[[], T], timeout: float, what: str, evidence: Callable[[], object] | None = None
) -> T:
    """Polls until the predicate is true and returns its value.

    A predicate may also assert: as long as it does, the state is not there yet.

    Raises:
        AssertionError: the deadline passed; tells the last value and the evidence.
    """
    deadline, pause = time.monotonic() + timeout, POLL_SECONDS
    while True:
        try:
            last: object = (value := predicate())
            if value:
                return value
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(_report(timeout, what, last, evidence))
        time.sleep(pause)
        pause = min(pause * 1.2, SLOWEST_POLL_SECONDS)


async def wait_for_async(
    predicate: Callable[[], T | Awaitable[T]],
    timeout: float,  # noqa: ASYNC109 - the deadline is told with evidence, not by cancelling
    what: str,
    evidence: Callable[[], object] | None = None,
) -> T:
    """`wait_for` for coroutines: the predicate may be one, and others run between two polls."""
    deadline, pause = time.monotonic() + timeout, POLL_SECONDS
    while True:
        try:
            answer = predicate()
            value: T = await answer if inspect.isawaitable(answer) else answer
            last: object = value
            if value:
                return value
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(_report(timeout, what, last, evidence))
        await asyncio.sleep(pause)
        pause = min(pause * 1.2, SLOWEST_POLL_SECONDS)


def _report(timeout: float, what: str, last: object, evidence: Callable[[], object] | None) -> str:
    text = f"waited {timeout:g} s for {what}; last seen: {last!r}"
    return f"{text}\n{evidence()}" if evidence is not None else text
