"""Messages of conditions that no real control plane can be made to show in a status: object, cause and remedy."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from eventsource_operator.api.spec import WatchTarget
from eventsource_operator.core.conditions import Reason
from eventsource_operator.core.target import Target
from eventsource_operator.kube import errors
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.sources.report import broken, trouble_of
from eventsource_operator.sources.tracker import Tracker
from eventsource_operator.streams.feed import Feed


def tracker(selector: str = "", namespace: str = "team-a") -> Tracker:
    resource = Resource("apps", "v1", "Deployment", "deployments")
    made: Any = SimpleNamespace(target=Target(2, WatchTarget()), feed=Feed(resource, namespace, selector))
    return cast("Tracker", made)


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (errors.Unreachable(0, "ConnectionFailed", "cut"), Reason.CONNECTION_FAILED, "from where it stopped"),
        (errors.Unreachable(0, "Timeout", "silent"), Reason.CONNECTION_FAILED, "from where it stopped"),
        (errors.Unauthorized(401, "", "no"), Reason.UNAUTHORIZED, "renew the operator's own credentials"),
        (errors.Unavailable(503, "ServiceUnavailable", "no"), Reason.API_SERVER_ERROR, "tried again"),
        (errors.TooManyRequests(429, "TooManyRequests", "no"), Reason.API_SERVER_ERROR, "tried again"),
        (errors.KubeError(418, "I'm a teapot", "no"), Reason.API_SERVER_ERROR, "tried again"),
        (errors.Invalid(400, "BadRequest", "no"), Reason.API_SERVER_ERROR, "tried again"),
        (errors.NotFound(404, "NotFound", "no"), Reason.KIND_NOT_FOUND, "CustomResourceDefinition"),
        (errors.Forbidden(403, "Forbidden", "no"), Reason.FORBIDDEN, "--resource=deployments.apps"),
    ],
)
def test_a_watch_that_breaks_names_target_kind_place_and_remedy(
    error: errors.KubeError, reason: Reason, remedy: str
) -> None:
    found, message = broken(tracker(), error)
    assert found is reason
    start = "spec.watch[2]: deployments.apps in namespace team-a cannot be watched: "
    assert message.startswith(start + error.message)
    assert remedy in message


def test_only_a_selector_can_be_a_wrong_selector() -> None:
    error = errors.Invalid(400, "BadRequest", "field label not supported: spec.x")
    reason, message = broken(tracker("spec.x=1", ""), error)
    assert reason is Reason.INVALID_SELECTOR
    assert message == (
        "spec.watch[2]: deployments.apps cannot be watched: field label not supported: spec.x; "
        "correct spec.watch[2].fieldSelector"
    )


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (errors.Unreachable(0, "ConnectionFailed", "cut"), Reason.API_SERVER_ERROR, "did not answer: cut"),
        (errors.Forbidden(403, "Forbidden", "no evsc"), Reason.FORBIDDEN, "install its roles again"),
        (errors.Invalid(422, "Invalid", "bad"), Reason.API_SERVER_ERROR, "refused: bad"),
    ],
)
def test_a_pass_that_fails_says_whether_the_api_was_silent_or_refused(
    error: errors.KubeError, reason: Reason, words: str
) -> None:
    found, message = trouble_of(error)
    assert found is reason
    assert words in message
