"""Reads `spec.server`: where the Argo Server is, and with which credentials it is reached."""

from __future__ import annotations

from eventsource_operator.api import patterns
from eventsource_operator.api.reading import Fields, SpecError
from eventsource_operator.api.spec import TLS, Auth, CAKind, CARef, SecretKeyRef, ServerSpec


def read_server(fields: Fields) -> ServerSpec:
    """The server that `fields` holds.

    Raises:
        SpecError: The API server would refuse it.
    """
    server = ServerSpec(
        url=fields.string("url", max_length=1024, pattern=patterns.URL, hint=patterns.URL_HINT) or None,
        auth=fields.nested("auth", _auth),
        tls=fields.nested("tls", _tls),
        timeout_seconds=fields.integer("timeoutSeconds", minimum=1, maximum=300) or 30,
    )
    fields.end()
    return server


def _auth(fields: Fields) -> Auth:
    auth = Auth(
        secret_ref=fields.nested("secretRef", _secret_ref),
        prefix=fields.string(
            "prefix", "Bearer", max_length=64, pattern=patterns.PREFIX, hint=patterns.PREFIX_HINT
        ),
    )
    fields.end()
    return auth


def _tls(fields: Fields) -> TLS:
    tls = TLS(
        ca_ref=fields.nested("caRef", _ca_ref),
        insecure_skip_verify=fields.boolean("insecureSkipVerify"),
        client_cert_ref=fields.nested("clientCertRef", _cert_ref),
    )
    fields.end()
    if tls.insecure_skip_verify and tls.ca_ref is not None:
        raise SpecError(
            fields.path, "insecureSkipVerify ignores caRef: give caRef to verify the server, or drop it"
        )
    return tls


def _secret_ref(fields: Fields) -> SecretKeyRef:
    ref = SecretKeyRef(name=_ref_name(fields), key=_ref_key(fields, "token"))
    fields.end()
    return ref


def _ca_ref(fields: Fields) -> CARef:
    kind = fields.choice("kind", CAKind.CONFIG_MAP)
    ref = CARef(kind=kind, name=_ref_name(fields), key=_ref_key(fields, "ca.crt"))
    fields.end()
    return ref


def _cert_ref(fields: Fields) -> str:
    name = _ref_name(fields)
    fields.end()
    return name


def _ref_name(fields: Fields) -> str:
    return fields.required_string(
        "name",
        "name an object of the source's own namespace",
        max_length=253,
        pattern=patterns.SUBDOMAIN,
        hint=patterns.SUBDOMAIN_HINT,
    )


def _ref_key(fields: Fields, default: str) -> str:
    return fields.string(
        "key", default, max_length=253, pattern=patterns.DATA_KEY, hint=patterns.DATA_KEY_HINT
    )
