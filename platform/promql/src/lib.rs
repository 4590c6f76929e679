//! PromQL, read and evaluated.
//!
//! [`Query::parse`] reads a text, [`Query::instant`] and [`Query::range`] evaluate it over a
//! [`Source`]. The parser is the crate `promql-parser`; the evaluator is ours and follows
//! Prometheus 2.42: its rules, its formulas, its defaults. It is pure and synchronous: no clock,
//! no I/O but through [`Source`]. Everything is bounded: what would grow is refused by name.

mod aggregate;
mod binary;
mod each;
mod error;
mod eval;
mod expr;
mod functions;
mod guard;
mod histogram;
mod labels;
mod lower;
mod over;
mod relabel;
mod rows;
mod sum;

use promql_parser::parser as ast;

pub use error::PromqlError;
pub use expr::{Matcher, Test};
pub use guard::{TEXT_BYTES_MAX, WORDS_MAX};
pub use labels::{Labels, NAME, is_label_name};

use eval::{Evaluator, Value};
use lower::Root;

/// How old the sample may be that stands for a series at an instant: Prometheus' default.
pub const LOOKBACK_MS: i64 = 5 * 60 * 1_000;
/// Samples one query may read. They pass through one series at a time, so this bounds time.
pub const SAMPLES_MAX: usize = 200_000_000;
/// Points of all series, over all parts of a query: this bounds memory, 8 bytes each.
pub const CELLS_MAX: usize = 20_000_000;
/// Points of an answer: what writing it out takes is a multiple of them.
pub const ANSWER_MAX: usize = 5_000_000;
/// Points of each series that a range query may have, as in Prometheus.
pub const STEPS_MAX: usize = 11_000;

/// One sample of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Milliseconds since 1970, UTC.
    pub at_ms: i64,
    pub value: f64,
}

/// The value of a sample that says that its series ended there, until the next one.
pub const STALE: f64 = f64::from_bits(0x7ff8_0000_5354_414c);

impl Sample {
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.value.to_bits() == STALE.to_bits()
    }
}

/// Which samples a [`Source`] shall hand over.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// A series belongs to it when all of them pass.
    pub matchers: &'a [Matcher],
    /// Both ends belong to the stretch.
    pub from_ms: i64,
    pub to_ms: i64,
}

/// Takes one series: its labels, and its samples in order of time, one per millisecond at most.
pub type Take<'a> = dyn FnMut(&Labels, &[Sample]) -> Result<(), PromqlError> + 'a;

/// Where the samples are.
pub trait Source {
    /// Hands every series of the selection to `take`, one after another; no two have the same
    /// labels. A series without samples may be left out.
    ///
    /// # Errors
    /// What `take` says, or [`PromqlError::Source`] when readings cannot be had.
    fn select(&self, selection: &Selection<'_>, take: &mut Take<'_>) -> Result<(), PromqlError>;
}

/// What a query may take beyond what the constants of this crate say.
pub struct Limits<'a> {
    /// Asked now and then; once it answers true the query ends with [`PromqlError::TimedOut`].
    pub is_over: &'a dyn Fn() -> bool,
}

/// The instants at which a query is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    start_ms: i64,
    step_ms: i64,
    steps: usize,
}

impl Grid {
    #[must_use]
    pub fn instant(at_ms: i64) -> Self {
        Self { start_ms: at_ms, step_ms: 1, steps: 1 }
    }

    /// From `start_ms` by `step_ms` up to `end_ms`, both ends included.
    ///
    /// # Errors
    /// When there is no step, the end lies before the start, or there are more than
    /// [`STEPS_MAX`] points.
    pub fn range(start_ms: i64, end_ms: i64, step_ms: i64) -> Result<Self, PromqlError> {
        let syntax = |text: &str| Err(PromqlError::Syntax(text.to_owned()));
        if step_ms <= 0 {
            return syntax("zero or negative query resolution step widths are not accepted");
        }
        if end_ms < start_ms {
            return syntax("end timestamp must not be before start time");
        }
        let between = usize::try_from(end_ms.saturating_sub(start_ms) / step_ms);
        match between {
            Ok(between) if between <= STEPS_MAX => {
                Ok(Self { start_ms, step_ms, steps: between + 1 })
            }
            _ => syntax(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the \
                 query resolution (?step=XX)",
            ),
        }
    }

    #[must_use]
    pub(crate) fn at(&self, step: usize) -> i64 {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        self.start_ms.saturating_add(self.step_ms.saturating_mul(step))
    }

    pub(crate) fn end_ms(&self) -> i64 {
        self.at(self.steps.saturating_sub(1))
    }
}

/// What a query answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Scalar(Sample),
    Text { at_ms: i64, text: String },
    Vector(Vec<(Labels, Sample)>),
    Matrix(Vec<(Labels, Vec<Sample>)>),
}

/// A query that was understood.
#[derive(Clone, Debug)]
pub struct Query {
    root: Root,
}

impl Query {
    /// # Errors
    /// [`PromqlError::Syntax`] when it is no query, [`PromqlError::Unsupported`] when it is one
    /// that this evaluator does not answer, [`PromqlError::TooMany`] when it is too long or deep.
    pub fn parse(text: &str) -> Result<Self, PromqlError> {
        Ok(Self { root: lower::root(&lower::parse(text)?)? })
    }

    /// # Errors
    /// When the query does not fit the data, takes too much, or the source fails.
    pub fn instant(
        &self,
        at_ms: i64,
        source: &dyn Source,
        limits: &Limits<'_>,
    ) -> Result<Answer, PromqlError> {
        let grid = Grid::instant(at_ms);
        let mut evaluator = Evaluator::new(source, limits, grid);
        match &self.root {
            Root::Text(text) => Ok(Answer::Text { at_ms, text: text.clone() }),
            Root::Range(range) => evaluator.matrix(range, grid).map(Answer::Matrix),
            Root::Expr(expr) => match evaluator.eval(expr, grid)? {
                Value::Scalar(cells) => {
                    let value = cells.first().copied().unwrap_or(f64::NAN);
                    Ok(Answer::Scalar(Sample { at_ms, value }))
                }
                Value::Vector(rows) => {
                    let present = rows.into_iter().filter(rows::Row::has_samples);
                    let samples = present.map(|row| {
                        let value = row.cells[0];
                        (row.labels, Sample { at_ms, value })
                    });
                    Ok(Answer::Vector(samples.collect()))
                }
            },
        }
    }

    /// The series of the answer are sorted by their labels.
    ///
    /// # Errors
    /// As [`Query::instant`], and when the query is no scalar and no instant vector.
    pub fn range(
        &self,
        grid: Grid,
        source: &dyn Source,
        limits: &Limits<'_>,
    ) -> Result<Answer, PromqlError> {
        let wrong = |what: &str| {
            Err(PromqlError::Syntax(format!(
                "invalid expression type \"{what}\" for range query, must be Scalar or instant \
                 Vector"
            )))
        };
        let expr = match &self.root {
            Root::Text(_) => return wrong("string"),
            Root::Range(_) => return wrong("range vector"),
            Root::Expr(expr) => expr,
        };
        let rows = match Evaluator::new(source, limits, grid).eval(expr, grid)? {
            Value::Vector(rows) => rows,
            Value::Scalar(cells) => vec![rows::Row { labels: Labels::default(), cells }],
        };
        if rows.len().saturating_mul(grid.steps) > ANSWER_MAX {
            return Err(PromqlError::TooMany { what: "points in its answer", max: ANSWER_MAX });
        }
        let present = rows.iter().filter(|row| row.has_samples());
        let mut series: Vec<(Labels, Vec<Sample>)> =
            present.map(|row| (row.labels.clone(), eval::samples_of(row, grid))).collect();
        series.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Answer::Matrix(series))
    }
}

/// The matchers of a selector as it stands in `match[]`.
///
/// # Errors
/// When `text` is no selector, or one with a range, an offset or a time.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, PromqlError> {
    match lower::parse(text)? {
        ast::Expr::VectorSelector(selector)
            if selector.at.is_none() && selector.offset.is_none() =>
        {
            lower::selector_matchers(&selector)
        }
        _ => Err(PromqlError::Syntax(format!("`{text}` is no series selector"))),
    }
}

/// The query, laid out over lines as Prometheus does it.
///
/// # Errors
/// When `text` is no query.
pub fn format(text: &str) -> Result<String, PromqlError> {
    let tree = lower::parse(text)?;
    let laid_out = tree.prettify();
    // The library writes some queries as others, a time before 1970 as 0: those stay as they were.
    let same = lower::parse(&laid_out).is_ok_and(|again| again == tree);
    Ok(if same { laid_out } else { text.trim().to_owned() })
}

/// A number as Prometheus writes it: without an exponent, `NaN`, `+Inf`, `-Inf`.
#[must_use]
pub fn number_text(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        number.to_string()
    }
}

#[cfg(test)]
mod tests;
