use std::time::Duration;

use kernel::{Quality, Reading, Reason, SensorKey, Timestamp};
use opcua_types::{DataValue, NodeId};

use crate::values;

/// A node that is watched, and what was last heard of it.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) node: NodeId,
    pub(crate) sensor: SensorKey,
    pub(crate) unit: Option<String>,
    pub(crate) sampling_ms: u64,
    pub(crate) deadband: Option<f64>,
    pub(crate) last: Last,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Last {
    pub(crate) value: Option<f64>,
    pub(crate) quality: Quality,
    /// The newest event time that was said.
    pub(crate) at: Option<Timestamp>,
    /// The newest time the server vouched for; a gap begins there.
    pub(crate) good_until: Option<Timestamp>,
}

impl Tag {
    /// What a notification means. An error says why it is no reading.
    pub(crate) fn hear(&mut self, said: &DataValue, now: Timestamp) -> Result<Reading, String> {
        self.take(said, values::event_time(said, now))
    }

    /// What was read on request: the server says that the value still is so now. Some servers
    /// answer with the server time of the last write, which says nothing about now.
    pub(crate) fn confirm(&mut self, said: &DataValue, now: Timestamp) -> Result<Reading, String> {
        let at = values::time(said.server_timestamp.as_ref());
        self.take(said, at.filter(|at| Some(*at) > self.last.at).unwrap_or(now))
    }

    fn take(&mut self, said: &DataValue, at: Timestamp) -> Result<Reading, String> {
        let mut quality = values::quality(said.status);
        let number = values::number(said.value.as_ref());
        let value = match (number, self.last.value) {
            (Some(number), _) => number,
            (None, Some(last)) if quality.is_bad() => last,
            (None, Some(last)) if said.value.is_none() => {
                // Good, and yet there is none.
                quality = Quality::Bad(Reason::Source);
                last
            }
            (None, _) if quality.is_bad() => {
                let status = said.status.map(|status| status.to_string()).unwrap_or_default();
                return Err(format!("{}: {status}, and no value yet", self.sensor));
            }
            (None, _) => return Err(format!("{} ({}) is no number", self.sensor, self.node)),
        };
        self.last.quality = quality;
        self.last.at = self.last.at.max(Some(at));
        self.last.good_until = self.last.good_until.max(Some(at));
        if number.is_some() {
            self.last.value = Some(value);
        }
        Ok(self.reading(at, value, quality))
    }

    /// What is kept is old now; `None` when that was said already.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Option<Reading> {
        let value = self.last.value.filter(|_| !self.last.quality.is_bad())?;
        self.last.quality = Quality::Bad(Reason::Stale);
        self.last.at = self.last.at.max(Some(now));
        Some(self.reading(now, value, self.last.quality))
    }

    pub(crate) fn is_due(&self, now: Timestamp, repeat: Duration) -> bool {
        self.last.at.is_none_or(|at| now.since(at) >= repeat)
    }

    /// A reading from the server's history.
    pub(crate) fn past(&self, said: &DataValue) -> Option<Reading> {
        let at = values::time(said.source_timestamp.as_ref())
            .or_else(|| values::time(said.server_timestamp.as_ref()))?;
        let value = values::number(said.value.as_ref())?;
        Some(self.reading(at, value, values::quality(said.status)))
    }

    fn reading(&self, at: Timestamp, value: f64, quality: Quality) -> Reading {
        Reading { sensor: self.sensor.clone(), at, value, quality, unit: self.unit.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua_types::{StatusCode, Variant};

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn tag() -> Tag {
        Tag {
            node: NodeId::new(2, "Pump"),
            sensor: SensorKey::new("a/b/c").unwrap(),
            unit: None,
            sampling_ms: 100,
            deadband: None,
            last: Last::default(),
        }
    }

    fn said(value: Option<f64>, status: StatusCode, at: Timestamp) -> DataValue {
        DataValue {
            value: value.map(Variant::from),
            status: Some(status),
            source_timestamp: Some(values::ua_time(at)),
            ..DataValue::null()
        }
    }

    #[test]
    fn a_bad_status_keeps_the_last_value_and_says_bad() {
        let mut tag = tag();
        let bad = said(None, StatusCode::BadSensorFailure, NOW);
        assert!(tag.hear(&bad, NOW).unwrap_err().contains("BadSensorFailure"));
        let before = NOW.minus(Duration::from_secs(5));
        let good = tag.hear(&said(Some(4.0), StatusCode::Good, before), NOW).unwrap();
        assert_eq!((good.value, good.at, good.quality), (4.0, before, Quality::Good));
        let bad = tag.hear(&bad, NOW).unwrap();
        assert_eq!((bad.value, bad.quality), (4.0, Quality::Bad(Reason::Source)));
        assert!(tag.expire(NOW).is_none(), "it is bad already");
        let empty = tag.hear(&said(None, StatusCode::Good, NOW), NOW).unwrap();
        assert!(empty.quality.is_bad());
    }

    #[test]
    fn an_expired_value_is_said_once_and_a_text_never() {
        let mut tag = tag();
        let text = DataValue { value: Some(Variant::from("on")), ..DataValue::null() };
        assert!(tag.hear(&text, NOW).unwrap_err().contains("no number"));
        tag.hear(&said(Some(4.0), StatusCode::Good, NOW), NOW).unwrap();
        let later = NOW.plus(Duration::from_secs(60));
        assert_eq!(tag.expire(later).unwrap().quality, Quality::Bad(Reason::Stale));
        assert!(tag.expire(later).is_none());
        // The gap begins where the server last spoke, not where we gave up.
        assert_eq!(tag.last.good_until, Some(NOW));
        assert!(tag.is_due(later.plus(Duration::from_secs(30)), Duration::from_secs(30)));
        assert!(!tag.is_due(later, Duration::from_secs(30)));
    }
}
