//! A query as the evaluator walks it: typed, without brackets, every name resolved.

use regex::Regex;

use crate::each::WithScalars;
use crate::over::OverFn;

/// Which label has which value.
#[derive(Clone, Debug)]
pub struct Matcher {
    pub name: String,
    pub test: Test,
}

#[derive(Clone, Debug)]
pub enum Test {
    Equal(String),
    NotEqual(String),
    /// Anchored at both ends.
    Like(Regex),
    Unlike(Regex),
}

impl Matcher {
    /// Whether `value` passes; an absent label has the empty one.
    #[must_use]
    pub fn passes(&self, value: &str) -> bool {
        match &self.test {
            Test::Equal(wanted) => wanted == value,
            Test::NotEqual(other) => other != value,
            Test::Like(pattern) => pattern.is_match(value),
            Test::Unlike(pattern) => !pattern.is_match(value),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Selector {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) shift: Shift,
}

/// `@` and `offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Shift {
    pub(crate) at: Option<At>,
    pub(crate) offset_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum At {
    Start,
    End,
    Ms(i64),
}

/// A range vector.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) of: Ranged,
    pub(crate) range_ms: i64,
    pub(crate) shift: Shift,
}

#[derive(Clone, Debug)]
pub(crate) enum Ranged {
    Stored(Vec<Matcher>),
    Subquery { of: Box<Expr>, step_ms: i64 },
}

#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Number(f64),
    Time,
    Instant(Selector),
    Negate(Box<Expr>),
    /// A function of the value alone; the name goes.
    Each {
        of: Box<Expr>,
        apply: fn(f64) -> f64,
    },
    /// A function of the value and of scalars; `None` leaves the element out.
    EachWith {
        of: Box<Expr>,
        params: Vec<Expr>,
        apply: WithScalars,
    },
    Over(Box<Over>),
    AbsentOver {
        range: Range,
        labels: Vec<(String, String)>,
    },
    Absent {
        of: Box<Expr>,
        labels: Vec<(String, String)>,
    },
    /// When the sample of a selector was taken; of anything else it is the time of the step.
    Timestamp(Box<Expr>),
    Scalar(Box<Expr>),
    Vector(Box<Expr>),
    Sort {
        of: Box<Expr>,
        descending: bool,
    },
    LabelReplace(Box<LabelReplace>),
    LabelJoin {
        of: Box<Expr>,
        target: String,
        separator: String,
        sources: Vec<String>,
    },
    HistogramQuantile {
        quantile: Box<Expr>,
        of: Box<Expr>,
    },
    Aggregate(Box<Aggregate>),
    Binary(Box<Binary>),
}

#[derive(Clone, Debug)]
pub(crate) struct Over {
    pub(crate) range: Range,
    /// Scalars, in order of the arguments.
    pub(crate) params: Vec<Expr>,
    pub(crate) apply: OverFn,
    pub(crate) keeps_name: bool,
    /// Whether the answer depends on the time of the step, not on the window alone.
    pub(crate) uses_time: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct LabelReplace {
    pub(crate) of: Expr,
    pub(crate) target: String,
    pub(crate) replacement: String,
    pub(crate) source: String,
    pub(crate) pattern: Regex,
}

#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) of: Expr,
    pub(crate) param: Option<Expr>,
    /// The label of `count_values`.
    pub(crate) label: String,
    pub(crate) grouping: Grouping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AggregateOp {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    TopK,
    BottomK,
    Quantile,
    CountValues,
}

#[derive(Clone, Debug)]
pub(crate) enum Grouping {
    By(Vec<String>),
    Without(Vec<String>),
}

#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) op: BinaryOp,
    pub(crate) returns_bool: bool,
    pub(crate) left: Expr,
    pub(crate) right: Expr,
    pub(crate) matching: Matching,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Unless,
}

/// How elements of two vectors find each other.
#[derive(Clone, Debug)]
pub(crate) struct Matching {
    pub(crate) on: bool,
    pub(crate) labels: Vec<String>,
    pub(crate) card: Card,
    /// Labels taken over from the side of one.
    pub(crate) include: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Card {
    OneToOne,
    ManyToOne,
    OneToMany,
}
