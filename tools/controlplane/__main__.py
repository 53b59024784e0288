"""`python -m tools.controlplane`: what `./dev` calls to build, start and stop the control plane."""

import argparse
import contextlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from tools.controlplane import background, build
from tools.controlplane.access import ControlPlaneError
from tools.controlplane.crds import CrdError
from tools.controlplane.pins import GROUPS
from tools.controlplane.toolchain import ToolchainError

THEN = "--"
"""What follows are arguments for Python, which this process becomes when its own work is done."""


def main() -> int:
    """Runs one command; returns its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    parser = argparse.ArgumentParser(prog="tools.controlplane", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build binaries into the cache and print their directory")
    building.add_argument("groups", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)} (default: plane)")
    commands.add_parser("up", help="start a control plane in the background, print its settings")
    commands.add_parser("down", help="end it")
    commands.add_parser("serve", help="own it (what `up` starts)")
    words = sys.argv[1:]
    end = words.index(THEN) if THEN in words else len(words)
    arguments = parser.parse_args(words[:end])
    if unknown := set(getattr(arguments, "groups", [])) - set(GROUPS):
        parser.error(f"unknown group {', '.join(sorted(unknown))}: one of {', '.join(GROUPS)}")
    try:
        _run(arguments, announce=THEN not in words)
    except (
        build.BuildError,
        ToolchainError,
        ControlPlaneError,
        CrdError,
        background.BackgroundError,
    ) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if words[end:]:
        os.execv(sys.executable, [sys.executable, *words[end + 1 :]])  # noqa: S606 - Python's own arguments
    return 0


def _run(arguments: argparse.Namespace, *, announce: bool) -> None:
    match arguments.command:
        case "build":
            directory = build.ensure(arguments.groups or ["plane"])
            if announce:
                print(directory)
        case "up":
            print(background.up())
        case "down":
            ended = background.down()
            print("The control plane is down." if ended else "No control plane was up.", file=sys.stderr)
        case "serve":
            background.serve()


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM unwinds like Ctrl-C: compilers end, half-written files go."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
