"""The operator's settings: command line, environment, and the configuration ConfigMap.

This module is the only one that knows the environment's names. A flag goes before its
`EVENTSOURCE_OPERATOR_…` variable, that before the default here. The ConfigMap, which can
change while the operator runs, goes before all of them; `CONFIG_KEYS` is what it may hold.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from eventsource_operator.setting_values import (
    LABEL,
    SUBDOMAIN,
    KeyRef,
    Parser,
    SettingsError,
    boolean,
    choice,
    integer,
    key_ref,
    listed,
    matching,
    number,
    prefix_word,
    text,
    url,
)

__all__ = [
    "CONFIG_KEYS",
    "DeliveryDefaults",
    "KeyRef",
    "Settings",
    "SettingsError",
    "apply_config",
    "unknown_config_keys",
]

_PREFIX: Final = "EVENTSOURCE_OPERATOR_"
_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_POD_NAME: Final = "eventsource-operator"
_MEBIBYTE: Final = 1024 * 1024
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
_PORT_LIMIT: Final = 65535
Policy: TypeAlias = Literal["default", "strict"]
LogFormat: TypeAlias = Literal["text", "json"]


@dataclass(frozen=True, slots=True)
class DeliveryDefaults:
    """What an EventSource gets that says nothing about it; seconds and counts as in `spec.delivery`."""

    max_concurrency: int = 64
    max_per_second: float = 0.0
    retry_limit: int = 10
    retry_backoff_seconds: float = 1.0
    retry_max_backoff_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set from outside; build it with `Settings.from_env`.

    Attributes:
        namespaces: Namespaces whose EventSources are served; empty only with `all_namespaces`.
        all_namespaces: Serve every namespace.
        argo_server: URL of the default Argo Server.
        allow_servers: Further URLs that `spec.server.url` may name.
        argo_token_file: Token for the default server; None: the operator's service account token.
        argo_ca_file: CA bundle for the default server; None: the system's.
        auth_prefix: Scheme in front of the token.
        auth_secret: From the ConfigMap: Secret key with the default server's token.
        ca_config_map: From the ConfigMap: ConfigMap key with the default server's CA.
        metrics_host: Address for health and metrics, empty for all.
        metrics_port: Port for health and metrics, 0 for any free one.
        leader_elect: Take part in an election before doing anything.
        lease_namespace: Namespace of the Lease.
        lease_name: Name of the Lease.
        operator_namespace: Where the operator runs; its configuration is read from there.
        pod_name: Who writes Events.
        log_format: `text` or `json`.
        log_level: Level of the operator's own loggers.
        policy: `strict` reviews also what a source does in its own namespace.
        pending_limit: Changes that wait for delivery, at most, before the streams stop reading.
        pending_bytes: The same in bytes.
        old_state_bytes: Memory for old states of objects.
        position_interval: Seconds between writes of a source's position, at least.
        ledger_interval: Seconds between writes of a source's ledger, at least.
        status_interval: Seconds between writes of a source's status, at least.
        grace_seconds: Time for draining after SIGTERM.
        kubeconfig: Path(s) of kubeconfig files; None: in-cluster, else the user's default.
        context: Context in the kubeconfig; None: its current one.
        token_file: The operator's own projected token.
        delivery: Defaults for `spec.delivery`.
    """

    namespaces: tuple[str, ...] = ()
    all_namespaces: bool = False
    argo_server: str = "http://localhost:2746"
    allow_servers: tuple[str, ...] = ()
    argo_token_file: str | None = None
    argo_ca_file: str | None = None
    auth_prefix: str = "Bearer"
    auth_secret: KeyRef | None = None
    ca_config_map: KeyRef | None = None
    metrics_host: str = ""
    metrics_port: int = 8080
    leader_elect: bool = True
    lease_namespace: str = "default"
    lease_name: str = "eventsource-operator"
    operator_namespace: str = "default"
    pod_name: str = _POD_NAME
    log_format: LogFormat = "text"
    log_level: str = "INFO"
    policy: Policy = "default"
    pending_limit: int = 10_000
    pending_bytes: int = 64 * _MEBIBYTE
    old_state_bytes: int = 32 * _MEBIBYTE
    position_interval: float = 2.0
    ledger_interval: float = 30.0
    status_interval: float = 2.0
    grace_seconds: float = 20.0
    kubeconfig: str | None = None
    context: str | None = None
    token_file: str = str(_SERVICE_ACCOUNT / "token")
    delivery: DeliveryDefaults = field(default_factory=DeliveryDefaults)

    @classmethod
    def from_env(
        cls, env: Mapping[str, str], *, service_account: Path = _SERVICE_ACCOUNT, **overrides: Any
    ) -> Settings:
        """Build the settings from the environment and the command line.

        Args:
            env: The environment: `EVENTSOURCE_OPERATOR_<FLAG>` for each flag, `KUBECONFIG`,
                `POD_NAMESPACE`, `POD_NAME`, `HOSTNAME`.
            service_account: Folder of the pod's service account.
            **overrides: Fields from the command line; None means not given.

        Raises:
            SettingsError: A value cannot be used, or two contradict each other.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        values: dict[str, Any] = {}
        for name, parse in _PARSERS.items():
            variable = _PREFIX + _variable(name)
            if name in given:
                values[name] = parse(_flag(name), given.pop(name))
            elif env.get(variable, "").strip():
                values[name] = parse(variable, env[variable].strip())
        # A flag decides against the variable of its opposite.
        if overrides.get("all_namespaces") and not overrides.get("namespaces"):
            values.pop("namespaces", None)
        elif overrides.get("namespaces") and overrides.get("all_namespaces") is None:
            values.pop("all_namespaces", None)
        if given:
            raise TypeError(f"not a setting: {', '.join(sorted(given))}")
        values["delivery"] = DeliveryDefaults(**{n: values.pop(n) for n in _DELIVERY if n in values})
        values.setdefault("operator_namespace", _own_namespace(env, service_account))
        values.setdefault("lease_namespace", values["operator_namespace"])
        values.setdefault("pod_name", env.get("POD_NAME") or env.get("HOSTNAME") or _POD_NAME)
        values.setdefault("kubeconfig", env.get("KUBECONFIG") or None)
        values.setdefault("token_file", str(service_account / "token"))
        return _consistent(cls(**values))


def apply_config(settings: Settings, data: Mapping[str, str]) -> Settings:
    """The settings with the configuration ConfigMap's data on top.

    Args:
        settings: As from the command line; keep them, and apply each new ConfigMap to them.
        data: The ConfigMap's `data`. Keys that are not in `CONFIG_KEYS` change nothing.

    Raises:
        SettingsError: A key has a value that cannot be used; its `flag` is the key.
    """
    values: dict[str, Any] = {}
    for key, name in CONFIG_KEYS.items():
        value = data.get(key, "").strip()
        if value:
            values[name] = _PARSERS[name](key, value)
    delivery = {name: values.pop(name) for name in _DELIVERY if name in values}
    merged = dataclasses.replace(settings.delivery, **delivery)
    return _consistent(dataclasses.replace(settings, **values, delivery=merged), in_config=True)


def unknown_config_keys(data: Mapping[str, str]) -> tuple[str, ...]:
    """The ConfigMap's keys that mean nothing to this version, to be warned about."""
    return tuple(sorted(set(data) - set(CONFIG_KEYS)))


_LABEL_NAME: Final = matching(LABEL, "the name of a namespace (lower-case letters, digits, dashes)")
_OBJECT_NAME: Final = matching(SUBDOMAIN, "the name of an object (lower-case letters, digits, dashes, dots)")

_DELIVERY: Final = tuple(f.name for f in dataclasses.fields(DeliveryDefaults))
_PARSERS: Final[Mapping[str, Parser]] = {
    "namespaces": listed(_LABEL_NAME),
    "all_namespaces": boolean,
    "argo_server": url,
    "allow_servers": listed(url),
    "argo_token_file": text,
    "argo_ca_file": text,
    "auth_prefix": prefix_word,
    "auth_secret": key_ref,
    "ca_config_map": key_ref,
    "metrics_host": text,
    "metrics_port": integer(0, _PORT_LIMIT),
    "leader_elect": boolean,
    "lease_namespace": _LABEL_NAME,
    "lease_name": _OBJECT_NAME,
    "operator_namespace": _LABEL_NAME,
    "pod_name": text,
    "log_format": choice("text", "json"),
    "log_level": choice(*_LEVELS, change=str.upper),
    "policy": choice("default", "strict"),
    "pending_limit": integer(1),
    "pending_bytes": integer(1),
    "old_state_bytes": integer(0),
    "position_interval": number(0),
    "ledger_interval": number(0),
    "status_interval": number(0),
    "grace_seconds": number(0),
    "kubeconfig": text,
    "context": text,
    "token_file": text,
    "max_concurrency": integer(1, 1024),
    "max_per_second": number(0),
    "retry_limit": integer(0),
    "retry_backoff_seconds": number(0),
    "retry_max_backoff_seconds": number(0),
}

# What the configuration ConfigMap may hold → the setting's name.
CONFIG_KEYS: Final[Mapping[str, str]] = {
    "argoServer": "argo_server",
    "allowServers": "allow_servers",
    "authSecret": "auth_secret",
    "authPrefix": "auth_prefix",
    "caConfigMap": "ca_config_map",
    "maxConcurrency": "max_concurrency",
    "maxPerSecond": "max_per_second",
    "retryLimit": "retry_limit",
    "retryBackoffSeconds": "retry_backoff_seconds",
    "retryMaxBackoffSeconds": "retry_max_backoff_seconds",
    "policy": "policy",
    "logLevel": "log_level",
}

# Flags that may be given several times are called in the singular.
_SINGULAR: Final[Mapping[str, str]] = {"namespaces": "namespace", "allow_servers": "allow_server"}


def _flag(name: str) -> str:
    return "--" + _SINGULAR.get(name, name).replace("_", "-")


def _variable(name: str) -> str:
    return _SINGULAR.get(name, name).upper()


def _own_namespace(env: Mapping[str, str], service_account: Path) -> str:
    if env.get("POD_NAMESPACE"):
        return env["POD_NAMESPACE"]
    try:
        return (service_account / "namespace").read_text(encoding="ascii").strip() or "default"
    except OSError:
        return "default"


def _consistent(settings: Settings, *, in_config: bool = False) -> Settings:
    """The same settings, when they do not contradict each other; the own namespace when none is named."""
    if settings.namespaces and settings.all_namespaces:
        raise SettingsError("--all-namespaces", "cannot be combined with --namespace; give one of them")
    delivery = settings.delivery
    if delivery.retry_backoff_seconds > delivery.retry_max_backoff_seconds:
        flag = "retryBackoffSeconds" if in_config else _flag("retry_backoff_seconds")
        raise SettingsError(flag, "is longer than the longest back-off (retry_max_backoff_seconds)")
    if not settings.namespaces and not settings.all_namespaces:
        return dataclasses.replace(settings, namespaces=(settings.operator_namespace,))
    return settings


def process_environment() -> Mapping[str, str]:
    """The environment of this process, for `Settings.from_env`: no other module reads it."""
    return os.environ
