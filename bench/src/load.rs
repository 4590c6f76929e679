//! Senders at full speed, shared by the benchmarks that press a server rather than time it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::data::Plant;
use crate::ingest::write_path;
use crate::server::Server;

/// What the senders have seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Readings that were acknowledged.
    pub(crate) acknowledged: AtomicU64,
    /// Answers that asked to come back later, and those among them that said when.
    pub(crate) pushed_back: AtomicU64,
    pub(crate) with_retry_after: AtomicU64,
    /// Bodies that were given up after an answer that is neither.
    pub(crate) failed: AtomicU64,
}

/// Clients that send until they are stopped, each with sensors of its own.
pub(crate) struct Senders {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
    pub(crate) seen: Arc<Seen>,
}

impl Senders {
    /// `sensors` for each of `clients`, a second of all of them in a body.
    pub(crate) fn start(server: &Server, clients: usize, sensors: usize) -> anyhow::Result<Self> {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Seen::default()));
        let path = write_path(&server.who);
        let threads = (0..clients)
            .map(|client| {
                let mut connection = server.connect()?;
                let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
                let mut plant = Plant::of_site(&format!("s{client}"), sensors, 0);
                Ok(thread::spawn(move || -> anyhow::Result<()> {
                    let per_body = (10_000 / sensors).max(1) as i64;
                    while !stop.load(Relaxed) {
                        let body = plant.lines(per_body);
                        let readings = per_body as u64 * sensors as u64;
                        loop {
                            let answer = connection.post(path, &body)?;
                            match answer.status {
                                200 | 204 => seen.acknowledged.fetch_add(readings, Relaxed),
                                429 | 503 | 507 => {
                                    seen.pushed_back.fetch_add(1, Relaxed);
                                    let pause = answer.retry_after;
                                    seen.with_retry_after
                                        .fetch_add(u64::from(pause.is_some()), Relaxed);
                                    if stop.load(Relaxed) {
                                        break;
                                    }
                                    thread::sleep(Duration::from_secs_f64(pause.unwrap_or(1.0)));
                                    continue;
                                }
                                _ => seen.failed.fetch_add(1, Relaxed),
                            };
                            break;
                        }
                    }
                    Ok(())
                }))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { stop, threads, seen })
    }

    pub(crate) fn stop(self) -> anyhow::Result<Arc<Seen>> {
        self.stop.store(true, Relaxed);
        for thread in self.threads {
            match thread.join() {
                Ok(outcome) => outcome?,
                Err(_) => anyhow::bail!("a sender panicked"),
            }
        }
        Ok(self.seen)
    }
}
