"""What needs no server."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import httpx
import pytest

import plainview
from plainview import AsyncClient, Client, RetryPolicy
from plainview import _calls as calls
from plainview._sse import EventParser
from plainview.models import parse_time, write_time

UTC = dt.timezone.utc
Answer = Callable[[httpx.Request], httpx.Response]
EAGER = RetryPolicy(attempts=4, base=0.0)


def client(answer: Answer, retry: RetryPolicy = EAGER) -> Client:
    return Client("http://plant", "k", retry=retry, transport=httpx.MockTransport(answer))


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    body = {
        "type": f"/docs/errors/{code}",
        "title": "No",
        "status": status,
        "detail": "Because.",
        "errors": [{"field": "limit", "reason": "is too large"}],
        "request_id": "r-1",
    }
    return httpx.Response(status, json=body, headers=headers)


def receipt(request: httpx.Request) -> httpx.Response:
    rows = json.loads(request.content)["readings"]
    correlation = request.headers["x-correlation-id"]
    body = {"accepted": len(rows), "rejected": 0, "errors": [], "offset": 1}
    return httpx.Response(200, json={**body, "correlation_id": correlation})


def test_times_keep_every_microsecond() -> None:
    for micros in (0, 1, 250_000, 999_999):
        at = dt.datetime(2026, 11, 21, 14, 3, 10, micros, tzinfo=UTC)
        assert parse_time(write_time(at)) == at
    assert parse_time("2026-11-21T14:03:10.25Z").microsecond == 250_000
    assert parse_time("2026-11-21T14:03:10Z").tzinfo is UTC
    east = dt.timezone(dt.timedelta(hours=2))
    assert write_time(dt.datetime(2026, 1, 1, 1, tzinfo=east)) == "2025-12-31T23:00:00.000000Z"
    with pytest.raises(ValueError, match="no time zone"):
        write_time(dt.datetime(2026, 1, 1))


def test_spans_are_before_now() -> None:
    before = parse_time(calls.moment("-2h"))
    assert dt.timedelta(hours=1.9) < dt.datetime.now(UTC) - before < dt.timedelta(hours=2.1)
    assert calls.moment("2026-01-01") == "2026-01-01"
    with pytest.raises(ValueError, match="such as -6h"):
        calls.moment("-6y")


def test_waits_grow_with_jitter_and_honour_the_server() -> None:
    policy = RetryPolicy(attempts=5, base=1.0, cap=3.0, random=random.Random(7))
    waits = [policy.wait(attempt, None) for attempt in range(1, 5)]
    assert all(w is not None and 0 <= w <= c for w, c in zip(waits, (1, 2, 3, 3)))
    assert len(set(waits)) == 4
    asked = policy.wait(1, 10.0)
    assert asked is not None
    assert 10.0 <= asked <= 11.0
    assert policy.wait(5, None) is None
    assert policy.wait(1, 1e6) is None


def test_a_batch_that_is_sent_again_carries_the_same_key() -> None:
    seen: list[tuple[str, bytes]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.headers["idempotency-key"], request.content))
        if len(seen) == 1:
            raise httpx.ReadError("hung up", request=request)
        if len(seen) == 2:
            return problem(503, "store-busy", **{"Retry-After": "0"})
        if len(seen) == 3:
            return problem(409, "idempotency-in-flight", **{"Retry-After": "0"})
        return receipt(request)

    with client(answer) as plant:
        result = plant.write([("a/b/c", 1_700_000_000, 1.0)])
    assert (result.accepted, result.rejected, len(seen)) == (1, 0, 4)
    assert len(set(seen)) == 1


def test_batches_have_keys_of_their_own_and_one_correlation() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return receipt(request)

    with client(answer) as plant:
        result = plant.write((("a/b/c", second, 1.0) for second in range(25)), batch_size=10)
    assert (result.accepted, result.batches) == (25, 3)
    assert len({request.headers["idempotency-key"] for request in seen}) == 3
    assert {request.headers["x-correlation-id"] for request in seen} == {result.correlation_id}


def test_refused_readings_are_named_by_their_place() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        rows = json.loads(request.content)["readings"]
        faults = [{"field": "readings[1].value", "reason": "is not finite"}]
        if len(rows) == 3:
            body = {"accepted": 2, "rejected": 1, "errors": faults, "offset": 1}
            return httpx.Response(200, json=body)
        kind = "/docs/errors/readings-refused"
        body = {"type": kind, "title": "No", "status": 422, "errors": faults}
        return httpx.Response(422, json=body)

    with client(answer) as plant:
        result = plant.write([("a/b/c", second, 1.0) for second in range(5)], batch_size=3)
    assert (result.accepted, result.rejected) == (2, 3)
    assert [(r.index, r.field) for r in result.refused] == [(1, "value"), (4, "value")]
    with pytest.raises(plainview.ReadingsRefused, match="reading 1: value"):
        result.raise_for_refused()


def test_problems_become_exceptions() -> None:
    kinds = {
        400: plainview.InvalidRequest,
        401: plainview.AuthenticationError,
        403: plainview.PermissionDenied,
        404: plainview.NotFound,
        409: plainview.ConflictError,
        412: plainview.ConflictError,
        422: plainview.InvalidRequest,
        429: plainview.RateLimited,
        500: plainview.ServerError,
        503: plainview.Unavailable,
    }
    for status, kind in kinds.items():
        refuse = functools.partial(lambda status, _: problem(status, "some-code"), status)
        refused = pytest.raises(kind, match="limit: is too large")
        with client(refuse) as plant, refused as raised:
            plant.sensor("a/b/c")
        error = raised.value
        assert isinstance(error, plainview.ProblemError)
        assert (error.status, error.code, error.request_id) == (status, "some-code", "r-1")
    teapot = pytest.raises(plainview.InvalidRequest, match="HTTP 418")
    with client(lambda _: httpx.Response(418, text="teapot")) as plant, teapot:
        plant.sensor("a/b/c")


def test_a_server_that_stays_away_is_told() -> None:
    tries = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        raise httpx.ConnectError("refused", request=request)

    with client(answer) as plant, pytest.raises(plainview.ConnectionFailed, match="refused"):
        plant.sensor("a/b/c")
    assert tries == 4


def test_a_long_wait_is_left_to_the_caller() -> None:
    busy = problem(429, "rate-limited", **{"Retry-After": "900"})
    with client(lambda _: busy) as plant, pytest.raises(plainview.RateLimited) as raised:
        plant.sensor("a/b/c")
    assert raised.value.retry_after == 900


def test_the_stream_parser_follows_the_standard() -> None:
    parser = EventParser()
    lines = [
        "retry: 2000",
        "id: 41",
        "",
        ": still here",
        "event: anomaly.detected",
        "id: 42",
        'data: {"type": "anomaly.detected",',
        'data:  "data": {"sensor": "a/b/c"}, "subject": "a/b/c"}',
        "",
        "event: telemetry.tick",
        'data: {"sensors": []}',
        "",
    ]
    events = [event for line in lines if (event := parser.feed(line)) is not None]
    assert [(e.type, e.offset) for e in events] == [
        ("anomaly.detected", 42),
        ("telemetry.tick", None),
    ]
    assert events[0].data == {"sensor": "a/b/c"}
    assert (parser.retry, parser.last_event_id) == (2.0, 42)
    parser.feed("event: stream.reset")
    parser.feed("data: {}")
    assert parser.feed("") is not None
    assert parser.last_event_id is None


def stream_twice(seen: list[Any]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("last-event-id"))
        first = 3 * (len(seen) - 1)
        parts = [f"retry: 0\nid: {first}\n\n"]
        parts += [f"event: e\nid: {first + n}\ndata: {{}}\n\n" for n in (1, 2)]
        parts += ["event: e\nid: 99\nda"]
        return httpx.Response(200, text="".join(parts))

    return answer


def test_events_resume_after_the_last_one() -> None:
    seen: list[Any] = []
    with client(stream_twice(seen)) as plant:
        stream = plant.events(["e"])
        assert [next(stream).offset for _ in range(4)] == [1, 2, 4, 5]
    assert seen == [None, "2"]


def test_the_asynchronous_client_does_the_same() -> None:
    async def work() -> None:
        seen: list[Any] = []
        transport = httpx.MockTransport(stream_twice(seen))
        async with AsyncClient("http://plant", retry=EAGER, transport=transport) as plant:
            stream = plant.events(["e"])
            assert [(await anext_(stream)).offset for _ in range(3)] == [1, 2, 4]
        assert seen == [None, "2"]
        transport = httpx.MockTransport(receipt)
        async with AsyncClient("http://plant", retry=EAGER, transport=transport) as plant:
            result = await plant.write([("a/b/c", n, 1.0) for n in range(7)], batch_size=3)
        assert (result.accepted, result.batches) == (7, 3)

    asyncio.run(work())


async def anext_(stream: Any) -> Any:
    return await stream.__anext__()


def test_the_sync_client_is_made_of_the_async_one() -> None:
    tool = Path(__file__).parents[1] / "tools" / "unasync.py"
    subprocess.run([sys.executable, str(tool), "--check"], check=True)


def test_the_package_needs_nothing_but_httpx() -> None:
    """Without pyarrow the client imports, and says what a method lacks."""
    code = (
        "import sys; sys.modules['pyarrow'] = sys.modules['polars'] = None\n"
        "import plainview\n"
        "try:\n    plainview.Readings([b'']).to_arrow()\n"
        "except plainview.MissingExtra as error:\n    print(error)\n"
    )
    home = str(Path(plainview.__file__).parents[1])
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": home},
    )
    assert "pip install 'plainview[arrow]'" in said.stdout
