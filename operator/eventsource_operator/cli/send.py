"""`eventsource-operator send`: receive_event by hand."""

import json
import sys
from typing import Any, NoReturn

import click

from eventsource_operator.argo import protocol
from eventsource_operator.argo.errors import Dispatch, InvalidArgument
from eventsource_operator.argo.requests_transport import ArgoClient
from eventsource_operator.cli.connection import Connection, connection_options


@click.command(
    epilog="""\b
Examples:
  eventsource-operator send argo '{"message": "hello"}'
  eventsource-operator send argo --discriminator deploy --file event.json
  kubectl get configmap app -o json | eventsource-operator send argo -
  eventsource-operator send argo --text hello --header 'X-Event-Type: Modified'"""
)
@click.argument("namespace")
@click.argument("body", required=False)
@click.option("-f", "--file", type=click.File("rb"), help="File with the JSON body; - for standard input.")
@click.option("--text", is_flag=True, help="The body is text, to be sent as a JSON string.")
@click.option("-d", "--discriminator", default="", help="What bindings see as discriminator.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'X-NAME: VALUE'", help="Repeatable.")
@click.option("--unchecked", is_flag=True, help="Send what the Argo Server is known to refuse.")
@connection_options
def send(
    connection: Connection,
    namespace: str,
    body: str | None,
    file: Any,
    text: bool,
    discriminator: str,
    headers: tuple[str, ...],
    unchecked: bool,
) -> None:
    """Send an event to the WorkflowEventBindings of NAMESPACE.

    BODY is JSON; - or none reads it from standard input.
    """
    value = _body(body, file, text)
    extra = _headers(headers)
    result: dict[str, Any] = {"result": "sent", "namespace": namespace, "discriminator": discriminator}
    with ArgoClient(connection.config) as client:
        try:
            result["answer"] = client.receive_event(
                namespace, discriminator, value, headers=extra, unchecked=unchecked
            )
        except Dispatch as error:
            if not error.already_exists or error.made_up:
                raise  # a name that the server made up was taken by chance: nothing was made of this event
            result |= {"result": "duplicate", "reasons": list(error.reasons)}
    if connection.output == "json":
        click.echo(json.dumps(result))
    elif result["result"] == "duplicate":
        click.echo(f"A duplicate: its Workflow exists already in namespace {namespace}.")
    else:
        click.echo(f"Sent to namespace {namespace}. (That a binding matched is not told by the server.)")


def _body(body: str | None, file: Any, text: bool) -> Any:
    if body is not None and body != "-" and file is not None:
        raise InvalidArgument("BODY", "give it as argument or with --file, not both")
    if body is not None and body != "-":
        content = body
    else:
        stream: Any = file or sys.stdin.buffer
        if file is None and body is None and stream.isatty():
            raise InvalidArgument("BODY", "is missing: give JSON, --file, or - to type it")
        content = stream.read().decode(errors="surrogateescape")
        if not protocol.is_unicode(content):
            raise InvalidArgument("BODY", "is not UTF-8")
    return content if text else _parsed(content)


def _parsed(content: str) -> Any:
    try:
        return json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        where = (
            f" at line {error.lineno}, column {error.colno}"
            if isinstance(error, json.JSONDecodeError)
            else ""
        )
    raise InvalidArgument(
        "BODY", f"is not JSON{where}; quote it for the shell, or use --text to send it as text"
    )


def _no_constant(name: str) -> NoReturn:
    """Python reads NaN and Infinity, which are no JSON."""
    raise ValueError(name)


def _headers(lines: tuple[str, ...]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise InvalidArgument("--header", "must look like 'X-Name: value'")
        headers[name.strip()] = value.strip()
    return headers
