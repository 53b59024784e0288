"""Installs CustomResourceDefinitions from YAML files and tells when the API server serves them.

The standard library reads no YAML, and need not: the API server takes a YAML document as it is. Only a CRD's
name, which goes into the request's path, is picked out of the text.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.controlplane.rest import Client, HttpError

PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class CrdError(RuntimeError):
    """The API server refused a CRD; the message names the file and the field."""


def install(api: Client, directories: list[Path]) -> list[str]:
    """Applies every CRD in the directories' YAML files (server-side); returns their names."""
    files = [path for directory in directories for path in sorted(directory.glob("*.yaml"))]
    with ThreadPoolExecutor() as pool:
        return [name for names in pool.map(lambda path: _apply(api, path), files) for name in names]


def served(api: Client, name: str) -> bool:
    """Whether objects of a CRD can be listed: a cheaper question than the CRD itself, with all its schema."""
    plural, group = name.split(".", 1)
    return api.answers(f"/apis/{group}/v1alpha1/{plural}?limit=1")


def _apply(api: Client, path: Path) -> list[str]:
    names: list[str] = []
    for document in re.split(r"^---\s*$", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        found = re.search(r"^  name: (\S+)", document, re.MULTILINE)
        if found is None or not re.search(r"^kind: CustomResourceDefinition\s*$", document, re.MULTILINE):
            continue
        try:
            api.apply(f"{PATH}/{found[1]}", document.encode())
        except HttpError as error:
            raise CrdError(f"{path} was refused: {error}") from error
        names.append(found[1])
    return names
