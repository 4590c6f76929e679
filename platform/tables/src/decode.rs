use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use bytes::Bytes;
use kernel::{Quality, SensorKey, Timestamp};

use crate::TablesError;
use crate::values::{TimeCell, numbers, quality, texts, times};

/// Readings out of an Arrow stream, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    pub sensor: Vec<SensorKey>,
    pub at: Vec<Timestamp>,
    pub value: Vec<f64>,
    pub quality: Vec<Quality>,
}

/// Reads an Arrow stream of readings as it arrives, in pieces of any size.
#[derive(Default)]
pub struct ArrowDecoder {
    stream: StreamDecoder,
}

impl ArrowDecoder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a piece of the stream and hands on each batch that is whole.
    ///
    /// # Errors
    /// When this is no stream of readings.
    pub fn take(
        &mut self,
        piece: Bytes,
        mut whole: impl FnMut(Decoded) -> Result<(), TablesError>,
    ) -> Result<(), TablesError> {
        let mut buffer = Buffer::from(piece);
        while let Some(batch) = self.stream.decode(&mut buffer)? {
            whole(readings(&batch)?)?;
        }
        Ok(())
    }

    /// # Errors
    /// When the stream ended in the middle of a message.
    pub fn finish(mut self) -> Result<(), TablesError> {
        Ok(self.stream.finish()?)
    }
}

fn readings(batch: &RecordBatch) -> Result<Decoded, TablesError> {
    let column = |name: &'static str| batch.column_by_name(name).ok_or(TablesError::Shape(name));
    let sensors = texts(column("sensor")?.as_ref()).ok_or(TablesError::Shape("sensor"))?;
    let at = times(column("at")?.as_ref(), |_| None).ok_or(TablesError::Shape("at"))?;
    let values = numbers(column("value")?.as_ref()).ok_or(TablesError::Shape("value"))?;
    let words = texts(column("quality")?.as_ref()).ok_or(TablesError::Shape("quality"))?;
    let reasons = texts(column("reason")?.as_ref()).ok_or(TablesError::Shape("reason"))?;
    let mut decoded = Decoded::default();
    for (row, sensor) in sensors.iter().enumerate() {
        let same = decoded.sensor.last().filter(|key| Some(key.as_str()) == *sensor).cloned();
        let key = same.or_else(|| SensorKey::new((*sensor)?).ok());
        let TimeCell::At(at) = at[row] else { return Err(TablesError::Shape("at")) };
        decoded.sensor.push(key.ok_or(TablesError::Shape("sensor"))?);
        decoded.at.push(at);
        decoded.value.push(values[row].ok_or(TablesError::Shape("value"))?);
        let quality = words[row].and_then(|word| quality(word, reasons[row]));
        decoded.quality.push(quality.ok_or(TablesError::Shape("quality"))?);
    }
    Ok(decoded)
}
