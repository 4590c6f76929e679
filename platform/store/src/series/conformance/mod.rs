//! What every series store must do: one suite, run by each implementation.
//!
//! An implementation gives a [`Harness`] and calls [`series_conformance!`] with a function that
//! makes one.

mod contract;
mod log;
mod model;

use std::time::Duration;

use futures_util::future::BoxFuture;
use kernel::{Quality, SensorKey, Timestamp};

pub(crate) use contract::*;
pub(crate) use log::*;
pub(crate) use model::*;

use super::{Batch, Offset, Point, SeriesId, SharedSeries, Span};

/// One store on storage of its own, that can be closed and opened again.
pub(crate) trait Harness: Send {
    fn store(&self) -> SharedSeries;

    /// Closes the store and opens it on the same storage. The caller has dropped its clones.
    fn reopen(&mut self) -> BoxFuture<'_, ()>;

    /// Moves everything into its final form, where the store knows such a thing.
    fn seal(&self) -> BoxFuture<'_, ()>;
}

/// Makes one test of every part of the contract.
macro_rules! series_conformance {
    ($make:path) => {
        $crate::series::conformance::series_conformance!(@each $make:
            offsets_grow_by_one, a_key_keeps_its_id, survives_reopening, the_last_writer_wins,
            a_retried_batch_changes_nothing, late_data_never_rewrites_latest,
            ranges_are_ordered_and_limited, buckets_are_aligned_and_leave_bad_out,
            too_many_buckets_are_refused, corrections_are_audited, late_changes_are_audited,
            retention_removes_whole_days, refuses_what_is_no_batch, an_empty_batch_has_an_offset,
            tail_waits_and_wakes, tail_is_ordered_and_whole, tail_reads_what_was_before_opening,
            held_readers_keep_the_log,
        );

        #[test]
        fn agrees_with_the_model() {
            $crate::series::conformance::agrees_with_the_model($make);
        }
    };
    (@each $make:path: $($name:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::series::conformance::$name(&mut $make()).await;
            }
        )+
    };
}
pub(crate) use series_conformance;

/// 2026-11-19T00:00:00Z
const DAY: i64 = 20_776 * 86_400_000_000;
const SECOND: i64 = 1_000_000;
const BRIEF: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);
const EVER: Span = Span { from: Timestamp::MIN, to: Timestamp::MAX };

fn key(name: &str) -> SensorKey {
    SensorKey::new(&format!("north/p-1/{name}")).unwrap()
}

async fn sensor(store: &SharedSeries, name: &str) -> SeriesId {
    store.register(&[key(name)]).await.unwrap()[0]
}

fn good(at: i64, value: f64) -> Point {
    Point { at: Timestamp::from_micros(at), value, quality: Quality::Good }
}

fn batch(id: SeriesId, points: &[Point]) -> Batch {
    let mut batch = Batch { received: Timestamp::from_micros(DAY), ..Batch::default() };
    for point in points {
        batch.push(id, *point);
    }
    batch
}

async fn append(store: &SharedSeries, id: SeriesId, points: &[Point]) -> Offset {
    store.append(batch(id, points)).await.unwrap()
}

async fn all(store: &SharedSeries, id: SeriesId) -> Vec<Point> {
    store.range(id, EVER, usize::MAX).await.unwrap()
}

fn span(from: i64, to: i64) -> Span {
    Span { from: Timestamp::from_micros(from), to: Timestamp::from_micros(to) }
}
