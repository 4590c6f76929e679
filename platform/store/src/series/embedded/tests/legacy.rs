//! Days from before format 2, as an older program has left them.

use pco::ChunkConfig;

use super::*;

const OLD_SCHEMA: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE block (
        series INTEGER NOT NULL, first INTEGER NOT NULL, id INTEGER NOT NULL,
        last INTEGER NOT NULL, summary BLOB NOT NULL,
        PRIMARY KEY (series, first, id)) WITHOUT ROWID;
    CREATE TABLE data (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
";

/// Summary and readings of a block as format 1 had them.
fn old_block(series: u32, points: &[Point]) -> (Vec<u8>, Vec<u8>) {
    let at: Vec<i64> = points.iter().map(|point| point.at.as_micros()).collect();
    let value: Vec<f64> = points.iter().map(|point| point.value).collect();
    let config = ChunkConfig::default();
    let mut bytes = vec![1];
    bytes.extend_from_slice(&(points.len() as u32).to_le_bytes());
    for column in [
        pco::standalone::simple_compress(&at, &config).unwrap(),
        pco::standalone::simple_compress(&value, &config).unwrap(),
    ] {
        bytes.extend_from_slice(&(column.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&column);
    }
    bytes.extend_from_slice(&(points.len() as u32).to_le_bytes());
    bytes.push(0);
    let mut summary = Vec::new();
    summary.extend_from_slice(&series.to_le_bytes());
    summary.extend_from_slice(&at[0].to_le_bytes());
    summary.extend_from_slice(&at[at.len() - 1].to_le_bytes());
    summary.extend_from_slice(&(points.len() as u32).to_le_bytes());
    // The figures are worked out anew, so these need not be right.
    summary.extend_from_slice(&[0; 44]);
    summary.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    summary.extend_from_slice(&crc32c::crc32c(&summary).to_le_bytes());
    (summary, bytes)
}

#[tokio::test]
async fn an_old_day_file_moves_over_when_it_is_opened() {
    let mut fixture = Fixture::new();
    let id = sensor(fixture.embedded(), "flow").await;
    fixture.close();
    let old: Vec<Point> = (0..2_500).map(|i| point(i * 1_000_000, i as f64 / 4.0)).collect();
    let path = fixture.options.dir.join("days/2026-11-19.db");
    let day = Connection::open(&path).unwrap();
    day.execute_batch(OLD_SCHEMA).unwrap();
    for (block, points) in old.chunks(2_000).enumerate() {
        let (summary, bytes) = old_block(id.0, points);
        let key = block as i64 + 1;
        day.execute("INSERT INTO data VALUES (?1, ?2)", rusqlite::params![key, bytes]).unwrap();
        let (first, last) = (points[0].at.as_micros(), points[points.len() - 1].at.as_micros());
        day.execute(
            "INSERT INTO block VALUES (?1, ?2, ?3, ?4, ?5)",
            rusqlite::params![id.0, first, key, last, summary],
        )
        .unwrap();
    }
    drop(day);
    let log = Connection::open(fixture.options.dir.join("log.db")).unwrap();
    log.execute_batch(
        "CREATE TABLE latest (series INTEGER PRIMARY KEY, at INTEGER NOT NULL,
             value REAL NOT NULL, tag INTEGER NOT NULL);
         UPDATE meta SET value = 1, crc = NULL WHERE name = 'format';",
    )
    .unwrap();
    let newest = old[old.len() - 1];
    log.execute(
        "INSERT INTO latest VALUES (?1, ?2, ?3, 0)",
        rusqlite::params![id.0, newest.at.as_micros(), newest.value],
    )
    .unwrap();
    drop(log);

    for _ in 0..2 {
        fixture.open();
        let store = fixture.embedded();
        assert_eq!(all(store, id).await, old);
        assert_eq!(store.latest(&[id]).await.unwrap(), vec![Some(newest)]);
        assert!(!path.exists());
        assert_eq!(store.status().await.unwrap().quarantined, 0);
        fixture.close();
    }
    // A later reading wins over one that moved over.
    fixture.open();
    let store = fixture.embedded();
    let mut newer = Batch::default();
    newer.push(id, point(7_000_000, 99.0));
    store.append(newer).await.unwrap();
    store.seal_now().await.unwrap();
    assert_eq!(all(store, id).await[7].value, 99.0);
    fixture.close();
    fixture.open();
    let store = fixture.embedded();
    for _ in 0..2 {
        let seen = all(store, id).await;
        assert_eq!((seen.len(), seen[7].value), (old.len(), 99.0));
        store.settle().await.unwrap();
    }
}
