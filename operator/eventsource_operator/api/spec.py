"""What an EventSource asks for, as immutable values.

The names are those of the manifest in snake case, the values those of the manifest after defaulting.
`None` means "the source does not say": the operator-wide defaults decide then (see
`docs/decisions/0002-delivery-defaults.md`). Everything is hashable, so that two sources that ask for
the same can share what serves them. The module is long because each part of the
spec is a value of its own, and all of them together are the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

GROUP = "eventsource-operator.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "EventSource"
PLURAL = "eventsources"
REPLAY_ANNOTATION = f"{GROUP}/replay"


class ChangeType(StrEnum):
    """What happened to a watched object."""

    ADDED = "Added"
    MODIFIED = "Modified"
    DELETED = "Deleted"


class Initial(StrEnum):
    """What happens to objects that exist when a source is created."""

    IGNORE = "Ignore"
    SEND = "Send"


class Content(StrEnum):
    """What the data of an event carries of the object."""

    OBJECT = "Object"
    REFERENCE = "Reference"
    DIFF = "Diff"


class DispatchErrors(StrEnum):
    """Which of the Argo Server's dispatch errors are tried again."""

    RETRY_TRANSIENT = "RetryTransient"
    RETRY = "Retry"
    NEVER = "Never"


class Operator(StrEnum):
    """How a label selector's requirement compares (Kubernetes' LabelSelectorOperator)."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class CAKind(StrEnum):
    """Where a certificate authority's certificates are kept."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105  the kind's name


@dataclass(frozen=True, slots=True)
class Requirement:
    """One of a label selector's matchExpressions."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A Kubernetes label selector; an empty one selects everything. Labels are in order of their keys."""

    match_labels: tuple[tuple[str, str], ...] = ()
    match_expressions: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The namespaces of a target: exactly one of the three is given."""

    names: tuple[str, ...] = ()
    selector: LabelSelector | None = None
    all: bool = False


@dataclass(frozen=True, slots=True)
class WatchTarget:
    """One kind of object to watch, and which of its objects and changes count.

    `namespaces` is None for the source's own namespace, `names` empty for every name, `fields` empty for
    every change, `condition` empty for no condition.
    """

    api_version: str = "v1"
    kind: str = "ConfigMap"
    namespaces: Namespaces | None = None
    names: tuple[str, ...] = ()
    label_selector: LabelSelector | None = None
    field_selector: str = ""
    events: frozenset[ChangeType] = frozenset(ChangeType)
    fields: tuple[str, ...] = ()
    condition: str = ""
    initial: Initial = Initial.IGNORE


@dataclass(frozen=True, slots=True)
class EventSpec:
    """How an event looks and where it goes. `namespace` is None for the source's own; sizes in bytes."""

    namespace: str | None = None
    broadcast: bool = False
    discriminator: str = ""
    content: Content = Content.OBJECT
    payload: str = ""
    max_bytes: int = 262144


@dataclass(frozen=True, slots=True)
class SecretKeyRef:
    """One key of a Secret in the source's own namespace."""

    name: str
    key: str = "token"


@dataclass(frozen=True, slots=True)
class CARef:
    """One key, holding PEM certificates, of a ConfigMap or Secret in the source's own namespace."""

    kind: CAKind
    name: str
    key: str = "ca.crt"


@dataclass(frozen=True, slots=True)
class Auth:
    """The token for the server; without `secret_ref` the operator's own service account token."""

    secret_ref: SecretKeyRef | None = None
    prefix: str = "Bearer"


@dataclass(frozen=True, slots=True)
class TLS:
    """How the server is verified, and the client certificate (a kubernetes.io/tls Secret's name)."""

    ca_ref: CARef | None = None
    insecure_skip_verify: bool = False
    client_cert_ref: str | None = None


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """The Argo Server. What is None comes from the operator-wide defaults."""

    url: str | None = None
    auth: Auth | None = None
    tls: TLS | None = None
    timeout_seconds: int = 30


@dataclass(frozen=True, slots=True)
class Retry:
    """How often, and after which pauses, the failure of one event is tried again."""

    limit: int | None = None
    backoff_seconds: float | None = None
    max_backoff_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class DeliverySpec:
    """How events are sent. What is None comes from the operator-wide defaults; a rate of 0 is no limit."""

    max_concurrency: int | None = None
    max_per_second: float | None = None
    retry: Retry = Retry()
    dispatch_errors: DispatchErrors = DispatchErrors.RETRY_TRANSIENT
    quiet_period_seconds: float = 0

    def filled(self, defaults: DeliverySpec) -> DeliverySpec:
        """This delivery with `defaults` where it says nothing; layers chain, nearest first.

        The longest pause is never below the first one, also when they come from different places.
        """
        retry = replace(
            self.retry,
            **{
                field.name: getattr(defaults.retry, field.name)
                for field in fields(Retry)
                if getattr(self.retry, field.name) is None
            },
        )
        if retry.backoff_seconds is not None and retry.max_backoff_seconds is not None:
            retry = replace(retry, max_backoff_seconds=max(retry.max_backoff_seconds, retry.backoff_seconds))
        return replace(
            self,
            max_concurrency=_or(self.max_concurrency, defaults.max_concurrency),
            max_per_second=_or(self.max_per_second, defaults.max_per_second),
            retry=retry,
        )


BUILTIN_DELIVERY = DeliverySpec(
    max_concurrency=64,
    max_per_second=0,
    retry=Retry(limit=10, backoff_seconds=1, max_backoff_seconds=60),
)
"""What holds where neither the source nor the operator's configuration says anything."""


@dataclass(frozen=True, slots=True)
class BindingsSpec:
    """How the server's WorkflowEventBindings are listed."""

    label_selector: str = ""
    field_selector: str = ""
    resync_seconds: int = 60


@dataclass(frozen=True, slots=True)
class EventSourceSpec:
    """The whole of an EventSource's spec."""

    watch: tuple[WatchTarget, ...]
    suspend: bool = False
    service_account_name: str = "default"
    event: EventSpec = EventSpec()
    server: ServerSpec = ServerSpec()
    delivery: DeliverySpec = DeliverySpec()
    bindings: BindingsSpec = BindingsSpec()


@dataclass(frozen=True, slots=True)
class EventSource:
    """One EventSource as the API server holds it; the strings are empty where a file has no such field."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    annotations: tuple[tuple[str, str], ...]
    deleting: bool
    spec: EventSourceSpec

    @property
    def event_namespace(self) -> str:
        """The namespace that gets the events; empty when they are broadcast to every one."""
        event = self.spec.event
        return "" if event.broadcast else event.namespace or self.namespace

    def annotation(self, name: str) -> str | None:
        """The value of the annotation `name`, None when there is none."""
        return dict(self.annotations).get(name)


def camel(name: str) -> str:
    """The manifest's name of a Python field: `max_bytes` is `maxBytes`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def spec_to_dict(spec: EventSourceSpec) -> dict[str, Any]:
    """The manifest's form of a spec, defaults included; parsing it gives an equal spec."""
    return _plain(spec)  # type: ignore[no-any-return]


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _plain(value: Any) -> Any:
    """The JSON form of one of this module's values; what says nothing is left out."""
    match value:
        case LabelSelector():
            return _without_nothing(
                {
                    "matchLabels": dict(value.match_labels),
                    "matchExpressions": [_plain(item) for item in value.match_expressions],
                }
            )
        case TLS():
            cert = None if value.client_cert_ref is None else {"name": value.client_cert_ref}
            plain = {
                "caRef": _plain(value.ca_ref),
                "insecureSkipVerify": value.insecure_skip_verify,
                "clientCertRef": cert,
            }
            return _without_nothing(plain)
        case StrEnum():
            return value.value
        case tuple():
            return [_plain(item) for item in value]
        case frozenset():
            return [member.value for member in ChangeType if member in value]
        case None | bool() | int() | float() | str():
            return value
    return _without_nothing(
        {camel(field.name): _plain(getattr(value, field.name)) for field in fields(value)}
    )


def _without_nothing(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Drops None and empty lists: they are what a missing field means. An empty string stays."""
    return {name: value for name, value in plain.items() if value is not None and value != []}
