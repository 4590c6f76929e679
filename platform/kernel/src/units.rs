//! The unit table. Each unit is an affine map onto its quantity's SI unit.

use serde::{Deserialize, Serialize};

/// A unit of measure that Plainview can convert.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// As it is shown: `m³/h`.
    #[serde(skip_deserializing)]
    pub symbol: &'static str,
    /// Units of the same quantity convert into each other.
    #[serde(skip_deserializing)]
    pub quantity: &'static str,
    /// SI value = value × scale + offset.
    pub scale: f64,
    pub offset: f64,
}

/// A unit that is not in the table, or does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    #[error("unknown unit `{0}`")]
    Unknown(String),
    #[error("`{from}` ({from_quantity}) cannot be turned into `{to}` ({to_quantity})")]
    Mismatch { from: String, from_quantity: String, to: String, to_quantity: String },
}

const fn unit(symbol: &'static str, quantity: &'static str, scale: f64, offset: f64) -> Unit {
    Unit { symbol, quantity, scale, offset }
}

const TABLE: &[(&[&str], Unit)] = &[
    (&["K", "kelvin"], unit("K", "temperature", 1.0, 0.0)),
    (&["°C", "C", "degC", "celsius"], unit("°C", "temperature", 1.0, 273.15)),
    (&["°F", "F", "degF", "fahrenheit"], unit("°F", "temperature", 5.0 / 9.0, 459.67 * 5.0 / 9.0)),
    (&["Pa"], unit("Pa", "pressure", 1.0, 0.0)),
    (&["kPa"], unit("kPa", "pressure", 1e3, 0.0)),
    (&["MPa"], unit("MPa", "pressure", 1e6, 0.0)),
    (&["bar"], unit("bar", "pressure", 1e5, 0.0)),
    (&["mbar"], unit("mbar", "pressure", 1e2, 0.0)),
    (&["psi"], unit("psi", "pressure", 6_894.757_293_168, 0.0)),
    (&["m³/s", "m3/s"], unit("m³/s", "volume flow", 1.0, 0.0)),
    (&["m³/h", "m3/h"], unit("m³/h", "volume flow", 1.0 / 3600.0, 0.0)),
    (&["l/min", "L/min"], unit("l/min", "volume flow", 1e-3 / 60.0, 0.0)),
    (&["l/s", "L/s"], unit("l/s", "volume flow", 1e-3, 0.0)),
    (&["gpm"], unit("gpm", "volume flow", 6.309_019_64e-5, 0.0)),
    (&["kg/s"], unit("kg/s", "mass flow", 1.0, 0.0)),
    (&["kg/h"], unit("kg/h", "mass flow", 1.0 / 3600.0, 0.0)),
    (&["t/h"], unit("t/h", "mass flow", 1.0 / 3.6, 0.0)),
    (&["m/s"], unit("m/s", "velocity", 1.0, 0.0)),
    (&["mm/s"], unit("mm/s", "velocity", 1e-3, 0.0)),
    (&["in/s"], unit("in/s", "velocity", 0.0254, 0.0)),
    (&["m/s²", "m/s2"], unit("m/s²", "acceleration", 1.0, 0.0)),
    (&["g"], unit("g", "acceleration", 9.806_65, 0.0)),
    (&["m"], unit("m", "length", 1.0, 0.0)),
    (&["cm"], unit("cm", "length", 1e-2, 0.0)),
    (&["mm"], unit("mm", "length", 1e-3, 0.0)),
    (&["km"], unit("km", "length", 1e3, 0.0)),
    (&["µm", "um"], unit("µm", "length", 1e-6, 0.0)),
    (&["%", "percent"], unit("%", "ratio", 1e-2, 0.0)),
    (&["1", ""], unit("1", "ratio", 1.0, 0.0)),
    (&["ppm"], unit("ppm", "ratio", 1e-6, 0.0)),
    (&["Hz"], unit("Hz", "frequency", 1.0, 0.0)),
    (&["rpm", "1/min"], unit("rpm", "frequency", 1.0 / 60.0, 0.0)),
    (&["N·m", "Nm"], unit("N·m", "torque", 1.0, 0.0)),
    (&["W"], unit("W", "power", 1.0, 0.0)),
    (&["kW"], unit("kW", "power", 1e3, 0.0)),
    (&["MW"], unit("MW", "power", 1e6, 0.0)),
    (&["A"], unit("A", "current", 1.0, 0.0)),
    (&["mA"], unit("mA", "current", 1e-3, 0.0)),
    (&["V"], unit("V", "voltage", 1.0, 0.0)),
    (&["s"], unit("s", "time", 1.0, 0.0)),
    (&["ms"], unit("ms", "time", 1e-3, 0.0)),
    (&["m³", "m3"], unit("m³", "volume", 1.0, 0.0)),
    (&["l", "L"], unit("l", "volume", 1e-3, 0.0)),
];

impl Unit {
    /// Finds a unit by symbol or a common spelling.
    ///
    /// # Errors
    /// [`UnitError::Unknown`] when the table has none of that name.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        let name = text.trim();
        TABLE
            .iter()
            .find(|(names, _)| names.contains(&name))
            .map(|(_, unit)| *unit)
            .ok_or_else(|| UnitError::Unknown(name.chars().take(32).collect()))
    }

    /// Every symbol in the table, for messages and documents.
    pub fn symbols() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|(_, unit)| unit.symbol)
    }
}

/// Turns `value` in `from` into `to`.
///
/// # Errors
/// [`UnitError::Mismatch`] when the two measure different quantities.
pub fn convert(value: f64, from: Unit, to: Unit) -> Result<f64, UnitError> {
    if from.quantity != to.quantity {
        return Err(UnitError::Mismatch {
            from: from.symbol.to_owned(),
            from_quantity: from.quantity.to_owned(),
            to: to.symbol.to_owned(),
            to_quantity: to.quantity.to_owned(),
        });
    }
    if from == to {
        return Ok(value);
    }
    Ok((value * from.scale + from.offset - to.offset) / to.scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(value: f64, from: &str, to: &str) -> f64 {
        convert(value, Unit::parse(from).unwrap(), Unit::parse(to).unwrap()).unwrap()
    }

    #[test]
    fn known_conversions() {
        assert!((turn(212.0, "°F", "°C") - 100.0).abs() < 1e-9);
        assert!((turn(100.0, "psi", "bar") - 6.894_757).abs() < 1e-5);
        assert!((turn(720.0, "m3/h", "l/s") - 200.0).abs() < 1e-9);
    }

    #[test]
    fn refuses_unknown_and_foreign_units() {
        assert_eq!(Unit::parse("furlong"), Err(UnitError::Unknown("furlong".to_owned())));
        let bar = Unit::parse("bar").unwrap();
        let kelvin = Unit::parse("K").unwrap();
        assert!(matches!(convert(1.0, bar, kelvin), Err(UnitError::Mismatch { .. })));
    }
}
