"""list_workflow_event_bindings against the real server: every option, and listings of many pages."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import requests

from eventsource_operator.argo import ServerConfig
from eventsource_operator.argo.errors import Expired, Forbidden, Invalid, InvalidArgument, ServerError
from eventsource_operator.argo.protocol import OnExpired, TemplateReference, WorkflowEventBinding
from tests.contract.clients import TRANSPORTS, Client
from tests.contract.conftest import Connect
from tests.contract.objects import ARGO, Cluster, binding, wait_until_sender_allowed
from tests.support.controlplane import new_namespace, wait_for
from tools.controlplane.plane import ControlPlane
from tools.controlplane.rest import Client as Rest

MANY = 1201
LIMIT = 500


def create_many(plane: ControlPlane, prefix: str) -> str:
    """A namespace with 1,201 bindings."""
    namespace = new_namespace(plane, prefix)
    wait_until_sender_allowed(plane.api, namespace)
    with requests.Session() as session, ThreadPoolExecutor(8) as pool:
        session.verify = str(plane.ca)
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {plane.admin_token}"

        def create(number: int) -> int:
            manifest = binding(f"b-{number:04}", selector="false")
            path = f"{plane.server}{ARGO}/namespaces/{namespace}/workfloweventbindings"
            return session.post(path, json=manifest, timeout=30).status_code

        assert set(pool.map(create, range(MANY))) == {201}
    return namespace


@pytest.fixture(scope="module")
def many(plane: ControlPlane) -> Iterator[str]:
    namespace = create_many(plane, "many")
    yield namespace
    plane.api.request("DELETE", f"{ARGO}/namespaces/{namespace}/workfloweventbindings")


NAMES = [f"b-{number:04}" for number in range(MANY)]


def test_a_binding_is_a_typed_value(client: Client, cluster: Cluster) -> None:
    cluster.bind(
        binding(
            "cluster", template="shared", cluster_scope=True, labels={"team": "a"}, selector="payload.x == 1"
        ),
        binding("mute", template=None),
        binding("plain"),
    )
    first, mute, plain = client.page(cluster.namespace).items
    assert (first.name, first.namespace, first.labels) == ("cluster", cluster.namespace, {"team": "a"})
    assert (first.selector, first.template) == (
        "payload.x == 1",
        TemplateReference("shared", cluster_scope=True),
    )
    assert first.uid
    assert first.resource_version.isdigit()
    assert first.raw["spec"]["event"] == {"selector": "payload.x == 1"}
    assert mute.template is None
    assert plain.template == TemplateReference("wait")


def test_an_empty_namespace_lists_all_of_them(
    connect: Connect, plane: ControlPlane, cluster: Cluster
) -> None:
    cluster.bind(binding("here"))
    found = {(item.namespace, item.name) for item in connect(plane.argo_url, plane.admin_token).bindings("")}
    assert (cluster.namespace, "here") in found


def test_an_empty_namespace_needs_rights_everywhere(client: Client) -> None:
    with pytest.raises(Forbidden, match="at the cluster scope"):
        client.page("")


def test_selectors_filter(client: Client, cluster: Cluster) -> None:
    cluster.bind(binding("a", labels={"app": "shop"}), binding("b", labels={"app": "other"}), binding("c"))
    for options, names in (
        ({"label_selector": "app=shop"}, ["a"]),
        ({"label_selector": "app in (shop, other)"}, ["a", "b"]),
        ({"label_selector": "!app"}, ["c"]),
        ({"field_selector": "metadata.name=b"}, ["b"]),
        ({"label_selector": "app", "field_selector": "metadata.name!=b"}, ["a"]),
        ({"label_selector": "", "field_selector": ""}, ["a", "b", "c"]),
    ):
        assert [item.name for item in client.bindings(cluster.namespace, **options)] == names, options


@pytest.mark.parametrize("options", [{"label_selector": "!!"}, {"field_selector": "spec.x=1"}])
def test_bad_selectors_are_invalid(client: Client, cluster: Cluster, options: dict[str, str]) -> None:
    with pytest.raises(Invalid) as caught:
        client.page(cluster.namespace, **options)
    assert (caught.value.status, caught.value.code) == (400, 3)


def test_versions_are_honoured(client: Client, cluster: Cluster) -> None:
    cluster.bind(binding("a"))
    before = client.page(cluster.namespace)
    cluster.bind(binding("b"))
    version = before.resource_version
    exact = client.page(cluster.namespace, resource_version=version, resource_version_match="Exact")
    assert ([item.name for item in exact.items], exact.resource_version) == (["a"], version)
    newer = client.page(cluster.namespace, resource_version=version, resource_version_match="NotOlderThan")
    assert int(newer.resource_version) >= int(version)
    pages = client.bindings(
        cluster.namespace, resource_version=version, resource_version_match="Exact", limit=1
    )
    assert [item.name for item in pages] == ["a"]


def test_pages_at_a_version_drop_it_after_the_first(client: Client, cluster: Cluster) -> None:
    """The API server refuses a continue token together with a version."""
    cluster.bind(binding("a"), binding("b"))
    version = client.page(cluster.namespace).resource_version
    pages = client.bindings(
        cluster.namespace, resource_version=version, resource_version_match="Exact", limit=1
    )
    assert [item.name for item in pages] == ["a", "b"]


def test_a_version_that_is_too_old_has_expired(client: Client, cluster: Cluster, plane: ControlPlane) -> None:
    plane.compact_etcd()
    with pytest.raises(Expired, match="too old") as caught:
        client.page(cluster.namespace, resource_version="1", resource_version_match="Exact")
    assert (caught.value.status, caught.value.code) == (400, 3)


def test_a_malformed_version_is_invalid(client: Client, cluster: Cluster) -> None:
    with pytest.raises(Invalid, match="invalid resource version"):
        client.page(cluster.namespace, resource_version="new")


def test_a_timeout_and_bookmarks_change_nothing_about_a_list(client: Client, cluster: Cluster) -> None:
    cluster.bind(binding("a"))
    found = client.bindings(cluster.namespace, timeout_seconds="5", allow_watch_bookmarks=True)
    assert [item.name for item in found] == ["a"]


@pytest.mark.parametrize("option", ["watch", "send_initial_events"])
def test_what_the_server_cannot_do_is_refused_before_anything_is_sent(
    connect: Connect, plane: ControlPlane, option: str
) -> None:
    client = connect(plane.argo_url, "not even a token")
    with pytest.raises(InvalidArgument, match=f"^{option}: .*insist with unchecked=True") as caught:
        client.page("argo", **{option: True})
    assert caught.value.argument == option


def test_initial_events_without_watch_are_invalid(client: Client, cluster: Cluster) -> None:
    with pytest.raises(Invalid, match="sendInitialEvents is forbidden for list") as caught:
        client.page(cluster.namespace, send_initial_events=True, unchecked=True)
    assert (caught.value.status, caught.value.code) == (400, 3)


def test_watching_needs_the_verb_and_then_times_out(
    client: Client, connect: Connect, cluster: Cluster, plane: ControlPlane
) -> None:
    with pytest.raises(Forbidden, match="cannot watch"):
        client.page(cluster.namespace, watch=True, timeout_seconds=1, unchecked=True)
    with pytest.raises(ServerError) as caught:
        connect(plane.argo_url, plane.admin_token).page(
            cluster.namespace, watch=True, timeout_seconds=1, unchecked=True
        )
    assert (caught.value.status, caught.value.code) == (500, 13)


def test_unknown_options_and_negative_limits_are_ignored_by_the_server(
    plane: ControlPlane, cluster: Cluster
) -> None:
    """Hence the client's own checks: a typing error would list everything."""
    cluster.bind(binding("a"))
    answer = requests.get(
        f"{plane.argo_url}/api/v1/workflow-event-bindings/{cluster.namespace}",
        params={"listOptions.limit": "-1", "listOptions.nope": "1", "labelSelector": "x=y"},
        headers={"Authorization": f"Bearer {plane.argo_token}"},
        timeout=30,
    )
    assert [item["metadata"]["name"] for item in answer.json()["items"]] == ["a"]


def test_1201_bindings_are_listed_completely(client: Client, many: str) -> None:
    sizes, token = [], ""
    while True:
        page = client.page(many, limit=LIMIT, continue_=token)
        sizes.append((len(page.items), page.remaining))
        token = page.continue_
        if not token:
            break
    assert sizes == [(500, 701), (500, 201), (201, None)]
    assert [item.name for item in client.bindings(many, limit=LIMIT)] == NAMES
    assert [item.name for item in client.bindings(many)] == NAMES


def test_no_limit_lists_everything_at_once(client: Client, many: str) -> None:
    assert len(client.page(many).items) == MANY
    assert len(list(client.bindings(many, limit=0))) == MANY


@dataclass
class Listing:
    """A listing whose first page was handed out before its token expired."""

    client: Client
    rest: Iterator[WorkflowEventBinding]
    found: list[str]


@pytest.fixture(scope="module")
def expired(plane: ControlPlane) -> Iterator[dict[tuple[str, OnExpired], Listing]]:
    """A listing of each transport in each mode, with its token expired: one wait serves all.

    Meanwhile two bindings were created: `a-new` sorts before everything that was listed, `c-new` behind it.
    """
    namespace = create_many(plane, "expired")
    config = ServerConfig(plane.argo_url, token=plane.argo_token)
    listings: dict[tuple[str, OnExpired], Listing] = {}
    modes: tuple[OnExpired, ...] = ("restart", "continue")
    for transport, make in TRANSPORTS.items():
        for mode in modes:
            client = make(config)
            rest = client.bindings(namespace, limit=LIMIT, on_expired=mode)
            listings[transport, mode] = Listing(client, rest, [next(rest).name for _ in range(LIMIT)])
    token = client.page(namespace, limit=LIMIT).continue_
    Cluster(plane.api, namespace).bind(binding("a-new", selector="false"), binding("c-new", selector="false"))
    _expire(plane, client, namespace, token)
    yield listings
    for listing in listings.values():
        listing.client.close()
    plane.api.request("DELETE", f"{ARGO}/namespaces/{namespace}/workfloweventbindings")


def _expire(plane: ControlPlane, client: Client, namespace: str, token: str) -> None:
    """Compact etcd as API servers do, and wait until a token of before is no longer answered.

    Since Kubernetes 1.34 they serve pages from snapshots in their cache, too. They drop them, looking every
    15 s, when they see in `compact_rev_key` that one of them had etcd compacted (k8s.io/apiserver,
    storage/etcd3/compact.go and storage/cacher/compactor.go).
    """
    revision = str(plane.compact_etcd())
    key, value = (base64.b64encode(text.encode()).decode() for text in ("compact_rev_key", revision))
    Rest(plane.etcd_url).request("POST", "/v3/kv/put", {"key": key, "value": value})

    def is_expired() -> bool:
        try:
            client.page(namespace, limit=LIMIT, continue_=token)
        except Expired as error:
            return (error.status, error.code) == (400, 3)
        return False

    wait_for(is_expired, 60, "the continue token to expire")


@pytest.mark.parametrize("transport", list(TRANSPORTS))
def test_an_expired_token_restarts_and_gives_each_binding_once(
    expired: dict[tuple[str, OnExpired], Listing], transport: str
) -> None:
    listing = expired[transport, "restart"]
    names = listing.found + [item.name for item in listing.rest]
    assert sorted(names) == ["a-new", *NAMES, "c-new"]
    assert names[LIMIT] == "a-new"  # hence it did restart


@pytest.mark.parametrize("transport", list(TRANSPORTS))
def test_an_expired_token_can_be_continued_with_the_newest_state(
    expired: dict[tuple[str, OnExpired], Listing], transport: str
) -> None:
    listing = expired[transport, "continue"]
    names = listing.found + [item.name for item in listing.rest]
    assert names == [*NAMES, "c-new"]  # in order, without what sorts before: it did not restart
