"""How the text of a flag, a variable or a ConfigMap key becomes a setting's value.

Each parser takes the flag's name for its message and raises `SettingsError`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

TRUE: Final = frozenset({"1", "true", "yes", "on"})
FALSE: Final = frozenset({"0", "false", "no", "off"})
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")


class SettingsError(ValueError):
    """A setting has a value that cannot be used.

    Attributes:
        flag: The flag (`--metrics-port`) or ConfigMap key (`argoServer`) at fault.
        message: What is wrong and what is expected.
    """

    def __init__(self, flag: str, message: str) -> None:
        self.flag = flag
        self.message = message
        super().__init__(f"{flag}: {message}")


@dataclass(frozen=True, slots=True)
class KeyRef:
    """A key of a Secret or ConfigMap in the operator's own namespace."""

    name: str
    key: str


def normal_url(url: str) -> str:
    """A server URL in the form in which two of them can be compared.

    Raises:
        ValueError: It is not an http(s) URL, or carries credentials, a query or a fragment.
    """
    parts = urlsplit(url.strip())
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        shown = "the value" if "@" in url else repr(url)  # it could carry a password
        raise ValueError(f"{shown} is not an http:// or https:// URL")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("credentials, a query or a fragment do not belong in the URL of a server")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port  # raises ValueError when it is not one
    default = {"http": 80, "https": 443}[parts.scheme.lower()]
    where = f"{host}:{port}" if port and port != default else host
    return f"{parts.scheme.lower()}://{where}{parts.path.rstrip('/')}"


Parser = Callable[[str, Any], Any]


def text(_flag: str, value: Any) -> str:
    """Any text."""
    return str(value)


def boolean(flag: str, value: Any) -> bool:
    """True or false, in the usual spellings."""
    word = str(value).lower()
    if word in TRUE | FALSE:
        return word in TRUE
    raise SettingsError(flag, f"{value!r} is neither true nor false")


def number(least: float, most: float = math.inf) -> Parser:
    """A finite number within bounds."""

    def parse(flag: str, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise SettingsError(flag, f"{value!r} is not a number") from None
        if not least <= number <= most or math.isinf(number):
            raise SettingsError(flag, f"{value!r} is out of range: {_range(least, most)} expected")
        return number

    return parse


def integer(least: int, most: int | None = None) -> Parser:
    """A whole number within bounds."""

    def parse(flag: str, value: Any) -> int:
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise SettingsError(flag, f"{value!r} is not a whole number") from None
        if number < least or (most is not None and number > most):
            limits = _range(least, math.inf if most is None else most)
            raise SettingsError(flag, f"{value!r} is out of range: {limits} expected")
        return number

    return parse


def _range(least: float, most: float) -> str:
    return f"{least:g} or more" if math.isinf(most) else f"{least:g} to {most:g}"


def choice(*words: str, change: Callable[[str], str] = str.lower) -> Parser:
    """One of some words."""

    def parse(flag: str, value: Any) -> str:
        word = change(str(value))
        if word not in words:
            raise SettingsError(flag, f"{value!r} is not one of {', '.join(words)}")
        return word

    return parse


def matching(pattern: re.Pattern[str], what: str) -> Parser:
    """A text of a certain form; `what` says which."""

    def parse(flag: str, value: Any) -> str:
        if not pattern.fullmatch(str(value)):
            raise SettingsError(flag, f"{value!r} is not {what}")
        return str(value)

    return parse


def listed(item: Parser) -> Parser:
    """Several values, separated by commas or white space, or a sequence; each once."""

    def parse(flag: str, value: Any) -> tuple[Any, ...]:
        words = re.split(r"[,\s]+", value) if isinstance(value, str) else list(value)
        return tuple(dict.fromkeys(item(flag, word) for word in words if word))

    return parse


def url(flag: str, value: Any) -> str:
    """A server's URL, normalised."""
    try:
        return normal_url(str(value))
    except ValueError as error:
        raise SettingsError(flag, f"{error}; such as https://argo-server.argo:2746") from error


def key_ref(flag: str, value: Any) -> KeyRef:
    """`NAME/KEY`."""
    name, _, key = str(value).partition("/")
    if not SUBDOMAIN.fullmatch(name) or not KEY.fullmatch(key):
        raise SettingsError(flag, f"{value!r} is not NAME/KEY of an object in the operator's namespace")
    return KeyRef(name, key)


def prefix_word(flag: str, value: Any) -> str:
    """An authentication scheme (an RFC 9110 token), empty for none."""
    word = str(value)
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*", word):
        raise SettingsError(flag, f"{value!r} is not an authentication scheme, such as Bearer")
    return word
