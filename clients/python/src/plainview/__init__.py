"""Client of Plainview: hand in readings, read them back as data frames, follow events.

>>> from plainview import Client
>>> with Client("http://127.0.0.1:4000", key="...") as plant:
...     plant.write([("north/p-2/vibration", "2026-11-21T14:00:00Z", 4.6)])
...     frame = plant.query("north/p-2/vibration", start="-6h").to_pandas()

[`Client`][plainview.Client] waits for each answer; [`AsyncClient`][plainview.AsyncClient] has the
same methods for `asyncio`.
"""

from ._async import AsyncClient
from ._sync import Client
from .errors import (
    AuthenticationError,
    ConflictError,
    ConnectionFailed,
    FieldFault,
    InvalidRequest,
    MissingExtra,
    NotFound,
    PermissionDenied,
    PlainviewError,
    ProblemError,
    RateLimited,
    ReadingsRefused,
    ServerError,
    Unavailable,
)
from .models import (
    Anomaly,
    Bucket,
    Decision,
    Event,
    Latest,
    Point,
    Quality,
    Reading,
    RefusedReading,
    Sensor,
    Series,
    SeriesSet,
    WriteResult,
)
from .retry import RetryPolicy
from .tables import Readings

__version__ = "0.1.0"

__all__ = [
    "Anomaly",
    "AsyncClient",
    "AuthenticationError",
    "Bucket",
    "Client",
    "ConflictError",
    "ConnectionFailed",
    "Decision",
    "Event",
    "FieldFault",
    "InvalidRequest",
    "Latest",
    "MissingExtra",
    "NotFound",
    "PermissionDenied",
    "PlainviewError",
    "Point",
    "ProblemError",
    "Quality",
    "RateLimited",
    "Reading",
    "Readings",
    "ReadingsRefused",
    "RefusedReading",
    "RetryPolicy",
    "Sensor",
    "Series",
    "SeriesSet",
    "ServerError",
    "Unavailable",
    "WriteResult",
    "__version__",
]
