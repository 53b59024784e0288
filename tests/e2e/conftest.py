"""One cluster, with Argo Workflows and the operator installed as the docs say, for the whole session."""

import contextlib
import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.e2e.kit import argo
from tests.e2e.kit.cluster import OPERATOR, Cluster, script, why_not
from tests.e2e.kit.installation import install
from tests.e2e.kit.telling import Tell

HERE = Path(__file__).parent
FIGURES = pytest.StashKey[list[str]]()
BEGUN = pytest.StashKey[float]()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Notes a figure for the end of the run, where it is seen without asking pytest to show output."""

    def note(line: str) -> None:
        request.config.stash.setdefault(FIGURES, []).append(f"{request.node.name}: {line}")

    return note


@pytest.fixture(scope="session")
def begun(
    cluster: Cluster,  # noqa: ARG001 - notes it
    pytestconfig: pytest.Config,
) -> float:
    """When this session began to make its cluster, monotonic seconds; 0 when the cluster was there before."""
    return pytestconfig.stash.get(BEGUN, 0.0)


@contextlib.contextmanager
def timed(config: pytest.Config, phase: str) -> Iterator[None]:
    """Notes how long a phase took."""
    started = time.monotonic()
    yield
    config.stash.setdefault(FIGURES, []).append(f"{phase}: {time.monotonic() - started:.1f} s")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the figures."""
    lines = config.stash.get(FIGURES, [])
    if lines:
        terminalreporter.section("e2e figures")
        for line in lines:
            terminalreporter.write_line(line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in the order of their names: the last one takes everything down."""
    mine = [item for item in items if item.path.is_relative_to(HERE)]
    rest = [item for item in items if not item.path.is_relative_to(HERE)]
    items[:] = rest + sorted(mine, key=lambda item: item.path.name)
    for item in mine:
        item.add_marker(pytest.mark.timeout(600))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],  # noqa: ARG001 - the hook's own name
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds pods, sources, events and logs to a failed test's report."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(cluster, Cluster):
        report.sections.append(("cluster", cluster.evidence()))
    return report


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A cluster of our own; with `E2E_USE_KUBECONFIG=1` the one that KUBECONFIG names.

    A cluster that `./dev e2e-up` left running is used and left running, and with `E2E_KEEP=1` ours is, too.
    """
    if os.environ.get("E2E_USE_KUBECONFIG") == "1":
        kubeconfig = os.environ.get("KUBECONFIG", "")
        if not Path(kubeconfig).is_file():
            pytest.fail(f"E2E_USE_KUBECONFIG=1 and KUBECONFIG={kubeconfig!r} is not a file")
        yield Cluster(Path(kubeconfig), None)
        return
    reason = why_not()
    if reason:
        pytest.skip(f"{reason}; or name a cluster for tests: E2E_USE_KUBECONFIG=1 KUBECONFIG=…")
    work = Path(os.environ.get("E2E_WORK", f"/tmp/evs-e2e-{os.environ.get('E2E_NAME', 'evs1')}"))  # noqa: S108
    running = (work / "kubeconfig").exists()
    if not running:
        pytestconfig.stash[BEGUN] = time.monotonic()
        with timed(pytestconfig, "cluster up"):
            script("up", timeout=1800)
    try:
        yield Cluster(work / "kubeconfig", work)
    finally:
        if not running and os.environ.get("E2E_KEEP") != "1":
            script("down", timeout=120)


@pytest.fixture(scope="session")
def image(cluster: Cluster, pytestconfig: pytest.Config) -> None:
    """The operator's image on the node, built from this checkout."""
    with timed(pytestconfig, "image built and loaded"):
        cluster.load_image()


@pytest.fixture(scope="session")
def argo_server(cluster: Cluster, pytestconfig: pytest.Config) -> None:
    """Argo Workflows, its server behind TLS with a CA of its own."""
    name = cluster.load_argo()
    if not name:
        pytest.skip("E2E_ARGO_IMAGE must name an image with /bin/argo and /bin/workflow-controller")
    with timed(pytestconfig, "Argo Workflows ready"):
        argo.install(cluster, name)


@pytest.fixture(scope="session")
def operator(
    cluster: Cluster,
    image: None,  # noqa: ARG001 - must be there first
    argo_server: None,  # noqa: ARG001 - the same
    pytestconfig: pytest.Config,
) -> str:
    """The operator installed by `kubectl apply -k manifests/base`, and told the Argo Server's CA."""
    with timed(pytestconfig, "operator installed, both replicas ready"):
        install(cluster)
    return OPERATOR
