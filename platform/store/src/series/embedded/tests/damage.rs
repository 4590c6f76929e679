//! Flipped bits in every kind of file: what is served is right, and what is not served is said.

use super::*;

/// Flips one bit of a file.
fn flip(path: &Path, bit: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

fn entries(path: &Path, table: segment::Table) -> Vec<segment::Entry> {
    let opened = segment::Segment::at(path.to_owned()).unwrap().open().unwrap();
    let blocks = opened.index(table).iter();
    blocks.flat_map(|block| opened.entries(block).unwrap()).collect()
}

#[tokio::test]
async fn a_damaged_block_is_not_served_and_the_others_are() {
    let mut fixture = Fixture::new();
    let (a, b) = (sensor(fixture.embedded(), "a").await, sensor(fixture.embedded(), "b").await);
    let store = fixture.embedded();
    store.append(batch(a, 0..9_000)).await.unwrap();
    store.append(batch(b, 0..100)).await.unwrap();
    store.seal_now().await.unwrap();
    let whole = all(store, a).await;
    fixture.close();
    let path = day_file(&fixture);
    let first = entries(&path, segment::Table::Dense)[0];
    assert_eq!((first.series, first.from), ((a.0, a.0), DAY));
    flip(&path, (first.place as usize + 40) * 8);

    fixture.open();
    let store = fixture.embedded();
    let left = all(store, a).await;
    assert!(left.len() < whole.len() && whole.ends_with(&left));
    assert_eq!(all(store, b).await.len(), 100);
    let status = store.status().await.unwrap();
    assert_eq!((status.quarantined, status.damage.len()), (1, 1));
    let damage = &status.damage[0];
    assert!(damage.file.starts_with("days/2026-11-19."), "{damage:?}");
    assert_eq!((damage.place, damage.series), (Some(first.place), Some((a, a))));
    assert_eq!((damage.from.as_micros(), damage.to.as_micros()), (first.from, first.to));
    // New readings among the damaged ones are stored beside them.
    store.append(batch(a, 10..20)).await.unwrap();
    store.settle().await.unwrap();
    assert_eq!(all(store, a).await[..10], whole[10..20]);
    let names = fs::read_dir(fixture.options.dir.join("days")).unwrap();
    let names: Vec<_> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|name| name.ends_with(".damaged")), "kept to look at: {names:?}");
    assert!(store.status().await.unwrap().damage_over.is_empty(), "not looked through yet");
    store.scrub().await.unwrap();
    assert_eq!(store.status().await.unwrap().damage_over, [damage.id]);
    fixture.close();
    fixture.open();
    let store = fixture.embedded();
    assert_eq!(store.status().await.unwrap().quarantined, 1, "remembered");
    assert_eq!(all(store, a).await.len(), left.len() + 10);
    store.retain(Timestamp::from_micros(DAY + DAY_MICROS)).await.unwrap();
    assert_eq!(store.status().await.unwrap().quarantined, 0, "gone with its day");
    assert_eq!(fs::read_dir(fixture.options.dir.join("days")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_scrub_finds_what_nobody_reads() {
    let mut fixture = Fixture::new();
    let id = sensor(fixture.embedded(), "a").await;
    let store = fixture.embedded();
    store.append(batch(id, 0..9_000)).await.unwrap();
    store.settle().await.unwrap();
    store.scrub().await.unwrap();
    assert_eq!(store.status().await.unwrap().quarantined, 0);
    fixture.close();
    let path = day_file(&fixture);
    let last = *entries(&path, segment::Table::Dense).last().unwrap();
    flip(&path, last.place as usize * 8 + 99);
    fixture.open();
    let store = fixture.embedded();
    store.scrub().await.unwrap();
    let status = store.status().await.unwrap();
    assert_eq!(status.damage.iter().map(|d| d.place).collect::<Vec<_>>(), [Some(last.place)]);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_costs_its_readings_only() {
    let mut fixture = Fixture::new();
    let id = sensor(fixture.embedded(), "flow").await;
    let store = fixture.embedded();
    store.append(batch(id, 0..100)).await.unwrap();
    store.seal_now().await.unwrap();
    fixture.close();
    fs::write(day_file(&fixture), vec![0x5a; 70_000]).unwrap();
    fixture.open();
    let store = fixture.embedded();
    assert_eq!(all(store, id).await, vec![]);
    assert_eq!(store.status().await.unwrap().quarantined, 1);
    store.append(batch(id, 50..60)).await.unwrap();
    store.settle().await.unwrap();
    assert_eq!(all(store, id).await.len(), 10);
}

/// A place in a file, spread over all of it and never twice the same in one run.
struct Places(u64);

impl Places {
    fn next(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 16) as usize % below
    }
}

const FLIPS: usize = 400;

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_day_file_never_changes_an_answer() {
    let mut fixture = Fixture::new();
    let store = fixture.embedded();
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d"] {
        ids.push(sensor(store, name).await);
    }
    for (id, range) in ids.iter().zip([0..9_000, 0..5_000, 3..700, 0..9]) {
        store.append(batch(*id, range)).await.unwrap();
    }
    // Seconds, so that minutes hold enough for figures of their own.
    let mut slow = Batch::default();
    (0..4_000).for_each(|i| slow.push(ids[0], point(100_000_000 + i * 1_000_000, i as f64 / 8.0)));
    store.append(slow).await.unwrap();
    store.settle().await.unwrap();
    let mut whole = Vec::new();
    for id in &ids {
        whole.push(answers(store, *id).await);
    }
    fixture.close();
    let path = day_file(&fixture);
    let sound = fs::read(&path).unwrap();
    let log = fs::read(fixture.options.dir.join("log.db")).unwrap();
    let (mut lost, mut places) = (0, Places(7));
    for _ in 0..FLIPS {
        let place = places.next(sound.len() * 8);
        fs::write(&path, &sound).unwrap();
        flip(&path, place);
        fs::write(fixture.options.dir.join("log.db"), &log).unwrap();
        fixture.open();
        let store = fixture.embedded();
        let mut missing = 0;
        for (id, whole) in ids.iter().zip(&whole) {
            let seen = answers(store, *id).await;
            let mut rest = whole.0.iter();
            assert!(seen.0.iter().all(|p| rest.any(|w| w == p)), "bit {place} changed a reading");
            // Figures may be there though readings are lost; they are never wrong.
            for (start, count, max) in &seen.1 {
                let known = whole.1.iter().find(|(at, ..)| at == start).unwrap();
                assert!(*count <= known.1 && *max <= known.2, "bit {place} changed a bucket");
            }
            missing += usize::from(seen != *whole);
        }
        if missing > 0 {
            lost += 1;
            assert!(store.status().await.unwrap().quarantined > 0, "bit {place} went unnoticed");
        }
        fixture.close();
        let set_aside = path.with_extension("damaged");
        if set_aside.exists() {
            fs::remove_file(set_aside).unwrap();
        }
    }
    assert!(lost > FLIPS / 10, "only {lost} flips hit a block");
}

type Answers = (Vec<Point>, Vec<(i64, u64, f64)>);

async fn answers(store: &Embedded, id: SeriesId) -> Answers {
    let mut buckets = Vec::new();
    for bucket in store.buckets(id, EVER_BUT_BRIEF, Duration::from_secs(60)).await.unwrap() {
        buckets.push((bucket.start.as_micros(), bucket.count, bucket.max));
    }
    (all(store, id).await, buckets)
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_log_is_noticed() {
    let mut fixture = Fixture::new();
    let store = fixture.embedded();
    let ids = [sensor(store, "a").await, sensor(store, "b").await];
    store.hold("reader", Offset(0)).await.unwrap();
    // Enough that it, and not the room beside it, is most of the file.
    for i in 0..40 {
        store.append(batch(ids[i as usize % 2], i * 600..(i + 1) * 600)).await.unwrap();
        if i == 9 {
            store.seal_now().await.unwrap();
        }
    }
    let whole = [all(store, ids[0]).await, all(store, ids[1]).await];
    let last = store.status().await.unwrap().last;
    fixture.close();
    let path = fixture.options.dir.join("log.db");
    let sound = fs::read(&path).unwrap();
    let (mut refused, mut lost, mut places) = (0, 0, Places(3));
    for _ in 0..FLIPS {
        let place = places.next(sound.len() * 8);
        fs::write(&path, &sound).unwrap();
        flip(&path, place);
        for name in ["log.db-wal", "log.db-shm"] {
            drop(fs::remove_file(fixture.options.dir.join(name)));
        }
        // To refuse is an answer too: the operator hears of it before anything is served.
        let Ok(store) = Embedded::open(fixture.options.clone()) else {
            refused += 1;
            continue;
        };
        let mut missing = 0;
        for (id, whole) in ids.iter().zip(&whole) {
            match store.range(*id, EVER, usize::MAX).await {
                Ok(seen) => {
                    let mut rest = whole.iter();
                    assert!(seen.iter().all(|p| rest.any(|w| w == p)), "bit {place}");
                    missing += whole.len() - seen.len();
                }
                Err(SeriesError::UnknownSeries(_)) => missing += whole.len(),
                Err(error) => panic!("bit {place}: {error}"),
            }
        }
        let status = store.status().await.unwrap();
        if missing > 0 || status.last != last {
            lost += 1;
            assert!(status.quarantined > 0, "bit {place}: {missing} lost without a word");
        }
    }
    assert!(refused + lost > FLIPS / 20, "{refused} refused, {lost} lost");
}

#[tokio::test]
async fn a_flipped_bit_in_the_write_ahead_log_is_noticed() {
    let fixture = Fixture::new();
    let store = fixture.embedded();
    let id = sensor(store, "flow").await;
    for i in 0..12 {
        store.append(batch(id, i * 10..(i + 1) * 10)).await.unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    copy_dir(&fixture.options.dir, copy.path());
    drop(fs::remove_file(copy.path().join("log.db-shm")));
    let sound = fs::read(copy.path().join("log.db-wal")).unwrap();
    assert!(sound.len() > 100_000);
    let whole = all(store, id).await;
    let (mut lost, mut places) = (0, Places(5));
    for _ in 0..60 {
        let place = places.next(sound.len() * 8);
        let torn = tempfile::tempdir().unwrap();
        copy_dir(copy.path(), torn.path());
        flip(&torn.path().join("log.db-wal"), place);
        let options = EmbeddedOptions::new(torn.path(), SystemClock::shared());
        let Ok(opened) = Embedded::open(options) else { continue };
        let status = opened.status().await.unwrap();
        let seen = opened.range(id, EVER, usize::MAX).await.unwrap_or_default();
        assert!(whole.starts_with(&seen), "bit {place}");
        if seen.len() < whole.len() {
            lost += 1;
            // The last transaction might never have been acknowledged.
            let unfinished = seen.len() + 10 >= whole.len();
            assert!(status.quarantined > 0 || unfinished, "bit {place} went unnoticed");
        }
    }
    assert!(lost > 10, "{lost}");
}
