"""What the API says, as typed values. Each keeps the whole answer in `raw`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Optional, Union

from .errors import ReadingsRefused

#: A time as it may be given: aware `datetime`, RFC 3339 text, or seconds since 1970.
Time = Union[dt.datetime, str, int, float]
Json = Mapping[str, Any]


class Quality(str, Enum):
    """How far a reading can be believed."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"

    def __str__(self) -> str:
        return self.value


def parse_time(text: str) -> dt.datetime:
    """RFC 3339 in UTC, as Plainview writes it: up to six decimals, `Z`."""
    body = text[:-1] if text.endswith("Z") else text
    head, _, fraction = body.partition(".")
    micros = int(fraction.ljust(6, "0")[:6]) if fraction else 0
    return dt.datetime.fromisoformat(head).replace(microsecond=micros, tzinfo=dt.timezone.utc)


def write_time(time: Time) -> str:
    """A time as the API reads it."""
    if isinstance(time, str):
        return time
    if isinstance(time, (int, float)):
        time = dt.datetime.fromtimestamp(time, dt.timezone.utc)
    if time.tzinfo is None:
        raise ValueError(f"{time!r} has no time zone; use datetime.now(timezone.utc)")
    utc = time.astimezone(dt.timezone.utc).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds") + "Z"


def _maybe_time(text: str | None) -> dt.datetime | None:
    return None if text is None else parse_time(text)


@dataclass(frozen=True)
class Reading:
    """One measured value: of a sensor `site/asset/measure`, at a time."""

    sensor: str
    value: float
    #: Event time; the server's clock when it is `None`.
    at: Time | None = None
    unit: str | None = None
    quality: Quality | str = Quality.GOOD

    def to_json(self) -> dict[str, Any]:
        """The row that the ingest door takes."""
        row: dict[str, Any] = {"sensor": self.sensor, "value": float(self.value)}
        if self.at is not None:
            row["timestamp"] = write_time(self.at)
        if self.unit is not None:
            row["unit"] = self.unit
        if self.quality != Quality.GOOD:
            row["quality"] = str(self.quality)
        return row


#: What `write` takes for a reading: itself, `(sensor, time, value)`, or a row of JSON.
ReadingLike = Union[Reading, tuple[str, Optional[Time], float], Mapping[str, Any]]


def reading_json(reading: ReadingLike) -> dict[str, Any]:
    """The row of JSON for whatever `write` was given."""
    if isinstance(reading, Reading):
        return reading.to_json()
    if isinstance(reading, tuple):
        sensor, at, value = reading
        return Reading(sensor, value, at).to_json()
    row = dict(reading)
    for name in ("timestamp", "at"):
        if isinstance(row.get(name), (dt.datetime, float, int)):
            row[name] = write_time(row[name])
    return row


@dataclass(frozen=True)
class RefusedReading:
    """A reading that was not stored: its place in what `write` was given, the field, and why."""

    index: int
    field: str
    reason: str

    def __str__(self) -> str:
        return f"reading {self.index}: {self.field}: {self.reason}"


@dataclass
class WriteResult:
    """What became of the readings. Everything in `accepted` is durable."""

    accepted: int = 0
    rejected: int = 0
    #: The refused readings that the server named: at most 100 of each batch.
    refused: list[RefusedReading] = field(default_factory=list)
    #: Joins these readings to what follows from them.
    correlation_id: str | None = None
    batches: int = 0

    def raise_for_refused(self) -> WriteResult:
        """Raises `ReadingsRefused` unless every reading was stored."""
        if self.rejected:
            raise ReadingsRefused(self)
        return self

    def take(self, places: Sequence[int], answer: Json) -> None:
        """Adds the receipt of a batch of the readings at `places`."""
        self.batches += 1
        self.accepted += int(answer.get("accepted", 0))
        errors: Iterable[Json] = answer.get("errors") or ()
        faults = [_refused(places, error) for error in errors]
        self.refused.extend(faults)
        self.rejected += int(answer.get("rejected", len({fault.index for fault in faults})))
        self.correlation_id = answer.get("correlation_id", self.correlation_id)


def _refused(places: Sequence[int], error: Json) -> RefusedReading:
    name, reason = str(error.get("field", "")), str(error.get("reason", ""))
    if name.startswith("readings["):
        index, _, rest = name[len("readings[") :].partition("]")
        return RefusedReading(places[int(index)], rest.lstrip("."), reason)
    return RefusedReading(places[0], name, reason)


@dataclass(frozen=True)
class Latest:
    """The newest reading of a sensor, by event time."""

    at: dt.datetime
    value: float
    quality: Quality
    received_at: dt.datetime | None = None

    @classmethod
    def from_json(cls, raw: Json) -> Latest:
        """Reads the API's form."""
        return cls(
            parse_time(raw["at"]),
            float(raw["value"]),
            Quality(raw["quality"]),
            _maybe_time(raw.get("received_at")),
        )


@dataclass(frozen=True)
class Sensor:
    """A registered sensor with its present."""

    key: str
    site: str
    asset: str
    measure: str
    kind: str
    unit: str | None
    trust: str
    score: float
    latest: Latest | None
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Json) -> Sensor:
        """Reads the API's form."""
        latest = raw.get("latest")
        return cls(
            key=raw["key"],
            site=raw["site"],
            asset=raw["asset"],
            measure=raw["measure"],
            kind=raw["kind"],
            unit=raw.get("unit"),
            trust=raw["trust"],
            score=float(raw["score"]),
            latest=None if latest is None else Latest.from_json(latest),
            raw=raw,
        )


@dataclass(frozen=True)
class Point:
    """One stored reading."""

    at: dt.datetime
    value: float
    quality: Quality
    reason: str | None = None


@dataclass(frozen=True)
class Bucket:
    """The readings of a stretch of time, summarised; bad ones are left out."""

    at: dt.datetime
    count: int
    min: float
    max: float
    mean: float
    first: float
    last: float


@dataclass(frozen=True)
class Series:
    """Readings of one sensor: `points`, or `buckets` when they were asked for."""

    sensor: str
    unit: str | None
    points: Sequence[Point]
    buckets: Sequence[Bucket]
    #: There are more readings than the limit let through.
    truncated: bool

    @classmethod
    def from_json(cls, raw: Json) -> Series:
        """Reads the API's form."""
        return cls(
            sensor=raw["sensor"],
            unit=raw.get("unit"),
            points=[
                Point(parse_time(p["at"]), p["value"], Quality(p["quality"]), p.get("reason"))
                for p in raw.get("points") or ()
            ],
            buckets=[
                Bucket(
                    parse_time(b["at"]),
                    b["count"],
                    b["min"],
                    b["max"],
                    b["mean"],
                    b["first"],
                    b["last"],
                )
                for b in raw.get("buckets") or ()
            ],
            truncated=bool(raw.get("truncated")),
        )


@dataclass(frozen=True)
class SeriesSet:
    """Series in the order asked for, and the keys that name no sensor."""

    series: Sequence[Series]
    unknown: Sequence[str]


@dataclass(frozen=True)
class Anomaly:
    """Something unusual at a sensor, with the evidence that a detector kept."""

    id: str
    sensor: str
    asset: str
    rule: str
    state: str
    severity: str
    score: float
    value: float
    started_at: dt.datetime
    detected_at: dt.datetime
    cleared_at: dt.datetime | None
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Json) -> Anomaly:
        """Reads the API's form."""
        return cls(
            id=raw["anomaly_id"],
            sensor=raw["sensor"],
            asset=raw["asset"],
            rule=raw["rule"],
            state=raw["state"],
            severity=raw["severity"],
            score=float(raw["score"]),
            value=float(raw["value"]),
            started_at=parse_time(raw["started_at"]),
            detected_at=parse_time(raw["detected_at"]),
            cleared_at=_maybe_time(raw.get("cleared_at")),
            raw=raw,
        )


@dataclass(frozen=True)
class Decision:
    """A question that a person answers: approve, reject or defer a proposed piece of work."""

    id: str
    number: int
    title: str
    question: str
    asset: str
    sensor: str
    severity: str
    state: str
    requested_at: dt.datetime
    expires_at: dt.datetime
    answered_by: str | None
    reason: str | None
    raw: Json = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Json) -> Decision:
        """Reads the API's form."""
        return cls(
            id=raw["decision_id"],
            number=int(raw["number"]),
            title=raw["title"],
            question=raw["question"],
            asset=raw["asset"],
            sensor=raw["sensor"],
            severity=raw["severity"],
            state=raw["state"],
            requested_at=parse_time(raw["requested_at"]),
            expires_at=parse_time(raw["expires_at"]),
            answered_by=raw.get("answered_by"),
            reason=raw.get("reason"),
            raw=raw,
        )


@dataclass(frozen=True)
class Event:
    """Something that happened, as CloudEvents describe it; `data` is the entity after it."""

    #: Position in the event log, to resume after; `None` for what is only announced.
    offset: int | None
    type: str
    data: Json
    id: str | None = None
    subject: str | None = None
    time: dt.datetime | None = None
    correlation_id: str | None = None
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Json, offset: int | None, name: str) -> Event:
        """Reads the API's form; `name` is the event's name in the stream."""
        data = raw.get("data")
        return cls(
            offset=offset,
            type=raw.get("type", name),
            data=data if isinstance(data, dict) else raw,
            id=raw.get("id"),
            subject=raw.get("subject"),
            time=_maybe_time(raw.get("time")),
            correlation_id=raw.get("correlationid"),
            raw=raw,
        )
