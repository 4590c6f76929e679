//! Runs the detector over a record and holds what it says against the truth.

use hydraulics::leak::{Detector, Finding, Kind, Phase, Reading};

use crate::leak_plant::{Scenario, pipeline, record};

/// What came of one record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) false_alarms: usize,
    pub(crate) delay_s: Option<f64>,
    pub(crate) place_error_m: Option<f64>,
    /// 30 minutes after the alarm.
    pub(crate) late_place_error_m: Option<f64>,
    pub(crate) late_place_inside: bool,
    pub(crate) late_size_error_pct: Option<f64>,
    /// Instruments called wrong, with the time.
    pub(crate) faults: Vec<(String, f64)>,
    pub(crate) operations: usize,
    pub(crate) findings: Vec<Finding>,
}

/// One pass over the record, each row when its time has come.
pub(crate) fn rehearse(scenario: &Scenario) -> Outcome {
    let record = record(scenario);
    let mut detector = Detector::new(&pipeline()).expect("the configuration is valid");
    let mut fast = record.fast.iter().peekable();
    let mut findings = Vec::new();
    for row in &record.rows {
        while let Some((time_s, values)) = fast.next_if(|sample| sample.0 <= row.time_s) {
            detector.fast(*time_s, values);
        }
        findings.extend(detector.scan(&Reading {
            time_s: row.time_s,
            flows: row.flows.clone(),
            pressures: row.pressures.clone(),
        }));
    }
    judge(scenario, record.leak_m3h, findings)
}

fn judge(scenario: &Scenario, leak_m3h: f64, findings: Vec<Finding>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut alarm: Option<(u64, f64)> = None;
    for finding in &findings {
        match &finding.kind {
            Kind::Operation { .. } => outcome.operations += 1,
            Kind::InstrumentFault { instrument, .. } if finding.phase == Phase::New => {
                outcome.faults.push((instrument.clone(), finding.time_s));
            }
            Kind::InstrumentFault { .. } => {}
            Kind::Leak => {
                let leak = scenario.leak.filter(|leak| finding.time_s > leak.start_s);
                let Some(leak) = leak else {
                    outcome.false_alarms += usize::from(finding.phase == Phase::New);
                    continue;
                };
                let off = finding.location_m.map(|at| (at - leak.at_m).abs());
                if alarm.is_none() && finding.phase == Phase::New {
                    alarm = Some((finding.number, finding.time_s));
                    outcome.delay_s = Some(finding.time_s - leak.start_s);
                    outcome.place_error_m = off;
                }
                let late = alarm.is_some_and(|(_, raised_s)| finding.time_s <= raised_s + 1_800.0);
                if late {
                    let open = (finding.time_s - leak.start_s) / leak.ramp_s.max(1e-9);
                    let flow = leak_m3h * open.min(1.0);
                    outcome.late_place_error_m = off;
                    outcome.late_place_inside =
                        off.zip(finding.location_error_m).is_some_and(|(off, error)| off <= error);
                    outcome.late_size_error_pct =
                        finding.size.map(|size| 100.0 * (size - flow) / flow);
                }
            }
        }
    }
    outcome.findings = findings;
    outcome
}
