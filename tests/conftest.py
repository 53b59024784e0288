"""What every suite shares: the real control plane, and its logs beside a failure."""

import signal
from collections.abc import Generator

import pytest

from tools.controlplane.plane import ControlPlane, ControlPlaneError

pytest_plugins = ["tests.support.controlplane", "tests.support.running_operator"]


def pytest_configure() -> None:
    """A shell starts what runs in the background with SIGINT ignored, and so would be each process of a test."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],  # noqa: ARG001 - the hook's own name
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the end of the servers' logs to a failed test's report: what happened is often only told there."""
    report = yield
    if report.failed:
        fixtures = getattr(item, "funcargs", {})
        planes = {id(plane): plane for plane in fixtures.values() if isinstance(plane, ControlPlane)}
        for plane in planes.values():
            try:
                report.sections.append(("control plane", plane.evidence(lines=15)))
            except (ControlPlaneError, OSError, RuntimeError) as error:
                report.sections.append(("control plane", f"no evidence: {error}"))
    return report
