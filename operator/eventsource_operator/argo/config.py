"""Where the Argo Server is and how to speak to it."""

import math
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from eventsource_operator import __version__
from eventsource_operator.argo.errors import InvalidArgument

DEFAULT_URL = "http://localhost:2746"
"""The seed page's default host."""

TokenSource: TypeAlias = "str | Callable[[], str | None] | Callable[[], Awaitable[str | None]] | None"
"""A token, or what is asked for one at each request: tokens of service accounts rotate.

A callable that caches may have a method `invalidate`, which is called after the server refused the token.
What it raises reaches the caller of the request. The `requests` transport knows no awaitable ones."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One server, one identity.

    Attributes:
        url: scheme, host and port, with a path where the server runs below one (`--base-href`).
        token: the bearer token, a callable that gives it, or None to send no credentials.
        prefix: what stands before the token in `Authorization`; empty for a token that needs none.
        ca_file: path of a PEM file with the only certificate authorities to trust.
        ca_data: the same as PEM text; both may be given.
        client_cert: path of the client's certificate chain, PEM.
        client_key: path of its key, PEM; None when the chain file holds it.
        insecure_skip_verify: accept any certificate. The token can then be read by whoever answers.
        connect_timeout: seconds to connect, TLS included.
        timeout: seconds for the whole request.
        user_agent: names the client and its version.
    """

    url: str = DEFAULT_URL
    token: TokenSource = field(default=None, repr=False)
    prefix: str = "Bearer"
    ca_file: str | None = None
    ca_data: str | None = field(default=None, repr=False)
    client_cert: str | None = None
    client_key: str | None = None
    insecure_skip_verify: bool = False
    connect_timeout: float = 10.0
    timeout: float = 30.0
    user_agent: str = f"eventsource-operator/{__version__}"

    def __post_init__(self) -> None:
        """Refuse what cannot work, naming the argument; nothing is read or sent.

        Raises:
            InvalidArgument: naming the argument and the remedy.
        """
        _check_url(self.url)
        for name in ("connect_timeout", "timeout"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise InvalidArgument(name, "must be a positive number of seconds")
        if self.client_key and not self.client_cert:
            raise InvalidArgument("client_key", "needs client_cert")
        for name in ("prefix", "user_agent"):
            value = getattr(self, name)
            if not value.isascii() or not value.isprintable():
                raise InvalidArgument(name, "must be printable ASCII")

    @property
    def base(self) -> str:
        """The address without a slash at its end, for paths to be appended."""
        return self.url.rstrip("/")


def _check_url(url: str) -> None:
    """The url is not repeated in the errors: it may hold a password."""
    if not isinstance(url, str):
        raise InvalidArgument("url", f"must be a string, not {type(url).__name__}")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidArgument("url", "must be ASCII without spaces; quote or punycode the rest")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts = None
    if parts is None:
        raise InvalidArgument("url", f"is malformed; use for instance {DEFAULT_URL}")
    if parts.scheme not in {"http", "https"}:
        raise InvalidArgument("url", f"must begin with http:// or https://, for instance {DEFAULT_URL}")
    if not host or port == 0:
        raise InvalidArgument("url", f"names no host and port; use for instance {DEFAULT_URL}")
    if "@" in parts.netloc:
        raise InvalidArgument("url", "must not hold a user or password; use token")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise InvalidArgument("url", "must not have a query or fragment")


def tls_context(config: ServerConfig) -> ssl.SSLContext | None:
    """The TLS settings, the same for both transports; None for plain HTTP.

    With `ca_file` or `ca_data` those authorities alone are trusted, else the system's.

    Raises:
        InvalidArgument: a file is missing or no PEM, naming the argument.
    """
    if not config.url.startswith("https://"):
        return None
    try:
        own = bool(config.ca_file or config.ca_data)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if own else ssl.create_default_context()
    except (OSError, ssl.SSLError):
        raise InvalidArgument("ca_file", "the system's authorities cannot be read; name them") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.ca_file:
        _load("ca_file", lambda: context.load_verify_locations(cafile=config.ca_file))
    if config.ca_data:
        _load("ca_data", lambda: context.load_verify_locations(cadata=config.ca_data))
    if config.client_cert:
        certificate, key = config.client_cert, config.client_key
        if key and not Path(key).is_file():
            raise InvalidArgument("client_key", "the file cannot be read")
        # Without a password callback OpenSSL would ask for one on the terminal.
        _load("client_cert", lambda: context.load_cert_chain(certificate, key, password=lambda: ""))
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load(argument: str, load: Callable[[], None]) -> None:
    try:
        load()
    except ssl.SSLError:
        problem = "is not valid PEM, or certificate and key do not belong together"
    except (OSError, ValueError):
        problem = "cannot be read"
    else:
        return
    raise InvalidArgument(argument, problem)
