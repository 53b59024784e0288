"""What the modules that talk to the real API server with the product's own client share."""

from collections.abc import AsyncIterator

import pytest

from eventsource_operator.kube.client import KubeClient
from tools.controlplane.plane import ControlPlane


@pytest.fixture
async def client(plane: ControlPlane) -> AsyncIterator[KubeClient]:
    """The product's client, as the control plane's administrator."""
    connected = await KubeClient.connect(str(plane.kubeconfig))
    yield connected
    await connected.close()
