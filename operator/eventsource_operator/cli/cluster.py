"""How the commands that look into a cluster get there, and how they tell that they could not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import click

from eventsource_operator.api.eventsource import GROUP, KIND, PLURAL, VERSION
from eventsource_operator.cli.output import CannotError, WrongError, one_line
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.kube.errors import (
    ConfigurationError,
    KubeError,
    NotFound,
    Unauthorized,
    Unreachable,
)
from eventsource_operator.settings import Settings, SettingsError, process_environment

SOURCES = Resource(GROUP, VERSION, KIND, PLURAL)
_INTERRUPTED = 130
_CRD_HINT = "; is the CustomResourceDefinition of EventSource installed?"

C = TypeVar("C", bound=Callable[..., Any])
T = TypeVar("T")


def cluster_options(command: C) -> C:
    """Add `--kubeconfig` and `--context`."""
    for option in (
        click.option(
            "--context", metavar="NAME", help="Context in the kubeconfig. Default: its current one."
        ),
        click.option(
            "--kubeconfig", metavar="FILE", help="Default: KUBECONFIG, the service account or ~/.kube/config."
        ),
    ):
        command = option(command)
    return command


def settings_of(**flags: Any) -> Settings:
    """The operator's settings as it would have them with these flags and this environment.

    Raises:
        CannotError: a value cannot be used.
    """
    try:
        return Settings.from_env(
            process_environment(), **{name: value for name, value in flags.items() if value not in (None, ())}
        )
    except SettingsError as error:
        raise CannotError(one_line(str(error))) from error


@contextlib.asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[KubeClient]:
    """A client for the settings' cluster."""
    client = await KubeClient.connect(settings.kubeconfig, settings.context)
    try:
        yield client
    finally:
        await client.close()


def own_namespace(settings: Settings) -> str:
    """The namespace of the kubeconfig's context, as kubectl has it; in a pod the pod's own."""
    # The package costs half a second: not before it is known that a cluster is asked.
    from kubernetes.aio import config  # noqa: PLC0415

    try:
        contexts, current = config.list_kube_config_contexts(config_file=settings.kubeconfig)
    except (config.ConfigException, OSError, TypeError, KeyError, ValueError):
        return settings.operator_namespace  # that there is no kubeconfig is told when it is connected to
    chosen = next((each for each in contexts if each["name"] == settings.context), current)
    return str((chosen or {}).get("context", {}).get("namespace") or settings.operator_namespace)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's work and turns what the cluster answers into messages and exit codes.

    2 when there was no way to the cluster, 1 when it refused; a command that is interrupted ends as by its signal.
    """
    try:
        return asyncio.run(work)
    except (ConfigurationError, Unreachable, Unauthorized) as error:
        raise CannotError(one_line(f"the cluster cannot be used: {error.message}")) from error
    except NotFound as error:
        # What the API server says of a path that it does not serve at all, before and behind the aggregator.
        unserved = error.message in {"404 page not found", "the server could not find the requested resource"}
        raise WrongError(one_line(error.message + (_CRD_HINT if unserved else ""))) from error
    except KubeError as error:
        raise WrongError(one_line(str(error))) from error
    except KeyboardInterrupt:
        raise SystemExit(_INTERRUPTED) from None
