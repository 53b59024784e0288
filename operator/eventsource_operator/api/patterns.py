"""The regular expressions of the schemas, character for character, with what they ask for in words.

`tests/unit/api/test_schema.py` holds them against `crds/`. They use only what Go's RE2 and Python's
`re.fullmatch` read alike: no lookaround, no shorthand classes, anchors at both ends.
"""

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"  # 1..65535

LABEL = f"^{_LABEL}$"
LABEL_HINT = "a DNS label: lower-case letters, digits and - inside"

SUBDOMAIN = rf"^{_LABEL}(\.{_LABEL})*$"
SUBDOMAIN_HINT = "a DNS name: lower-case letters, digits, - and . inside"

API_VERSION = rf"^({_LABEL}(\.{_LABEL})*/)?[a-z]([-a-z0-9]*[a-z0-9])?$"
API_VERSION_HINT = "an API version such as v1 or apps/v1"

KIND = "^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$"
KIND_HINT = "a kind such as ConfigMap"

GLOB = r"^[^/%\x00-\x20\x7f]+$"
GLOB_HINT = "a glob on a name: no spaces, no / and no %"

PATH = r"^[^\x00-\x1f\x7f]+$"
PATH_HINT = 'a path such as data or metadata.annotations["example.com/x"]'

LABEL_KEY = rf"^({_LABEL}(\.{_LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$"
LABEL_KEY_HINT = "a label key such as app or example.com/app"

LABEL_VALUE = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
LABEL_VALUE_HINT = "a label value: letters, digits, and - _ . inside"

FIELD_SELECTOR = (
    r"^([A-Za-z][A-Za-z0-9_.-]*(=|==|!=)([^=,\\\x00-\x20]|\\[=,\\])*"
    r"(,[A-Za-z][A-Za-z0-9_.-]*(=|==|!=)([^=,\\\x00-\x20]|\\[=,\\])*)*)?$"
)
FIELD_SELECTOR_HINT = "a field selector such as metadata.name=app,metadata.namespace!=kube-system"

DISCRIMINATOR = r"^[^/:\x00-\x1f\x7f]*$"
DISCRIMINATOR_HINT = "a discriminator: it has no / and no :"

URL = (
    r"^https?://([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
    rf"(:{_PORT})?(/[A-Za-z0-9._~!$&'()*+,;=-]*)*$"
)
URL_HINT = "an http:// or https:// URL: host, port and path only; no user, query or fragment"

PREFIX = r"^[A-Za-z0-9!#$&'*+.^_`|~-]*$"
PREFIX_HINT = "an authentication scheme such as Bearer, or empty"

DATA_KEY = "^[-._a-zA-Z0-9]+$"
DATA_KEY_HINT = "a key of a ConfigMap or Secret: letters, digits, - _ ."
