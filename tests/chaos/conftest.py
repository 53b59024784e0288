"""What every chaos test has: a control plane to break and a recording server."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.controlplane import PlaneFactory
from tests.support.recorder import Recorder
from tools.controlplane.plane import ControlPlane

Tell = Callable[[str], None]


@pytest.fixture
def own_plane(fresh_plane: PlaneFactory) -> ControlPlane:
    """A control plane of etcd and kube-apiserver alone, to be broken."""
    return fresh_plane(argo=False, controller_manager=False)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Stands where the Argo Server is."""
    with Recorder() as serving:
        yield serving


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Tell:
    """Prints figures past pytest's capture."""

    def show(text: str) -> None:
        with capsys.disabled():
            print(f"\n{request.node.name}: {text}")  # noqa: T201 - the figures are the result

    return show
