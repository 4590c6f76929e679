"""Writes through influxdb-client: batched with gzip, and one point in each precision."""

import sys

from influxdb_client import InfluxDBClient, Point, WriteOptions, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS

url, key, epoch_ns, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

failures = []
with InfluxDBClient(url=url, token=key, org="any", enable_gzip=True) as client:
    assert client.ping(), "no ping"
    options = WriteOptions(batch_size=500, flush_interval=200, retry_interval=500, max_retries=3)
    with client.write_api(
        write_options=options,
        error_callback=lambda conf, data, error: failures.append(str(error)),
    ) as write:
        for n in range(count):
            point = (
                Point("vibration")
                .tag("site", "influx")
                .tag("asset", "p-2")
                .field("value", n / 8)
                .field("load", n)
                .time(epoch_ns + n * 1_000_000_000, WritePrecision.NS)
            )
            write.write(bucket="any", record=point)
    sync = client.write_api(write_options=SYNCHRONOUS)
    for precision, per_s in [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]:
        at = epoch_ns // 10**9 * per_s
        line = f"level,site=influx,asset=precision-{precision} value=4.5 {at}"
        sync.write(bucket="any", record=line, write_precision=precision)
    try:
        sync.write(bucket="any", record="level,site=influx,asset=t-1 value=nonsense 1")
    except Exception as error:
        assert "400" in str(error) or getattr(error, "status", None) == 400, error
    else:
        failures.append("a faulty line was taken")

assert not failures, failures
print("done")
