"""Looks around in the image from within and prints what it finds as JSON; run there as `python3 -c`."""

import importlib.metadata
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

NOT_NEEDED = (
    "sh", "bash", "dash", "busybox", "pip", "pip3", "uv", "apt", "dpkg", "perl", "su", "curl", "wget",
    "gcc", "g++", "cc", "clang", "tcc", "as", "ld", "make",
)  # fmt: skip
DIRECTORIES = ("/app", "/usr", "/etc", "/var/lib")  # /lib is a link into /usr


def files() -> Iterator[Path]:
    """Every file of the image."""
    for top in DIRECTORIES:
        for directory, _, names in os.walk(top):
            for name in names:
                yield Path(directory, name)


def writable(directory: str) -> str:
    """Empty if a file cannot be made there, else the directory."""
    path = Path(directory, "written")
    try:
        path.touch()
    except OSError:
        return ""
    path.unlink()
    return directory


everything = list(files())
print(  # noqa: T201 - its only way to tell
    json.dumps(
        {
            "uid": os.getuid(),
            "writable": [place for place in ("/", "/app", "/etc", "/tmp", "/usr") if writable(place)],  # noqa: S108
            "size": sum(path.lstat().st_size for path in everything),
            "programs": [
                name
                for name in NOT_NEEDED
                if shutil.which(name, path="/bin:/sbin:/usr/bin:/usr/sbin:/usr/local/bin")
            ],
            "pip": [str(path) for path in everything if {"pip", "ensurepip"} & set(path.parts)],
            "setuid": [str(path) for path in everything if path.lstat().st_mode & 0o6000],
            "python": sorted(f"{found.name} {found.version}" for found in importlib.metadata.distributions()),
            "debian": sorted(path.name for path in Path("/var/lib/dpkg/status.d").iterdir()),
        }
    )
)
