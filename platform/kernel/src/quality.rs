use serde::{Deserialize, Serialize};

/// Why a reading is not simply good. The discriminants are stored: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Reason {
    /// The source marked it so and gave no reason.
    Source = 1,
    /// Outside the sensor's expected range.
    OutOfRange = 2,
    /// Changed faster than the sensor's rate limit.
    RateExceeded = 3,
    /// Stamped more than five minutes ahead of the receiving clock.
    FutureTime = 4,
    /// The sensor repeats one value longer than it can.
    Stuck = 5,
    /// The sensor moves away from its peers or its model.
    Drifting = 6,
    /// The source is silent; the value is old.
    Stale = 7,
    /// Entered or corrected by a person.
    Manual = 8,
    /// Made by the simulated plant or a drill.
    Simulated = 9,
}

/// How far a reading can be believed.
///
/// Stored in one byte: the class in the two high bits, the reason in the rest.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(tag = "class", content = "reason", rename_all = "snake_case")]
pub enum Quality {
    #[default]
    Good,
    Uncertain(Reason),
    Bad(Reason),
}

impl Quality {
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Good)
    }

    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Bad(_))
    }

    /// The name of the class: `good`, `uncertain` or `bad`.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Uncertain(_) => "uncertain",
            Self::Bad(_) => "bad",
        }
    }

    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Good => None,
            Self::Uncertain(reason) | Self::Bad(reason) => Some(reason),
        }
    }

    /// The byte that the series store keeps.
    #[must_use]
    pub fn to_byte(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Uncertain(reason) => 0x40 | reason as u8,
            Self::Bad(reason) => 0x80 | reason as u8,
        }
    }

    /// Reads a stored byte. An unknown reason becomes [`Reason::Source`]: never better than stored.
    #[must_use]
    pub fn from_byte(byte: u8) -> Self {
        let reason = match byte & 0x3f {
            2 => Reason::OutOfRange,
            3 => Reason::RateExceeded,
            4 => Reason::FutureTime,
            5 => Reason::Stuck,
            6 => Reason::Drifting,
            7 => Reason::Stale,
            8 => Reason::Manual,
            9 => Reason::Simulated,
            _ => Reason::Source,
        };
        match byte & 0xc0 {
            0 => Self::Good,
            0x40 => Self::Uncertain(reason),
            _ => Self::Bad(reason),
        }
    }

    /// The worse of the two; the first one when they are equal.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let rank = |q: Self| match q {
            Self::Good => 0,
            Self::Uncertain(_) => 1,
            Self::Bad(_) => 2,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip() {
        for byte in 0..=9u8 {
            for class in [0x40, 0x80] {
                if byte == 0 {
                    continue;
                }
                assert_eq!(Quality::from_byte(class | byte).to_byte(), class | byte);
            }
        }
        assert_eq!(Quality::from_byte(0), Quality::Good);
    }

    #[test]
    fn an_unknown_byte_is_never_good() {
        assert!(Quality::from_byte(0xff).is_bad());
        assert_eq!(Quality::from_byte(0x7f), Quality::Uncertain(Reason::Source));
    }
}
