"""Who held the operator's Lease, and how it changed hands: written down while a test does something else."""

import contextlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from kubernetes import client, watch
from urllib3.exceptions import HTTPError

from tests.e2e.kit.cluster import OPERATOR, Cluster
from tests.support.controlplane import wait_for

STREAM_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Handover:
    """One holder after another.

    Attributes:
        clean: whether the former one had released it.
        at: when the next one took it, in seconds of the wall clock.
        seconds: since the release; without one, since the last renewal.
    """

    clean: bool
    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class State:
    """Of the Lease: its holder, empty for none, and the holder's times in seconds of the wall clock."""

    holder: str
    acquired: float
    renewed: float


def handovers(states: list[State]) -> list[Handover]:
    """How the Lease changed hands, from its states in order. Who takes it again is no other holder."""
    found, last_holder = list[Handover](), ""
    for before, state in itertools.pairwise(states):
        last_holder = before.holder or last_holder
        if state.holder and last_holder and state.holder != last_holder:
            found.append(Handover(not before.holder, state.acquired, state.acquired - before.renewed))
    return found


class LeaseLog:
    """Every state of the Lease from a moment on; the times in it are the holders' own, of one machine's clock."""

    def __init__(self, cluster: Cluster) -> None:
        self._api = client.CoordinationV1Api(cluster.core().api_client)
        self._watch = watch.Watch()
        self._states: list[State] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        """Returns once the present state is known."""
        self._thread.start()
        wait_for(lambda: self._states, 30, "the state of the Lease")

    def stop(self) -> None:
        """Closes the watch."""
        self._stopped.set()
        self._watch.stop()
        self._thread.join(30)

    def handovers(self) -> list[Handover]:
        """In their order."""
        return handovers(list(self._states))

    def _read(self) -> None:
        try:
            self._read_all()
        except HTTPError:  # closing it is told as an answer that ended too early
            if not self._stopped.is_set():
                raise

    def _read_all(self) -> None:
        options = {"namespace": OPERATOR, "timeout_seconds": STREAM_SECONDS}
        for event in self._watch.stream(self._api.list_namespaced_lease, **options):
            item = event["object"]
            if item.metadata.name == OPERATOR:
                spec = item.spec
                moments = (spec.acquire_time, spec.renew_time)
                acquired, renewed = (moment.timestamp() if moment else 0.0 for moment in moments)
                self._states.append(State(spec.holder_identity or "", acquired, renewed))


@contextlib.contextmanager
def logged(cluster: Cluster) -> Iterator[LeaseLog]:
    """A log for the time of a test."""
    log = LeaseLog(cluster)
    log.start()
    try:
        yield log
    finally:
        log.stop()
