/** What to paste into each client, with the address and the key filled in. */

export const CLIENTS = ["curl", "Telegraf", "Prometheus", "OTLP", "MQTT", "Python", "Files"] as const;
export type Client = (typeof CLIENTS)[number];

export interface Facts {
  /** `https://north.example:4000` */
  origin: string;
  /** The key, or the name of the variable that holds it. */
  key: string;
  keyName: string;
  site: string;
  asset: string;
  /** The broker that readings can come through; null when there is none. Our own knows our keys. */
  broker: { address: string; own: boolean } | null;
}

const MEASURE = "vibration";

/** The sensor that the first sample of these snippets makes. */
export const sampleSensor = ({ site, asset }: Pick<Facts, "site" | "asset">): string =>
  `${site}/${asset}/${MEASURE}`;

const SNIPPETS: Record<Client, (facts: Facts) => string> = {
  curl: ({ origin, key, site, asset }) => `curl -i ${origin}/api/v2/write \\
  -H "Authorization: Token ${key}" \\
  --data-binary \\
  '${MEASURE},site=${site},asset=${asset} value=1.92'`,

  Telegraf: ({ origin, key, site }) => `# /etc/telegraf/telegraf.d/plainview.conf
[global_tags]
  site = "${site}"

[[outputs.influxdb_v2]]
  urls = ["${origin}"]
  token = "${key}"
  organization = "plainview"
  bucket = "plainview"`,

  Prometheus: ({ origin, key, site }) => `# prometheus.yml
global:
  external_labels:
    site: ${site}
remote_write:
  - url: ${origin}/api/v1/write
    authorization:
      credentials: ${key}
    queue_config:
      retry_on_http_429: true`,

  OTLP: ({ origin, key }) => `# OpenTelemetry Collector
exporters:
  otlphttp/plainview:
    metrics_endpoint: ${origin}/v1/metrics
    compression: gzip
    headers:
      Authorization: Bearer ${key}
service:
  pipelines:
    metrics:
      receivers: [otlp]
      exporters: [otlphttp/plainview]`,

  MQTT: ({ broker, key, keyName, site, asset, origin }) => {
    const [host, port] = (broker?.address ?? `${new URL(origin).hostname}:1883`).split(":");
    const login = broker && !broker.own ? "-u USER -P PASSWORD" : `-u ${keyName} -P '${key}'`;
    return `mosquitto_pub -h ${host} -p ${port ?? "1883"} \\
  ${login} -q 1 \\
  -t plainview/${site}/${asset}/${MEASURE} \\
  -m '{"value": 1.92, "unit": "mm/s"}'`;
  },

  Python: ({ origin, key, site, asset }) => `# pip install ./clients/python
from plainview import Client

with Client("${origin}", "${key}") as plainview:
    plainview.write([
        ("${site}/${asset}/${MEASURE}", None, 1.92),
    ])`,

  Files: ({ origin, key, site, asset }) => `printf 'timestamp,sensor,value\\n%s,%s,1.92\\n' \\
  "$(date -u +%FT%TZ)" ${site}/${asset}/${MEASURE} |
curl ${origin}/api/v1/data/files \\
  -H "Authorization: Bearer ${key}" \\
  -H 'Content-Type: text/csv' --data-binary @-`,
};

export const snippet = (client: Client, facts: Facts): string => SNIPPETS[client](facts);

/** One line of what a client needs to know beside its snippet. */
export const HINTS: Record<Client, string> = {
  curl: "Line protocol: the tags site and asset and the measurement become the sensor's key.",
  Telegraf: "Every input of this host arrives; the tag host becomes the asset.",
  Prometheus: "Everything it scrapes is sent on; restart or reload it after the change.",
  OTLP: "The Collector, or any SDK with OTEL_EXPORTER_OTLP_METRICS_ENDPOINT set to the same address.",
  MQTT: "QoS 1 is acknowledged after the reading is on disk. The built-in broker knows the key.",
  Files: "CSV and Parquet up to 1 GiB, also packed: -T readings.csv.gz -X POST",
  Python: "None is now, by the server's clock. AsyncClient has the same calls.",
};

export const READERS = ["Grafana", "Python", "curl"] as const;
export type Reader = (typeof READERS)[number];

interface ReadFacts {
  origin: string;
  key: string;
  sensor: string;
}

const READ: Record<Reader, (facts: ReadFacts) => string> = {
  Grafana: ({ origin, key }) => `# provisioning/datasources/plainview.yaml
apiVersion: 1
datasources:
  - name: Plainview
    type: prometheus
    url: ${origin}/prometheus
    jsonData:
      httpMethod: POST
      prometheusType: Prometheus
      timeInterval: 1s
      httpHeaderName1: X-API-Key
    secureJsonData:
      httpHeaderValue1: ${key}`,

  Python: ({ origin, key, sensor }) => `# pip install './clients/python[pandas]'
from plainview import Client

with Client("${origin}", "${key}") as plainview:
    readings = plainview.query(["${sensor}"], "-6h")
    print(readings.to_pandas())`,

  curl: ({ origin, key, sensor }) => `curl -H "Authorization: Bearer ${key}" \\
  '${origin}/api/v1/sensors/readings?sensor=${sensor}&format=csv'`,
};

export const readSnippet = (reader: Reader, facts: ReadFacts): string => READ[reader](facts);

/** `ingest-7`: the first number that no key has. */
export function freshName(taken: readonly string[], stem = "ingest"): string {
  let n = 1;
  while (taken.includes(`${stem}-${n}`)) n += 1;
  return `${stem}-${n}`;
}

/** `p-4`: an asset that the site does not have yet, so that the first sample is seen to be new. */
export function freshAsset(known: readonly string[], site: string): string {
  let n = 1;
  while (known.some((key) => key.startsWith(`${site}/p-${n}/`))) n += 1;
  return `p-${n}`;
}
