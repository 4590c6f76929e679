//! How sound the alarm system itself is: the figures of EEMUA 191, ISA-18.2 and IEC 62682.

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::Timestamp;

use crate::decide::alerts::is_chattering;
use crate::model::{Loud, Period, Quality};

const PERIOD: Duration = Duration::from_secs(600);
const FLOOD_ABOVE: u64 = 10;
const FLOOD_BELOW: u64 = 5;
const TOP_MAX: usize = 10;

/// One occurrence of an alarm that called for attention.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ring {
    /// Wall time: when people heard it.
    pub(crate) at: Timestamp,
    /// Plant time.
    pub(crate) plant: Timestamp,
    pub(crate) sensor: String,
    pub(crate) priority: i32,
}

/// The alarms that stand, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    pub(crate) all: u64,
    pub(crate) stale: u64,
}

/// The figures of the rings in `[to - window, to)`.
#[must_use]
pub(crate) fn quality(
    rings: &[Ring],
    standing: Standing,
    window: Duration,
    to: Timestamp,
) -> Quality {
    let from = to.minus(window);
    let rings: Vec<&Ring> = rings.iter().filter(|r| r.at >= from && r.at < to).collect();
    let mut counts = vec![0_u64; usize::try_from(periods(window)).unwrap_or(1).max(1)];
    let mut by_priority: BTreeMap<i32, u64> = (1..=4).map(|priority| (priority, 0)).collect();
    let mut by_sensor: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
    for ring in &rings {
        let index = ring.at.since(from).as_micros() / PERIOD.as_micros();
        let last = counts.len() - 1;
        counts[usize::try_from(index).unwrap_or(last).min(last)] += 1;
        *by_priority.entry(ring.priority).or_default() += 1;
        by_sensor.entry(&ring.sensor).or_default().push(ring.plant);
    }
    let per_10_min = floods(&counts, from);
    let flooded = per_10_min.iter().filter(|period| period.flood).count();
    let last_10_min = rings.iter().filter(|r| r.at >= to.minus(PERIOD)).count() as u64;
    Quality {
        from,
        to,
        last_10_min,
        mean_per_10_min: rings.len() as f64 / counts.len() as f64,
        flood_share: flooded as f64 / counts.len() as f64,
        chattering: chattering(&by_sensor),
        stale: standing.stale,
        standing: standing.all,
        per_10_min,
        by_priority,
        top: loudest(&by_sensor),
    }
}

fn periods(window: Duration) -> u64 {
    window.as_secs().div_ceil(PERIOD.as_secs())
}

/// A flood starts above ten alarms in ten minutes and lasts until there are fewer than five.
fn floods(counts: &[u64], from: Timestamp) -> Vec<Period> {
    let mut flood = false;
    let mut at = from;
    let mut periods = Vec::with_capacity(counts.len());
    for &count in counts {
        flood = if flood { count >= FLOOD_BELOW } else { count > FLOOD_ABOVE };
        periods.push(Period { at, count, flood });
        at = at.plus(PERIOD);
    }
    periods
}

fn chattering(by_sensor: &BTreeMap<&str, Vec<Timestamp>>) -> Vec<String> {
    let chatters = |times: &Vec<Timestamp>| {
        let mut newest_first = times.clone();
        newest_first.sort_unstable_by(|a, b| b.cmp(a));
        (0..newest_first.len()).any(|start| is_chattering(&newest_first[start..]))
    };
    by_sensor.iter().filter(|(_, times)| chatters(times)).map(|(s, _)| (*s).to_owned()).collect()
}

fn loudest(by_sensor: &BTreeMap<&str, Vec<Timestamp>>) -> Vec<Loud> {
    let mut loud: Vec<Loud> = by_sensor
        .iter()
        .map(|(sensor, times)| Loud { sensor: (*sensor).to_owned(), count: times.len() as u64 })
        .collect();
    loud.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.sensor.cmp(&b.sensor)));
    loud.truncate(TOP_MAX);
    loud
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: Timestamp = Timestamp::from_secs(1_800_000_000);
    const WINDOW: Duration = Duration::from_secs(4 * 3_600);

    fn ring(before_s: u64, sensor: &str) -> Ring {
        let at = TO.minus(Duration::from_secs(before_s));
        Ring { at, plant: at, sensor: sensor.to_owned(), priority: 3 }
    }

    #[test]
    fn silence_is_sound() {
        let quality = quality(&[], Standing::default(), WINDOW, TO);
        assert_eq!((quality.last_10_min, quality.per_10_min.len()), (0, 24));
        assert!(quality.mean_per_10_min.abs() < 1e-12 && quality.flood_share.abs() < 1e-12);
    }

    #[test]
    fn a_flood_lasts_until_it_is_quiet() {
        let mut rings = Vec::new();
        // Per period, oldest first: 11 (flood), 6 (still), 4 (over), 9 (no flood).
        for (age, count) in [(3, 11), (2, 6), (1, 4), (0, 9)] {
            for n in 0..count {
                rings.push(ring(age * 600 + 1 + n * 40, &format!("s{}", n % 3)));
            }
        }
        let figures = quality(&rings, Standing::default(), WINDOW, TO);
        let floods: Vec<bool> = figures.per_10_min[20..].iter().map(|p| p.flood).collect();
        assert_eq!(floods, [true, true, false, false]);
        assert_eq!(figures.last_10_min, 9);
        assert!((figures.mean_per_10_min - 30.0 / 24.0).abs() < 1e-12);
        assert_eq!(figures.by_priority[&3], 30);
        assert_eq!(figures.top[0].sensor, "s0");
    }

    #[test]
    fn chatter_is_named() {
        let rings = [ring(300, "loud"), ring(280, "loud"), ring(250, "loud"), ring(9, "calm")];
        let figures = quality(&rings, Standing { all: 2, stale: 1 }, WINDOW, TO);
        assert_eq!(figures.chattering, ["loud"]);
        assert_eq!((figures.standing, figures.stale), (2, 1));
    }
}
