from pathlib import Path
from typing import Any

import pytest

from eventsource_operator.settings import (
    CONFIG_KEYS,
    DeliveryDefaults,
    KeyRef,
    Settings,
    SettingsError,
    apply_config,
    unknown_config_keys,
)

NOWHERE = Path("/nonexistent")


def settings(env: dict[str, str] | None = None, **overrides: Any) -> Settings:
    return Settings.from_env(env or {}, service_account=NOWHERE, **overrides)


def test_defaults_are_those_of_the_design() -> None:
    got = settings()
    assert got.argo_server == "http://localhost:2746"
    assert got.namespaces == ("default",)
    assert (got.pending_limit, got.pending_bytes, got.old_state_bytes) == (10_000, 64 * 2**20, 32 * 2**20)
    assert (got.position_interval, got.ledger_interval, got.status_interval) == (2.0, 30.0, 2.0)
    assert (got.metrics_port, got.grace_seconds, got.leader_elect) == (8080, 20.0, True)
    assert got.delivery == DeliveryDefaults(64, 0.0, 10, 1.0, 60.0)


def test_each_flag_has_its_variable_and_the_flag_wins() -> None:
    env = {
        "EVENTSOURCE_OPERATOR_NAMESPACE": "team-a, team-b team-a",
        "EVENTSOURCE_OPERATOR_ARGO_SERVER": "HTTPS://Argo.Example:443/base/",
        "EVENTSOURCE_OPERATOR_ALLOW_SERVER": "https://one,http://two:80",
        "EVENTSOURCE_OPERATOR_METRICS_PORT": "0",
        "EVENTSOURCE_OPERATOR_LEADER_ELECT": "No",
        "EVENTSOURCE_OPERATOR_LOG_FORMAT": "JSON",
        "EVENTSOURCE_OPERATOR_LOG_LEVEL": "debug",
        "EVENTSOURCE_OPERATOR_MAX_CONCURRENCY": "5",
        "KUBECONFIG": "/etc/one:/etc/two",
        "POD_NAME": "pod-0",
        "POD_NAMESPACE": "argo",
    }
    got = settings(env, metrics_port=9000, log_format=None)
    assert got.namespaces == ("team-a", "team-b")
    assert got.argo_server == "https://argo.example/base"
    assert got.allow_servers == ("https://one", "http://two")
    assert (got.metrics_port, got.leader_elect) == (9000, False)
    assert (got.log_format, got.log_level) == ("json", "DEBUG")
    assert got.delivery.max_concurrency == 5
    assert (got.kubeconfig, got.pod_name) == ("/etc/one:/etc/two", "pod-0")
    assert (got.operator_namespace, got.lease_namespace) == ("argo", "argo")


def test_the_own_namespace_comes_from_the_service_account(tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text("operators\n")
    got = Settings.from_env({}, service_account=tmp_path)
    assert got.operator_namespace == "operators"
    assert got.namespaces == ("operators",)
    assert got.token_file == str(tmp_path / "token")


def test_a_flag_decides_against_the_variable_of_its_opposite() -> None:
    named = {"EVENTSOURCE_OPERATOR_NAMESPACE": "team-a"}
    every = {"EVENTSOURCE_OPERATOR_ALL_NAMESPACES": "true"}
    assert settings(named, all_namespaces=True).namespaces == ()
    assert settings(every, namespaces=("b",)).all_namespaces is False
    with pytest.raises(SettingsError, match="cannot be combined"):
        settings(named | every)
    with pytest.raises(SettingsError, match="cannot be combined"):
        settings(namespaces=("a",), all_namespaces=True)


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("METRICS_PORT", "70000", "0 to 65535"),
        ("METRICS_PORT", "http", "whole number"),
        ("LEADER_ELECT", "maybe", "neither true nor false"),
        ("LOG_FORMAT", "xml", "one of text, json"),
        ("NAMESPACE", "Team_A", "name of a namespace"),
        ("ARGO_SERVER", "argo:2746", "not an http:// or https:// URL"),
        ("ARGO_SERVER", "ftp://argo", "not an http:// or https:// URL"),
        ("ARGO_SERVER", "https://argo:port", "Port"),
        ("ARGO_SERVER", "https://argo/?x=1", "do not belong"),
        ("STATUS_INTERVAL", "nan", "out of range"),
        ("STATUS_INTERVAL", "inf", "out of range"),
        ("MAX_CONCURRENCY", "0", "1 to 1024"),
        ("RETRY_BACKOFF_SECONDS", "61", "longest back-off"),
        ("AUTH_PREFIX", "Bearer\r\nX-Evil: 1", "authentication scheme"),
        ("AUTH_SECRET", "token", "NAME/KEY"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_remedy(name: str, value: str, part: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings({f"EVENTSOURCE_OPERATOR_{name}": value})
    assert part in str(caught.value)
    assert name.lower().replace("_", "-") in caught.value.flag.lower().replace("_", "-")
    assert "\r" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://user:s3cret@argo", "user:s3cret@argo:2746"])
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(argo_server=url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.flag == "--argo-server"


def test_an_unknown_override_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="metric_port"):
        settings(metric_port=1)


def test_the_config_map_goes_before_flags_and_leaves_the_rest() -> None:
    before = settings(argo_server="http://flag", pending_limit=7)
    got = apply_config(
        before,
        {
            "argoServer": "https://argo.argo:2746",
            "allowServers": "https://a\nhttps://b",
            "authSecret": "argo-token/token",
            "authPrefix": "Basic",
            "caConfigMap": "argo-ca/ca.crt",
            "maxConcurrency": "8",
            "maxPerSecond": "2.5",
            "retryLimit": "3",
            "retryBackoffSeconds": "0.5",
            "retryMaxBackoffSeconds": "5",
            "policy": "strict",
            "logLevel": "warning",
            "colour": "blue",
        },
    )
    assert got.argo_server == "https://argo.argo:2746"
    assert got.allow_servers == ("https://a", "https://b")
    assert (got.auth_secret, got.ca_config_map) == (
        KeyRef("argo-token", "token"),
        KeyRef("argo-ca", "ca.crt"),
    )
    assert (got.auth_prefix, got.policy, got.log_level) == ("Basic", "strict", "WARNING")
    assert got.delivery == DeliveryDefaults(8, 2.5, 3, 0.5, 5.0)
    assert got.pending_limit == 7
    assert before.argo_server == "http://flag"
    assert apply_config(before, {"argoServer": " "}) == before


def test_a_bad_key_of_the_config_map_is_named_and_an_unknown_one_reported() -> None:
    with pytest.raises(SettingsError) as caught:
        apply_config(settings(), {"maxConcurrency": "many"})
    assert caught.value.flag == "maxConcurrency"
    with pytest.raises(SettingsError) as caught:
        apply_config(settings(), {"retryMaxBackoffSeconds": "0.1"})
    assert caught.value.flag == "retryBackoffSeconds"
    assert unknown_config_keys({"colour": "", "argoServer": "", "argoserver": ""}) == ("argoserver", "colour")
    assert unknown_config_keys(dict.fromkeys(CONFIG_KEYS, "")) == ()
