"""The operator's installation, step by step as docs/install.md has it."""

import json

from tests.e2e.kit import argo
from tests.e2e.kit.cluster import OPERATOR, Cluster


def install(cluster: Cluster) -> None:
    """Installs `manifests/base`, gives it the Argo Server's CA, and waits until both replicas are ready."""
    cluster.kubectl("apply", "-k", "manifests/base")
    trust(cluster, OPERATOR)
    cluster.rolled_out(OPERATOR, OPERATOR)


def trust(cluster: Cluster, namespace: str) -> None:
    """Puts the CA of the Argo Server into the operator's namespace and names it in its configuration."""
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": argo.CA_CONFIG_MAP, "namespace": namespace},
            "data": {"ca.crt": argo.certificate(cluster)},
        }
    )
    configure(cluster, namespace, caConfigMap=f"{argo.CA_CONFIG_MAP}/ca.crt")


def configure(cluster: Cluster, namespace: str, **data: str) -> None:
    """Sets keys of the operator's configuration, which it applies without a restart."""
    patch = json.dumps({"data": data})
    cluster.kubectl("-n", namespace, "patch", "configmap", f"{OPERATOR}-config", "--type=merge", "-p", patch)
