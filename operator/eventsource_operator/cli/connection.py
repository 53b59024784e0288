"""How the commands that talk to an Argo Server by hand reach it, and how they tell of failures."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from eventsource_operator.argo.config import DEFAULT_URL, ServerConfig
from eventsource_operator.argo.errors import ArgoError, Decision, Dispatch, InvalidArgument

Command = TypeVar("Command", bound=Callable[..., Any])

_HINTS = {
    Decision.UNAUTHORIZED: "Give a valid token with --token-file or ARGO_TOKEN.",
    Decision.FORBIDDEN: "Grant the token's ServiceAccount the right that is missing.",
    Decision.OVERLOADED: "Try again later.",
}


@dataclass(frozen=True, slots=True)
class Connection:
    """The options of `connection_options` in one value."""

    config: ServerConfig
    output: str


def connection_options(command: Command) -> Command:
    """Add the options that say which server, as whom; the command gets them as `connection`.

    The token may come from a file or from `ARGO_TOKEN`, as with the argo CLI, but not from an option of its
    own: everybody on the machine could read it in the list of processes.
    """

    @functools.wraps(command)
    def run(**options: Any) -> Any:
        output = options.pop("output")
        with telling(output):
            config = ServerConfig(
                url=options.pop("server"),
                token=_token(options.pop("token_file"), options.pop("token_from_environment")),
                prefix=options.pop("auth_prefix"),
                ca_file=options.pop("ca_file"),
                client_cert=options.pop("client_cert"),
                client_key=options.pop("client_key"),
                insecure_skip_verify=options.pop("insecure_skip_verify"),
                timeout=options.pop("timeout"),
            )
            return command(connection=Connection(config, output), **options)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run  # type: ignore[return-value]  # click's decorators keep the callable


_FILE = click.Path(exists=True, dir_okay=False)
_OPTIONS = (
    click.option(
        "--server",
        metavar="URL",
        default=DEFAULT_URL,
        show_default=True,
        show_envvar=True,
        envvar=["EVENTSOURCE_OPERATOR_ARGO_SERVER", "ARGO_SERVER"],
        help="Address of the Argo Server.",
    ),
    click.option(
        "--token-file",
        type=_FILE,
        show_envvar=True,
        envvar="EVENTSOURCE_OPERATOR_ARGO_TOKEN_FILE",
        help="File with the bearer token; without it ARGO_TOKEN is used.",
    ),
    click.option("--token-from-environment", hidden=True, envvar="ARGO_TOKEN"),
    click.option(
        "--auth-prefix",
        default="Bearer",
        show_default=True,
        envvar="EVENTSOURCE_OPERATOR_AUTH_PREFIX",
        help="Scheme in front of the token.",
    ),
    click.option(
        "--ca-file",
        type=_FILE,
        show_envvar=True,
        envvar="EVENTSOURCE_OPERATOR_ARGO_CA_FILE",
        help="PEM file with the only authorities to trust.",
    ),
    click.option("--client-cert", type=_FILE, help="PEM file with the client's certificate."),
    click.option("--client-key", type=_FILE, help="PEM file with its key."),
    click.option("--insecure-skip-verify", is_flag=True, help="Accept any certificate of the server."),
    click.option(
        "--timeout", type=float, default=30.0, show_default=True, metavar="SECONDS", help="For each request."
    ),
    click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        help="For people or for scripts.",
    ),
)


def _token(file: str | None, given: str | None) -> str | None:
    if file is None:
        return given
    try:
        return Path(file).read_text(encoding="ascii", errors="replace")  # what is replaced is refused later
    except OSError as error:
        raise InvalidArgument("--token-file", f"cannot be read: {error.strerror}") from error


class telling:  # noqa: N801 - reads as a statement: with telling(output)
    """Turns the client's errors into messages and exit codes: 2 for the caller's mistakes, else 1."""

    def __init__(self, output: str) -> None:
        self._output = output

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InvalidArgument):
            raise click.UsageError(error.message) from None
        if isinstance(error, ArgoError):
            _fail(error, self._output)


def _fail(error: ArgoError, output: str) -> NoReturn:
    if output == "json":
        click.echo(json.dumps({"error": error_fields(error)}))
        raise SystemExit(1)
    hint = _HINTS.get(error.decision)
    raise click.ClickException(f"{error}\n{hint}" if hint else str(error))


def error_fields(error: ArgoError) -> dict[str, Any]:
    """An error as JSON: the same words as the attributes of `ArgoError`."""
    fields: dict[str, Any] = {
        "kind": type(error).__name__,
        "decision": error.decision.value,
        "message": error.message,
        "status": error.status,
        "code": error.code,
        "details": list(error.details),
        "retryAfter": error.retry_after,
    }
    if isinstance(error, Dispatch):
        fields |= {"reasons": list(error.reasons), "transient": error.transient}
    return fields
