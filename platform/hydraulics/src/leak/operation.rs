//! Recognises what people and controllers do at the ends, so that it is never taken for a leak.
//!
//! With impedance B = a/(g A), H + B Q is what an end sends into the line and H - B Q what arrives
//! there (at the outlet the other way round). A move at an end changes what it sends; a leak
//! elsewhere changes what arrives first, and no end sends back more than it received.

use serde::{Deserialize, Serialize};

use super::history::{Past, Scan};
use super::line::Line;
use super::verdict::{Command, OperationKind};

/// Compared are the newest seconds with as long a time before, with a gap between.
const NEW_S: f64 = 20.0;
const OLD_S: f64 = 60.0;
const GAP_S: f64 = 40.0;
/// A move changes what is sent by this many times what arrives, at least.
const LOCAL: f64 = 1.6;
/// And by this share of the nominal flow, and this many sigma.
const CHANGE_MIN: f64 = 0.008;
const CHANGE_SIGMA: f64 = 6.0;
/// One move is told once in this time, s.
const PAUSE_S: f64 = 600.0;
/// The flow has stopped below this share of what it was.
const STOPPED: f64 = 0.3;
/// A command explains what begins within this time, s.
const COMMAND_S: f64 = 300.0;
const COMMANDS_MAX: usize = 64;

/// What was told last, by end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Operations {
    told_s: [Option<f64>; 2],
    commands: Vec<Command>,
}

/// A move at an end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Move {
    pub(crate) at_inlet: bool,
    pub(crate) what: OperationKind,
    pub(crate) known: bool,
    /// Change of the flow at the end, m3/s.
    pub(crate) change: f64,
}

impl Operations {
    pub(crate) fn command(&mut self, command: Command) {
        if self.commands.len() >= COMMANDS_MAX {
            self.commands.remove(0);
        }
        self.commands.push(command);
    }

    /// A move that shows by now and was not told yet.
    pub(crate) fn watch(&mut self, line: &Line, past: &Past, now_s: f64) -> Option<Move> {
        let ends = [(true, line.impedance[0]), (false, line.impedance[line.reaches() - 1])];
        ends.into_iter().find_map(|(at_inlet, impedance)| {
            let end = usize::from(!at_inlet);
            let paused = self.told_s[end].is_some_and(|told_s| now_s - told_s < PAUSE_S);
            let (what, change) = moved(line, past, now_s, at_inlet, impedance)?;
            self.told_s[end] = Some(now_s);
            let known = self.commands.iter().any(|command| {
                command.at_inlet == at_inlet && (now_s - command.time_s).abs() < COMMAND_S
            });
            (!paused).then_some(Move { at_inlet, what, known, change })
        })
    }
}

fn moved(
    line: &Line,
    past: &Past,
    now_s: f64,
    at_inlet: bool,
    impedance: f64,
) -> Option<(OperationKind, f64)> {
    let flow = |scan: &Scan| if at_inlet { scan.ends.flow_in } else { scan.ends.flow_out };
    let head = |scan: &Scan| if at_inlet { scan.ends.head_in } else { scan.ends.head_out };
    let sign = if at_inlet { 1.0 } else { -1.0 };
    let sent = |scan: &Scan| head(scan) / impedance + sign * flow(scan);
    let came = |scan: &Scan| head(scan) / impedance - sign * flow(scan);
    let change = |of: &dyn Fn(&Scan) -> f64| {
        let (new, n) = past.mean(now_s - NEW_S, now_s, of);
        let (old, m) = past.mean(now_s - GAP_S - OLD_S, now_s - GAP_S, of);
        (n >= 2.0 && m >= 4.0).then_some((new - old, n, old))
    };
    let (out, n, _) = change(&sent)?;
    let (back, _, _) = change(&came)?;
    let (by, _, before) = change(&flow)?;
    let meter = line.meters.first().map_or(0.0, |meter| meter.noise);
    let least = (CHANGE_MIN * line.flow_nominal).max(CHANGE_SIGMA * 1.5 * meter / n.sqrt());
    if out.abs() < 2.0 * least || out.abs() < LOCAL * back.abs() || by.abs() < 0.5 * least {
        return None;
    }
    let what = match by > 0.0 {
        _ if before + by < STOPPED * before => OperationKind::Trip,
        true => OperationKind::FlowRaised,
        false => OperationKind::FlowLowered,
    };
    Some((what, by))
}
