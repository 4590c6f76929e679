//! Volume balances over long windows, corrected for line pack by the model, for leaks that creep.
//!
//! In each window the mean residuals are held against what was normal when the line was known to
//! be tight. Meters wander meanwhile; the thresholds know by how much.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::history::{Normal, Scan};
use super::hypothesis::FLOW_ERROR;
use super::signature::{Bank, Cause, Signature};
use super::verdict::WindowEvidence;

/// Residuals are gathered over this time before they are kept, s.
const BUCKET_S: f64 = 300.0;
/// The windows, in buckets: half an hour, four hours, a day.
pub(crate) const WINDOWS: [usize; 3] = [6, 48, 288];
/// A bucket with fewer than this share of its scans says nothing.
const SCANS_MIN: f64 = 5.0;
/// The anchor forgets within this time, s.
const ANCHOR_S: f64 = 86_400.0;
/// The anchor never goes further than this many sigma of the slow error from its first value.
const ANCHOR_SIGMA: f64 = 1.5;

/// Mean residuals of one bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Bucket {
    from_s: f64,
    count: Vec<f64>,
    sum: Vec<f64>,
    flow: f64,
    scans: f64,
}

/// The buckets of a day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Balance {
    buckets: VecDeque<Bucket>,
    open: Bucket,
    /// Level of each channel when the line was known to be tight, the first and the present one.
    first: Vec<f64>,
    anchor: Vec<f64>,
    flow: f64,
}

/// The best explanation of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LongFit {
    pub(crate) window_s: f64,
    pub(crate) cause: Cause,
    pub(crate) place_m: f64,
    pub(crate) size: f64,
    pub(crate) size_sigma: f64,
    pub(crate) gain: f64,
}

impl Balance {
    /// Takes in a scan; true when a bucket was filled.
    pub(crate) fn push(&mut self, scan: &Scan) -> bool {
        let channels = scan.residual.len();
        let begins = self.open.count.len() != channels;
        let full = !begins && scan.time_s - self.open.from_s >= BUCKET_S;
        if full {
            let bucket = std::mem::take(&mut self.open);
            self.buckets.push_back(bucket);
            while self.buckets.len() > WINDOWS[WINDOWS.len() - 1] {
                self.buckets.pop_front();
            }
        }
        if begins || full {
            self.open = Bucket {
                from_s: scan.time_s,
                count: vec![0.0; channels],
                sum: vec![0.0; channels],
                flow: 0.0,
                scans: 0.0,
            };
        }
        for (channel, residual) in scan.residual.iter().enumerate() {
            if residual.is_finite() {
                self.open.count[channel] += 1.0;
                self.open.sum[channel] += residual;
            }
        }
        self.open.scans += 1.0;
        self.open.flow += (scan.flow - self.open.flow) / self.open.scans;
        full
    }

    /// Sets what is normal, from the time that was known to be tight.
    pub(crate) fn settle(&mut self, normals: &[Normal], flow: f64) {
        self.anchor = normals.iter().map(|n| n.anchored().unwrap_or(n.level)).collect();
        self.first.clone_from(&self.anchor);
        self.flow = flow;
        self.buckets.clear();
    }

    pub(crate) fn is_settled(&self) -> bool {
        !self.anchor.is_empty()
    }

    /// Lets the anchor follow the newest bucket of a quiet time, slowly and not far.
    pub(crate) fn follow(&mut self, normals: &[Normal]) {
        let Some(bucket) = self.buckets.back() else {
            return;
        };
        for (channel, normal) in normals.iter().enumerate() {
            if bucket.count[channel] < SCANS_MIN {
                continue;
            }
            let mean = bucket.sum[channel] / bucket.count[channel];
            let reach = ANCHOR_SIGMA * normal.drift();
            let next = self.anchor[channel] + BUCKET_S / ANCHOR_S * (mean - self.anchor[channel]);
            self.anchor[channel] =
                next.clamp(self.first[channel] - reach, self.first[channel] + reach);
        }
    }

    /// Moves what is normal by a known change of one instrument.
    pub(crate) fn shift(&mut self, channel: usize, change: f64) {
        if let (Some(first), Some(anchor)) =
            (self.first.get_mut(channel), self.anchor.get_mut(channel))
        {
            *first += change;
            *anchor += change;
        }
        self.buckets.clear();
    }

    /// Forgets the buckets, as after the model is driven in another way.
    pub(crate) fn clear(&mut self) {
        self.buckets.clear();
        self.open = Bucket::default();
        self.anchor.clear();
    }

    /// Mean of each channel over a window less what is normal, with its variance.
    fn means(&self, window: usize, normals: &[Normal]) -> Option<Vec<(f64, f64)>> {
        if self.buckets.len() < window || self.anchor.is_empty() {
            return None;
        }
        let buckets = || self.buckets.iter().rev().take(window);
        let flow = buckets().map(|bucket| bucket.flow).sum::<f64>() / window as f64;
        let of = |(channel, normal): (usize, &Normal)| {
            let count: f64 = buckets().map(|bucket| bucket.count[channel]).sum();
            let sum: f64 = buckets().map(|bucket| bucket.sum[channel]).sum();
            if count < SCANS_MIN * window as f64 {
                return (0.0, f64::INFINITY);
            }
            let error = if channel < 2 { FLOW_ERROR * (flow - self.flow) } else { 0.0 };
            let wander = 2.0 * normal.drift() * normal.drift();
            let noise = normal.noise() * normal.widening() / count;
            (sum / count - self.anchor[channel], noise + wander + error * error)
        };
        Some(normals.iter().enumerate().map(of).collect())
    }

    /// The best leak and the best other cause of each window that is full.
    pub(crate) fn test(&self, bank: &Bank, normals: &[Normal]) -> Vec<(LongFit, LongFit)> {
        let mut fits = Vec::new();
        for window in WINDOWS {
            let Some(means) = self.means(window, normals) else {
                continue;
            };
            let window_s = window as f64 * BUCKET_S;
            let best = |signatures: &mut dyn Iterator<Item = &Signature>| {
                signatures
                    .filter_map(|signature| long_fit(bank, signature, &means, window_s))
                    .filter(|fit| !fit.cause.is_leak() || fit.size > 0.0)
                    .max_by(|a, b| a.gain.total_cmp(&b.gain))
            };
            if let (Some(leak), Some(other)) = (best(&mut bank.leaks(1)), best(&mut bank.others()))
            {
                fits.push((leak, other));
            }
        }
        fits
    }

    /// The imbalances as evidence, in % of a nominal flow, with thresholds at `sigmas`.
    pub(crate) fn evidence(
        &self,
        normals: &[Normal],
        nominal: f64,
        sigmas: f64,
    ) -> Vec<WindowEvidence> {
        let pct = 100.0 / nominal;
        let windows = WINDOWS.into_iter().filter_map(|window| {
            let means = self.means(window, normals)?;
            let (inlet, outlet) = (means[0], means[1]);
            let sigma = (inlet.1 + outlet.1).sqrt();
            sigma.is_finite().then_some(WindowEvidence {
                window_s: window as f64 * BUCKET_S,
                imbalance_pct: (inlet.0 - outlet.0) * pct,
                threshold_pct: sigmas * sigma * pct,
            })
        });
        windows.collect()
    }
}

fn long_fit(
    bank: &Bank,
    signature: &Signature,
    means: &[(f64, f64)],
    window_s: f64,
) -> Option<LongFit> {
    let (mut along, mut square) = (0.0_f64, 0.0_f64);
    for (channel, (mean, variance)) in means.iter().enumerate() {
        let response = bank.settled(signature, channel);
        if variance.is_finite() {
            along += response * mean / variance;
            square += response * response / variance;
        }
    }
    (square > 0.0).then(|| LongFit {
        window_s,
        cause: signature.cause,
        place_m: signature.place_m,
        size: along / square,
        size_sigma: 1.0 / square.sqrt(),
        gain: 0.5 * along * along / square,
    })
}
