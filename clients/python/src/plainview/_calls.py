"""What both clients have in common: requests as values, and what their answers mean."""

from __future__ import annotations

import datetime as dt
import json
import math
import urllib.parse
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Union

import httpx

from .errors import ProblemError, problem
from .models import (
    ReadingLike,
    RefusedReading,
    Time,
    WriteResult,
    reading_json,
    write_time,
)
from .retry import BUSY

#: Readings in one request; the door takes up to 10,000.
BATCH = 5_000
#: Sensors that one question may name.
SENSORS_ASKED = 50
ARROW_STREAM = "application/vnd.apache.arrow.stream"
JSON_TYPE = "application/json"
#: Longer than the heartbeat of an event stream, which comes every ten seconds.
STREAM_SILENCE = 35.0

#: One sensor or several.
Sensors = Union[str, Iterable[str]]
#: A time, a text such as `-6h`, or a span before now.
When = Union[Time, dt.timedelta]
Params = list[tuple[str, Union[str, int, float, bool, None]]]


@dataclass(frozen=True)
class Call:
    """A request that may be sent more than once."""

    method: str
    path: str
    params: Params = field(default_factory=list)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Sending it again has no second effect.
    repeatable: bool = True


def may_retry(call: Call, status: int, body: bytes) -> bool:
    """Whether the same request may succeed later."""
    if status in BUSY:
        return call.repeatable
    return status == 409 and b"idempotency-in-flight" in body


def answer(response: httpx.Response) -> Any:
    """The JSON of a success; raises the problem of a refusal."""
    if response.is_success:
        return response.json() if response.content else None
    raise problem(response.status_code, response.content, response.headers)


def get(path: str, params: Params | None = None, accept: str = JSON_TYPE) -> Call:
    """A read."""
    headers = {"Accept": accept}
    if accept == ARROW_STREAM:
        # Doubles hardly get smaller, and packing them takes longer than a plant's network does.
        headers["Accept-Encoding"] = "identity"
    return Call("GET", path, params or [], headers=headers)


def post(path: str, body: Any, params: Params | None = None, **headers: str) -> Call:
    """A change with a key of its own: sent twice, it is done once."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call(
        "POST",
        path,
        params or [],
        json.dumps(body, separators=(",", ":"), allow_nan=False).encode(),
        {"Content-Type": JSON_TYPE, "Idempotency-Key": str(uuid.uuid4()), **named},
    )


def moment(when: When) -> str:
    """A time as the API reads it; spans and texts such as `-6h` are before now."""
    if isinstance(when, dt.timedelta):
        return write_time(dt.datetime.now(dt.timezone.utc) - abs(when))
    if isinstance(when, str) and when[:1] == "-" and when[1:-1].isdigit():
        units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
        if when[-1] not in units:
            raise ValueError(f"{when!r}: a number with s, m, h, d or w is needed, such as -6h")
        return moment(dt.timedelta(seconds=int(when[1:-1]) * units[when[-1]]))
    return write_time(when)


def width_text(width: str | dt.timedelta) -> str:
    """The width of buckets as the API reads it."""
    if isinstance(width, str):
        return width
    return f"{round(width.total_seconds() * 1000)}ms"


def names(sensors: Sensors) -> list[str]:
    """The sensors, each once, in the order given."""
    listed = [sensors] if isinstance(sensors, str) else list(dict.fromkeys(sensors))
    if not listed:
        raise ValueError("name at least one sensor")
    return listed


def readings_calls(
    sensors: Sequence[str],
    start: When | None,
    end: When | None,
    buckets: int | None,
    width: str | dt.timedelta | None,
    limit: int | None,
    accept: str,
) -> list[Call]:
    """A question for every fifty sensors, about one and the same stretch of time."""
    shared: Params = []
    if start is not None:
        shared.append(("from", moment(start)))
    if end is not None:
        shared.append(("to", moment(end)))
    elif len(sensors) > SENSORS_ASKED:
        shared.append(("to", write_time(dt.datetime.now(dt.timezone.utc))))
    if buckets is not None:
        shared.append(("buckets", str(buckets)))
    if width is not None:
        shared.append(("width", width_text(width)))
    if limit is not None:
        shared.append(("limit", str(limit)))
    groups = [sensors[i : i + SENSORS_ASKED] for i in range(0, len(sensors), SENSORS_ASKED)]
    return [
        get("/api/v1/sensors/readings", [("sensor", key) for key in group] + shared, accept)
        for group in groups
    ]


def unknown_sensors(headers: Mapping[str, str]) -> list[str]:
    """Keys asked for that name no sensor, as a table's answer says."""
    listed = headers.get("plainview-unknown-sensors", "")
    return [urllib.parse.unquote(key.strip()) for key in listed.split(",") if key.strip()]


def is_all_unknown(error: ProblemError) -> bool:
    """Whether none of the sensors of a question is known."""
    return error.status == 404 and error.code == "sensor-unknown"


@dataclass(frozen=True)
class Batch:
    """A request with readings, and the places of its rows in what `write` was given."""

    places: Sequence[int]
    call: Call


def batches(
    readings: Iterable[ReadingLike],
    size: int,
    origin: str,
    correlation_id: str | None,
    result: WriteResult,
) -> Iterator[Batch]:
    """Requests with up to `size` readings. What no JSON can carry is refused here."""
    if not 1 <= size <= 10_000:
        raise ValueError("batch_size lies between 1 and 10,000")
    correlation = correlation_id or str(uuid.uuid4())
    result.correlation_id = correlation
    rest = enumerate(readings)
    while some := list(islice(rest, size)):
        places: list[int] = []
        rows: list[dict[str, Any]] = []
        for place, reading in some:
            row = reading_json(reading)
            value = row.get("value")
            if isinstance(value, float) and not math.isfinite(value):
                result.rejected += 1
                result.refused.append(RefusedReading(place, "value", f"{value} is not finite"))
                continue
            places.append(place)
            rows.append(row)
        if rows:
            params: Params = [("origin", origin)]
            body = {"readings": rows}
            yield Batch(
                places, post("/api/v1/data/ingest", body, params, X_Correlation_ID=correlation)
            )


def take_receipt(result: WriteResult, batch: Batch, response: httpx.Response) -> None:
    """Adds a batch's receipt; a batch of which nothing was good is one, too."""
    if response.status_code == 422:
        refusal = problem(response.status_code, response.content, response.headers)
        if refusal.code != "readings-refused":
            raise refusal
        # Every reading of the batch was refused; the answer names the first of them.
        errors = refusal.body.get("errors")
        result.take(batch.places, {"rejected": len(batch.places), "errors": errors})
        return
    result.take(batch.places, answer(response))


def optional(**values: Any) -> Params:
    """Parameters that were given."""
    return [(name, str(value)) for name, value in values.items() if value is not None]


def events_call(
    types: Sequence[str],
    subjects: Sequence[str],
    correlation_id: str | None,
    last_event_id: int | None,
) -> Call:
    """The stream of events from where the reader is."""
    params = optional(
        types=",".join(types) or None,
        subject=",".join(subjects) or None,
        correlation_id=correlation_id,
    )
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = str(last_event_id)
    return Call("GET", "/events", params, headers=headers)
