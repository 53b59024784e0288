"""Where the API server is and who we are: in-cluster or kubeconfig, by the kubernetes package.

The package is imported when it is needed, not with this module: it costs some 45 MiB
and half a second, which `eventsource-operator send` and `version` do without.
"""

from __future__ import annotations

import os
from typing import Any

from eventsource_operator.kube.errors import ConfigurationError


async def load(kubeconfig: str | None, context: str | None) -> Any:
    """Load the configuration of the API client.

    Args:
        kubeconfig: Path(s) of kubeconfig files, as in `KUBECONFIG`. None: the pod's service
            account when there is one, else the user's default kubeconfig.
        context: Context in the kubeconfig; None: its current one.

    Returns:
        A `kubernetes.aio.client.Configuration`.

    Raises:
        ConfigurationError: Nothing usable was found; the message says what to set.
    """
    from kubernetes.aio import config  # noqa: PLC0415 - see the module's docstring
    from kubernetes.aio.client import Configuration  # noqa: PLC0415

    configuration = Configuration()
    # The certificates of many clusters lack extensions that Python 3.13 began to insist on
    # (RFC 5280 strictness); Go's clients do not ask for them either. The chain is verified all the same.
    configuration.disable_strict_ssl_verification = True
    try:
        if kubeconfig is None and context is None:
            try:
                config.load_incluster_config(client_configuration=configuration)
            except config.ConfigException:
                await _from_file(config, None, None, configuration)
        else:
            await _from_file(config, kubeconfig, context, configuration)
    except (config.ConfigException, OSError, TypeError, KeyError, ValueError) as error:
        place = f"kubeconfig {kubeconfig!r}" if kubeconfig else "the kubeconfig"
        message = f"{place} cannot be used: {error}; pass --kubeconfig or run with a service account"
        raise ConfigurationError(0, "Configuration", message) from error
    return configuration


async def _from_file(config: Any, kubeconfig: str | None, context: str | None, target: Any) -> None:
    paths = kubeconfig or config.KUBE_CONFIG_DEFAULT_LOCATION
    if not any(os.path.exists(os.path.expanduser(path)) for path in paths.split(os.pathsep) if path):  # noqa: ASYNC240, PTH110, PTH111 - once at start
        message = f"no kubeconfig at {paths!r} and no service account in this environment"
        raise ConfigurationError(0, "Configuration", message + "; pass --kubeconfig or set KUBECONFIG")
    await config.load_kube_config(
        config_file=paths,
        context=context,
        client_configuration=target,
        persist_config=False,  # the user's file is never written
    )
