//! Serde for numbers that must come back bit for bit.
//!
//! Text formats may lose the last bit of a float on the way back; a checkpoint that is off by one
//! bit would make a replay differ from the run it replays.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A float as its bit pattern.
pub(crate) mod one {
    use serde::{Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &f64, out: S) -> Result<S::Ok, S::Error> {
        value.to_bits().serialize(out)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        super::number(input)
    }
}

/// A fixed array of floats as their bit patterns.
pub(crate) mod many {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer, const N: usize>(
        values: &[f64; N],
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.collect_seq(values.iter().map(|value| value.to_bits()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        input: D,
    ) -> Result<[f64; N], D::Error> {
        let bits = Vec::<u64>::deserialize(input)?;
        let values = <[u64; N]>::try_from(bits)
            .map_err(|bits| D::Error::invalid_length(bits.len(), &"one number per place"))?
            .map(f64::from_bits);
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(D::Error::custom("a checkpoint holds finite numbers only"))
        }
    }
}

/// A list of floats as their bit patterns.
pub(crate) mod list {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(values: &[f64], out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(values.iter().map(|value| value.to_bits()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<f64>, D::Error> {
        let values: Vec<f64> =
            Vec::<u64>::deserialize(input)?.into_iter().map(f64::from_bits).collect();
        if values.iter().all(|value| value.is_finite()) {
            Ok(values)
        } else {
            Err(D::Error::custom("a checkpoint holds finite numbers only"))
        }
    }
}

fn number<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    let value = f64::from_bits(u64::deserialize(input)?);
    if value.is_finite() {
        Ok(value)
    } else {
        Err(D::Error::custom("a checkpoint holds finite numbers only"))
    }
}
