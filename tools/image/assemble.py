"""Takes out of a Debian-based Python image just what a Python program needs to run.

Called by the Dockerfile. A base image carries pip, a shell, perl and a package manager that the
operator never uses, and that whoever gets into the container would. So the final image is put
together from nothing: the interpreter, its standard library without the parts for developers, the
shared libraries that these and the installed wheels ask the loader for, the CA bundle, and four files
under ``/etc``. The dpkg records of what was taken go along, so that scanners know what to look for.

Only the standard library, and Python 3.11: it runs inside the base image.
"""

import argparse
import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

#: Parts of the standard library for writing programs, not for running this one.
DEVELOPERS_ONLY = frozenset(
    {
        "__pycache__", "config", "dist-packages", "distutils", "ensurepip", "idlelib", "lib2to3",
        "pydoc_data", "site-packages", "test", "tests", "tkinter", "turtle.py", "turtledemo", "venv",
    }
)  # fmt: skip
DEVELOPERS_ONLY_PATTERN = re.compile(
    r"config-.*|_test.*\.so|_ctypes_test.*\.so|_xx.*\.so|xx.*\.so|_tkinter.*\.so"
)
#: Loaded by name while running, so that no file's header asks for them.
LOADED_LATER = ("libgcc_s.so.1",)
#: Packages whose code is generated from an API description.
GENERATED = ("kubernetes",)
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
#: Where the image has the program and its requirements.
APP = Path("/app")
USER = 65532


def main() -> int:
    """Runs the step that the first argument names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    steps = parser.add_subparsers(dest="step", required=True)
    runtime = steps.add_parser("runtime", help="interpreter, libraries and /etc")
    runtime.add_argument("--requirements", type=Path, required=True, help="where the wheels were installed")
    runtime.add_argument("--into", type=Path, required=True, help="root of the new image")
    package = steps.add_parser("package", help="metadata and bytecode of the operator's own package")
    package.add_argument("--app", type=Path, required=True, help="directory that holds the package")
    arguments = parser.parse_args()
    if arguments.step == "runtime":
        assemble_runtime(arguments.requirements, arguments.into)
    else:
        describe_package(arguments.app)
        compile_tree(arguments.app, APP)
    return 0


def assemble_runtime(requirements: Path, root: Path) -> None:
    """Fills ``root`` with all but the program, and slims and compiles the requirements in place."""
    slim_requirements(requirements)
    taken = Taken(root)
    taken.links_of_merged_usr()
    interpreter = Path(sys.executable).resolve()
    for name in ("python3", interpreter.name):
        taken.add(interpreter.parent / name)
    standard_library = Path(sysconfig.get_path("stdlib"))
    kept = list(kept_files(standard_library))
    for file in kept:
        taken.add(file)
    binaries = [interpreter, *(file for file in kept if file.suffix == ".so"), *requirements.rglob("*.so*")]
    for library in sorted(needed_libraries(binaries)):
        if not library.is_relative_to(requirements):
            taken.add(library)
    for file in (Path("/etc/ld.so.cache"), CA_BUNDLE):
        if file.exists():
            taken.add(file)
    write_etc(root)
    taken.record_packages()
    compile_tree(root / standard_library.relative_to("/"), standard_library)
    compile_tree(requirements, APP)
    keep_bytecode_only(requirements)


class Taken:
    """The files taken from this machine's root into another one, at the same paths."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._paths: set[Path] = set()

    def links_of_merged_usr(self) -> None:
        """Links ``/lib`` and ``/lib64`` as the base does: each binary asks for the loader by such a path."""
        self._root.mkdir(parents=True, exist_ok=True)
        for name in ("lib", "lib64"):
            link = Path("/", name)
            if link.is_symlink():
                (self._root / name).symlink_to(link.readlink())

    def add(self, path: Path) -> None:
        """Takes a file; for a symbolic link also what it points to."""
        path = path.parent.resolve() / path.name
        if path in self._paths:
            return
        self._paths.add(path)
        target = self._root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            target.symlink_to(path.readlink())
            self.add(path.parent / path.readlink())
        else:
            shutil.copy2(path, target)

    def record_packages(self) -> None:
        """Writes the dpkg record and the licence of each package that a file came from.

        One file per package under ``/var/lib/dpkg/status.d``: the layout of images without a package
        manager, which the usual scanners read.
        """
        records = self._root / "var/lib/dpkg/status.d"
        records.mkdir(parents=True, exist_ok=True)
        owners = owning_packages(self._paths)
        for stanza in Path("/var/lib/dpkg/status").read_text().split("\n\n"):
            name = re.search(r"^Package: (\S+)$", stanza, re.MULTILINE)
            if name is None or name[1] not in owners:
                continue
            (records / name[1]).write_text(stanza.strip() + "\n")
            licence = Path("/usr/share/doc", name[1], "copyright")
            if licence.exists():
                copied = self._root / licence.relative_to("/")
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(licence, copied)


def kept_files(standard_library: Path) -> Iterator[Path]:
    """The standard library's files without what only developers need."""
    for directory, names, files in os.walk(standard_library):
        names[:] = sorted(name for name in names if not is_for_developers(name))
        for file in sorted(files):
            if not is_for_developers(file):
                yield Path(directory, file)


def is_for_developers(name: str) -> bool:
    """Whether a file or directory of the standard library serves writing programs only."""
    return name in DEVELOPERS_ONLY or DEVELOPERS_ONLY_PATTERN.fullmatch(name) is not None


def needed_libraries(binaries: Iterable[Path]) -> set[Path]:
    """What the loader would load for these files, the loader included.

    Raises:
        SystemExit: a library is missing in the base image.
    """
    found: set[Path] = set()
    for binary in binaries:
        output = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False).stdout
        missing = re.findall(r"^\s*(\S+) => not found", output, re.MULTILINE)
        if missing:
            sys.exit(f"{binary} needs {', '.join(missing)}, which the base image lacks: use another BASE")
        found.update(Path(path) for path in re.findall(r"(/\S+) \(0x", output))
    c_library = next((path for path in found if path.name == "libc.so.6"), None)
    if c_library is None:
        sys.exit("the base image has no GNU C library: use a Debian-based BASE")
    found.update(c_library.parent / name for name in LOADED_LATER if (c_library.parent / name).exists())
    return found


def owning_packages(paths: Iterable[Path]) -> set[str]:
    """The Debian packages that the given files belong to; files of no package are left out."""
    owners: set[str] = set()
    for listing in Path("/var/lib/dpkg/info").glob("*.list"):
        # Before the merge of /usr, packages listed /lib/…; the files are at /usr/lib/… all the same.
        listed = set(listing.read_text().splitlines())
        listed |= {f"/usr{line}" for line in listed if line.startswith("/lib")}
        if any(str(path) in listed for path in paths):
            owners.add(listing.stem.partition(":")[0])
    return owners


def write_etc(root: Path) -> None:
    """The user, and how names are resolved: by the hosts file, then by DNS."""
    etc = root / "etc"
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text(
        "root:x:0:0:root:/nonexistent:/sbin/nologin\n"
        f"operator:x:{USER}:{USER}:eventsource-operator:/nonexistent:/sbin/nologin\n"
    )
    (etc / "group").write_text(f"root:x:0:\noperator:x:{USER}:\n")
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    shutil.copyfile("/usr/lib/os-release", etc / "os-release")
    temporary = root / "tmp"
    temporary.mkdir(exist_ok=True)
    temporary.chmod(0o1777)


def slim_requirements(requirements: Path) -> None:
    """Removes test suites, console scripts and type stubs that wheels bring along."""
    shutil.rmtree(requirements / "bin", ignore_errors=True)
    for directory in [
        *requirements.glob("*/tests"),
        *requirements.glob("*/test"),
        *requirements.rglob("__pycache__"),
    ]:
        shutil.rmtree(directory)
    for file in [*requirements.rglob("*.pyi"), *requirements.rglob("*.pyx"), *requirements.rglob("*.pxd")]:
        file.unlink()


def describe_package(app: Path) -> None:
    """Writes the metadata that ``importlib.metadata`` and scanners read, as an installed wheel has it.

    Raises:
        SystemExit: the package tells no version.
    """
    source = (app / "eventsource_operator/__init__.py").read_text()
    version = re.search(r'^__version__(?:: \S+)? = "([^"]+)"', source, re.MULTILINE)
    if version is None:
        sys.exit('eventsource_operator/__init__.py has no line __version__ = "…"')
    metadata = app / f"eventsource_operator-{version[1]}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: eventsource-operator\nVersion: {version[1]}\n"
    )
    (metadata / "INSTALLER").write_text("image\n")
    for name in ("LICENSE", "README.md"):
        (app / name).rename(metadata / name)


def compile_tree(directory: Path, shown_as: Path) -> None:
    """Compiles to bytecode that is never checked against its source: same input, same bytes.

    Args:
        directory: what to compile.
        shown_as: where it will be in the image; tracebacks show it.
    """
    compileall.compile_dir(
        directory,
        quiet=2,
        workers=1,
        stripdir=str(directory),
        prependdir=str(shown_as),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def keep_bytecode_only(requirements: Path) -> None:
    """Drops the sources of generated code: no traceback needs them, and they are a third of the image.

    Bytecode beside its source is used only with the source; in the source's place, it is imported alone.
    """
    for package in GENERATED:
        for source in (requirements / package).rglob("*.py"):
            compiled = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
            compiled.rename(source.with_suffix(".pyc"))
            source.unlink()
        for cache in [*(requirements / package).rglob("__pycache__")]:
            cache.rmdir()


if __name__ == "__main__":
    sys.exit(main())
