//! A disk that fills up: writes are refused with 507, reads go on, and writes come back alone.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::Disk;
use crate::faults::kills::readings;
use crate::faults::writers::EPOCH_S;
use crate::harness::{DEADLINE, Plainview, Setup};

const ROWS: u64 = 2_000;
/// Room left beside the ballast.
const ROOM_BYTES: u64 = 12 << 20;
/// Far more than fits into the room.
const BATCHES_MAX: u64 = 5_000;

/// Takes all the room of a disk but some.
fn ballast(path: &Path) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    let block = vec![1; 1 << 20];
    while file.write_all(&block).is_ok() {}
    let taken = file.metadata().unwrap().len();
    file.set_len(taken.saturating_sub(ROOM_BYTES)).unwrap();
    file.sync_all().unwrap();
}

/// Status and body of one batch.
async fn write(plainview: &Plainview, batch: u64) -> (u16, serde_json::Value, bool) {
    let lines: Vec<String> = (batch * ROWS..(batch + 1) * ROWS)
        .map(|row| format!("count,site=faults,asset=w-0 value={row} {}", EPOCH_S + row))
        .collect();
    let request = plainview.request(reqwest::Method::POST, "/api/v2/write?precision=s");
    let answer = request.body(lines.join("\n")).send().await.unwrap();
    let status = answer.status().as_u16();
    let says_when = answer.headers().contains_key("retry-after");
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_default(), says_when)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_answers_507_and_takes_writes_again_alone() {
    let disk = Disk::make();
    let setup = Setup::default().data(disk.mount_point().join("data"));
    let mut plainview = setup.start().await;
    let path = disk.mount_point().join("ballast");
    assert_eq!(write(&plainview, 0).await.0, 204);
    ballast(&path);

    let mut acked = 1;
    let (status, problem, says_when) = loop {
        let answer = write(&plainview, acked).await;
        if answer.0 != 204 {
            break answer;
        }
        acked += 1;
        assert!(acked < BATCHES_MAX, "the disk never filled");
    };
    assert_eq!((status, &problem["type"]), (507, &"/docs/errors/store-full".into()), "{problem}");
    assert!(says_when, "no Retry-After");
    assert_eq!(readings(&plainview, 0).await.len() as u64, acked * ROWS, "reads go on");

    std::fs::remove_file(&path).unwrap();
    let again =
        async |plainview: &Plainview| (write(plainview, acked).await.0 == 204).then_some(());
    plainview.until(DEADLINE, "writes", again).await;
    acked += 1;
    plainview.kill();
    plainview.launch().await;
    assert_eq!(
        readings(&plainview, 0).await.len() as u64,
        acked * ROWS,
        "nothing acknowledged is lost"
    );
    plainview.kill();
}
