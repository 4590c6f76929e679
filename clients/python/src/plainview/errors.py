"""What can go wrong, made of what the server says (RFC 9457 problems)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models import WriteResult


class PlainviewError(Exception):
    """Everything that this package raises by itself."""


class MissingExtra(PlainviewError, ImportError):
    """A method needs a package that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs {package}: pip install 'plainview[{extra}]'")


class ConnectionFailed(PlainviewError):
    """The server could not be reached, or hung up, as often as the retry policy allows."""


class ReadingsRefused(PlainviewError):
    """Some readings were refused; those that are not named in it are stored."""

    def __init__(self, result: WriteResult) -> None:
        self.result = result
        first = f"; the first: {result.refused[0]}" if result.refused else ""
        super().__init__(f"{result.rejected} readings were refused{first}")


@dataclass(frozen=True)
class FieldFault:
    """A field that the server refused, and why."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class ProblemError(PlainviewError):
    """The server refused a request, and says why."""

    def __init__(
        self,
        status: int,
        *,
        type: str = "about:blank",  # noqa: A002 - the word of RFC 9457
        title: str = "",
        detail: str | None = None,
        errors: Sequence[FieldFault] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        self.status = status
        #: Address of the page about this problem, such as `/docs/errors/rate-limited`.
        self.type = type
        #: The stable code: the last part of `type`.
        self.code = type.rsplit("/", 1)[-1]
        self.title = title or f"HTTP {status}"
        self.detail = detail
        self.errors = tuple(errors)
        #: To be found in the server's log.
        self.request_id = request_id
        #: Seconds after which another try makes sense.
        self.retry_after = retry_after
        #: The whole answer, for members of its own.
        self.body: Mapping[str, Any] = body or {}
        super().__init__(self._text())

    def _text(self) -> str:
        text = f"{self.title} ({self.status}, {self.code})"
        if self.detail:
            text += f": {self.detail}"
        if self.errors:
            text += " [" + "; ".join(str(error) for error in self.errors[:5]) + "]"
        if self.request_id:
            text += f" (request {self.request_id})"
        return text


class AuthenticationError(ProblemError):
    """401: no key, or one that is unknown, expired or revoked."""


class PermissionDenied(ProblemError):
    """403: the role of the key is too low."""


class NotFound(ProblemError):
    """404: there is no such sensor, decision or page."""


class ConflictError(ProblemError):
    """409, 412, 428: something changed meanwhile, or was settled already."""


class InvalidRequest(ProblemError):
    """400, 413, 415, 422: the request is wrong; `errors` names the fields."""


class RateLimited(ProblemError):
    """429: too many requests, still, after the retries."""


class ServerError(ProblemError):
    """500: a fault of the server; its log knows more under `request_id`."""


class Unavailable(ServerError):
    """502, 503, 504, 507: a part of the server is away or full, still, after the retries."""


def retry_after(header: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks for; dates are not written by Plainview."""
    try:
        seconds = float(header) if header is not None else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < 86_400 else None


def problem(status: int, body: bytes, headers: Mapping[str, str]) -> ProblemError:
    """The exception for an answer that is no success."""
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = None
    said: dict[str, Any] = parsed if isinstance(parsed, dict) else {}
    faults = [
        FieldFault(str(fault.get("field", "")), str(fault.get("reason", "")))
        for fault in said.get("errors") or ()
        if isinstance(fault, dict)
    ]
    kinds: dict[int, type[ProblemError]] = {
        401: AuthenticationError,
        403: PermissionDenied,
        404: NotFound,
        409: ConflictError,
        412: ConflictError,
        428: ConflictError,
        429: RateLimited,
        502: Unavailable,
        503: Unavailable,
        504: Unavailable,
        507: Unavailable,
    }
    kind = kinds.get(status, ServerError if status >= 500 else InvalidRequest)
    return kind(
        status,
        type=str(said.get("type") or "about:blank"),
        title=str(said.get("title") or ""),
        detail=said.get("detail"),
        errors=faults,
        request_id=said.get("request_id") or headers.get("x-request-id"),
        retry_after=retry_after(headers.get("retry-after")),
        body=said,
    )
