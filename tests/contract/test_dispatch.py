"""What happens when bindings match, fail, or half of them fail."""

import pytest

from eventsource_operator.argo.errors import Decision, Dispatch
from tests.contract.clients import Client
from tests.contract.conftest import Connect
from tests.contract.objects import Cluster, binding, wait_until_allowed
from tests.support.controlplane import wait_for
from tools.controlplane.plane import ControlPlane


def refused(client: Client, namespace: str, body: object) -> Dispatch:
    with pytest.raises(Dispatch) as caught:
        client.receive_event(namespace, body=body)
    error = caught.value
    assert (error.status, error.code, error.decision) == (500, 13, Decision.DISPATCH)
    assert error.message.startswith("failed to dispatch event: [")
    return error


def test_a_missing_template_fails_for_good(client: Client, cluster: Cluster) -> None:
    cluster.bind(binding("broken", template="nope"))
    error = refused(client, cluster.namespace, {})
    assert error.reasons == (
        'failed to get workflow template: workflowtemplates.argoproj.io "nope" not found',
    )
    assert (error.already_exists, error.transient) == (False, False)


def test_a_missing_cluster_template_fails_for_good(client: Client, cluster: Cluster) -> None:
    cluster.bind(binding("broken", template="nope", cluster_scope=True))
    error = refused(client, cluster.namespace, {})
    assert 'clusterworkflowtemplates.argoproj.io "nope" not found' in error.reasons[0]
    assert not error.transient


def test_a_failing_binding_gets_a_warning_event(client: Client, cluster: Cluster) -> None:
    cluster.bind(binding("broken", template="nope"))
    refused(client, cluster.namespace, {})
    wait_for(lambda: any("nope" in text for text in cluster.warnings()), 10, "the Warning Event")


def test_a_selector_that_reads_a_missing_field_fails_every_event(client: Client, cluster: Cluster) -> None:
    cluster.bind(binding("deep", selector='payload.nope.deep == "x"'))
    error = refused(client, cluster.namespace, {"some": "other event"})
    assert error.reasons[0].startswith("failed to evaluate workflow template expression: ")
    assert (len(error.reasons), error.transient) == (1, False)


def test_a_guarded_selector_does_not(client: Client, cluster: Cluster) -> None:
    cluster.bind(binding("guarded", selector='payload?.nope?.deep == "x"'))
    assert client.receive_event(cluster.namespace, body={"some": "other event"}) == {}


def test_a_result_that_is_no_bool_is_not_repeated(client: Client, cluster: Cluster) -> None:
    """The server quotes the value, which is part of the payload."""
    cluster.bind(binding("cast", selector="payload.secret"))
    error = refused(client, cluster.namespace, {"secret": "hidden value"})
    assert "hidden" not in str(error)
    assert "cast" in error.reasons[0]


def test_a_bad_name_fails_for_good(client: Client, cluster: Cluster) -> None:
    cluster.template()
    cluster.bind(binding("name", workflow_name="payload.name"))
    error = refused(client, cluster.namespace, {"name": "Not_A_Name"})
    assert (error.already_exists, error.transient) == (False, False)


def test_a_workflow_that_may_not_be_created_fails_for_good(
    connect: Connect, plane: ControlPlane, cluster: Cluster
) -> None:
    """Rights to list bindings and get templates are not enough."""
    cluster.template()
    cluster.bind(binding("plain"))
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{cluster.namespace}"
    rules = [{"apiGroups": ["argoproj.io"], "resources": ["*"], "verbs": ["list", "get"]}]
    plane.api.request("POST", f"{rbac}/roles", {"metadata": {"name": "reader"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": cluster.namespace}
    plane.api.request(
        "POST",
        f"{rbac}/rolebindings",
        {"metadata": {"name": "reader"}, "roleRef": reference, "subjects": [subject]},
    )
    reader = f"{cluster.namespace}:reader"
    wait_until_allowed(plane.api, cluster.namespace, reader, ("list", "workfloweventbindings"))
    error = refused(connect(plane.argo_url, plane.token(cluster.namespace, "reader")), cluster.namespace, {})
    assert "failed to create workflow: workflows.argoproj.io is forbidden" in error.reasons[0]
    assert (error.already_exists, error.transient) == (False, False)


def test_an_exceeded_quota_may_go_away(client: Client, cluster: Cluster, plane: ControlPlane) -> None:
    cluster.template()
    cluster.bind(binding("plain"))
    hard = {"count/workflows.argoproj.io": "0"}
    path = f"/api/v1/namespaces/{cluster.namespace}/resourcequotas"
    plane.api.request("POST", path, {"metadata": {"name": "none"}, "spec": {"hard": hard}})
    status = {
        "status": {"hard": hard, "used": hard}
    }  # what the quota controller, which does not run here, writes
    merge = "application/merge-patch+json"
    plane.api.request("PATCH", f"{path}/none/status", status, content_type=merge)
    error = wait_for(lambda: quota_error(client, cluster.namespace), 10, "the API server to see the quota")
    assert error is not None
    assert (error.already_exists, error.transient) == (False, True)


def quota_error(client: Client, namespace: str) -> Dispatch | None:
    try:
        client.receive_event(namespace, body={})
    except Dispatch as error:
        return error if "exceeded quota" in error.reasons[0] else None
    return None


def test_one_good_binding_and_one_broken(client: Client, cluster: Cluster) -> None:
    cluster.template()
    cluster.bind(binding("good", workflow_name='"w-" + payload.id'), binding("broken", template="nope"))
    error = refused(client, cluster.namespace, {"id": "1"})
    assert len(error.reasons) == 1
    assert set(cluster.workflows()) == {"w-1"}


def test_a_name_that_is_taken_is_a_duplicate_absorbed(client: Client, cluster: Cluster) -> None:
    cluster.template()
    cluster.bind(
        binding("named", workflow_name='"w-" + payload.id'),
        binding("again", workflow_name='"v-" + payload.id'),
    )
    assert client.receive_event(cluster.namespace, body={"id": "1"}) == {}
    error = refused(client, cluster.namespace, {"id": "1"})
    assert len(error.reasons) == 2
    assert (error.already_exists, error.transient, error.made_up) == (True, False, frozenset())
    assert set(cluster.workflows()) == {"v-1", "w-1"}


def test_a_name_that_is_taken_beside_a_broken_binding_is_not_success(
    client: Client, cluster: Cluster
) -> None:
    cluster.template()
    cluster.bind(binding("named", workflow_name='"w-" + payload.id'), binding("broken", template="nope"))
    refused(client, cluster.namespace, {"id": "1"})
    error = refused(client, cluster.namespace, {"id": "1"})
    assert len(error.reasons) == 2
    assert (error.already_exists, error.transient) == (False, False)


def test_without_a_name_each_event_makes_a_workflow(client: Client, cluster: Cluster) -> None:
    cluster.template()
    cluster.bind(binding("plain"))
    for _ in range(2):
        client.receive_event(cluster.namespace, body={"id": "1"})
    names = list(cluster.workflows())
    assert len(names) == 2
    assert all(name.startswith("wait-") and len(name) == len("wait-12345") for name in names)
    # What such a name looks like when it is taken: the server makes up another one each time.
    cluster.bind(binding("fixed", workflow_name="payload.name"))
    for name in names:
        error = refused(client, cluster.namespace, {"name": name})
        assert (error.already_exists, error.made_up) == (True, frozenset({name}))


def test_a_namespace_that_does_not_exist_takes_events(connect: Connect, plane: ControlPlane) -> None:
    assert connect(plane.argo_url, plane.admin_token).receive_event("does-not-exist", body={}) == {}
