use super::network::{Network, PipeId};
use crate::Error;

/// More reaches than this in one pipe are a mistake in the time step.
const REACHES_MAX: f64 = 20e6;
/// The shortest pipe is never cut into more than this while a step is searched.
const SEARCH_MAX: usize = 2_000;

/// How the time step is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimeStep {
    /// This step, s.
    Seconds(f64),
    /// The step in which a wave crosses one of so many reaches of a pipe.
    Reaches { pipe: PipeId, count: usize },
    /// The longest step whose reaches are not longer than this, m, and that fits every pipe.
    Reach { most_m: f64 },
}

/// How a network is simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    pub time_step: TimeStep,
    /// Share by which a wave speed may change so that every pipe has whole reaches.
    pub wave_speed_change_max: f64,
    /// Keep the highest and lowest head of every grid point.
    pub envelope: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time_step: TimeStep::Reach { most_m: 100.0 },
            wave_speed_change_max: 0.03,
            envelope: false,
        }
    }
}

/// The time step and the reaches of each pipe.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) step_s: f64,
    pub(super) reaches: Vec<usize>,
}

impl Grid {
    /// # Errors
    /// A step that is no step, or one that some pipe does not fit.
    pub(super) fn new(network: &Network, options: &Options) -> Result<Self, Error> {
        let limit = options.wave_speed_change_max;
        let transit = |pipe: usize| {
            let pipe = &network.pipes[pipe];
            pipe.length_m / pipe.wave_speed_ms
        };
        match options.time_step {
            TimeStep::Seconds(step_s) => Self::fit(network, step_s, limit),
            TimeStep::Reaches { pipe, count } => {
                if pipe.0 >= network.pipes.len() || count == 0 {
                    let part = format!("pipe {}", pipe.0);
                    return Err(Error::Network { part, reason: "has no reaches to go by" });
                }
                Self::fit(network, transit(pipe.0) / count as f64, limit)
            }
            TimeStep::Reach { most_m } => {
                if most_m.is_nan() || most_m <= 0.0 {
                    let reason = "reaches must have a length";
                    return Err(Error::TimeStep { step_s: 0.0, reason });
                }
                let shortest = (0..network.pipes.len()).map(transit).fold(f64::MAX, f64::min);
                let fastest =
                    network.pipes.iter().map(|pipe| pipe.wave_speed_ms).fold(0.0, f64::max);
                let least = (shortest * fastest / most_m).ceil().max(1.0) as usize;
                let mut first = None;
                for count in least..least.saturating_add(SEARCH_MAX) {
                    match Self::fit(network, shortest / count as f64, limit) {
                        Ok(grid) => return Ok(grid),
                        Err(error) => first = first.or(Some(error)),
                    }
                }
                let reason = "no number of reaches fits";
                Err(first.unwrap_or(Error::TimeStep { step_s: shortest, reason }))
            }
        }
    }

    fn fit(network: &Network, step_s: f64, limit: f64) -> Result<Self, Error> {
        if !(step_s.is_finite() && step_s > 0.0) {
            return Err(Error::TimeStep { step_s, reason: "it must be positive" });
        }
        let mut reaches = Vec::with_capacity(network.pipes.len());
        for (index, pipe) in network.pipes.iter().enumerate() {
            let ideal = pipe.length_m / (pipe.wave_speed_ms * step_s);
            if ideal > REACHES_MAX {
                return Err(Error::TimeStep { step_s, reason: "it makes too many reaches" });
            }
            let count = ideal.round().max(1.0);
            let needed = (ideal / count - 1.0).abs();
            if needed > limit {
                return Err(Error::WaveSpeed { pipe: index, needed, limit });
            }
            reaches.push(count as usize);
        }
        Ok(Self { step_s, reaches })
    }

    /// The wave speed in m/s with which a wave crosses whole reaches.
    pub(super) fn wave_speed_ms(&self, network: &Network, pipe: usize) -> f64 {
        network.pipes[pipe].length_m / (self.reaches[pipe] as f64 * self.step_s)
    }
}
