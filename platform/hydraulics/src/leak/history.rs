//! What the residuals were: a bounded past of scans, and what is normal for each channel.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// How far back a beginning is looked for, s; on lines longer than a hundred kilometres more.
pub(crate) const PAST_S: f64 = 2_700.0;
/// Scans kept at most, whatever their pace.
const SCANS_MAX: usize = 4_096;
/// Slow errors of instruments are taken to wander within about this time, s.
const WANDER_S: f64 = 7_200.0;
/// Weight of the newest sample in what is learnt of noise and its correlation.
const NOISE_GAIN: f64 = 0.004;
/// A sample beyond this many sigma teaches nothing.
const OUTLIER: f64 = 4.0;
/// An instrument that was wrong once is expected to wander so much more.
const MISTRUST: f64 = 3.0;
/// Neighbouring residuals are taken to be correlated up to this.
const CORRELATION_MAX: f64 = 0.8;

/// One scan as the tests see it. Channels: inlet flow, outlet flow, inner pressures; not a number
/// where there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scan {
    pub(crate) time_s: f64,
    #[serde(with = "missing")]
    pub(crate) residual: Vec<f64>,
    pub(crate) variance: Vec<f64>,
    /// What is normal for each channel as believed before this scan, and the variance of that.
    pub(crate) normal: Vec<f64>,
    pub(crate) normal_variance: Vec<f64>,
    /// Flow at the inlet in the model, m3/s.
    pub(crate) flow: f64,
    pub(crate) ends: Ends,
}

/// Measured at the ends, in m3/s and m; not a number where missing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ends {
    #[serde(with = "missing_one")]
    pub(crate) flow_in: f64,
    #[serde(with = "missing_one")]
    pub(crate) flow_out: f64,
    #[serde(with = "missing_one")]
    pub(crate) head_in: f64,
    #[serde(with = "missing_one")]
    pub(crate) head_out: f64,
}

/// The level of one channel while nothing happens, followed by a Kalman filter of a random walk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Normal {
    pub(crate) level: f64,
    pub(crate) variance: f64,
    /// One sigma of the slow error.
    drift: f64,
    /// Variance of one residual by the data sheet.
    noise: f64,
    /// Learnt: mean square of the innovations over `noise`, and of neighbours' products.
    spread: f64,
    product: f64,
    last: f64,
    /// Anchor: the mean of the time that was known to be free of leaks.
    anchor: f64,
    anchored: f64,
}

impl Normal {
    pub(crate) fn new(noise: f64, bias: f64, drift: f64) -> Self {
        Self {
            level: 0.0,
            variance: noise + bias * bias,
            drift,
            noise,
            spread: 1.0,
            product: 0.0,
            last: 0.0,
            anchor: 0.0,
            anchored: 0.0,
        }
    }

    /// Variance of one residual, with what was learnt.
    pub(crate) fn noise(&self) -> f64 {
        self.noise * self.spread.clamp(1.0, 9.0)
    }

    /// By how much correlation widens the variance of a mean: (1 + r)/(1 - r).
    pub(crate) fn widening(&self) -> f64 {
        let r = (self.product / self.spread.max(1e-9)).clamp(0.0, CORRELATION_MAX);
        (1.0 + r) / (1.0 - r)
    }

    pub(crate) fn drift(&self) -> f64 {
        self.drift
    }

    /// Lets time pass.
    pub(crate) fn age(&mut self, seconds: f64) {
        self.variance += self.growth(seconds);
    }

    /// Variance that the slow error gains in a time.
    pub(crate) fn growth(&self, seconds: f64) -> f64 {
        2.0 * self.drift * self.drift * (seconds / WANDER_S).min(1.0)
    }

    /// Adds doubt, as after a change of the working point.
    pub(crate) fn doubt(&mut self, variance: f64) {
        self.variance += variance;
    }

    /// Takes in a residual of a quiet time.
    pub(crate) fn learn(&mut self, residual: f64, variance: f64) {
        let innovation = residual - self.level;
        let scale = (variance + self.variance).sqrt();
        let gain = self.variance / (self.variance + variance * self.widening());
        self.level += gain * innovation.clamp(-OUTLIER * scale, OUTLIER * scale);
        self.variance *= 1.0 - gain;
        let scaled = innovation / self.noise.sqrt();
        if innovation.abs() < OUTLIER * scale && gain < 0.2 {
            self.spread += NOISE_GAIN * (scaled * scaled - self.spread);
            self.product += NOISE_GAIN * (scaled * self.last - self.product);
            self.last = scaled;
        }
    }

    /// Takes a residual of the time that is known to be free of leaks into the anchor.
    pub(crate) fn anchor(&mut self, residual: f64) {
        self.anchored += 1.0;
        self.anchor += (residual - self.anchor) / self.anchored;
    }

    /// Mean of the time that was known to be free of leaks.
    pub(crate) fn anchored(&self) -> Option<f64> {
        (self.anchored > 0.0).then_some(self.anchor)
    }

    /// Moves everything by a known change, as after a fault was named.
    pub(crate) fn shift(&mut self, change: f64) {
        self.level += change;
        self.anchor += change;
        self.variance += 0.01 * change * change;
    }

    /// Expects more of the slow error from now on, as after a fault was named.
    pub(crate) fn mistrust(&mut self) {
        self.drift = self.drift.max(0.0) * MISTRUST;
    }
}

/// The past, newest last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Past {
    pub(crate) scans: VecDeque<Scan>,
}

impl Past {
    pub(crate) fn push(&mut self, scan: Scan, span_s: f64) {
        let until = scan.time_s - span_s;
        self.scans.push_back(scan);
        while self.scans.len() > SCANS_MAX
            || self.scans.front().is_some_and(|oldest| oldest.time_s < until)
        {
            self.scans.pop_front();
        }
    }

    /// Index of the first scan after a time.
    pub(crate) fn after(&self, time_s: f64) -> usize {
        self.scans.partition_point(|scan| scan.time_s <= time_s)
    }

    /// Mean and count of a measured quantity in a stretch of time, both ends included.
    pub(crate) fn mean(&self, from_s: f64, to_s: f64, of: impl Fn(&Scan) -> f64) -> (f64, f64) {
        let (mut sum, mut count) = (0.0_f64, 0.0_f64);
        let first = self.scans.partition_point(|scan| scan.time_s < from_s);
        for scan in self.scans.iter().skip(first).take_while(|scan| scan.time_s <= to_s) {
            let value = of(scan);
            if value.is_finite() {
                sum += value;
                count += 1.0;
            }
        }
        (sum / count.max(1.0), count)
    }
}

/// JSON knows no NaN: a missing value is `null` there.
mod missing {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        let values: Vec<_> = values.iter().map(|v| v.is_finite().then_some(*v)).collect();
        values.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        let values = Vec::<Option<f64>>::deserialize(from)?;
        Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
    }
}

mod missing_one {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(*value).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
    }
}
