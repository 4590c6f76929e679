//! What is asked in the words of Prometheus: queries, and which series there are.

mod index;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use promql::{Answer, Grid, Labels, Limits, Matcher, PromqlError, Query};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Telemetry;
use crate::error::TelemetryError;

use index::{Index, Named};
use source::Readings;

/// Queries evaluated at the same time: each may take a core and some hundred MiB.
const QUERIES_AT_ONCE: usize = 4;
/// Series that one selector or one listing may touch.
pub(crate) const SERIES_MAX: usize = 20_000;
/// How long a query may take; below the patience of the web, so that the answer is Prometheus'.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_secs(25);

/// When a query is to be evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    Instant(i64),
    Range(Grid),
}

/// Which series a listing is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    /// A series belongs to it when one of these selectors fits; every one does when there is none.
    pub selectors: Vec<Vec<Matcher>>,
    /// Series that ended before are left out.
    pub from_ms: Option<i64>,
}

/// What is known of a metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct About {
    pub kind: String,
    pub help: String,
    pub unit: String,
}

/// Telemetry, seen as a Prometheus sees its data; cheap to clone.
#[derive(Clone)]
pub(crate) struct Prometheus(Arc<Inner>);

struct Inner {
    telemetry: Telemetry,
    index: Mutex<Arc<Index>>,
    turns: Arc<Semaphore>,
}

impl Prometheus {
    pub(crate) fn new(telemetry: Telemetry) -> Self {
        Self(Arc::new(Inner {
            telemetry,
            index: Mutex::default(),
            turns: Arc::new(Semaphore::new(QUERIES_AT_ONCE)),
        }))
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.0.telemetry.clock.now().as_micros().div_euclid(1_000)
    }

    /// Evaluates `query` on a thread of its own. It ends by itself after `timeout`, or when
    /// nobody waits for the answer any more.
    pub(crate) async fn ask(
        &self,
        query: Query,
        when: When,
        timeout: Duration,
    ) -> Result<Answer, TelemetryError> {
        let deadline = Instant::now() + timeout.min(TIMEOUT_MAX);
        let turn = tokio::time::timeout_at(deadline, Arc::clone(&self.0.turns).acquire_owned())
            .await
            .map_err(|_| PromqlError::TimedOut)?;
        let index = self.index().await?;
        let readings = Readings {
            series: Arc::clone(&self.0.telemetry.series),
            index,
            runtime: Handle::current(),
        };
        let waits = Waits::default();
        let left = Arc::clone(&waits.0);
        let work = tokio::task::spawn_blocking(move || {
            let is_over = || left.load(Ordering::Relaxed) || Instant::now() >= deadline;
            let limits = Limits { is_over: &is_over };
            let answer = match when {
                When::Instant(at_ms) => query.instant(at_ms, &readings, &limits),
                When::Range(grid) => query.range(grid, &readings, &limits),
            };
            drop(turn);
            answer
        });
        let answer = work.await.map_err(|error| TelemetryError::Shard(error.to_string()))??;
        drop(waits);
        Ok(answer)
    }

    /// The labels of every series of the listing, sorted.
    pub(crate) async fn series(&self, listing: &Listing) -> Result<Vec<Labels>, TelemetryError> {
        let mut found: Vec<Labels> = Vec::new();
        self.each(listing, |named| found.push(named.labels.clone())).await?;
        if found.len() > SERIES_MAX {
            Err(PromqlError::TooMany { what: "series", max: SERIES_MAX })?;
        }
        found.sort();
        Ok(found)
    }

    pub(crate) async fn label_names(
        &self,
        listing: &Listing,
    ) -> Result<BTreeSet<String>, TelemetryError> {
        let mut names = BTreeSet::new();
        self.each(listing, |named| {
            for (name, _) in named.labels.iter() {
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
            }
        })
        .await?;
        Ok(names)
    }

    pub(crate) async fn label_values(
        &self,
        label: &str,
        listing: &Listing,
    ) -> Result<BTreeSet<String>, TelemetryError> {
        let mut values = BTreeSet::new();
        self.each(listing, |named| {
            let value = named.labels.get(label);
            if !value.is_empty() && !values.contains(value) {
                values.insert(value.to_owned());
            }
        })
        .await?;
        Ok(values)
    }

    /// What is known of each metric, or of the one asked for.
    pub(crate) async fn metadata(
        &self,
        metric: Option<&str>,
    ) -> Result<BTreeMap<String, BTreeSet<About>>, TelemetryError> {
        let mut known: BTreeMap<String, BTreeSet<About>> = BTreeMap::new();
        self.each(&Listing::default(), |named| {
            let name = named.labels.get(promql::NAME);
            if metric.is_none_or(|wanted| wanted == name) {
                known.entry(name.to_owned()).or_default().insert(index::about(named));
            }
        })
        .await?;
        Ok(known)
    }

    async fn each(
        &self,
        listing: &Listing,
        mut take: impl FnMut(&Named),
    ) -> Result<(), TelemetryError> {
        let index = self.index().await?;
        for named in index.all() {
            let fits = |selector: &Vec<Matcher>| index::fits(selector, &named.labels);
            let is_meant = listing.selectors.is_empty() || listing.selectors.iter().any(fits);
            if is_meant && is_there(named, listing.from_ms) {
                take(named);
            }
        }
        Ok(())
    }

    /// The names of all series, made anew after sensors were added or changed.
    async fn index(&self) -> Result<Arc<Index>, TelemetryError> {
        let telemetry = &self.0.telemetry;
        telemetry.ensure_loaded().await?;
        let known = Arc::clone(&self.0.index.lock().unwrap_or_else(PoisonError::into_inner));
        let generation = telemetry.registry.generation();
        if known.generation() == Some(generation) {
            return Ok(known);
        }
        let entries = telemetry.registry.all();
        let fresh = tokio::task::spawn_blocking(move || known.renewed(generation, entries)).await;
        let fresh = Arc::new(fresh.map_err(|error| TelemetryError::Shard(error.to_string()))?);
        *self.0.index.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        Ok(fresh)
    }
}

/// Says, once it is dropped, that nobody waits any more.
#[derive(Default)]
struct Waits(Arc<AtomicBool>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether the sensor has said anything, and not only before `from_ms`.
fn is_there(named: &Named, from_ms: Option<i64>) -> bool {
    named.entry.with_now(|now| {
        now.latest.is_some_and(|latest| {
            from_ms.is_none_or(|from| latest.at.as_micros().div_euclid(1_000) >= from)
        })
    })
}
