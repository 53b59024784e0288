"""What a dispatch error says: which reasons, whether a repeat can help, whether it was a duplicate.

The server joins the reasons of its failed bindings with single spaces inside brackets (Go's `%v` of a list),
so they can only be told apart by their known beginnings (argo-workflows, server/event/dispatch/operation.go).
"""

import re
from typing import Any

from eventsource_operator.argo.errors import Dispatch

DISPATCH_PREFIX = "failed to dispatch event: ["

_BEGINNINGS = (
    "failed to evaluate workflow template expression: ",
    "failed to get workflow template: ",
    "failed to validate workflow template instanceid: ",
    'malformed workflow template parameter "',
    "failed to compile workflow template parameter ",
    'failed to evaluate workflow template parameter "',
    'failed to convert result to JSON "',
    "failed to create workflow: ",
    "failed to compile workflow metadata ",
    "failed to evaluate workflow metadata ",
    "failed to evaluate workflow name expression: ",
    "workflow name expression must evaluate to a string",
    "timed out waiting for the condition",
)

# Not after a colon: "timed out waiting for the condition: failed to create workflow: …" is one reason.
_SPLIT = re.compile("(?<!:) (?=" + "|".join(re.escape(beginning) for beginning in _BEGINNINGS) + ")")

_ALREADY_EXISTS = re.compile(
    r'(failed to create workflow: )?workflows\.argoproj\.io "(?P<name>[^" ]+)" already exists'
    r"(, the server was not able to generate a unique name for the object)?"
)

_MADE_UP = re.compile(r"\S+[-.][a-z0-9]{5}")
"""How a name ends that the server made up, for want of one in the binding: `generateName`, which is the template's name
and a dash out of the box, and five characters at random (argo-workflows, `util.RandSuffix`)."""

# Expressions are evaluated in the server's memory: their failures do not depend on time or network. What a
# validation or an admission webhook decided does not either, whatever words its explanation holds.
_OF_THE_BINDING = re.compile(
    r"(failed to (evaluate|compile|convert|validate) |malformed |workflow .* expression must evaluate to )"
    r"|.*( is invalid: |denied the request)",
    re.DOTALL,
)

_TRANSIENT = re.compile(
    r"exceeded quota|timed? ?out|timeout|deadline exceeded|etcdserver|too many requests|rate limiter|"
    r"connection (refused|reset|lost)|connect:|broken pipe|\bEOF\b|no such host|dial tcp|"
    r"network is unreachable|object has been modified|"
    r"operation cannot be fulfilled|conflict|internal error|unavailable|"
    r"unable to handle the request|leader changed|context canceled|\b50[0234]\b",
    re.IGNORECASE,
)

_PERMANENT = re.compile(r"already exists|not found|forbidden|cannot unmarshal", re.IGNORECASE)

_QUOTED = re.compile(r'"[^"]*"')

_CAST = re.compile(r"unable to cast expression result '.*?' to bool", re.DOTALL)


def dispatch_error(message: str, **facts: Any) -> Dispatch:
    """Read the text of a 500 that begins with `DISPATCH_PREFIX`.

    Args:
        message: the server's message.
        **facts: status, code, details and retry_after of the answer.
    """
    message = _CAST.sub("unable to cast the expression's result to bool", message)  # it quotes the payload
    reasons = split_reasons(message)
    names = [taken_name(reason) for reason in reasons]
    return Dispatch(
        message,
        reasons=reasons,
        already_exists=bool(reasons) and all(names),
        made_up=frozenset(name for name in names if _MADE_UP.fullmatch(name)),
        transient=any(is_transient(reason) for reason in reasons) or not reasons,
        **facts,
    )


def split_reasons(message: str) -> tuple[str, ...]:
    """The reasons in a dispatch error's text, best effort: split where a known beginning follows a space."""
    text = message.removeprefix(DISPATCH_PREFIX).removesuffix("]").strip()
    return tuple(_SPLIT.split(text)) if text else ()


def taken_name(reason: str) -> str:
    """The name of a reason that is one name which is taken, and nothing else; empty for any other.

    A second reason that was not split off would hide in the same text, so the text has to be of the one
    form that the API server writes.
    """
    found = _ALREADY_EXISTS.fullmatch(reason)
    return found["name"] if found else ""


def is_transient(reason: str) -> bool:
    """Whether a reason may go away without anybody mending a binding. Unknown reasons count as such.

    Words are looked for outside of quotes: a template may be called `timeout-handler`.
    """
    if taken_name(reason) or _OF_THE_BINDING.match(reason):
        return False
    words = _QUOTED.sub('""', reason)
    return bool(_TRANSIENT.search(words)) or not _PERMANENT.search(words)
