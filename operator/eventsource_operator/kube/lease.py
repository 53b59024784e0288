"""A Lease as the lock of the kubernetes package's leader election.

Through our client: no generated models, true UTC times (the package writes local ones),
transitions counted, and errors logged when they begin instead of each two seconds.
"""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime
from typing import Any, Final

from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.baselock import BaseLock

from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.kube.errors import Conflict, KubeError, NotFound

_log = logging.getLogger(__name__)

_LEASE = Resource("coordination.k8s.io", "v1", "Lease", "leases")
REQUEST_SECONDS: Final = 4.0  # leaves a second attempt within the renew deadline of 10 s


class LeaseLock(BaseLock):  # type: ignore[misc]  # the package has no usable types
    """One candidate's view of the Lease."""

    def __init__(self, client: KubeClient, name: str, namespace: str, identity: str) -> None:
        super().__init__(name, namespace, identity)
        self._client = client
        self._lease: dict[str, Any] = {}
        self._failing = ""

    async def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        """The record, or the error in the shape that the elector expects."""
        try:
            self._lease = await self._request("GET", _LEASE.path(namespace, name))
        except NotFound as error:
            absent = ApiException(status=404, reason=error.reason)
            absent.body = '{"code": 404}'
            return False, absent
        except KubeError as error:
            self._note(error)
            return False, ApiException(status=error.status, reason=str(error))
        spec = self._lease.get("spec") or {}
        return True, LeaderElectionRecord(
            spec.get("holderIdentity") or None,
            str(spec["leaseDurationSeconds"]) if spec.get("leaseDurationSeconds") else None,
            spec.get("acquireTime"),
            spec.get("renewTime"),
        )

    async def create(self, name: str, namespace: str, election_record: Any) -> bool:
        """Make the Lease, ours from the start."""
        lease = {
            "apiVersion": _LEASE.api_version,
            "kind": _LEASE.kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": self._held({}, election_record),
        }
        return await self._write("POST", _LEASE.path(namespace), lease)

    async def update(self, name: str, namespace: str, updated_record: Any) -> bool:
        """Take or renew it; the resourceVersion of the last look is the precondition."""
        spec = self._held(self._lease.get("spec") or {}, updated_record)
        return await self._write("PUT", _LEASE.path(namespace, name), {**self._lease, "spec": spec})

    async def clear(self) -> None:
        """Take our name off the Lease, if it is on it.

        Raises:
            KubeError: It could not be read or written.
        """
        while True:
            try:
                lease = await self._request("GET", _LEASE.path(self.namespace, self.name))
            except NotFound:
                return
            spec = lease.get("spec") or {}
            if spec.get("holderIdentity") != self.identity:
                return
            # As client-go's ReleaseOnCancel: no holder, and a duration that is over in a moment.
            lease["spec"] = {
                **spec,
                "holderIdentity": "",
                "leaseDurationSeconds": 1,
                "renewTime": _micro_now(),
            }
            with contextlib.suppress(Conflict):  # a renewal of ours was still on its way
                await self._request("PUT", _LEASE.path(self.namespace, self.name), lease)
                return

    def _held(self, spec: dict[str, Any], record: Any) -> dict[str, Any]:
        moment = _micro_now()
        ours = spec.get("holderIdentity") == self.identity
        transitions = int(spec.get("leaseTransitions") or 0)
        return {
            **spec,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(float(record.lease_duration)),
            "acquireTime": spec.get("acquireTime") if ours and spec.get("acquireTime") else moment,
            "renewTime": moment,
            "leaseTransitions": transitions if ours or not spec else transitions + 1,
        }

    async def _write(self, method: str, path: str, lease: dict[str, Any]) -> bool:
        try:
            self._lease = await self._request(method, path, lease)
        except Conflict:
            return False  # another candidate was faster
        except KubeError as error:
            self._note(error)
            return False
        if self._failing:
            self._failing = ""
            _log.info("the lease %s/%s can be written again", self.namespace, self.name)
        return True

    async def _request(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        return dict(await self._client.request(method, path, body=body, timeout=REQUEST_SECONDS, urgent=True))

    def _note(self, error: KubeError) -> None:
        kind = type(error).__name__
        if kind != self._failing:
            self._failing = kind
            _log.warning("the lease %s/%s cannot be used: %s", self.namespace, self.name, error)


def _micro_now() -> str:
    """`metav1.MicroTime`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
