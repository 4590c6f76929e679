//! What the fuzzers under `fuzz/` reach of this connector. Nothing else uses it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::ModbusSettings;
use super::line::Line;
use super::map::{Tag, tags};
use super::plan::plan;

const WIRE_BYTES: usize = 4_096;
const TIMEOUT: Duration = Duration::from_secs(1);

/// A device's registers, checked.
#[derive(Debug)]
pub struct Registers(Vec<Tag>, u16);

impl Registers {
    /// `None` when the settings are at fault.
    #[must_use]
    pub fn read(settings: &Value) -> Option<Self> {
        let settings = ModbusSettings::deserialize(settings).ok()?;
        let all = tags(&settings.registers, settings.unit, settings.interval_ms).ok()?;
        Some(Self(all, settings.gap_max))
    }

    /// Asks for all of them once; each request is answered with what `answer` makes of it, and
    /// then the device hangs up. The values by register, `None` for those that hold no number.
    pub async fn poll(&self, answer: impl Fn(&[u8]) -> Vec<u8>) -> Vec<(usize, Option<f64>)> {
        let mut values = Vec::new();
        for group in plan(&self.0, self.1, Duration::ZERO) {
            assert!(!group.tags.is_empty() && group.count > 0, "{group:?}");
            let (ours, theirs) = tokio::io::duplex(WIRE_BYTES);
            let mut line = Line::over(ours, TIMEOUT);
            let (words, ()) = tokio::join!(line.read(&group), device(theirs, &answer));
            let Ok(words) = words else { continue };
            for index in &group.tags {
                let tag = &self.0[*index];
                let place = usize::from(tag.address - group.first);
                values.push((*index, words.get(place..).and_then(|words| tag.value(words))));
            }
        }
        values
    }
}

async fn device(mut wire: DuplexStream, answer: &impl Fn(&[u8]) -> Vec<u8>) {
    let mut request = [0; WIRE_BYTES];
    let Ok(length) = wire.read(&mut request).await else { return };
    // The client may hang up in the middle.
    drop(wire.write_all(&answer(&request[..length])).await);
}
