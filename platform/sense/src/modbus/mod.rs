//! Modbus TCP: registers of devices, asked for at intervals.
//!
//! A device says neither when a value was measured nor how good it is. The time of a reading is
//! therefore the time of the poll's answer. A register that the device refuses makes only its own
//! sensor bad; a unit that does not answer makes its own sensors bad, and the others go on.

#[doc(hidden)]
pub mod fuzz;
mod line;
mod map;
mod plan;
mod poll;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use kernel::{Backoff, SharedClock};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::courier::{Courier, carry};
use crate::reconnect::{Patience, Reconnect};
use crate::source::{Field, FieldKind};
use crate::{
    Connector, ConnectorKind, Origin, Protocol, ReadingSink, SenseError, SourceId, SourceStatus,
    settings,
};

use map::{Register, Tag};
use poll::Poller;

const REGISTERS_MAX: usize = 10_000;
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 10..=60_000;
/// A device on the plant's own network is tried more often than a server elsewhere.
const PATIENCE: Patience = Patience {
    backoff: Backoff { first: Duration::from_millis(500), max: Duration::from_secs(30) },
    failures_max: 8,
};

/// Modbus TCP as one of the connectors that settings can name.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModbusKind;

const FIELDS: &[Field] = &[
    Field::new("host", "Host", FieldKind::Text).required(),
    Field::new("port", "Port", FieldKind::Number).default("502"),
    Field::new("unit", "Unit", FieldKind::Number)
        .default("1")
        .help("The Modbus unit of registers that name none."),
    Field::new("interval_ms", "Interval, ms", FieldKind::Number)
        .default("1000")
        .help("How often registers are read that say nothing else."),
    Field::new("timeout_ms", "Timeout, ms", FieldKind::Number).default("1000"),
    Field::new("gap_max", "Registers read along", FieldKind::Number)
        .default("8")
        .help("Unused registers between two used ones that one request may pass over."),
    Field::new("registers", "Registers", FieldKind::Json).required().help(
        "A list of {sensor, table: holding|input|coil|discrete, address, type: u16|i16|u32|i32|\
         u64|i64|f32|f64|bit n, order: ABCD|CDAB|BADC|DCBA, scale, offset, unit_of_measure, unit, \
         interval_ms, deadband}. Addresses count from 0.",
    ),
    Field::new("origin", "Origin", FieldKind::Select)
        .options(&["real", "simulated", "replayed"])
        .default("real"),
];

/// A device, or a gateway to several.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModbusSettings {
    host: String,
    #[serde(default = "port")]
    port: u16,
    #[serde(default = "unit")]
    unit: u8,
    #[serde(default = "second_ms")]
    interval_ms: u64,
    #[serde(default = "second_ms")]
    timeout_ms: u64,
    #[serde(default = "gap_max")]
    gap_max: u16,
    registers: Vec<Register>,
    #[serde(default)]
    origin: Origin,
}

fn port() -> u16 {
    502
}

fn unit() -> u8 {
    1
}

fn second_ms() -> u64 {
    1_000
}

fn gap_max() -> u16 {
    8
}

impl ConnectorKind for ModbusKind {
    fn protocol(&self) -> Protocol {
        Protocol::ModbusTcp
    }

    fn title(&self) -> &'static str {
        "Modbus TCP"
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    fn secrets(&self) -> &'static [&'static str] {
        &[]
    }

    fn build(
        &self,
        name: &str,
        settings: &Value,
        clock: SharedClock,
    ) -> Result<Arc<dyn Connector>, SenseError> {
        let read: ModbusSettings = settings::read(settings, FIELDS)?;
        let fault = |field, reason: String| Err(SenseError::Settings { field, reason });
        if read.host.trim().is_empty() {
            return fault("host", "is empty".to_owned());
        }
        if read.port == 0 {
            return fault("port", "is 0".to_owned());
        }
        if !TIMEOUT_MS.contains(&read.timeout_ms) {
            return fault("timeout_ms", "10 to 60000 is needed".to_owned());
        }
        if read.registers.is_empty() || read.registers.len() > REGISTERS_MAX {
            return fault("registers", format!("1 to {REGISTERS_MAX} are needed"));
        }
        let tags = map::tags(&read.registers, read.unit, read.interval_ms)?;
        let id = SourceId::new(Protocol::ModbusTcp, name);
        let status = SourceStatus::new(id, format!("{}:{}", read.host, read.port));
        Ok(Arc::new(Modbus { settings: read, tags, clock, status }))
    }
}

/// A configured device, checked, ready to run.
struct Modbus {
    settings: ModbusSettings,
    tags: Vec<Tag>,
    clock: SharedClock,
    status: SourceStatus,
}

impl Connector for Modbus {
    fn status(&self) -> &SourceStatus {
        &self.status
    }

    fn run(
        self: Arc<Self>,
        sink: Arc<dyn ReadingSink>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let (courier, waiting) = Courier::new(&self.status, &self.clock, self.settings.origin);
            let carried = carry(waiting, &self.status, &self.clock, sink, stop.clone());
            tokio::join!(self.keep_polling(courier, &stop), carried);
            self.status.stopped();
        })
    }

    /// The slowest register's: what is read more often must not be missed for longer.
    fn interval(&self) -> Option<Duration> {
        self.tags.iter().map(|tag| Duration::from_millis(tag.interval_ms)).min()
    }
}

impl Modbus {
    async fn keep_polling(&self, courier: Courier, stop: &CancellationToken) {
        let mut poller = Poller::new(self, courier);
        let mut reconnect = Reconnect::new(&self.status, &self.clock, PATIENCE);
        loop {
            self.status.connecting();
            let lost = tokio::select! {
                () = stop.cancelled() => break,
                lost = poller.session() => lost,
            };
            reconnect.lost(&lost.error, lost.has_answered);
            poller.mark_all_stale();
            if !reconnect.wait(stop).await {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::SystemClock;
    use serde_json::json;

    fn built(change: impl FnOnce(&mut Value)) -> Result<(), (&'static str, String)> {
        let mut settings = json!({
            "host": "10.0.0.7",
            "registers": [
                { "sensor": "a/b/c", "address": 0, "type": "f32", "unit_of_measure": "bar" },
                { "sensor": "a/b/d", "address": 4, "table": "coil" },
            ],
        });
        change(&mut settings);
        match ModbusKind.build("x", &settings, SystemClock::shared()) {
            Ok(_) => Ok(()),
            Err(SenseError::Settings { field, reason }) => Err((field, reason)),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn settings_at_fault_are_named() {
        assert_eq!(built(|_| {}), Ok(()));
        type Change = fn(&mut Value);
        let faults: [(Change, &str, &str); 12] = [
            (|s| s["host"] = json!(" "), "host", "empty"),
            (|s| s["port"] = json!(0), "port", "0"),
            (|s| s["timeout_ms"] = json!(1), "timeout_ms", "60000"),
            (|s| s["registers"] = json!([]), "registers", "1 to"),
            (|s| s["registers"][0]["type"] = json!("f16"), "registers", "f16"),
            (|s| s["registers"][0]["sensor"] = json!("a"), "registers", "site/asset"),
            (|s| s["registers"][0]["address"] = json!(65_535), "registers", "65536"),
            (|s| s["registers"][0]["scale"] = json!(0), "registers", "scale"),
            (|s| s["registers"][0]["order"] = json!("ACBD"), "registers", "ACBD"),
            (|s| s["registers"][1]["type"] = json!("u16"), "registers", "[1]"),
            (|s| s["registers"][1]["sensor"] = json!("a/b/c"), "registers", "another"),
            (|s| s["registers"][0]["unit_of_measure"] = json!("blah"), "registers", "blah"),
        ];
        for (change, field, reason) in faults {
            let (at, why) = built(change).unwrap_err();
            assert!(at == field && why.contains(reason), "{at}: {why}");
        }
        let (at, why) = built(|s| s["hots"] = json!(1)).unwrap_err();
        assert!(at == "settings" && why.contains("hots"), "{at}: {why}");
    }
}
