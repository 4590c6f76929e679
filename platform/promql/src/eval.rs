//! Walks a query over a grid of steps.
//!
//! Prometheus evaluates a query anew at each step. Here every expression answers for all steps at
//! once: a selector is fetched once for the whole stretch, one series at a time, and its window
//! slides. The rules per step are the same.

use std::borrow::Cow;

use crate::expr::{At, Expr, LabelReplace, Matcher, Over, Range, Ranged, Selector, Shift};
use crate::over::{OverFn, Window};
use crate::rows::{self, ABSENT, Row, is_present};
use crate::{
    CELLS_MAX, Grid, LOOKBACK_MS, Labels, Limits, PromqlError, SAMPLES_MAX, Sample, Selection,
    Source, Take, aggregate, binary, histogram, relabel,
};

/// Samples looked at between two looks at the clock.
const WORK_STRIDE: usize = 1 << 20;

pub(crate) enum Value {
    Scalar(Vec<f64>),
    Vector(Vec<Row>),
}

pub(crate) struct Evaluator<'a> {
    source: &'a dyn Source,
    limits: &'a Limits<'a>,
    /// Of the whole query, for `@ start()` and `@ end()`.
    start_ms: i64,
    end_ms: i64,
    meter: Meter<'a>,
}

/// What a query has used so far.
#[derive(Clone, Copy)]
struct Meter<'a> {
    limits: &'a Limits<'a>,
    samples: usize,
    cells: usize,
    work: usize,
}

impl Meter<'_> {
    fn samples(&mut self, count: usize) -> Result<(), PromqlError> {
        self.samples += count;
        if self.samples > SAMPLES_MAX {
            return Err(PromqlError::TooMany { what: "samples", max: SAMPLES_MAX });
        }
        self.work(count)
    }

    fn cells(&mut self, count: usize) -> Result<(), PromqlError> {
        self.cells = self.cells.saturating_add(count);
        if self.cells > CELLS_MAX {
            return Err(PromqlError::TooMany { what: "points over all series", max: CELLS_MAX });
        }
        self.work(count)
    }

    fn work(&mut self, count: usize) -> Result<(), PromqlError> {
        self.work += count.max(1);
        if self.work < WORK_STRIDE {
            return Ok(());
        }
        self.work = 0;
        if (self.limits.is_over)() { Err(PromqlError::TimedOut) } else { Ok(()) }
    }
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(source: &'a dyn Source, limits: &'a Limits<'a>, grid: Grid) -> Self {
        let meter = Meter { limits, samples: 0, cells: 0, work: 0 };
        Self { source, limits, start_ms: grid.start_ms, end_ms: grid.end_ms(), meter }
    }

    pub(crate) fn eval(&mut self, expr: &Expr, grid: Grid) -> Result<Value, PromqlError> {
        if (self.limits.is_over)() {
            return Err(PromqlError::TimedOut);
        }
        match expr {
            Expr::Number(number) => self.scalar(grid, |_| *number),
            Expr::Time => self.scalar(grid, |step| grid.at(step) as f64 / 1_000.0),
            Expr::Scalar(of) => {
                let rows = self.vector(of, grid)?;
                self.scalar(grid, |step| only_sample(&rows, step))
            }
            Expr::Binary(parts) => self.binary(parts, grid),
            Expr::Negate(of) => match self.eval(of, grid)? {
                Value::Scalar(cells) => {
                    Ok(Value::Scalar(cells.into_iter().map(|cell| -cell).collect()))
                }
                Value::Vector(rows) => each(rows, |cell| -cell).map(Value::Vector),
            },
            other => self.eval_vector(other, grid).map(Value::Vector),
        }
    }

    fn eval_vector(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<Row>, PromqlError> {
        match expr {
            Expr::Instant(selector) => self.instant(selector, grid, |sample| sample.value),
            Expr::Each { of, apply } => each(self.vector(of, grid)?, apply),
            Expr::EachWith { of, params, apply } => {
                let mut found = self.vector(of, grid)?;
                let params = self.params(params, grid)?;
                rows::change(&mut found, |step, cell| apply(cell, &params[step]));
                rows::without_names(found)
            }
            Expr::Over(over) => self.over(over, grid),
            Expr::AbsentOver { range, labels } => {
                let found = self.windows(range, grid, &[], true, |_, _| Ok(Some(1.0)))?;
                Ok(absent(&found, labels, grid))
            }
            Expr::Absent { of, labels } => Ok(absent(&self.vector(of, grid)?, labels, grid)),
            Expr::Timestamp(of) => self.timestamp(of, grid),
            Expr::Vector(of) => {
                let cells = self.scalars(of, grid)?;
                Ok(vec![Row { labels: Labels::default(), cells }])
            }
            Expr::Sort { of, descending } => Ok(sorted(self.vector(of, grid)?, *descending)),
            Expr::LabelReplace(parts) => {
                let LabelReplace { of, target, replacement, source, pattern } = &**parts;
                let found = self.vector(of, grid)?;
                relabel::replace(found, (target, replacement), (source, pattern))
            }
            Expr::LabelJoin { of, target, separator, sources } => {
                relabel::join(self.vector(of, grid)?, target, separator, sources)
            }
            Expr::HistogramQuantile { quantile, of } => {
                let quantile = self.scalars(quantile, grid)?;
                Ok(histogram::quantiles(&self.vector(of, grid)?, &quantile))
            }
            Expr::Aggregate(parts) => {
                let params = parts.param.as_ref().map(|of| self.scalars(of, grid)).transpose()?;
                let found = self.vector(&parts.of, grid)?;
                self.meter.cells(found.len().saturating_mul(grid.steps))?;
                aggregate::aggregate(&found, parts, params.as_deref(), grid.steps)
            }
            Expr::Number(_) | Expr::Time | Expr::Scalar(_) | Expr::Binary(_) | Expr::Negate(_) => {
                self.vector(expr, grid)
            }
        }
    }

    fn scalar(&mut self, grid: Grid, at: impl Fn(usize) -> f64) -> Result<Value, PromqlError> {
        self.meter.cells(grid.steps)?;
        Ok(Value::Scalar((0..grid.steps).map(at).collect()))
    }

    fn vector(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<Row>, PromqlError> {
        match self.eval(expr, grid)? {
            Value::Vector(rows) => Ok(rows),
            Value::Scalar(_) => Err(wanted("an instant vector")),
        }
    }

    fn scalars(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<f64>, PromqlError> {
        match self.eval(expr, grid)? {
            Value::Scalar(cells) => Ok(cells),
            Value::Vector(_) => Err(wanted("a scalar")),
        }
    }

    /// The scalars of a call, step by step.
    fn params(&mut self, params: &[Expr], grid: Grid) -> Result<Vec<Vec<f64>>, PromqlError> {
        let columns: Vec<Vec<f64>> =
            params.iter().map(|param| self.scalars(param, grid)).collect::<Result<_, _>>()?;
        self.meter.cells(grid.steps)?;
        Ok((0..grid.steps)
            .map(|step| columns.iter().map(|column| column[step]).collect())
            .collect())
    }

    fn binary(&mut self, parts: &crate::expr::Binary, grid: Grid) -> Result<Value, PromqlError> {
        let (left, right) = (self.eval(&parts.left, grid)?, self.eval(&parts.right, grid)?);
        let rows = |value: &Value| match value {
            Value::Scalar(_) => 1,
            Value::Vector(rows) => rows.len(),
        };
        self.meter.cells(rows(&left).max(rows(&right)).saturating_mul(grid.steps))?;
        match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => {
                Ok(Value::Scalar(binary::scalars(parts.op, &left, &right)))
            }
            (Value::Vector(rows), Value::Scalar(cells)) => {
                binary::with_scalar(rows, &cells, parts, false).map(Value::Vector)
            }
            (Value::Scalar(cells), Value::Vector(rows)) => {
                binary::with_scalar(rows, &cells, parts, true).map(Value::Vector)
            }
            (Value::Vector(left), Value::Vector(right)) => {
                binary::vectors(left, right, parts, grid.steps).map(Value::Vector)
            }
        }
    }

    /// The time that a selector looks at, at each step.
    fn anchor(&self, shift: Shift, grid: Grid, step: usize) -> i64 {
        let at_ms = match shift.at {
            None => grid.at(step),
            Some(At::Start) => self.start_ms,
            Some(At::End) => self.end_ms,
            Some(At::Ms(at_ms)) => at_ms,
        };
        at_ms.saturating_sub(shift.offset_ms)
    }

    fn fetch(
        &self,
        matchers: &[Matcher],
        (from_ms, to_ms): (i64, i64),
        take: &mut Take<'_>,
    ) -> Result<(), PromqlError> {
        self.source.select(&Selection { matchers, from_ms, to_ms }, take)
    }

    /// The last sample not older than the lookback, at each step.
    fn instant(
        &mut self,
        selector: &Selector,
        grid: Grid,
        value: impl Fn(&Sample) -> f64,
    ) -> Result<Vec<Row>, PromqlError> {
        let last = grid.steps.saturating_sub(1);
        let anchors =
            (self.anchor(selector.shift, grid, 0), self.anchor(selector.shift, grid, last));
        let mut found = Vec::new();
        let mut meter = self.meter;
        let span = (anchors.0.saturating_sub(LOOKBACK_MS), anchors.1);
        self.fetch(&selector.matchers, span, &mut |labels, samples| {
            meter.samples(samples.len())?;
            let mut cells = Vec::with_capacity(grid.steps);
            let mut seen = 0;
            for step in 0..grid.steps {
                let at_ms = self.anchor(selector.shift, grid, step);
                seen += samples[seen..].iter().take_while(|sample| sample.at_ms <= at_ms).count();
                let last = seen.checked_sub(1).map(|at| &samples[at]);
                let oldest_ms = at_ms.saturating_sub(LOOKBACK_MS);
                let fresh = last.filter(|last| last.at_ms >= oldest_ms && !last.is_stale());
                cells.push(fresh.map_or(ABSENT, &value));
            }
            let row = Row { labels: labels.clone(), cells };
            if row.has_samples() {
                meter.cells(grid.steps)?;
                found.push(row);
            }
            Ok(())
        })?;
        self.meter = meter;
        Ok(found)
    }

    fn timestamp(&mut self, of: &Expr, grid: Grid) -> Result<Vec<Row>, PromqlError> {
        let found = if let Expr::Instant(selector) = of {
            self.instant(selector, grid, |sample| sample.at_ms as f64 / 1_000.0)?
        } else {
            let mut found = self.vector(of, grid)?;
            rows::change(&mut found, |step, _| Some(grid.at(step) as f64 / 1_000.0));
            found
        };
        rows::without_names(found)
    }

    fn over(&mut self, over: &Over, grid: Grid) -> Result<Vec<Row>, PromqlError> {
        let params = self.params(&over.params, grid)?;
        let found = self.windows(&over.range, grid, &params, !over.uses_time, over.apply)?;
        if over.keeps_name { rows::merged(found) } else { rows::without_names(found) }
    }

    /// One row per series of `range`: `apply` of the window of each step.
    fn windows(
        &mut self,
        range: &Range,
        grid: Grid,
        params: &[Vec<f64>],
        same_for_same_window: bool,
        apply: OverFn,
    ) -> Result<Vec<Row>, PromqlError> {
        let anchors: Vec<i64> =
            (0..grid.steps).map(|step| self.anchor(range.shift, grid, step)).collect();
        let reuses = same_for_same_window && range.shift.at.is_some();
        let mut found = Vec::new();
        let mut meter = self.meter;
        let mut take = |meter: &mut Meter<'_>, labels: &Labels, samples: &[Sample]| {
            let mut cells = Vec::with_capacity(grid.steps);
            let (mut from, mut to) = (0, 0);
            for (step, to_ms) in anchors.iter().copied().enumerate() {
                let params = params.get(step).map_or(&[][..], Vec::as_slice);
                if reuses && step > 0 && params.is_empty() {
                    cells.push(cells[step - 1]);
                    continue;
                }
                let from_ms = to_ms.saturating_sub(range.range_ms);
                to += samples[to..].iter().take_while(|sample| sample.at_ms <= to_ms).count();
                from += samples[from..to].iter().take_while(|s| s.at_ms < from_ms).count();
                let samples = &samples[from..to];
                meter.work(samples.len())?;
                if samples.is_empty() {
                    cells.push(ABSENT);
                    continue;
                }
                let window = Window { samples, from_ms, to_ms, at_ms: grid.at(step) };
                let figure = apply(&window, params).map_err(PromqlError::Execution)?;
                cells.push(figure.unwrap_or(ABSENT));
            }
            let row = Row { labels: labels.clone(), cells };
            if row.has_samples() {
                meter.cells(grid.steps)?;
                found.push(row);
            }
            Ok(())
        };
        match &range.of {
            Ranged::Stored(matchers) => {
                self.fetch(matchers, span_of(&anchors, range.range_ms), &mut |labels, samples| {
                    meter.samples(samples.len())?;
                    take(&mut meter, labels, &without_stale(samples))
                })?;
            }
            Ranged::Subquery { of, step_ms } => {
                let inner = subquery_grid(span_of(&anchors, range.range_ms), *step_ms)?;
                let rows = if inner.steps == 0 { Vec::new() } else { self.vector(of, inner)? };
                meter = self.meter;
                for row in rows {
                    take(&mut meter, &row.labels, &samples_of(&row, inner))?;
                }
            }
        }
        self.meter = meter;
        Ok(found)
    }

    /// A range vector as such, at one time: what `x[5m]` alone asks.
    pub(crate) fn matrix(
        &mut self,
        range: &Range,
        grid: Grid,
    ) -> Result<Vec<(Labels, Vec<Sample>)>, PromqlError> {
        let to_ms = self.anchor(range.shift, grid, 0);
        let span = span_of(&[to_ms], range.range_ms);
        let mut found = Vec::new();
        match &range.of {
            Ranged::Stored(matchers) => {
                let mut meter = self.meter;
                self.fetch(matchers, span, &mut |labels, samples| {
                    meter.samples(samples.len())?;
                    meter.cells(samples.len().saturating_mul(2))?;
                    let samples = without_stale(samples);
                    if !samples.is_empty() {
                        found.push((labels.clone(), samples.into_owned()));
                    }
                    Ok(())
                })?;
                self.meter = meter;
            }
            Ranged::Subquery { of, step_ms } => {
                let inner = subquery_grid(span, *step_ms)?;
                if inner.steps > 0 {
                    let rows = self.vector(of, inner)?;
                    found.extend(
                        rows.iter().map(|row| (row.labels.clone(), samples_of(row, inner))),
                    );
                }
            }
        }
        Ok(found)
    }
}

fn wanted(what: &str) -> PromqlError {
    PromqlError::Execution(format!("{what} is wanted here"))
}

/// Windows hold what was measured, not that a series ended.
fn without_stale(samples: &[Sample]) -> Cow<'_, [Sample]> {
    if samples.iter().any(Sample::is_stale) {
        samples.iter().filter(|sample| !sample.is_stale()).copied().collect()
    } else {
        Cow::Borrowed(samples)
    }
}

fn span_of(anchors: &[i64], range_ms: i64) -> (i64, i64) {
    let first = anchors.first().copied().unwrap_or(0);
    (first.saturating_sub(range_ms), anchors.last().copied().unwrap_or(0))
}

/// The multiples of `step_ms` in the span, both ends included.
fn subquery_grid((from_ms, to_ms): (i64, i64), step_ms: i64) -> Result<Grid, PromqlError> {
    let aligned = from_ms.div_euclid(step_ms).saturating_mul(step_ms);
    let start_ms = if aligned < from_ms { aligned.saturating_add(step_ms) } else { aligned };
    if start_ms > to_ms {
        return Ok(Grid { start_ms, step_ms, steps: 0 });
    }
    let steps = to_ms.saturating_sub(start_ms) / step_ms + 1;
    let steps = usize::try_from(steps)
        .ok()
        .filter(|steps| *steps <= CELLS_MAX)
        .ok_or(PromqlError::TooMany { what: "points over all series", max: CELLS_MAX })?;
    Ok(Grid { start_ms, step_ms, steps })
}

pub(crate) fn samples_of(row: &Row, grid: Grid) -> Vec<Sample> {
    let cells = row.cells.iter().copied().enumerate();
    cells
        .filter(|(_, cell)| is_present(*cell))
        .map(|(step, value)| Sample { at_ms: grid.at(step), value })
        .collect()
}

fn only_sample(rows: &[Row], step: usize) -> f64 {
    let mut present = rows.iter().map(|row| row.cells[step]).filter(|cell| is_present(*cell));
    match (present.next(), present.next()) {
        (Some(only), None) => only,
        _ => f64::NAN,
    }
}

fn each(mut found: Vec<Row>, apply: impl Fn(f64) -> f64) -> Result<Vec<Row>, PromqlError> {
    rows::change(&mut found, |_, cell| Some(apply(cell)));
    rows::without_names(found)
}

fn absent(found: &[Row], labels: &[(String, String)], grid: Grid) -> Vec<Row> {
    let is_absent = |step: usize| found.iter().all(|row| !is_present(row.cells[step]));
    let cells = (0..grid.steps).map(|step| if is_absent(step) { 1.0 } else { ABSENT }).collect();
    let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let row = Row { labels: Labels::new(pairs), cells };
    if row.has_samples() { vec![row] } else { Vec::new() }
}

/// Sorts by the first step: only an instant answer has an order. NaN comes last.
fn sorted(mut rows: Vec<Row>, descending: bool) -> Vec<Row> {
    let value = |row: &Row| row.cells.first().copied().unwrap_or(f64::NAN);
    rows.sort_by(|a, b| {
        let (a, b) = (value(a), value(b));
        let ascending = a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
        if descending && !a.is_nan() && !b.is_nan() { ascending.reverse() } else { ascending }
    });
    rows
}
