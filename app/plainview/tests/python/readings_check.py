"""Reads exported files with pyarrow, pandas and polars and compares every bit.

Usage: readings_check.py DIR, after readings_make.py and the exports.
"""

import json
import struct
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet as pq

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NAMES = ("sensor", "at", "value", "quality", "unit")
Row = tuple[str, int, str, str, str | None]

out = Path(sys.argv[1])
expected = [tuple(row) for row in json.loads((out / "expected.json").read_text())]


def row(cells: Iterable[object]) -> Row:
    sensor, at, value, quality, unit = cells
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    if isinstance(at, pd.Timestamp):
        at = at.to_pydatetime()
    assert isinstance(at, datetime) and isinstance(value, float)
    micros = (at - EPOCH) // timedelta(microseconds=1)
    unit = None if unit in (None, "") or unit != unit else str(unit)
    return str(sensor), micros, struct.pack(">d", value).hex(), str(quality), unit


def check(what: str, rows: Iterable[Iterable[object]], wanted: list[tuple] = expected) -> None:
    found = sorted((row(cells) for cells in rows), key=lambda r: r[:2])
    assert len(found) == len(wanted), f"{what}: {len(found)} rows, {len(wanted)} expected"
    for got, want in zip(found, wanted):
        assert got == want, f"{what}: {got} is not {want}"
    print(f"{what}: {len(found)} readings, every bit")


def arrow_rows(table: pa.Table) -> Iterable[Iterable[object]]:
    return zip(*(table.column(name).to_pylist() for name in NAMES))


def pandas_rows(frame: pd.DataFrame) -> Iterable[Iterable[object]]:
    return frame[list(NAMES)].itertuples(index=False)


def polars_rows(frame: pl.DataFrame) -> Iterable[Iterable[object]]:
    return frame.select(NAMES).iter_rows()


table = pq.read_table(out / "all.parquet")
assert table.schema.field("at").type == pa.timestamp("us", "UTC"), table.schema
check("Parquet with pyarrow", arrow_rows(table))
check("Parquet with pandas", pandas_rows(pd.read_parquet(out / "all.parquet")))
check("Parquet with polars", polars_rows(pl.read_parquet(out / "all.parquet")))
group = pq.ParquetFile(out / "all.parquet").metadata.row_group(0)
statistics = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
assert statistics["at"].statistics.has_min_max and statistics["value"].compression == "ZSTD"

check("Arrow with pyarrow", arrow_rows(pa.ipc.open_file(out / "all.arrow").read_all()))
check("Arrow with pandas", pandas_rows(pd.read_feather(out / "all.arrow")))
check("Arrow with polars", polars_rows(pl.read_ipc(out / "all.arrow")))

csv = pd.read_csv(out / "all.csv", keep_default_na=False)
check("CSV with pandas", pandas_rows(csv.rename(columns={"timestamp": "at"})))
csv = pl.read_csv(out / "all.csv", schema_overrides={"value": pl.Float64})
check("CSV with polars", polars_rows(csv.rename({"timestamp": "at"})))

days = sorted((out / "days").iterdir())
assert [day.name for day in days] == [
    "readings-2026-02-27.parquet",
    "readings-2026-02-28.parquet",
], days
check("a file per day", arrow_rows(pq.read_table(out / "days")))
check(
    "chosen sensors",
    arrow_rows(pq.read_table(out / "pressures.parquet")),
    [want for want in expected if str(want[0]).endswith("/pressure")],
)
