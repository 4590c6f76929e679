"""The client that waits for each answer. Made of `_async.py` by `tools/unasync.py`."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any

import httpx

from . import _calls as calls
from ._calls import ARROW_STREAM, BATCH, Call, Sensors, When
from ._sse import EventParser
from .errors import ConnectionFailed, ProblemError, problem
from .models import (
    Anomaly,
    Decision,
    Event,
    Latest,
    ReadingLike,
    Sensor,
    Series,
    SeriesSet,
    Time,
    WriteResult,
    write_time,
)
from .retry import RetryPolicy
from .tables import Readings


class Client:
    """A connection to Plainview.

    Args:
        url: Where it runs; the environment variable `PLAINVIEW_URL` when left out, else
            `http://127.0.0.1:4000`.
        key: An API key (`plainview keys create`); `PLAINVIEW_KEY` when left out.
        retry: When to try again.
        timeout: Seconds for the head of an answer and between two parts of its body.
        transport: For tests and proxies.

    Close it, or use it in a `with` statement. It may be shared between threads.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        retry: RetryPolicy | None = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        key = key if key is not None else os.environ.get("PLAINVIEW_KEY", "")
        self._retry = retry or RetryPolicy()
        self._http = httpx.Client(
            base_url=url or os.environ.get("PLAINVIEW_URL", "http://127.0.0.1:4000"),
            headers={"X-API-Key": key} if key else {},
            timeout=timeout,
            transport=transport,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _send(self, call: Call) -> httpx.Response:
        attempt = 0
        while True:
            attempt += 1
            wait: float | None
            try:
                response = self._http.send(self._request(call))
            except httpx.TransportError as error:
                wait = self._retry.wait(attempt, None) if call.repeatable else None
                if wait is None:
                    raise ConnectionFailed(f"{self._http.base_url}: {error}") from error
            else:
                if not calls.may_retry(call, response.status_code, response.content):
                    return response
                refusal = problem(response.status_code, response.content, response.headers)
                wait = self._retry.wait(attempt, refusal.retry_after)
                if wait is None:
                    raise refusal
            time.sleep(wait)

    def _request(self, call: Call) -> httpx.Request:
        return self._http.build_request(
            call.method,
            call.path,
            params=call.params,
            content=call.content,
            headers=dict(call.headers),
        )

    def _json(self, call: Call) -> Any:
        return calls.answer(self._send(call))

    def _pages(self, path: str, params: calls.Params) -> Iterator[dict[str, Any]]:
        cursor: calls.Params = []
        while True:
            page = self._json(calls.get(path, params + cursor))
            yield from page["items"]
            if not page.get("next"):
                return
            cursor = [("cursor", page["next"])]

    def write(
        self,
        readings: Iterable[ReadingLike],
        *,
        batch_size: int = BATCH,
        origin: str = "real",
        correlation_id: str | None = None,
    ) -> WriteResult:
        """Hands in readings, in batches. What the result counts as accepted is durable.

        Each batch carries a key of its own, so one that is sent again after a lost connection is
        stored once. A reading that is refused keeps none of the others from being stored:
        see `WriteResult.refused`, or call `raise_for_refused()` on the result.

        Args:
            readings: `Reading`s, tuples `(sensor, time, value)`, or rows of the JSON door. May be
                a generator of any length; one batch of it is in memory.
            batch_size: Readings in one request, up to 10,000.
            origin: `real`, `simulated` or `replayed`.
            correlation_id: A UUID that joins the readings to a chain that has begun.
        """
        result = WriteResult()
        for batch in calls.batches(readings, batch_size, origin, correlation_id, result):
            calls.take_receipt(result, batch, self._send(batch.call))
        return result

    def query(
        self,
        sensors: Sensors,
        start: When | None = None,
        end: When | None = None,
        *,
        buckets: int | None = None,
        width: str | dt.timedelta | None = None,
        limit: int | None = None,
    ) -> Readings:
        """Readings of one or several sensors, as Arrow: for pandas, polars and pyarrow.

        Args:
            sensors: Keys such as `north/p-2/vibration`, as many as you like.
            start: A day before `end` when left out. Times are aware `datetime`s, RFC 3339 texts,
                seconds since 1970, or before now: `timedelta(hours=6)`, `"-6h"`.
            end: Now when left out; excluded.
            buckets: Summarise into about so many (min, max, mean, count, first, last).
            width: Summarise into buckets of this width: `"60s"` or a `timedelta`.
            limit: Raw readings of each sensor, at most; all when left out.

        Keys that name no sensor are listed in `unknown` of the result; when none of them does, it
        raises `NotFound`.
        """
        keys = calls.names(sensors)
        asked = calls.readings_calls(keys, start, end, buckets, width, limit, ARROW_STREAM)
        streams: list[bytes] = []
        unknown: list[str] = []
        missed: ProblemError | None = None
        for call in asked:
            response = self._send(call)
            if response.is_success:
                streams.append(response.content)
                unknown.extend(calls.unknown_sensors(response.headers))
                continue
            missed = problem(response.status_code, response.content, response.headers)
            if not calls.is_all_unknown(missed):
                raise missed
            unknown.extend(str(value) for name, value in call.params if name == "sensor")
        if not streams and missed is not None:
            raise missed
        return Readings(streams, unknown)

    def series(
        self,
        sensors: Sensors,
        start: When | None = None,
        end: When | None = None,
        *,
        buckets: int | None = None,
        width: str | dt.timedelta | None = None,
        limit: int | None = None,
    ) -> SeriesSet:
        """As `query`, as plain Python values: for small answers, without any other package.

        At most 10,000 readings of each sensor come unless `limit` says otherwise, and never more
        than 100,000; `truncated` tells. Up to 50 sensors.
        """
        keys = calls.names(sensors)
        if len(keys) > calls.SENSORS_ASKED:
            raise ValueError(f"at most {calls.SENSORS_ASKED} sensors; use query() for more")
        asked = calls.readings_calls(keys, start, end, buckets, width, limit, calls.JSON_TYPE)
        answer = self._json(asked[0])
        series = [Series.from_json(raw) for raw in answer["series"]]
        return SeriesSet(series, answer.get("unknown", []))

    def sensors(
        self,
        *,
        site: str | None = None,
        asset: str | None = None,
        kind: str | None = None,
        trust: str | None = None,
        q: str | None = None,
    ) -> Iterator[Sensor]:
        """The registered sensors in order of their keys, each with its newest reading.

        Args:
            site: Only of this site.
            asset: Only of this asset: `site/asset`, or its own name.
            kind: Only of this kind, such as `vibration`.
            trust: Only `trusted`, `stuck`, `silent` or `suspect` ones.
            q: Only those whose key has this part.
        """
        params = calls.optional(site=site, asset=asset, kind=kind, trust=trust, q=q, limit=1_000)
        for raw in self._pages("/api/v1/sensors/sensors", params):
            yield Sensor.from_json(raw)

    def sensor(self, key: str) -> Sensor:
        """One sensor; raises `NotFound`."""
        return Sensor.from_json(self._json(calls.get(f"/api/v1/sensors/{key}")))

    def latest(self, sensors: Sensors | None = None) -> dict[str, Latest | None]:
        """The newest reading of each sensor, of all when none is named.

        A sensor without a reading yet has `None`; one that is unknown is left out.
        """
        wanted = None if sensors is None else set(calls.names(sensors))
        if wanted is not None and len(wanted) == 1:
            part = next(iter(wanted))
            found = [s for s in self.sensors(q=part) if s.key in wanted]
        else:
            found = [s for s in self.sensors() if wanted is None or s.key in wanted]
        return {sensor.key: sensor.latest for sensor in found}

    def anomalies(
        self,
        *,
        sensor: str | None = None,
        state: str | None = None,
        start: When | None = None,
        end: When | None = None,
    ) -> Iterator[Anomaly]:
        """Anomalies, newest first.

        Args:
            sensor: Only at this sensor.
            state: `active` or `cleared`.
            start: Standing at or after this time.
            end: Started before this time.
        """
        params = calls.optional(sensor=sensor, state=state, limit=1_000)
        if start is not None:
            params.append(("from", calls.moment(start)))
        if end is not None:
            params.append(("to", calls.moment(end)))
        for raw in self._pages("/api/v1/anomalies", params):
            yield Anomaly.from_json(raw)

    def decisions(self, *, state: str | None = None) -> Iterator[Decision]:
        """Questions to people: `waiting`, `approved`, `rejected`, `deferred`, `expired`."""
        for raw in self._pages("/api/v1/decisions", calls.optional(state=state)):
            yield Decision.from_json(raw)

    def decide(
        self,
        decision_id: str,
        choice: str,
        *,
        reason: str = "",
        starts_at: Time | None = None,
        deferred_until: Time | None = None,
    ) -> Decision:
        """Answers a question: `approve`, `reject` or `defer`. Needs a key of role operator.

        Args:
            decision_id: `Decision.id`.
            choice: The answer.
            reason: Why; needed to reject or defer.
            starts_at: With `approve`: when the work shall start.
            deferred_until: With `defer`: when to ask again.
        """
        body: dict[str, Any] = {"decision_id": decision_id, "decision": choice, "reason": reason}
        if starts_at is not None:
            body["starts_at"] = write_time(starts_at)
        if deferred_until is not None:
            body["deferred_until"] = write_time(deferred_until)
        return Decision.from_json(self._json(calls.post("/api/v1/decisions/submit", body)))

    def events(
        self,
        types: Sequence[str] = (),
        *,
        subjects: Sequence[str] = (),
        correlation_id: str | None = None,
        last_event_id: int | None = None,
    ) -> Iterator[Event]:
        """Events as they happen, without end and without gaps.

        A lost connection is taken up again after the last event that came, as long as the retry
        policy allows in a row. To go on after a restart of your program, keep `Event.offset` of
        the last event you finished, and hand it in as `last_event_id`.

        Args:
            types: Only these, such as `anomaly.detected`.
            subjects: Only about these.
            correlation_id: Only of this chain.
            last_event_id: Start after this offset; with what happens from now on when left out.
        """
        parser = EventParser(last_event_id)
        attempt = 0
        while True:
            call = calls.events_call(types, subjects, correlation_id, parser.last_event_id)
            wait = 0.0
            try:
                with self._stream(call) as response:
                    if not response.is_success:
                        response.read()
                        refusal = problem(response.status_code, response.content, response.headers)
                        if not calls.may_retry(call, response.status_code, response.content):
                            raise refusal
                        wait = self._pause(attempt + 1, refusal)
                    else:
                        for line in response.iter_lines():
                            event = parser.feed(line)
                            attempt = 0
                            if event is not None:
                                yield event
            except httpx.TransportError as error:
                wait = self._pause(attempt + 1, ConnectionFailed(str(error)))
            attempt += 1
            parser.restart()
            time.sleep(max(wait, parser.retry or 0.0) if attempt > 1 else wait)

    def _stream(self, call: Call) -> _Open:
        request = self._request(call)
        request.extensions["timeout"] = httpx.Timeout(30.0, read=calls.STREAM_SILENCE).as_dict()
        return _Open(self._http, request)

    def _pause(self, attempt: int, error: ProblemError | ConnectionFailed) -> float:
        asked = error.retry_after if isinstance(error, ProblemError) else None
        wait = self._retry.wait(attempt, asked)
        if wait is None:
            raise error
        return wait

    def health(self) -> dict[str, Any]:
        """The health of the server, as `GET /health` says it."""
        response = self._send(Call("GET", "/health"))
        said: dict[str, Any] = response.json()
        return said


class _Open:
    """A response that is read while it comes, closed at the end of its `with`."""

    def __init__(self, http: httpx.Client, request: httpx.Request) -> None:
        self._http = http
        self._request = request
        self._response: httpx.Response | None = None

    def __enter__(self) -> httpx.Response:
        self._response = self._http.send(self._request, stream=True)
        return self._response

    def __exit__(self, *_: object) -> None:
        if self._response is not None:
            self._response.close()
