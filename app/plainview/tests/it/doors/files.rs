use std::fmt::Write as _;
use std::io::Write as _;

use super::{good, json, readings, send};
use crate::harness::Plainview;

const ROWS: i64 = 30_000;
const EPOCH_S: i64 = 1_767_225_600;

fn csv() -> String {
    let mut text = "timestamp,sensor,value,unit,quality\n".to_owned();
    for n in 0..ROWS {
        let quality = if n % 1_000 == 999 { "uncertain" } else { "good" };
        writeln!(text, "{},files/p-{}/level,{},m,{quality}", EPOCH_S + n, n % 3, n as f64 / 16.0)
            .unwrap();
    }
    text
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csv_is_taken_however_it_is_packed() {
    let plainview = Plainview::start().await;
    let key = ("x-api-key", plainview.key.as_str());
    let kind = ("content-type", "text/csv");
    let text = csv();
    let packed = gzip(&text);
    let by_protocol: &[(&str, &str)] = &[key, kind, ("content-encoding", "gzip")];
    for (headers, body) in [
        (&[key, kind][..], text.clone().into_bytes()),
        (&[key, kind], packed.clone()),
        (by_protocol, packed.clone()),
    ] {
        let (status, _, body) = send(&plainview, "/api/v1/data/files", headers, body).await;
        let answer = json(&body);
        assert_eq!(status, 200, "{answer}");
        assert_eq!((&answer["accepted"], &answer["rejected"]), (&ROWS.into(), &0.into()));
    }
    let sensors: Vec<String> = (0..3).map(|n| format!("files/p-{n}/level")).collect();
    let stored = readings(&plainview, &sensors).await;
    for (place, sensor) in sensors.iter().enumerate() {
        let points = &stored[sensor];
        assert_eq!(points.len() as i64, ROWS / 3, "sent three times, stored once");
        for (index, point) in points.iter().enumerate() {
            let n = index as i64 * 3 + place as i64;
            assert_eq!((point.micros, point.value), ((EPOCH_S + n) * 1_000_000, n as f64 / 16.0));
            assert_eq!(point.quality == "uncertain", n % 1_000 == 999);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_rows_are_named_and_broken_files_say_what_is_stored() {
    let plainview = Plainview::start().await;
    let key = ("x-api-key", plainview.key.as_str());
    let kind = ("content-type", "text/csv");
    let path = "/api/v1/data/files?sensor=files/one/level";
    let text = "timestamp,value\n1767225600,1\nnoon,2\n1767225602,x\n4000000000,3\n";
    let (status, _, body) = send(&plainview, path, &[key, kind], text.into()).await;
    let answer = json(&body);
    assert_eq!((status, &answer["accepted"], &answer["rejected"]), (200, &1.into(), &3.into()));
    let named: Vec<_> =
        answer["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    assert_eq!(named, ["row 3: timestamp", "row 4: value", "row 5: timestamp"]);
    let packed = gzip(&csv());
    let cut = packed[..packed.len() / 2].to_vec();
    let (status, _, body) = send(&plainview, "/api/v1/data/files", &[key, kind], cut).await;
    let answer = json(&body);
    assert_eq!(status, 400, "{answer}");
    assert!(
        answer["detail"].as_str().unwrap().contains("readings before it are stored"),
        "{answer}"
    );
    assert_eq!(answer["errors"][0]["reason"], "the file breaks off, or it is damaged");
    let long = format!("timestamp,value\n1767225600,{}", "1".repeat(3 << 20));
    let (status, _, body) = send(&plainview, path, &[key, kind], long.into()).await;
    assert_eq!(status, 400);
    assert!(
        json(&body)["errors"][0]["reason"].as_str().unwrap().starts_with("a row has more than")
    );
    for (headers, body, expected) in [
        (vec![kind], "timestamp,value\n", 401),
        (vec![key], "timestamp,value\n1767225600,1\n", 415),
        (vec![key, kind], "timestamp,value\n", 422),
        (vec![key, kind], "a,b\n1,2\n", 400),
        (vec![key, ("content-type", "application/vnd.apache.parquet")], "PAR1 not really", 400),
    ] {
        let (status, _, answer) = send(&plainview, path, &headers, body.into()).await;
        assert_eq!(status, expected, "{body}: {}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(good(&plainview, "files/one/level").await, [(EPOCH_S * 1_000_000, 1.0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_as_parquet_can_be_handed_in() {
    let first = Plainview::start().await;
    let key = ("x-api-key", first.key.as_str());
    let kind = ("content-type", "text/csv");
    let (status, _, _) = send(&first, "/api/v1/data/files", &[key, kind], csv().into_bytes()).await;
    assert_eq!(status, 200);
    let file = first.directory().join("readings.parquet");
    let output = first
        .command(&["export", "--url", &first.base, "--key", &first.key])
        .args(["--from", "2026-01-01", "--to", "2026-01-02", "--out"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let second = Plainview::start().await;
    let key = ("x-api-key", second.key.as_str());
    let kind = ("content-type", "application/vnd.apache.parquet");
    let body = std::fs::read(&file).unwrap();
    let (status, _, answer) = send(&second, "/api/v1/data/files", &[key, kind], body).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    assert_eq!(json(&answer)["accepted"], ROWS);
    let sensors: Vec<String> = (0..3).map(|n| format!("files/p-{n}/level")).collect();
    assert_eq!(readings(&second, &sensors).await, readings(&first, &sensors).await);
}
