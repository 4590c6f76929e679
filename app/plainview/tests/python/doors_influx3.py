"""Writes through influxdb3-python: by the v3 path and by the v2 path, and reads a refusal."""

import sys

from influxdb_client_3 import InfluxDBClient3, Point, WritePrecision
from influxdb_client_3.exceptions import InfluxDBError

url, key, epoch_ns, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

for name, by_v2 in [("v3", False), ("v2", True)]:
    client = InfluxDBClient3(
        host=url, token=key, database="any", write_use_v2_api=by_v2, enable_gzip=True
    )
    points = [
        Point("pressure")
        .tag("site", "influx3")
        .tag("asset", f"by-{name}")
        .field("value", n / 4)
        .time(epoch_ns + n * 1_000_000, WritePrecision.NS)
        for n in range(count)
    ]
    client.write(record=points)
    line = f"pressure,site=influx3,asset=seconds-{name} value=2.5 {epoch_ns // 10**9}"
    client.write(record=line, write_precision="s")
    try:
        client.write(record="pressure,site=influx3,asset=bad value=nonsense 1")
    except InfluxDBError as error:
        print(name, "refused:", error)
    else:
        raise SystemExit("a faulty line was taken")
    client.close()
print("done")
