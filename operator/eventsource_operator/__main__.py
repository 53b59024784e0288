"""`python -m eventsource_operator` and the command `eventsource-operator`.

Nothing is imported before it is known what is asked for: `send` and `version` must not pay for Kopf and the
Kubernetes client (half a second, some 45 MiB).
"""


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    from eventsource_operator.cli.main import cli  # noqa: PLC0415 - see the module's docstring

    cli(prog_name="eventsource-operator")


if __name__ == "__main__":
    main()
