use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{EPOCH_NS, Headers, good, json, send};
use crate::harness::Plainview;
use crate::python;

const POINTS: usize = 2_000;
const EPOCH_MICROS: i64 = EPOCH_NS / 1_000;

fn run(plainview: &Plainview, script: &str, points: usize) -> String {
    let (epoch, points) = (EPOCH_NS.to_string(), points.to_string());
    python::script(script, &[&plainview.base, &plainview.key, &epoch, &points])
}

#[tokio::test(flavor = "multi_thread")]
async fn influxdb_client_writes_in_batches() {
    let plainview = Plainview::start().await;
    run(&plainview, "doors_influx2.py", POINTS);
    let at = |n: usize| EPOCH_MICROS + n as i64 * 1_000_000;
    let values: Vec<_> = (0..POINTS).map(|n| (at(n), n as f64 / 8.0)).collect();
    assert_eq!(good(&plainview, "influx/p-2/vibration").await, values);
    let loads: Vec<_> = (0..POINTS).map(|n| (at(n), n as f64)).collect();
    assert_eq!(good(&plainview, "influx/p-2/vibration/load").await, loads);
    for precision in ["s", "ms", "us", "ns"] {
        let sensor = format!("influx/precision-{precision}/level");
        assert_eq!(good(&plainview, &sensor).await, [(EPOCH_MICROS, 4.5)], "{precision}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn influxdb3_python_writes_by_both_paths() {
    let plainview = Plainview::start().await;
    let said = run(&plainview, "doors_influx3.py", 500);
    assert!(said.contains("v3 refused: ") && said.contains("v2 refused: "), "{said}");
    for path in ["v2", "v3"] {
        let values: Vec<_> = (0..500).map(|n| (EPOCH_MICROS + n * 1_000, n as f64 / 4.0)).collect();
        assert_eq!(good(&plainview, &format!("influx3/by-{path}/pressure")).await, values);
        let seconds = good(&plainview, &format!("influx3/seconds-{path}/pressure")).await;
        assert_eq!(seconds, [(EPOCH_MICROS, 2.5)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_travel_as_clients_of_each_influx_send_them() {
    let plainview = Plainview::start().await;
    let key = plainview.create_key("line", "ingest");
    let basic = format!("Basic {}", STANDARD.encode(format!("any:{key}")));
    let token = format!("Token {key}");
    let by_query = format!("/write?db=any&u=any&p={key}&precision=s");
    let cases: [(&str, Headers<'_>, u16); 8] = [
        (&by_query, &[], 204),
        ("/write?u=any&p=wrong", &[], 401),
        ("/write?db=any", &[], 401),
        ("/write?db=any&precision=s", &[("authorization", &basic)], 204),
        ("/api/v2/write?bucket=b&org=o", &[("authorization", &token)], 204),
        ("/api/v3/write_lp?db=d&precision=second", &[("authorization", &token)], 204),
        ("/api/v3/write_lp?db=d", &[("authorization", &token)], 204),
        ("/api/v2/write?p=ignored", &[], 401),
    ];
    for (path, headers, expected) in cases {
        let (status, _, body) = send(&plainview, path, headers, b"m value=1".to_vec()).await;
        assert_eq!(status, expected, "{path}: {}", String::from_utf8_lossy(&body));
    }
    assert!(!plainview.log().contains(&key), "the key stands in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn influx_3_takes_a_body_whole_when_asked() {
    let plainview = Plainview::start().await;
    let body = b"a,site=s,asset=x value=1 1767225600\na,site=s,asset=x value=? 1767225601".to_vec();
    let key = ("x-api-key", plainview.key.as_str());
    let path = "/api/v3/write_lp?db=d&accept_partial=false";
    let (status, _, refused) = send(&plainview, path, &[key], body.clone()).await;
    assert_eq!((status, json(&refused)["accepted"].as_u64()), (400, Some(0)));
    let data = &json(&refused)["data"][0];
    assert_eq!(data["line_number"], 2);
    assert_eq!(data["original_line"], "a,site=s,asset=x value=? 1767225601");
    let (status, _, partial) = send(&plainview, "/api/v3/write_lp?db=d", &[key], body).await;
    assert_eq!((status, json(&partial)["accepted"].as_u64()), (400, Some(1)));
    assert_eq!(good(&plainview, "s/x/a").await, [(EPOCH_MICROS, 1.0)]);
}
