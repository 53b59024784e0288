"""What one pass over a source leaves for the next, and for the status."""

from __future__ import annotations

from dataclasses import dataclass, field

from eventsource_operator.core.conditions import Fact, Reason
from eventsource_operator.sources.authorize import Reviews
from eventsource_operator.sources.bindings import Listing
from eventsource_operator.sources.plan import Compiled, Plan
from eventsource_operator.streams.checkpoint import Tracked


@dataclass(slots=True)
class State:
    """Facts about one source.

    Attributes:
        accepted: the Accepted condition.
        compiled: the spec's compiled parts; None while it is not accepted.
        reviews: what the source's service account may do, as answered since the last resync.
        plan: what is read, and what stands against it.
        trouble: reason and message of what keeps the source from watching at all.
        refused: why its server may not be used; empty when it may.
        listing: the bindings as listed last.
        tracked: what the checkpoint holds, by key.
    """

    accepted: Fact = field(default_factory=lambda: Fact("Accepted", None, Reason.PENDING))
    compiled: Compiled | None = None
    reviews: Reviews = field(default_factory=Reviews)
    plan: Plan | None = None
    trouble: tuple[Reason, str] | None = None
    refused: str = ""
    listing: Listing | None = None
    tracked: dict[str, Tracked] = field(default_factory=dict)

    @property
    def stored(self) -> bool:
        """Whether a first position of everything that is read is stored."""
        return all(one.ledger is not None for one in self.tracked.values())
