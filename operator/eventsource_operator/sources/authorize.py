"""What a source's service account may do: asked before the operator does it in its place (docs/security.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from eventsource_operator.api.eventsource import EventSource
from eventsource_operator.core.text import in_namespace
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.kube.errors import Forbidden
from eventsource_operator.kube.reviews import Attributes, ServiceAccount, grant_hint, review


class Reviews:
    """The API server's verdicts for one source since they were last renewed: each is asked for once.

    Who renews them with each bindings resync bounds how long a right that was revoked goes on working, and how long
    one that was granted goes unnoticed.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[ServiceAccount, Attributes], bool | Forbidden] = {}

    def renew(self) -> None:
        """All is asked again from now on."""
        self._known.clear()

    async def allowed(self, client: KubeClient, account: ServiceAccount, action: Attributes) -> bool:
        """Whether the account may do that.

        Raises:
            Forbidden: the operator may not ask; remembered like a verdict.
            KubeError: the API server did not answer; asked again next time.
        """
        known = self._known.get((account, action))
        if known is None:
            try:
                known = (await review(client, account.user, account.groups, action)).allowed
            except Forbidden as error:
                known = error
            self._known[account, action] = known
        if isinstance(known, Forbidden):
            raise known
        return known


class Need(NamedTuple):
    """Something that needs a right: what for, and the actions that must all be allowed."""

    purpose: str
    actions: tuple[Attributes, ...]


def watch_need(source: EventSource, resource: Resource, namespace: str, *, strict: bool) -> Need | None:
    """The right to watch a resource in a namespace (empty: everywhere); None when none is needed."""
    own = resource.namespaced and namespace == source.namespace
    secret = (resource.group, resource.plural) == ("", "secrets")
    if own and not secret and not strict:
        return None
    where = namespace if resource.namespaced else ""
    actions = tuple(Attributes(verb, resource.group, resource.plural, where) for verb in ("list", "watch"))
    return Need(f"watch {resource.qualified}", actions)


def send_need(source: EventSource, *, strict: bool) -> Need | None:
    """The right to submit Workflows where the events go; None when none is needed."""
    target = source.event_namespace
    if target == source.namespace and not strict:
        return None
    return Need("send events", (Attributes("create", "argoproj.io", "workflows", target),))


async def denied(
    client: KubeClient, source: EventSource, need: Need, reviews: Reviews | None = None
) -> str | None:
    """None when all is allowed, else a sentence with what is missing and the command that grants it.

    An operator that may not even ask (one installed for other namespaces) counts as a denial: it is one target's,
    it lasts until somebody grants it, and nothing is read or sent unasked.

    Args:
        client: whom to ask.
        source: whose service account.
        need: what for.
        reviews: verdicts that are still good; None: all is asked.

    Raises:
        KubeError: the API server did not answer.
    """
    reviews = reviews or Reviews()
    account = ServiceAccount(source.namespace, source.spec.service_account_name)
    try:
        missing = [action for action in need.actions if not await reviews.allowed(client, account, action)]
    except Forbidden as error:
        return _beyond(need, error)
    if not missing:
        return None
    first = missing[0]
    verbs = " and ".join(action.verb for action in missing)
    return (
        f"to {need.purpose}, service account {account.namespace}/{account.name} needs to {verbs} {first.qualified} "
        f"{in_namespace(first.namespace)}: {grant_hint(missing, account)}"
    )


def summary(denials: Sequence[str], limit: int = 3000) -> str:
    """The denials as one message of at most about ``limit`` characters; a command is never cut in its midst."""
    shown = list(denials[:1])
    for denial in denials[1:]:
        if sum(map(len, shown)) + len(denial) > limit - 100:
            break
        shown.append(denial)
    more = len(denials) - len(shown)
    return "; ".join(shown) + (f"; and {more} more, told once these are granted" if more else "")


def _beyond(need: Need, error: Forbidden) -> str:
    first = need.actions[0]
    verbs = " and ".join(action.verb for action in need.actions)
    where = in_namespace(first.namespace)
    return (
        f"to {need.purpose}, the operator must {verbs} {first.qualified} {where}, and has no rights there: "
        f"install it for all namespaces, or in that one ({error.message})"
    )
