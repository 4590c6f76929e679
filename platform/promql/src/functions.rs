//! Which functions there are, and what each call becomes.

use std::sync::Once;

use promql_parser::parser as ast;
use promql_parser::parser::Function;
use promql_parser::parser::value::ValueType;
use regex::Regex;

use crate::expr::{Expr, LabelReplace, Over, Range};
use crate::lower::{self, unsupported};
use crate::over::{self, OverFn};
use crate::{PromqlError, Test, each};

/// Teaches the parser the functions of Prometheus 2 that a later one renamed.
pub(crate) fn register_dated() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let arguments = vec![ValueType::Matrix, ValueType::Scalar, ValueType::Scalar];
        let dated = Function::new("holt_winters", arguments, 0, ValueType::Vector, false);
        // Fails only for a name that the parser knows already, and then there is nothing to do.
        drop(ast::register_extra_functions(vec![dated]));
    });
}

pub(crate) fn call(call: &ast::Call, depth: usize) -> Result<Expr, PromqlError> {
    let name = call.func.name;
    if let Some((apply, uses_time)) = over::function(name) {
        return over_range(call, (apply, uses_time), depth);
    }
    if let Some(apply) = each::function(name) {
        let of = Box::new(argument(call, 0, depth)?);
        return Ok(Expr::Each { of, apply });
    }
    if let Some(apply) = each::of_date(name) {
        let of = match call.args.is_empty() {
            true => Expr::Vector(Box::new(Expr::Time)),
            false => argument(call, 0, depth)?,
        };
        return Ok(Expr::Each { of: Box::new(of), apply });
    }
    if let Some(apply) = each::with_scalars(name) {
        let of = Box::new(argument(call, 0, depth)?);
        let params = (1..call.args.len()).map(|at| argument(call, at, depth));
        return Ok(Expr::EachWith { of, params: params.collect::<Result<_, _>>()?, apply });
    }
    special(call, name, depth)
}

fn special(call: &ast::Call, name: &str, depth: usize) -> Result<Expr, PromqlError> {
    let first = || argument(call, 0, depth).map(Box::new);
    match name {
        "time" => Ok(Expr::Time),
        "pi" => Ok(Expr::Number(std::f64::consts::PI)),
        "absent" => Ok(Expr::Absent { labels: absent_labels(call), of: first()? }),
        "absent_over_time" => {
            let range = lower::range(given(call, 0)?, depth)?;
            Ok(Expr::AbsentOver { range, labels: absent_labels(call) })
        }
        "timestamp" => Ok(Expr::Timestamp(first()?)),
        "scalar" => Ok(Expr::Scalar(first()?)),
        "vector" => Ok(Expr::Vector(first()?)),
        "sort" => Ok(Expr::Sort { of: first()?, descending: false }),
        "sort_desc" => Ok(Expr::Sort { of: first()?, descending: true }),
        "label_replace" => label_replace(call, depth),
        "label_join" => label_join(call, depth),
        "histogram_quantile" => Ok(Expr::HistogramQuantile {
            quantile: first()?,
            of: Box::new(argument(call, 1, depth)?),
        }),
        other => unsupported(format!("the function `{other}`")),
    }
}

fn given(call: &ast::Call, at: usize) -> Result<&ast::Expr, PromqlError> {
    call.args.args.get(at).map(|given| &**given).ok_or_else(|| {
        PromqlError::Syntax(format!("`{}` wants {} arguments", call.func.name, at + 1))
    })
}

/// A vector or a scalar, as the function wants it there.
fn argument(call: &ast::Call, at: usize, depth: usize) -> Result<Expr, PromqlError> {
    let tree = given(call, at)?;
    let types = &call.func.arg_types;
    let wanted = types.get(at).or(types.last());
    let found = tree.value_type();
    // The parser lets `ln(0)` pass; Prometheus and this evaluator do not.
    if wanted.is_some_and(|wanted| *wanted != found) {
        let name = call.func.name;
        return Err(PromqlError::Syntax(format!("a {found} may not stand in `{name}` there")));
    }
    lower::expr(tree, depth)
}

pub(crate) fn text(tree: &ast::Expr) -> Result<String, PromqlError> {
    match tree {
        ast::Expr::StringLiteral(text) => Ok(text.val.clone()),
        ast::Expr::Paren(inner) => text(&inner.expr),
        _ => Err(PromqlError::Syntax("a string is wanted here".to_owned())),
    }
}

fn over_range(
    call: &ast::Call,
    (apply, uses_time): (OverFn, bool),
    depth: usize,
) -> Result<Expr, PromqlError> {
    let mut range: Option<Range> = None;
    let mut params = Vec::new();
    for (at, tree) in call.args.args.iter().enumerate() {
        if tree.value_type() == ValueType::Matrix {
            range = Some(lower::range(tree, depth)?);
        } else {
            params.push(argument(call, at, depth)?);
        }
    }
    let Some(range) = range else {
        return Err(PromqlError::Syntax(format!("`{}` wants a range vector", call.func.name)));
    };
    let keeps_name = matches!(call.func.name, "last_over_time" | "first_over_time");
    Ok(Expr::Over(Box::new(Over { range, params, apply, keeps_name, uses_time })))
}

/// The labels that a selector fixes, for the element that says it found nothing.
fn absent_labels(call: &ast::Call) -> Vec<(String, String)> {
    let selector = match call.args.args.first().map(|tree| &**tree) {
        Some(ast::Expr::VectorSelector(selector)) => selector,
        Some(ast::Expr::MatrixSelector(matrix)) => &matrix.vs,
        _ => return Vec::new(),
    };
    let mut labels: Vec<(String, String)> = Vec::new();
    for matcher in lower::selector_matchers(selector).unwrap_or_default() {
        if matcher.name == crate::NAME {
            continue;
        }
        let seen = labels.iter().position(|(name, _)| *name == matcher.name);
        match (matcher.test, seen) {
            (Test::Equal(value), None) => labels.push((matcher.name, value)),
            (_, Some(at)) => labels[at].1.clear(),
            (_, None) => {}
        }
    }
    labels
}

fn label_replace(call: &ast::Call, depth: usize) -> Result<Expr, PromqlError> {
    let texts: Vec<String> =
        (1..5).map(|at| text(given(call, at)?)).collect::<Result<_, PromqlError>>()?;
    let [target, replacement, source, pattern] = <[String; 4]>::try_from(texts)
        .map_err(|_| PromqlError::Syntax("label_replace wants four strings".to_owned()))?;
    let anchored = Regex::new(&format!("^(?:{pattern})$")).map_err(|_| {
        PromqlError::Execution(format!("invalid regular expression in label_replace(): {pattern}"))
    })?;
    if !crate::is_label_name(&target) {
        return Err(PromqlError::Execution(format!(
            "invalid destination label name in label_replace(): {target}"
        )));
    }
    let of = argument(call, 0, depth)?;
    let parts = LabelReplace { of, target, replacement, source, pattern: anchored };
    Ok(Expr::LabelReplace(Box::new(parts)))
}

fn label_join(call: &ast::Call, depth: usize) -> Result<Expr, PromqlError> {
    let (target, separator) = (text(given(call, 1)?)?, text(given(call, 2)?)?);
    let sources: Vec<String> = (3..call.args.len())
        .map(|at| text(given(call, at)?))
        .collect::<Result<_, PromqlError>>()?;
    for (what, name) in
        std::iter::once(("destination", &target)).chain(sources.iter().map(|name| ("source", name)))
    {
        if !crate::is_label_name(name) {
            return Err(PromqlError::Execution(format!(
                "invalid {what} label name in label_join(): {name}"
            )));
        }
    }
    let of = Box::new(argument(call, 0, depth)?);
    Ok(Expr::LabelJoin { of, target, separator, sources })
}
