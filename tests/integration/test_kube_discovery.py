"""Which kinds the real API server serves, and who may do what with them."""

import asyncio
import secrets
import shlex
from collections.abc import Awaitable, Callable

import pytest

from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.discovery import Discovery, KindNotFound, NotWatchable, Resource
from eventsource_operator.kube.reviews import Attributes, ServiceAccount, grant_hint, review
from tests.support.controlplane import wait_for_async
from tests.support.definitions import definition
from tools.controlplane.plane import ControlPlane

Kubectl = Callable[..., str]


async def test_discovery_knows_built_in_kinds(client: KubeClient) -> None:
    discovery = Discovery(client)
    config_map = await discovery.resolve("v1", "ConfigMap")
    assert config_map.path("a", "b") == "/api/v1/namespaces/a/configmaps/b"
    assert {"list", "watch"} <= config_map.verbs
    node = await discovery.resolve("v1", "Node")
    assert not node.namespaced
    assert node.path("ignored", "n") == "/api/v1/nodes/n"
    deployment = await discovery.resolve("apps/v1", "Deployment")
    assert deployment.path("a") == "/apis/apps/v1/namespaces/a/deployments"
    assert deployment.qualified == "deployments.apps"


@pytest.mark.parametrize(
    ("api_version", "kind", "hint"),
    [
        ("v1", "configmap", "did you mean kind ConfigMap?"),
        ("v1", "ConfigMaps", "did you mean kind ConfigMap?"),
        ("v1", "cm", "did you mean kind ConfigMap?"),
        ("v1", "Deployment", "it is served in apps/v1"),
        ("apps/v1beta1", "Deployment", "it is served in apps/v1"),
        (
            "example.com/v7",
            "Gadget",
            "no example.com/v7 is served; is its CustomResourceDefinition installed?",
        ),
        ("v1", "Zzzzzz", "see `kubectl api-resources`"),
    ],
)
async def test_a_missing_kind_is_answered_with_what_was_meant(
    client: KubeClient, api_version: str, kind: str, hint: str
) -> None:
    with pytest.raises(KindNotFound) as caught:
        await Discovery(client).resolve(api_version, kind)
    assert caught.value.hint == hint


async def test_a_kind_that_cannot_be_watched_is_refused(client: KubeClient) -> None:
    with pytest.raises(NotWatchable, match="list and watch"):
        await Discovery(client).resolve("authorization.k8s.io/v1", "SubjectAccessReview")


async def test_a_crd_that_comes_later_is_found_and_one_that_goes_is_forgotten(
    client: KubeClient, plane: ControlPlane
) -> None:
    name = f"{secrets.token_hex(4)}.example.com"
    discovery = Discovery(client)
    with pytest.raises(KindNotFound):
        await discovery.resolve(f"{name}/v1", "Widget")
    await asyncio.to_thread(plane.kubectl, "apply", "-f", "-", stdin=definition(name, "Widget"))

    async def found() -> Resource | None:
        try:
            return await discovery.resolve(f"{name}/v1", "Widget")
        except KindNotFound:
            return None

    predicate: Callable[[], Resource | Awaitable[Resource | None] | None] = found
    resource = await wait_for_async(predicate, 15, "the new kind")
    assert resource is not None
    assert resource.plural == "widgets"

    await asyncio.to_thread(plane.kubectl, "delete", f"crd/widgets.{name}")

    async def gone() -> bool:
        discovery.invalidate(f"{name}/v1")
        return await found() is None

    predicate_gone: Callable[[], bool | Awaitable[bool]] = gone
    assert await wait_for_async(predicate_gone, 15, "the kind to go")


@pytest.mark.parametrize("everywhere", [False, True])
async def test_the_hint_of_a_denied_review_mends_it(
    client: KubeClient, plane: ControlPlane, namespace: str, everywhere: bool
) -> None:
    account = ServiceAccount(namespace, "reader")
    where = "" if everywhere else namespace
    wanted = [Attributes(verb, "apps", "deployments", where) for verb in ("list", "watch")]
    for attributes in wanted:
        denied = await review(client, account.user, account.groups, attributes)
        assert not denied.allowed
    for command in grant_hint(wanted, account).split("; "):
        words = shlex.split(command)
        assert words[0] == "kubectl"
        await asyncio.to_thread(plane.kubectl, *words[1:])

    async def allowed() -> bool:
        return all([(await review(client, account.user, account.groups, a)).allowed for a in wanted])

    predicate: Callable[[], bool | Awaitable[bool]] = allowed
    assert await wait_for_async(predicate, 10, "the granted right")
    other = Attributes("delete", "apps", "deployments", where)
    assert not (await review(client, account.user, account.groups, other)).allowed
    elsewhere = Attributes("list", "apps", "deployments", "default")
    assert (await review(client, account.user, account.groups, elsewhere)).allowed is everywhere


async def test_rights_given_to_a_group_of_the_account_count(
    client: KubeClient, kubectl: Kubectl, namespace: str
) -> None:
    account = ServiceAccount(namespace, "any")
    attributes = Attributes("get", "", "secrets", namespace, "one")
    kubectl("create", "role", "r", "--verb=get", "--resource=secrets", "--resource-name=one")
    kubectl("create", "rolebinding", "r", "--role=r", f"--group=system:serviceaccounts:{namespace}")

    async def allowed() -> bool:
        return (await review(client, account.user, account.groups, attributes)).allowed

    predicate: Callable[[], bool | Awaitable[bool]] = allowed
    assert await wait_for_async(predicate, 10, "the granted right")
    other = Attributes("get", "", "secrets", namespace, "two")
    assert not (await review(client, account.user, account.groups, other)).allowed
