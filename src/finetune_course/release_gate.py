"""The release gate: a new adapter ships only if it is, with 95% confidence, not much worse than the shipped one.

"Not worse at all" cannot be shown with a finite number of messages: even an adapter compared with itself has an
interval around zero. So a margin is named before anybody looks, and the interval's lower end has to stay above it (a
non-inferiority test, as medicine uses it for new treatments).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .evaluate import Interval, paired_difference, points


@dataclass(frozen=True)
class Decision:
    """``ship`` or not, the paired difference candidate - shipped (shares), the margin, and the reason in a sentence."""

    ship: bool
    difference: Interval
    margin: float
    reason: str


class NotShipped(RuntimeError):
    """What ``Decision.ship`` being False becomes in a release script; shown as its one sentence."""

    def _render_traceback_(self) -> list[str]:  # IPython's hook for exceptions that explain themselves
        return [f"NotShipped: {self}"]


def decide(candidate: Sequence[float], shipped: Sequence[float], margin: float = 0.05) -> Decision:
    """Compare two adapters on the same messages, in the same order; 1 (or True) is a message answered right.

    The candidate ships if the lower end of the 95% interval of its difference to the shipped adapter lies above
    ``-margin``. Raises ValueError for lists of unequal lengths and for a margin outside 0 to 1.
    """
    if not 0 < margin < 1:
        raise ValueError(f"The margin is {margin}: give a share between 0 and 1, such as 0.05 for five points.")
    difference = paired_difference(candidate, shipped)
    told = f"{points(*difference)} points against the shipped adapter on {len(candidate)} messages"
    limit = f"{100 * margin:g} points"
    if difference.low > -margin:
        return Decision(True, difference, margin, f"Ships: {told}, and a loss of {limit} or more is ruled out.")
    if difference.high < 0:
        return Decision(False, difference, margin, f"Refused: {told}; it is worse.")
    why = f"a loss of {limit} cannot be ruled out. More messages would tell"
    return Decision(False, difference, margin, f"Refused: {told}; {why}.")


def require_shippable(decision: Decision) -> None:
    """Raise NotShipped with the decision's reason unless the candidate may ship: a release script stops here."""
    if not decision.ship:
        raise NotShipped(decision.reason)
