"""When to try again, and how long to wait."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

#: Answers after which the same request may succeed: nothing was done.
BUSY = frozenset({429, 502, 503, 504, 507})


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with full jitter, never earlier than the server's `Retry-After`.

    Reads and requests with an idempotency key are tried again; the server then does them once.
    """

    attempts: int = 6
    #: Seconds before the second attempt, at most; doubled for each one after it.
    base: float = 0.25
    #: Seconds between two attempts, at most, unless the server asks for more.
    cap: float = 30.0
    #: Longest `Retry-After` that is waited for; beyond it the error is raised.
    patience: float = 120.0
    #: Where jitter comes from; given by tests.
    random: random.Random = field(default_factory=random.Random, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.base < 0 or self.cap < 0:
            raise ValueError("attempts is at least 1, base and cap are not negative")

    def wait(self, attempt: int, retry_after: float | None) -> float | None:
        """Seconds to wait after attempt number `attempt` (from 1); `None` to give up."""
        if attempt >= self.attempts:
            return None
        if retry_after is not None and retry_after > self.patience:
            return None
        backoff = min(self.cap, self.base * 2.0 ** (attempt - 1)) * self.random.random()
        if retry_after is None:
            return backoff
        # Callers that were told the same time shall not come back in the same instant.
        return retry_after + min(backoff, 1.0)
