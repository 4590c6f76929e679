//! Serde for numbers that must come back bit for bit.
//!
//! Text formats may lose the last bit of a float on the way back; a checkpoint that is off by one
//! bit would make a replay differ from the run it replays.

/// A float as its bit pattern.
pub(crate) mod one {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &f64, out: S) -> Result<S::Ok, S::Error> {
        value.to_bits().serialize(out)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
        super::finite(f64::from_bits(u64::deserialize(input)?))
    }
}

/// A fixed array of floats as their bit patterns.
pub(crate) mod many {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer, const N: usize>(
        values: &[f32; N],
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.collect_seq(values.iter().map(|value| value.to_bits()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        input: D,
    ) -> Result<[f32; N], D::Error> {
        let bits = Vec::<u32>::deserialize(input)?;
        let count = bits.len();
        let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(D::Error::custom("a checkpoint holds finite numbers only"));
        }
        values
            .try_into()
            .map_err(|_| D::Error::custom(format_args!("expected {N} numbers, found {count}")))
    }
}

fn finite<E: serde::de::Error>(value: f64) -> Result<f64, E> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(E::custom("a checkpoint holds finite numbers only"))
    }
}
