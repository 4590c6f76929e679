"""Writes files of readings as other programs write them, and what must come back of them.

Usage: readings_make.py DIR. Prints how many readings each file holds.
"""

import json
import struct
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

START = datetime(2026, 2, 27, 22, 0, 0, tzinfo=timezone.utc)
#: Values that a sloppy way through text or single precision would change.
AWKWARD = [0.1, 1 / 3, -0.0, 5e-324, 1.7976931348623157e308, 2.0**53 + 2, 3.141592653589793, -1e-7]

out = Path(sys.argv[1])
counts: dict[str, int] = {}
expected: list[tuple[str, int, str, str, str | None]] = []


def micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)


def bits(value: float) -> str:
    return struct.pack(">d", value).hex()


def expect(sensor: str, at: datetime, value: float, quality: str, unit: str | None) -> None:
    expected.append((sensor, micros(at), bits(value), quality, unit))


def rows(sensor: str, count: int, unit: str | None) -> list[dict[str, object]]:
    made = []
    for n in range(count):
        at = START + timedelta(seconds=30 * n, microseconds=n * 7919 % 1_000_000)
        value = AWKWARD[n % len(AWKWARD)]
        quality = ["good", "good", "uncertain", "bad"][n % 4]
        made.append(
            {"timestamp": at, "sensor": sensor, "value": value, "quality": quality, "unit": unit}
        )
        expect(sensor, at, value, quality, unit)
    return made


long = rows("north/v-101/pressure", 700, "bar") + rows("north/v-101/level", 500, None)
schema = pa.schema(
    [
        ("timestamp", pa.timestamp("us", "UTC")),
        ("sensor", pa.dictionary(pa.int32(), pa.string())),
        ("value", pa.float64()),
        ("quality", pa.string()),
        ("unit", pa.string()),
    ]
)
pq.write_table(pa.Table.from_pylist(long, schema), out / "long.parquet", row_group_size=333)
counts["long.parquet"] = len(long)

# A frame with a column per measure and its index as the time; gaps are no readings.
index = pd.date_range(START, periods=400, freq="1min", tz="UTC", unit="ns")
wide = pd.DataFrame(
    {"inlet pressure": range(400), "speed": [n * 0.1 for n in range(400)]}, index=index
)
wide.loc[wide.index[::5], "speed"] = None
wide.to_parquet(out / "wide.parquet")
for at, row in wide.iterrows():
    for name, value in row.items():
        if not pd.isna(value):
            key = f"south/pump/{str(name).replace(' ', '_')}"
            expect(key, at.to_pydatetime(), float(value), "good", None)
counts["wide.parquet"] = int(wide.notna().sum().sum())

frame = pl.DataFrame(rows("north/p-2/vibration", 300, "mm/s"))
frame.with_columns(pl.col("sensor").cast(pl.Categorical)).write_parquet(out / "polars.parquet")
counts["polars.parquet"] = len(frame)

csv = rows("north/p-2/pressure", 200, "bar")
pd.DataFrame(csv).to_csv(out / "long.csv", index=False)
counts["long.csv"] = len(csv)

with (out / "lines.lp").open("w") as lines:
    for n in range(250):
        at, value = START + timedelta(seconds=n), AWKWARD[n % len(AWKWARD)]
        lines.write(f"flow,site=north,asset=seg-1 value={value!r} {micros(at)}\n")
        expect("north/seg-1/flow", at, value, "good", None)
counts["lines.lp"] = 250

counts["readings"] = len(expected)
(out / "expected.json").write_text(json.dumps(sorted(expected, key=lambda row: row[:2])))
print(json.dumps(counts))
