"""The quiet period: several changes of one object become one, the newest state wins, a deletion is never lost (G4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from eventsource_operator.api.eventsource import ChangeType
from eventsource_operator.core.event import Change


def merged(first: Change, second: Change) -> Change | Literal["nothing"] | None:
    """What two changes of one object that were not sent yet amount to.

    Returns:
        One change; "nothing" for an object that was created and deleted; None when both must be sent, as for a
        deletion and the creation of another object under the same name.
    """
    if first.uid != second.uid or first.type is ChangeType.DELETED:
        return None
    if second.type is ChangeType.DELETED:
        return "nothing" if first.type is ChangeType.ADDED else second
    if first.type is ChangeType.ADDED:
        return replace(second, type=ChangeType.ADDED, old=None, changed=None)
    paths = None
    if first.changed is not None and second.changed is not None:
        paths = tuple(sorted({*first.changed, *second.changed}))
    return replace(second, old=first.old, changed=paths)
