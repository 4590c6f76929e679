//! A case as its file has it, and where in the file each field stands.

use std::f64::consts::PI;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::physics::Misfit;
use crate::cli::workbench::Failure;

/// Reaches and steps of one case: more is a mistake in the file.
const REACHES_MAX: usize = 1_000_000;
const STEPS_MAX: f64 = 10e6;
/// A step given with fewer digits than it has still means L / (N a).
const STEP_SHARE: f64 = 1e-3;

/// One case with its place in the file.
pub(super) struct Case {
    pub(super) given: Given,
    raw: String,
    line: u64,
    index: usize,
}

/// The parameters. Expected values stand in the same object and are not read.
#[derive(Deserialize)]
pub(super) struct Given {
    case: Name,
    #[serde(rename = "L_m")]
    pub(super) length_m: Positive,
    #[serde(rename = "D_m")]
    pub(super) diameter_m: Positive,
    #[serde(rename = "a_ms")]
    pub(super) wave_speed_ms: Positive,
    pub(super) f_darcy: Factor,
    #[serde(rename = "H0_m")]
    pub(super) head_m: f64,
    #[serde(rename = "Q0_m3s")]
    pub(super) flow_m3s: Positive,
    #[serde(rename = "g")]
    pub(super) gravity_ms2: Positive,
    #[serde(rename = "reaches_N")]
    reaches: Reaches,
    #[serde(rename = "dt_s")]
    step_s: Positive,
    #[serde(rename = "T_s")]
    end_s: Positive,
    #[serde(default = "vapour")]
    pub(super) vapour_head_m: f64,
    #[serde(default)]
    pub(super) downstream_head_m: f64,
    pub(super) valve_law: Option<Law>,
    pub(super) closure_s: Option<Duration>,
    pub(super) inlet_bc: Option<Inlet>,
    #[serde(rename = "outlet_bc")]
    _outlet: Option<Outlet>,
    pub(super) leak_x_m: Option<Positive>,
    #[serde(rename = "Ke")]
    pub(super) leak: Option<Positive>,
    pub(super) leak_start_s: Option<Duration>,
    pub(super) leak_ramp_s: Option<Duration>,
}

fn vapour() -> f64 {
    -10.0
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Law {
    Flow,
    Orifice,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Inlet {
    #[serde(rename = "constant head")]
    Head,
    #[serde(rename = "constant flow")]
    Flow,
}

#[derive(Deserialize)]
enum Outlet {
    #[serde(rename = "constant head")]
    Head,
}

/// A number that passes a test when it is read, so that a complaint knows its line.
macro_rules! tested {
    ($name:ident, $from:literal, $of:ty, $test:expr, $why:literal) => {
        #[derive(Clone, Deserialize)]
        #[serde(try_from = $from)]
        pub(super) struct $name(pub(super) $of);

        impl TryFrom<$of> for $name {
            type Error = &'static str;

            fn try_from(value: $of) -> Result<Self, Self::Error> {
                let passes: fn(&$of) -> bool = $test;
                if passes(&value) { Ok(Self(value)) } else { Err($why) }
            }
        }
    };
}

tested!(Positive, "f64", f64, |value| *value > 0.0, "must be positive");
tested!(Duration, "f64", f64, |value| *value >= 0.0, "must not be negative");
tested!(Factor, "f64", f64, |value| (0.0..0.5).contains(value), "must lie between 0 and 0.5");
tested!(
    Reaches,
    "usize",
    usize,
    |value| (2..=REACHES_MAX).contains(value),
    "must lie between 2 and 1,000,000"
);
tested!(Name, "String", String, |name| is_file_name(name), "must be the name of a file");

fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && !name.contains(|letter: char| letter.is_control() || "/\\:".contains(letter))
}

impl Case {
    pub(super) fn name(&self) -> &str {
        &self.given.case.0
    }

    pub(super) fn reaches(&self) -> usize {
        self.given.reaches.0
    }

    /// The time in which a wave crosses a reach, s.
    pub(super) fn step_s(&self) -> f64 {
        let given = &self.given;
        given.length_m.0 / (given.reaches.0 as f64 * given.wave_speed_ms.0)
    }

    pub(super) fn steps(&self) -> usize {
        (self.given.end_s.0 / self.given.step_s.0).round() as usize
    }

    pub(super) fn area_m2(&self) -> f64 {
        PI * self.given.diameter_m.0 * self.given.diameter_m.0 / 4.0
    }

    /// What friction takes over the whole length at the first flow, m.
    pub(super) fn loss_m(&self) -> f64 {
        let given = &self.given;
        let velocity = given.flow_m3s.0 / self.area_m2();
        given.f_darcy.0 * given.length_m.0 / given.diameter_m.0 * velocity * velocity
            / (2.0 * given.gravity_ms2.0)
    }

    /// A complaint about a field, at its line.
    pub(super) fn complain(&self, path: &Path, Misfit { field, reason }: Misfit) -> Failure {
        let at = self.raw.find(&format!("\"{field}\"")).unwrap_or(0);
        let line = self.line + self.raw[..at].matches('\n').count() as u64;
        Failure::cell(path, line, &format!("[{}].{field}", self.index), &reason)
    }

    fn check(&self) -> Result<(), Misfit> {
        let given = &self.given;
        if (given.step_s.0 / self.step_s() - 1.0).abs() > STEP_SHARE {
            let reason = format!("is not L_m / (reaches_N a_ms) = {} s", self.step_s());
            return Err(Misfit { field: "dt_s", reason });
        }
        if given.end_s.0 / given.step_s.0 > STEPS_MAX {
            return Err(Misfit::new("T_s", "makes more than 10,000,000 steps"));
        }
        match &given.leak_x_m {
            None if given.valve_law.is_none() => {
                Err(Misfit::new("valve_law", "is missing in a case without leak_x_m"))
            }
            None if given.closure_s.is_none() => Err(Misfit::new("closure_s", "is missing")),
            Some(_) if given.leak.is_none() => Err(Misfit::new("Ke", "is missing")),
            Some(at_m) if at_m.0 >= given.length_m.0 => {
                Err(Misfit::new("leak_x_m", "lies not within the pipe"))
            }
            _ => Ok(()),
        }
    }
}

/// The cases of a file.
///
/// # Errors
/// Text that is no array of cases; line and field are named.
pub(super) fn read(path: &Path) -> Result<Vec<Case>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, error.to_string()))?;
    let objects: Vec<&RawValue> = serde_json::from_str(&text)
        .map_err(|error| Failure::line(path, error.line() as u64, plain(&error)))?;
    let mut cases: Vec<Case> = Vec::with_capacity(objects.len());
    for (index, object) in objects.into_iter().enumerate() {
        let raw = object.get();
        let start = raw.as_ptr() as usize - text.as_ptr() as usize;
        let line = text[..start].matches('\n').count() as u64 + 1;
        let mut reader = serde_json::Deserializer::from_str(raw);
        let given: Given = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let field = match error.path().to_string() {
                nowhere if nowhere == "." => format!("[{index}]"),
                field => format!("[{index}].{field}"),
            };
            let inner = error.inner();
            let line = line + (inner.line() as u64).saturating_sub(1);
            Failure::cell(path, line, &field, &plain(inner))
        })?;
        let case = Case { given, raw: raw.to_owned(), line, index };
        case.check().map_err(|misfit| case.complain(path, misfit))?;
        if cases.iter().any(|other| other.name() == case.name()) {
            let misfit = Misfit::new("case", "names two cases; their results would be one file");
            return Err(case.complain(path, misfit));
        }
        cases.push(case);
    }
    Ok(cases)
}

/// The message without the place, which counts from the beginning of the case.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
}
