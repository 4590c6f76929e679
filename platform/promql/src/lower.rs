//! From the parser's tree to ours. What is not supported is refused here, by name, before
//! anything is fetched.

use std::time::{Duration, SystemTime};

use promql_parser::label::{MatchOp, Matchers};
use promql_parser::parser as ast;
use promql_parser::parser::token;
use promql_parser::parser::value::ValueType;

use crate::PromqlError;
use crate::expr::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Card, Expr, Grouping, Matcher, Matching, Range,
    Ranged, Selector, Shift, Test,
};
use crate::functions;

/// How deep a query may be nested; the evaluator goes down as deep.
const DEPTH_MAX: usize = 150;
/// Longest duration; no series is older.
const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Step of a subquery that names none: Prometheus' default evaluation interval.
const SUBQUERY_STEP_MS: i64 = 60_000;
/// The year 9999, in milliseconds.
const AT_MAX_MS: i64 = 253_402_300_800_000;

/// What a whole query may be, beyond what other expressions are made of.
#[derive(Clone, Debug)]
pub(crate) enum Root {
    Expr(Expr),
    Range(Range),
    Text(String),
}

pub(crate) fn parse(text: &str) -> Result<ast::Expr, PromqlError> {
    crate::guard::check(text)?;
    functions::register_dated();
    ast::parse(text).map_err(PromqlError::Syntax)
}

pub(crate) fn root(tree: &ast::Expr) -> Result<Root, PromqlError> {
    match tree {
        ast::Expr::Paren(inner) => root(&inner.expr),
        ast::Expr::StringLiteral(text) => Ok(Root::Text(text.val.clone())),
        ast::Expr::MatrixSelector(_) | ast::Expr::Subquery(_) => range(tree, 0).map(Root::Range),
        other => expr(other, 0).map(Root::Expr),
    }
}

pub(crate) fn unsupported<T>(what: impl Into<String>) -> Result<T, PromqlError> {
    Err(PromqlError::Unsupported { what: what.into() })
}

fn deeper(depth: usize) -> Result<usize, PromqlError> {
    if depth >= DEPTH_MAX {
        return Err(PromqlError::TooMany { what: "levels of nesting", max: DEPTH_MAX });
    }
    Ok(depth + 1)
}

pub(crate) fn expr(tree: &ast::Expr, depth: usize) -> Result<Expr, PromqlError> {
    let depth = deeper(depth)?;
    match tree {
        ast::Expr::Paren(inner) => expr(&inner.expr, depth),
        ast::Expr::NumberLiteral(number) => Ok(Expr::Number(number.val)),
        ast::Expr::VectorSelector(selector) => Ok(Expr::Instant(Selector {
            matchers: selector_matchers(selector)?,
            shift: shift(selector.at.as_ref(), selector.offset.as_ref())?,
        })),
        ast::Expr::Unary(unary) => Ok(Expr::Negate(Box::new(expr(&unary.expr, depth)?))),
        ast::Expr::Call(call) => functions::call(call, depth),
        ast::Expr::Aggregate(aggregate) => lower_aggregate(aggregate, depth),
        ast::Expr::Binary(binary) => lower_binary(binary, depth),
        ast::Expr::StringLiteral(_) => Err(wrong_place("a string")),
        ast::Expr::MatrixSelector(_) | ast::Expr::Subquery(_) => Err(wrong_place("a range vector")),
        ast::Expr::Extension(_) => unsupported("an extension of the language"),
    }
}

fn wrong_place(what: &str) -> PromqlError {
    PromqlError::Syntax(format!("{what} may not stand here"))
}

pub(crate) fn range(tree: &ast::Expr, depth: usize) -> Result<Range, PromqlError> {
    let depth = deeper(depth)?;
    match tree {
        ast::Expr::Paren(inner) => range(&inner.expr, depth),
        ast::Expr::MatrixSelector(matrix) => Ok(Range {
            of: Ranged::Stored(selector_matchers(&matrix.vs)?),
            range_ms: millis(matrix.range)?,
            shift: shift(matrix.vs.at.as_ref(), matrix.vs.offset.as_ref())?,
        }),
        ast::Expr::Subquery(sub) => Ok(Range {
            of: Ranged::Subquery {
                of: Box::new(expr(&sub.expr, depth)?),
                step_ms: sub.step.map_or(Ok(SUBQUERY_STEP_MS), millis)?.max(1),
            },
            range_ms: millis(sub.range)?,
            shift: shift(sub.at.as_ref(), sub.offset.as_ref())?,
        }),
        _ => Err(PromqlError::Syntax("a range vector is wanted here".to_owned())),
    }
}

fn millis(duration: Duration) -> Result<i64, PromqlError> {
    if duration > DURATION_MAX {
        return Err(PromqlError::Syntax("duration out of range".to_owned()));
    }
    i64::try_from(duration.as_millis())
        .map_err(|_| PromqlError::Syntax("duration out of range".to_owned()))
}

fn shift(at: Option<&ast::AtModifier>, by: Option<&ast::Offset>) -> Result<Shift, PromqlError> {
    let offset_ms = match by {
        None => 0,
        Some(ast::Offset::Pos(by)) => millis(*by)?,
        Some(ast::Offset::Neg(by)) => -millis(*by)?,
    };
    let at = match at {
        None => None,
        Some(ast::AtModifier::Start) => Some(At::Start),
        Some(ast::AtModifier::End) => Some(At::End),
        Some(ast::AtModifier::At(time)) => Some(At::Ms(epoch_ms(*time)?)),
    };
    Ok(Shift { at, offset_ms })
}

fn epoch_ms(time: SystemTime) -> Result<i64, PromqlError> {
    let (span, sign) = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(span) => (span, 1),
        Err(before) => (before.duration(), -1),
    };
    i64::try_from(span.as_millis())
        .ok()
        .filter(|ms| *ms <= AT_MAX_MS)
        .map(|ms| sign * ms)
        .ok_or_else(|| PromqlError::Syntax("timestamp out of bounds for @ modifier".to_owned()))
}

/// The matchers of a selector, its name among them.
pub(crate) fn selector_matchers(
    selector: &ast::VectorSelector,
) -> Result<Vec<Matcher>, PromqlError> {
    let mut found = Vec::new();
    if let Some(name) = &selector.name {
        found.push(Matcher { name: crate::NAME.to_owned(), test: Test::Equal(name.clone()) });
    }
    found.extend(matchers(&selector.matchers)?);
    Ok(found)
}

fn matchers(all: &Matchers) -> Result<Vec<Matcher>, PromqlError> {
    if !all.or_matchers.is_empty() {
        return unsupported("`or` between matchers");
    }
    let lower = |matcher: &promql_parser::label::Matcher| Matcher {
        name: matcher.name.clone(),
        test: match &matcher.op {
            MatchOp::Equal => Test::Equal(matcher.value.clone()),
            MatchOp::NotEqual => Test::NotEqual(matcher.value.clone()),
            MatchOp::Re(pattern) => Test::Like(pattern.clone()),
            MatchOp::NotRe(pattern) => Test::Unlike(pattern.clone()),
        },
    };
    Ok(all.matchers.iter().map(lower).collect())
}

fn lower_aggregate(tree: &ast::AggregateExpr, depth: usize) -> Result<Expr, PromqlError> {
    let op = match tree.op.id() {
        token::T_SUM => AggregateOp::Sum,
        token::T_AVG => AggregateOp::Avg,
        token::T_MIN => AggregateOp::Min,
        token::T_MAX => AggregateOp::Max,
        token::T_COUNT => AggregateOp::Count,
        token::T_GROUP => AggregateOp::Group,
        token::T_STDDEV => AggregateOp::Stddev,
        token::T_STDVAR => AggregateOp::Stdvar,
        token::T_TOPK => AggregateOp::TopK,
        token::T_BOTTOMK => AggregateOp::BottomK,
        token::T_QUANTILE => AggregateOp::Quantile,
        token::T_COUNT_VALUES => AggregateOp::CountValues,
        _ => return unsupported(format!("the aggregation `{}`", tree.op)),
    };
    let mut label = String::new();
    let mut param = None;
    match (&tree.param, op) {
        (Some(given), AggregateOp::CountValues) => {
            label = functions::text(given)?;
            if !crate::is_label_name(&label) {
                return Err(PromqlError::Execution(format!("invalid label name {label:?}")));
            }
        }
        (Some(given), _) => param = Some(expr(given, depth)?),
        (None, _) => {}
    }
    let grouping = match &tree.modifier {
        None => Grouping::By(Vec::new()),
        Some(ast::LabelModifier::Include(labels)) => Grouping::By(labels.labels.clone()),
        Some(ast::LabelModifier::Exclude(labels)) => Grouping::Without(labels.labels.clone()),
    };
    let of = expr(&tree.expr, depth)?;
    Ok(Expr::Aggregate(Box::new(Aggregate { op, of, param, label, grouping })))
}

fn lower_binary(tree: &ast::BinaryExpr, depth: usize) -> Result<Expr, PromqlError> {
    let op = match tree.op.id() {
        token::T_ADD => BinaryOp::Add,
        token::T_SUB => BinaryOp::Sub,
        token::T_MUL => BinaryOp::Mul,
        token::T_DIV => BinaryOp::Div,
        token::T_MOD => BinaryOp::Mod,
        token::T_POW => BinaryOp::Pow,
        token::T_ATAN2 => BinaryOp::Atan2,
        token::T_EQLC => BinaryOp::Eq,
        token::T_NEQ => BinaryOp::Ne,
        token::T_LSS => BinaryOp::Lt,
        token::T_LTE => BinaryOp::Le,
        token::T_GTR => BinaryOp::Gt,
        token::T_GTE => BinaryOp::Ge,
        token::T_LAND => BinaryOp::And,
        token::T_LOR => BinaryOp::Or,
        token::T_LUNLESS => BinaryOp::Unless,
        _ => return unsupported(format!("the operator `{}`", tree.op)),
    };
    let mut matching =
        Matching { on: false, labels: Vec::new(), card: Card::OneToOne, include: Vec::new() };
    let mut returns_bool = false;
    if let Some(modifier) = &tree.modifier {
        if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
            return unsupported("`fill`");
        }
        returns_bool = modifier.return_bool;
        if let Some(labels) = &modifier.matching {
            matching.on = labels.is_include();
            matching.labels.clone_from(&labels.labels().labels);
        }
        match &modifier.card {
            ast::VectorMatchCardinality::OneToOne | ast::VectorMatchCardinality::ManyToMany => {}
            ast::VectorMatchCardinality::ManyToOne(labels) => {
                matching.card = Card::ManyToOne;
                matching.include.clone_from(&labels.labels);
            }
            ast::VectorMatchCardinality::OneToMany(labels) => {
                matching.card = Card::OneToMany;
                matching.include.clone_from(&labels.labels);
            }
        }
    }
    let (left, right) = (expr(&tree.lhs, depth)?, expr(&tree.rhs, depth)?);
    let vectors = [&tree.lhs, &tree.rhs].iter().all(|side| side.value_type() == ValueType::Vector);
    if !vectors && matching.card != Card::OneToOne {
        return Err(PromqlError::Syntax("vector matching only allowed between vectors".to_owned()));
    }
    Ok(Expr::Binary(Box::new(Binary { op, returns_bool, left, right, matching })))
}
