//! Aggregations over series, step by step; the formulas are those of Prometheus 2.42.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::expr::{Aggregate, AggregateOp, Grouping};
use crate::rows::{self, ABSENT, Row, is_present};
use crate::sum::{nan_first, quantile};
use crate::{Labels, NAME, PromqlError};

pub(crate) fn aggregate(
    found: &[Row],
    parts: &Aggregate,
    params: Option<&[f64]>,
    steps: usize,
) -> Result<Vec<Row>, PromqlError> {
    let key = |labels: &Labels| group_of(labels, &parts.grouping);
    match parts.op {
        AggregateOp::CountValues => count_values(found, parts, steps),
        AggregateOp::TopK | AggregateOp::BottomK => {
            let params = params.unwrap_or_default();
            let groups = rows::grouped(found, key);
            best(found, &groups, params, parts.op == AggregateOp::TopK)
        }
        AggregateOp::Quantile => {
            let params = params.unwrap_or_default();
            let groups = rows::grouped(found, key).into_iter();
            rows::merged(
                groups
                    .map(|(labels, members)| quantiles(found, labels, &members, params))
                    .collect(),
            )
        }
        op => {
            let groups = rows::grouped(found, key).into_iter();
            rows::merged(
                groups
                    .map(|(labels, members)| {
                        let mut column = Column::new(op, steps);
                        members.iter().for_each(|at| column.add(&found[*at]));
                        Row { labels, cells: column.finish() }
                    })
                    .collect(),
            )
        }
    }
}

fn group_of(labels: &Labels, grouping: &Grouping) -> Labels {
    match grouping {
        Grouping::By(names) => labels.retain(|name| names.iter().any(|by| by == name)),
        Grouping::Without(names) => {
            labels.retain(|name| name != NAME && names.iter().all(|without| without != name))
        }
    }
}

/// What one group has added up so far, per step.
struct Column {
    op: AggregateOp,
    /// NaN-free marker of a step without samples: a count of 0.
    count: Vec<f64>,
    value: Vec<f64>,
    mean: Vec<f64>,
}

impl Column {
    fn new(op: AggregateOp, steps: usize) -> Self {
        let needs_mean = matches!(op, AggregateOp::Avg | AggregateOp::Stddev | AggregateOp::Stdvar);
        let mean = if needs_mean { vec![0.0; steps] } else { Vec::new() };
        Self { op, count: vec![0.0; steps], value: vec![0.0; steps], mean }
    }

    fn add(&mut self, row: &Row) {
        for (step, cell) in row.cells.iter().copied().enumerate() {
            if is_present(cell) {
                self.add_one(step, cell);
            }
        }
    }

    fn add_one(&mut self, step: usize, cell: f64) {
        self.count[step] += 1.0;
        let count = self.count[step];
        let is_first = count == 1.0;
        let value = &mut self.value[step];
        match self.op {
            AggregateOp::Sum => *value = if is_first { cell } else { *value + cell },
            AggregateOp::Min if is_first || *value > cell || value.is_nan() => *value = cell,
            AggregateOp::Max if is_first || *value < cell || value.is_nan() => *value = cell,
            AggregateOp::Avg => {
                let mean = &mut self.mean[step];
                let same = cell.is_infinite() && (*mean > 0.0) == (cell > 0.0);
                if is_first {
                    *mean = cell;
                } else if !(mean.is_infinite() && (same || cell.is_finite())) {
                    *mean += cell / count - *mean / count;
                }
            }
            AggregateOp::Stddev | AggregateOp::Stdvar => {
                let mean = &mut self.mean[step];
                if is_first {
                    *mean = cell;
                    // The spread of one value that is no number is none either.
                    *value = if cell.is_finite() { 0.0 } else { f64::NAN };
                } else {
                    let delta = cell - *mean;
                    *mean += delta / count;
                    *value += delta * (cell - *mean);
                }
            }
            _ => {}
        }
    }

    fn finish(self) -> Vec<f64> {
        let answer = |step: usize, count: f64| match self.op {
            AggregateOp::Avg => self.mean[step],
            AggregateOp::Stddev => (self.value[step] / count).sqrt(),
            AggregateOp::Stdvar => self.value[step] / count,
            AggregateOp::Count => count,
            AggregateOp::Group => 1.0,
            _ => self.value[step],
        };
        let counts = self.count.iter().copied().enumerate();
        counts.map(|(step, count)| if count > 0.0 { answer(step, count) } else { ABSENT }).collect()
    }
}

fn quantiles(found: &[Row], labels: Labels, members: &[usize], params: &[f64]) -> Row {
    let cells = params.iter().enumerate().map(|(step, q)| {
        let cells = members.iter().map(|at| found[*at].cells[step]);
        let mut values: Vec<f64> = cells.filter(|cell| is_present(*cell)).collect();
        if values.is_empty() { ABSENT } else { quantile(*q, &mut values) }
    });
    Row { labels, cells: cells.collect() }
}

/// `topk` and `bottomk`: the rows as they are, with only the chosen samples left. Of equal values
/// the first one stays; NaN loses against every number.
fn best(
    found: &[Row],
    groups: &[(Labels, Vec<usize>)],
    params: &[f64],
    largest: bool,
) -> Result<Vec<Row>, PromqlError> {
    let mut kept: Vec<Row> = found
        .iter()
        .map(|row| Row { labels: row.labels.clone(), cells: vec![ABSENT; row.cells.len()] })
        .collect();
    let mut order = Vec::with_capacity(found.len());
    for (step, param) in params.iter().copied().enumerate() {
        if param.is_nan() || param.abs() >= 2_f64.powi(63) {
            return Err(PromqlError::Execution(format!("Scalar value {param} overflows int64")));
        }
        let count = if param < 1.0 { 0 } else { param as usize };
        for (_, members) in groups {
            let present = members.iter().copied().filter(|at| is_present(found[*at].cells[step]));
            let mut present: Vec<usize> = present.collect();
            present.sort_by(|a, b| better(found[*a].cells[step], found[*b].cells[step], largest));
            present.truncate(count);
            for at in present {
                kept[at].cells[step] = found[at].cells[step];
                if step == 0 {
                    order.push(at);
                }
            }
        }
    }
    // An instant answer is in order of its values.
    if params.len() == 1 {
        return Ok(order.into_iter().map(|at| kept[at].clone()).collect());
    }
    kept.retain(Row::has_samples);
    Ok(kept)
}

fn better(a: f64, b: f64, largest: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) if largest => nan_first(b, a),
        (false, false) => nan_first(a, b),
        (a, b) => a.cmp(&b),
    }
}

fn count_values(found: &[Row], parts: &Aggregate, steps: usize) -> Result<Vec<Row>, PromqlError> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut answers: Vec<Row> = Vec::new();
    let max = crate::CELLS_MAX;
    for row in found {
        let group = match &parts.grouping {
            Grouping::By(names) if names.contains(&parts.label) => {
                group_of(&row.labels, &parts.grouping)
            }
            grouping => group_of(&row.labels.with(&parts.label, ""), grouping),
        };
        for (step, cell) in row.cells.iter().copied().enumerate() {
            if !is_present(cell) {
                continue;
            }
            let labels = group.with(&parts.label, &crate::number_text(cell));
            let at = *places.entry(labels.clone()).or_insert_with(|| {
                answers.push(Row { labels, cells: vec![ABSENT; steps] });
                answers.len() - 1
            });
            if answers.len().saturating_mul(steps) > max {
                return Err(PromqlError::TooMany { what: "points over all series", max });
            }
            let cell = &mut answers[at].cells[step];
            *cell = if is_present(*cell) { *cell + 1.0 } else { 1.0 };
        }
    }
    Ok(answers)
}
