//! What registers mean: their types, the order of their bytes, and how they become values.

use std::fmt;

use kernel::{SensorKey, Unit};
use serde::{Deserialize, Deserializer};

use crate::SenseError;

/// Registers of one value at most: 64 bits.
pub(super) const WORDS_MAX: usize = 4;
const BITS: u8 = 16;

/// The four tables of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Table {
    #[default]
    Holding,
    Input,
    Coil,
    Discrete,
}

impl Table {
    pub(super) fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Holding => "holding",
            Self::Input => "input",
            Self::Coil => "coil",
            Self::Discrete => "discrete",
        }
    }
}

/// How a value lies in its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    /// One bit of a register, 0 the lowest.
    Bit(u8),
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "u16" => Self::U16,
            "i16" => Self::I16,
            "u32" => Self::U32,
            "i32" => Self::I32,
            "u64" => Self::U64,
            "i64" => Self::I64,
            "f32" => Self::F32,
            "f64" => Self::F64,
            other => {
                let bit: u8 = other.strip_prefix("bit")?.trim().parse().ok()?;
                return (bit < BITS).then_some(Self::Bit(bit));
            }
        })
    }

    pub(super) fn words(self) -> u16 {
        match self {
            Self::U16 | Self::I16 | Self::Bit(_) => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let known = "u16, i16, u32, i32, u64, i64, f32, f64 and bit 0 to bit 15";
            serde::de::Error::custom(format!("`{text}` is no type; there are {known}"))
        })
    }
}

/// The order of bytes on the wire, named as the most significant byte is `A`. For 64 bits the
/// first two letters say how words follow each other, the last two how bytes do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Order {
    #[default]
    #[serde(rename = "ABCD")]
    Abcd,
    /// Words turned round.
    #[serde(rename = "CDAB")]
    Cdab,
    /// Bytes turned round in each word.
    #[serde(rename = "BADC")]
    Badc,
    /// Both.
    #[serde(rename = "DCBA")]
    Dcba,
}

/// One sensor of a device, as the settings have it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Register {
    pub(super) sensor: SensorKey,
    /// Modbus unit; the one of the source when left out.
    #[serde(default)]
    pub(super) unit: Option<u8>,
    #[serde(default)]
    pub(super) table: Table,
    /// As it goes over the wire: counted from 0.
    pub(super) address: u16,
    #[serde(rename = "type", default)]
    pub(super) kind: Option<Kind>,
    #[serde(default)]
    pub(super) order: Order,
    /// The value is `raw × scale + offset`.
    #[serde(default = "one")]
    pub(super) scale: f64,
    #[serde(default)]
    pub(super) offset: f64,
    #[serde(default)]
    pub(super) unit_of_measure: Option<String>,
    #[serde(default)]
    pub(super) interval_ms: Option<u64>,
    /// Smaller changes are reported every tenth poll only.
    #[serde(default)]
    pub(super) deadband: Option<f64>,
}

fn one() -> f64 {
    1.0
}

/// A register that was checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tag {
    pub(super) sensor: SensorKey,
    pub(super) unit: u8,
    pub(super) table: Table,
    pub(super) address: u16,
    pub(super) kind: Kind,
    pub(super) order: Order,
    pub(super) scale: f64,
    pub(super) offset: f64,
    pub(super) unit_of_measure: Option<String>,
    pub(super) interval_ms: u64,
    pub(super) deadband: Option<f64>,
}

/// `unit 3, holding 40`.
impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (unit {}, {} {})", self.sensor, self.unit, self.table.name(), self.address)
    }
}

/// Poll intervals that make sense: a device is not asked more often than a hundred times a second.
const INTERVAL_MS: std::ops::RangeInclusive<u64> = 10..=86_400_000;

impl Register {
    pub(super) fn check(&self, unit: u8, interval_ms: u64) -> Result<Tag, String> {
        let kind = match (self.kind, self.table.is_bits()) {
            (None, true) => Kind::Bit(0),
            (Some(_), true) => return Err("a coil or a discrete input has no type".to_owned()),
            (None, false) => return Err("type: is missing".to_owned()),
            (Some(kind), false) => kind,
        };
        if u32::from(self.address) + u32::from(kind.words()) > 0x1_0000 {
            return Err("address: the value does not end before 65536".to_owned());
        }
        if !self.scale.is_finite() || self.scale == 0.0 || !self.offset.is_finite() {
            return Err("scale and offset are numbers, and scale is not 0".to_owned());
        }
        if self.deadband.is_some_and(|band| !band.is_finite() || band < 0.0) {
            return Err("deadband: 0 or more is needed".to_owned());
        }
        let interval_ms = self.interval_ms.unwrap_or(interval_ms);
        if !INTERVAL_MS.contains(&interval_ms) {
            return Err("interval_ms: 10 to 86400000 is needed".to_owned());
        }
        if let Some(measure) = &self.unit_of_measure {
            Unit::parse(measure).map_err(|error| format!("unit_of_measure: {error}"))?;
        }
        Ok(Tag {
            sensor: self.sensor.clone(),
            unit: self.unit.unwrap_or(unit),
            table: self.table,
            address: self.address,
            kind,
            order: self.order,
            scale: self.scale,
            offset: self.offset,
            unit_of_measure: self.unit_of_measure.clone(),
            interval_ms,
            deadband: self.deadband,
        })
    }
}

/// Checks a whole map; a fault names the register by its place.
pub(super) fn tags(
    registers: &[Register],
    unit: u8,
    interval_ms: u64,
) -> Result<Vec<Tag>, SenseError> {
    let mut names = std::collections::HashSet::new();
    let mut tags = Vec::with_capacity(registers.len());
    for (index, register) in registers.iter().enumerate() {
        let fault = |reason: String| SenseError::Settings {
            field: "registers",
            reason: format!("[{index}]: {reason}"),
        };
        if !names.insert(&register.sensor) {
            return Err(fault(format!("there is another `{}`", register.sensor)));
        }
        tags.push(register.check(unit, interval_ms).map_err(fault)?);
    }
    Ok(tags)
}

impl Tag {
    /// The value in `words`, which begin at the tag's address. `None` when there are too few, or
    /// when they hold no number. Beyond 2^53 a 64-bit integer is rounded.
    pub(super) fn value(&self, words: &[u16]) -> Option<f64> {
        let raw = decode(self.kind, self.order, words)?;
        let value = raw * self.scale + self.offset;
        value.is_finite().then_some(value)
    }
}

fn decode(kind: Kind, order: Order, words: &[u16]) -> Option<f64> {
    let count = usize::from(kind.words());
    let mut ordered = [0_u16; WORDS_MAX];
    ordered[..count].copy_from_slice(words.get(..count)?);
    let ordered = &mut ordered[..count];
    if matches!(order, Order::Cdab | Order::Dcba) {
        ordered.reverse();
    }
    if matches!(order, Order::Badc | Order::Dcba) {
        ordered.iter_mut().for_each(|word| *word = word.swap_bytes());
    }
    let bits = ordered.iter().fold(0_u64, |bits, word| bits << 16 | u64::from(*word));
    Some(match kind {
        Kind::U16 => f64::from(bits as u16),
        Kind::I16 => f64::from(bits as u16 as i16),
        Kind::U32 => f64::from(bits as u32),
        Kind::I32 => f64::from(bits as u32 as i32),
        Kind::U64 => bits as f64,
        Kind::I64 => bits as i64 as f64,
        Kind::F32 => f64::from(f32::from_bits(bits as u32)),
        Kind::F64 => f64::from_bits(bits),
        Kind::Bit(bit) => f64::from((bits >> bit) as u8 & 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(bytes: &[u8]) -> Vec<u16> {
        bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
    }

    /// The bytes of a value, `A` first, as they lie on the wire in each order.
    fn wire(bytes: &[u8], order: Order) -> Vec<u8> {
        let mut pairs: Vec<[u8; 2]> = bytes.chunks(2).map(|pair| [pair[0], pair[1]]).collect();
        match order {
            Order::Abcd => {}
            Order::Cdab => pairs.reverse(),
            Order::Badc => pairs.iter_mut().for_each(|pair| pair.reverse()),
            Order::Dcba => {
                pairs.reverse();
                pairs.iter_mut().for_each(|pair| pair.reverse());
            }
        }
        pairs.concat()
    }

    const ORDERS: [Order; 4] = [Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba];

    #[test]
    fn the_orders_are_the_ones_of_their_letters() {
        let (a, b, c, d) = (0x41, 0x42, 0x43, 0x44);
        for (order, sent) in [
            (Order::Abcd, [a, b, c, d]),
            (Order::Cdab, [c, d, a, b]),
            (Order::Badc, [b, a, d, c]),
            (Order::Dcba, [d, c, b, a]),
        ] {
            let value = decode(Kind::U32, order, &words(&sent));
            assert_eq!(value, Some(f64::from(0x4142_4344_u32)), "{order:?}");
        }
    }

    #[test]
    fn types_and_bits_are_read_by_name() {
        let kind = |text: &str| serde_json::from_value::<Kind>(text.into()).ok();
        assert_eq!(kind("f32"), Some(Kind::F32));
        assert_eq!((kind("bit 3"), kind("bit15")), (Some(Kind::Bit(3)), Some(Kind::Bit(15))));
        assert_eq!((kind("bit16"), kind("int"), kind("bit")), (None, None, None));
        assert_eq!(decode(Kind::Bit(3), Order::Abcd, &[0b1000]), Some(1.0));
        assert_eq!(decode(Kind::Bit(0), Order::Badc, &[0x0100]), Some(1.0));
        assert_eq!(decode(Kind::F32, Order::Abcd, &[1]), None);
    }

    proptest! {
        #[test]
        fn every_type_in_every_order_comes_back(value in any::<i64>(), real in any::<f64>()) {
            for order in ORDERS {
                let read = |kind, bytes: &[u8]| decode(kind, order, &words(&wire(bytes, order)));
                prop_assert_eq!(read(Kind::U16, &(value as u16).to_be_bytes()), Some(f64::from(value as u16)));
                prop_assert_eq!(read(Kind::I16, &(value as i16).to_be_bytes()), Some(f64::from(value as i16)));
                prop_assert_eq!(read(Kind::U32, &(value as u32).to_be_bytes()), Some(f64::from(value as u32)));
                prop_assert_eq!(read(Kind::I32, &(value as i32).to_be_bytes()), Some(f64::from(value as i32)));
                prop_assert_eq!(read(Kind::U64, &value.to_be_bytes()), Some(value as u64 as f64));
                prop_assert_eq!(read(Kind::I64, &value.to_be_bytes()), Some(value as f64));
                let single = real as f32;
                let back = read(Kind::F32, &single.to_be_bytes()).map(|back| back as f32);
                prop_assert_eq!(back.map(f32::to_bits), Some(single.to_bits()));
                let back = read(Kind::F64, &real.to_be_bytes());
                prop_assert_eq!(back.map(f64::to_bits), Some(real.to_bits()));
            }
        }
    }
}
