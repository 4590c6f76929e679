"""Against the real program."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import struct
import threading
import uuid
from typing import Any

import pytest

import plainview
from plainview import AsyncClient, Client, Quality, Reading

UTC = dt.timezone.utc
#: Long ago: nobody is alarmed by what these tests write.
START = dt.datetime(2026, 3, 1, 22, 0, tzinfo=UTC)


def bits(value: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


def awkward(count: int) -> list[float]:
    """Values that a sloppy way through text or single precision would change."""
    special = [0.1, 1 / 3, -0.0, 5e-324, 1.7976931348623157e308, 2.0**53 + 2, math.pi, -1e-7]
    return [special[n] if n < len(special) else n * 0.1 for n in range(count)]


def history(asset: str, count: int = 300) -> list[Reading]:
    qualities = [Quality.GOOD, Quality.UNCERTAIN, Quality.BAD]
    return [
        Reading(
            f"{asset}/{measure}",
            value,
            START + dt.timedelta(seconds=60 * n, microseconds=n * 37 % 1_000_000),
            unit=unit,
            quality=qualities[n % 3] if measure == "level" else Quality.GOOD,
        )
        for measure, unit in (("level", None), ("pressure", "bar"))
        for n, value in enumerate(awkward(count))
    ]


def stored(plant: Client, readings: list[Reading]) -> list[Reading]:
    result = plant.write(readings, batch_size=250, origin="replayed").raise_for_refused()
    assert result.accepted == len(readings)
    return readings


def rows(readings: list[Reading]) -> list[tuple[str, Any, int, str]]:
    return [(r.sensor, r.at, bits(r.value), str(r.quality)) for r in readings]


def test_what_was_written_comes_back_bit_for_bit(plant: Client, asset: str) -> None:
    wanted = rows(stored(plant, history(asset)))
    keys = [f"{asset}/level", f"{asset}/pressure"]
    answer = plant.query(keys, START, START + dt.timedelta(days=1))
    table = answer.to_arrow()
    assert table.column_names == ["sensor", "at", "value", "quality", "reason", "unit"]
    columns = [table.column(name).to_pylist() for name in ("sensor", "at", "value", "quality")]
    found = [(s, at, bits(v), q) for s, at, v, q in zip(*columns)]
    assert found == wanted

    frame = answer.to_pandas()
    assert str(frame["at"].dtype) == "datetime64[us, UTC]"
    found = [
        (s, at.to_pydatetime(), bits(v), q)
        for s, at, v, q in zip(frame["sensor"], frame["at"], frame["value"], frame["quality"])
    ]
    assert found == wanted
    assert set(frame["reason"].dropna()) == {"source"}

    polars = answer.to_polars()
    assert str(polars.schema["at"]) == "Datetime(time_unit='us', time_zone='UTC')"
    columns = [polars[name].to_list() for name in ("sensor", "at", "value", "quality")]
    assert [(s, at, bits(v), q) for s, at, v, q in zip(*columns)] == wanted

    series = plant.series(keys, START, START + dt.timedelta(days=1)).series
    found = [(s.sensor, p.at, bits(p.value), str(p.quality)) for s in series for p in s.points]
    assert found == wanted
    wide = answer.to_pandas(wide=True)
    assert list(wide.columns) == keys
    assert len(wide) == 300


def test_buckets_are_made_by_the_server(plant: Client, asset: str) -> None:
    key = f"{asset}/flow"
    plant.write((key, START + dt.timedelta(seconds=n), float(n)) for n in range(600))
    end = START + dt.timedelta(seconds=600)
    frame = plant.query(key, START, end, width="60s").to_pandas()
    assert frame["count"].tolist() == [60] * 10
    assert frame["min"].tolist() == [60.0 * n for n in range(10)]
    assert frame["max"].tolist() == [60.0 * n + 59 for n in range(10)]
    assert frame["mean"].tolist() == [60.0 * n + 29.5 for n in range(10)]
    assert len(plant.query(key, START, end, buckets=5).to_polars()) == 5
    buckets = plant.series(key, START, end, width=dt.timedelta(minutes=2)).series[0].buckets
    assert [(b.count, b.first, b.last) for b in buckets][1] == (120, 120.0, 239.0)


def test_a_hundred_thousand_readings_come_whole(plant: Client, asset: str) -> None:
    key = f"{asset}/speed"
    count = 100_000
    step = dt.timedelta(milliseconds=10)
    plant.write((key, START + n * step, float(n)) for n in range(count)).raise_for_refused()
    answer = plant.query(key, START, START + count * step)
    assert answer.to_arrow().column("value").to_pylist() == [float(n) for n in range(count)]
    assert len(plant.query(key, START, START + count * step, limit=7).to_arrow()) == 7


def test_unknown_sensors_are_named_and_the_others_answered(plant: Client, asset: str) -> None:
    stored(plant, [Reading(f"{asset}/level", 1.0, START)])
    missing = f"{asset}/größe"
    answer = plant.query([missing, f"{asset}/level"], START, START + dt.timedelta(seconds=1))
    assert answer.unknown == (missing,)
    assert len(answer.to_arrow()) == 1
    both = plant.series([missing, f"{asset}/level"], START, START + dt.timedelta(seconds=1))
    assert list(both.unknown) == [missing]
    with pytest.raises(plainview.NotFound) as raised:
        plant.query(missing)
    assert raised.value.code == "sensor-unknown"


def test_more_than_fifty_sensors_are_one_answer(plant: Client, asset: str) -> None:
    keys = [f"{asset}/s{n:03}" for n in range(120)]
    plant.write([(key, START, float(n)) for n, key in enumerate(keys)]).raise_for_refused()
    answer = plant.query(keys, START, START + dt.timedelta(seconds=1))
    assert len(answer.streams) == 3
    table = answer.to_arrow()
    assert table.column("sensor").to_pylist() == keys
    assert answer.to_polars()["sensor"].to_list() == keys


def test_refused_readings_are_named(plant: Client, asset: str) -> None:
    result = plant.write(
        [
            (f"{asset}/level", START, 1.0),
            (f"{asset}/level", START, math.nan),
            ("nonsense", START, 2.0),
            {"sensor": f"{asset}/level", "value": "three", "timestamp": START},
        ]
    )
    assert (result.accepted, result.rejected) == (1, 3)
    places = [(r.index, r.field) for r in result.refused]
    assert places == [(1, "value"), (2, "sensor"), (3, "value")]
    none = plant.write([("nonsense", START, 2.0), ("worse", START, 2.0)])
    assert (none.accepted, none.rejected) == (0, 2)


def test_sensors_and_their_newest_readings(plant: Client, asset: str) -> None:
    stored(plant, [Reading(f"{asset}/{m}", 4.6, START, unit="bar") for m in ("inlet", "outlet")])
    found = list(plant.sensors(q=asset))
    assert [s.key for s in found] == [f"{asset}/inlet", f"{asset}/outlet"]
    assert {s.asset for s in found} == {asset}
    one = plant.sensor(f"{asset}/inlet")
    assert one.unit == "bar"
    assert one.latest is not None
    assert (one.latest.at, one.latest.value) == (START, 4.6)
    latest = plant.latest([f"{asset}/inlet", f"{asset}/outlet", f"{asset}/none"])
    assert set(latest) == {f"{asset}/inlet", f"{asset}/outlet"}
    assert plant.latest(f"{asset}/inlet")[f"{asset}/inlet"] == one.latest
    with pytest.raises(plainview.NotFound):
        plant.sensor(f"{asset}/none")


def test_a_retried_write_happens_once(plant: Client, asset: str, url: str, key: str) -> None:
    """The same key and body twice: the second answer is the first one, said again."""
    from plainview import _calls as calls

    result = plainview.WriteResult()
    readings = [(f"{asset}/level", START, 1.0)]
    batch = next(calls.batches(readings, 10, "real", None, result))
    first, second = plant._send(batch.call), plant._send(batch.call)
    assert first.json() == second.json()
    assert second.headers.get("idempotency-replayed") == "true"


def test_wrong_keys_and_questions_are_told(url: str, plant: Client) -> None:
    with Client(url, "wrong") as stranger, pytest.raises(plainview.AuthenticationError):
        stranger.sensor("a/b/c")
    with pytest.raises(plainview.InvalidRequest) as raised:
        plant.query("no key")
    assert raised.value.errors[0].field == "sensor"
    with pytest.raises(plainview.NotFound):
        plant.decide(str(uuid.uuid4()), "approve")


def anomaly(plant: Client, asset: str) -> str:
    """Makes a sensor leave its range, by the rules of its own settings."""
    key = f"{asset}/temperature"
    body = {"expected_low": 0.0, "expected_high": 100.0, "unit": "°C"}
    answer = plant._http.put(f"/api/v1/sensors/{key}", json=body)
    assert answer.status_code == 201, answer.text
    now = dt.datetime.now(UTC)
    plant.write(
        (key, now - dt.timedelta(seconds=60 - n), 50.0 if n < 30 else 500.0) for n in range(60)
    )
    return key


def test_events_come_as_they_happen_and_resume(plant: Client, asset: str) -> None:
    seen: list[plainview.Event] = []
    ready = threading.Event()

    def follow() -> None:
        with Client(str(plant._http.base_url), plant._http.headers["x-api-key"]) as other:
            ready.set()
            for event in other.events(["anomaly.detected"], last_event_id=0):
                seen.append(event)
                if event.data.get("asset") == asset:
                    return

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    ready.wait(10)
    key = anomaly(plant, asset)
    thread.join(60)
    assert not thread.is_alive()
    event = seen[-1]
    assert event.data["sensor"] == key
    assert event.offset is not None
    assert event.time is not None
    again = next(plant.events(["anomaly.detected"], last_event_id=event.offset - 1))
    assert again.id == event.id
    found = [a for a in plant.anomalies(sensor=key) if a.id == event.data["anomaly_id"]]
    assert found
    assert found[0].severity == event.data["severity"]
    assert list(plant.decisions(state="approved")) == []


def test_the_asynchronous_client_does_the_same(url: str, key: str, asset: str) -> None:
    async def work() -> None:
        async with AsyncClient(url, key) as plant:
            names = [f"{asset}/a{n}" for n in range(4)]
            seconds = [(START + dt.timedelta(seconds=s), float(s)) for s in range(100)]
            results = await asyncio.gather(
                *(plant.write([(name, at, value) for at, value in seconds]) for name in names)
            )
            assert [result.accepted for result in results] == [100] * 4
            answer = await plant.query(names, START, START + dt.timedelta(seconds=100))
            assert len(answer.to_polars()) == 400
            assert [s.key async for s in plant.sensors(q=asset)] == names
            latest = await plant.latest(names[0])
            found = latest[names[0]]
            assert found is not None
            assert found.value == 99.0
            assert (await plant.health())["status"] == "ok"
            with pytest.raises(plainview.NotFound):
                await plant.sensor(f"{asset}/none")

    asyncio.run(work())
