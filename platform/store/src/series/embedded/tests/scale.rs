//! Many sensors, many days, many segments.

use super::*;

/// One reading of each sensor.
fn round(ids: &[SeriesId], at: i64) -> Batch {
    let mut batch = Batch::default();
    for id in ids {
        batch.push(*id, point(at + i64::from(id.0 % 7) * 1_000, f64::from(id.0) / 10.0));
    }
    batch
}

#[tokio::test]
async fn sensors_with_few_readings_share_blocks() {
    let mut fixture = Fixture::new();
    let keys: Vec<_> =
        (0..20_000).map(|i| SensorKey::new(&format!("north/p-{i}/level")).unwrap()).collect();
    let ids = fixture.embedded().register(&keys).await.unwrap();
    for minute in 0..6 {
        let store = fixture.embedded();
        store.append(round(&ids, minute * 60_000_000)).await.unwrap();
        if minute % 2 == 1 {
            store.seal_now().await.unwrap();
        }
    }
    let bytes: u64 = day_files(&fixture).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(bytes < 120_000 * 3, "{bytes} bytes for 120,000 readings");
    for settle in [false, true] {
        if settle {
            fixture.embedded().settle().await.unwrap();
            let merged = fs::metadata(day_file(&fixture)).unwrap().len();
            assert!(merged < bytes, "{merged} instead of {bytes} bytes");
        }
        let store = fixture.embedded();
        for id in [ids[0], ids[777], ids[19_999]] {
            let seen = all(store, id).await;
            assert_eq!(seen.len(), 6);
            assert!(seen.iter().all(|point| point.value == f64::from(id.0) / 10.0));
        }
        let hour = Duration::from_secs(3_600);
        let total = store.aggregate(&ids, EVER_BUT_BRIEF, hour).await.unwrap();
        assert_eq!((total.len(), total[0].count), (1, 120_000));
        assert_eq!((total[0].min, total[0].max), (0.0, 1_999.9));
    }
    fixture.close();
    fixture.open();
    let latest = fixture.embedded().latest(&ids).await.unwrap();
    assert!(latest.iter().all(Option::is_some));
    // Without the file of latest readings they come from the blocks.
    fixture.close();
    flip_all(&fixture.options.dir.join("latest.bin"));
    fixture.open();
    assert_eq!(fixture.embedded().latest(&ids).await.unwrap(), latest);
    assert!(fixture.embedded().status().await.unwrap().quarantined > 0);
}

fn flip_all(path: &Path) {
    let bytes: Vec<u8> = fs::read(path).unwrap().iter().map(|byte| byte ^ 1).collect();
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn latest_readings_that_were_not_written_down_come_from_the_segments() {
    let mut fixture = Fixture::new();
    let keys: Vec<_> =
        (0..3).map(|i| SensorKey::new(&format!("north/p-{i}/level")).unwrap()).collect();
    let ids = fixture.embedded().register(&keys).await.unwrap();
    let store = fixture.embedded();
    // One with blocks of its own, one that shares, one that only had readings before.
    store.append(round(&ids, 0)).await.unwrap();
    store.seal_now().await.unwrap();
    let path = fixture.options.dir.join("latest.bin");
    let old = fs::read(&path).unwrap();
    store.append(batch(ids[0], 10..3_000)).await.unwrap();
    store.append(round(&ids[1..2], 60_000_000)).await.unwrap();
    store.seal_now().await.unwrap();
    let latest = store.latest(&ids).await.unwrap();
    fixture.close();
    fs::write(&path, old).unwrap();
    fixture.open();
    assert_eq!(fixture.embedded().latest(&ids).await.unwrap(), latest);
    assert_eq!(fixture.embedded().status().await.unwrap().quarantined, 0);
}

#[tokio::test]
async fn readings_are_counted_wherever_they_are() {
    let mut fixture = Fixture::new();
    let count = |fixture: &Fixture| {
        let store = Arc::clone(fixture.embedded());
        async move { store.status().await.unwrap().readings }
    };
    let id = sensor(fixture.embedded(), "flow").await;
    let few = sensor(fixture.embedded(), "level").await;
    fixture.embedded().append(batch(id, 0..5_000)).await.unwrap();
    assert_eq!(count(&fixture).await, 5_000);
    fixture.embedded().seal_now().await.unwrap();
    assert_eq!(count(&fixture).await, 5_000);
    fixture.embedded().append(batch(few, 0..30)).await.unwrap();
    assert_eq!(count(&fixture).await, 5_030);
    fixture.close();
    fixture.open();
    assert_eq!(count(&fixture).await, 5_030);
    // Readings sent again count until the segments are one.
    fixture.embedded().append(batch(id, 0..5_000)).await.unwrap();
    fixture.embedded().settle().await.unwrap();
    assert_eq!(count(&fixture).await, 5_030);
    let day = Timestamp::from_micros(DAY + DAY_MICROS);
    fixture.embedded().retain(day).await.unwrap();
    assert_eq!(count(&fixture).await, 0);
}

#[tokio::test]
async fn a_quiet_store_puts_its_log_away() {
    let fixture = Fixture::with(|options| options.quiet_after = Duration::from_millis(50));
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    for i in 0..20 {
        store.append(batch(id, i * 5_000..(i + 1) * 5_000)).await.unwrap();
    }
    let size = |name: &str| fs::metadata(fixture.options.dir.join(name)).unwrap().len();
    // What is left is a page for each table and each index.
    eventually(|| async {
        !day_files(&fixture).is_empty() && size("log.db") < 450_000 && size("log.db-wal") < 40_000
    })
    .await;
    assert_eq!(store.unsealed_points(), 0);
    assert_eq!(all(store, id).await.len(), 100_000);
    // And takes it up again.
    store.append(batch(id, 100_000..100_010)).await.unwrap();
    assert_eq!(all(store, id).await.len(), 100_010);
}

#[tokio::test]
async fn a_backfill_of_many_days_is_answered_day_by_day() {
    let fixture = Fixture::new();
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    let mut batch = Batch::default();
    for day in 0..40 {
        for i in 0..50 {
            batch.push(id, point(-day * DAY_MICROS + i * 60_000_000, day as f64));
        }
    }
    store.append(batch).await.unwrap();
    store.seal_now().await.unwrap();
    assert_eq!(day_files(&fixture).len(), 40);
    let span = Span {
        from: Timestamp::from_micros(DAY - 39 * DAY_MICROS),
        to: Timestamp::from_micros(DAY + DAY_MICROS),
    };
    let days = store.buckets(id, span, Duration::from_secs(86_400)).await.unwrap();
    assert_eq!(days.len(), 40);
    assert!(days.iter().rev().zip(0..).all(|(b, day)| b.count == 50 && b.max == f64::from(day)));
    assert_eq!(all(store, id).await.len(), 2_000);
    assert_eq!(store.retain(Timestamp::from_micros(DAY)).await.unwrap(), 39);
    assert_eq!(day_files(&fixture).len(), 1);
}

#[tokio::test]
async fn segments_of_a_size_are_merged_by_themselves() {
    let fixture = Fixture::with(|options| options.paced = false);
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    for i in 0..8 {
        store.append(batch(id, i * 2_000..(i + 1) * 2_000)).await.unwrap();
        store.seal_now().await.unwrap();
    }
    eventually(|| async { day_files(&fixture).len() <= 4 }).await;
    assert_eq!(all(store, id).await.len(), 16_000);
}

#[tokio::test]
async fn retention_takes_corrections_with_it() {
    let fixture = Fixture::new();
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    store.append(batch(id, 0..50)).await.unwrap();
    let correction = Correction {
        at: Timestamp::from_micros(DAY),
        value: 5.0,
        actor: "eve".to_owned(),
        reason: "typo".to_owned(),
    };
    store.correct(id, correction).await.unwrap();
    assert_eq!(store.corrections(id, 9).await.unwrap().len(), 1);
    store.retain(Timestamp::from_micros(DAY + DAY_MICROS)).await.unwrap();
    assert_eq!(store.corrections(id, 9).await.unwrap(), vec![]);
    assert_eq!(all(store, id).await, vec![]);
}
