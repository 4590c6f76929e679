//! Operators between scalars and vectors, as Prometheus 2.42 defines them.

use std::collections::HashMap;

use crate::expr::{Binary, BinaryOp, Card, Matching};
use crate::rows::{self, ABSENT, Row, is_present};
use crate::{Labels, NAME, PromqlError};

/// The value, and for a comparison whether it holds.
fn apply(op: BinaryOp, left: f64, right: f64) -> (f64, bool) {
    match op {
        BinaryOp::Add => (left + right, true),
        BinaryOp::Sub => (left - right, true),
        BinaryOp::Mul => (left * right, true),
        BinaryOp::Div => (left / right, true),
        BinaryOp::Mod => (left % right, true),
        BinaryOp::Pow => (left.powf(right), true),
        BinaryOp::Atan2 => (left.atan2(right), true),
        BinaryOp::Eq => (left, left == right),
        BinaryOp::Ne => (left, left != right),
        BinaryOp::Lt => (left, left < right),
        BinaryOp::Le => (left, left <= right),
        BinaryOp::Gt => (left, left > right),
        BinaryOp::Ge => (left, left >= right),
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => (left, false),
    }
}

impl BinaryOp {
    fn compares(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }

    /// Whether the answer is a new quantity that the old name does not tell.
    fn drops_name(self) -> bool {
        matches!(self, Self::Add | Self::Sub | Self::Mul | Self::Div | Self::Mod | Self::Pow)
    }
}

pub(crate) fn scalars(op: BinaryOp, left: &[f64], right: &[f64]) -> Vec<f64> {
    let pairs = left.iter().zip(right);
    pairs
        .map(|(left, right)| match apply(op, *left, *right) {
            (_, holds) if op.compares() => f64::from(u8::from(holds)),
            (value, _) => value,
        })
        .collect()
}

/// `swapped` when the scalar stands on the left.
pub(crate) fn with_scalar(
    mut found: Vec<Row>,
    cells: &[f64],
    parts: &Binary,
    swapped: bool,
) -> Result<Vec<Row>, PromqlError> {
    let op = parts.op;
    rows::change(&mut found, |step, cell| {
        let (left, right) = if swapped { (cells[step], cell) } else { (cell, cells[step]) };
        let (value, holds) = apply(op, left, right);
        if parts.returns_bool {
            return Some(f64::from(u8::from(holds)));
        }
        // Of a comparison the vector's value stays, on whichever side it stands.
        holds.then_some(if op.compares() { cell } else { value })
    });
    if op.drops_name() || parts.returns_bool {
        return rows::without_names(found);
    }
    rows::merged(found)
}

pub(crate) fn vectors(
    left: Vec<Row>,
    right: Vec<Row>,
    parts: &Binary,
    steps: usize,
) -> Result<Vec<Row>, PromqlError> {
    let key = |labels: &Labels| signature(labels, &parts.matching);
    match parts.op {
        BinaryOp::And => Ok(filtered(left, &right, key, steps, true)),
        BinaryOp::Unless => Ok(filtered(left, &right, key, steps, false)),
        BinaryOp::Or => {
            let rest = filtered(right, &left, key, steps, false);
            rows::merged(left.into_iter().chain(rest).collect())
        }
        _ => matched(&left, &right, parts, steps),
    }
}

fn signature(labels: &Labels, matching: &Matching) -> Labels {
    let named = |name: &str| matching.labels.iter().any(|label| label == name);
    if matching.on {
        labels.retain(named)
    } else {
        labels.retain(|name| name != NAME && !named(name))
    }
}

/// The samples of `found` that have (or have not) a partner among `others` at the same step.
fn filtered(
    mut found: Vec<Row>,
    others: &[Row],
    key: impl Fn(&Labels) -> Labels,
    steps: usize,
    with_partner: bool,
) -> Vec<Row> {
    let mut partners: HashMap<Labels, Vec<bool>> = HashMap::new();
    for other in others {
        let present = partners.entry(key(&other.labels)).or_insert_with(|| vec![false; steps]);
        for (present, cell) in present.iter_mut().zip(&other.cells) {
            *present |= is_present(*cell);
        }
    }
    for row in &mut found {
        let partner = partners.get(&key(&row.labels));
        for (step, cell) in row.cells.iter_mut().enumerate() {
            if partner.is_some_and(|partner| partner[step]) != with_partner {
                *cell = ABSENT;
            }
        }
    }
    found.retain(Row::has_samples);
    found
}

/// Arithmetic and comparisons: each element of the many side finds at most one on the other.
fn matched(
    left: &[Row],
    right: &[Row],
    parts: &Binary,
    steps: usize,
) -> Result<Vec<Row>, PromqlError> {
    let (many, one) = match parts.matching.card {
        Card::OneToMany => (right, left),
        Card::OneToOne | Card::ManyToOne => (left, right),
    };
    let key = |labels: &Labels| signature(labels, &parts.matching);
    // At a step where one side is empty nothing is looked at, and so nothing is wrong.
    let (some_many, some_one) = (occupied(many, steps), occupied(one, steps));
    let asked: Vec<bool> = some_many.iter().zip(&some_one).map(|(a, b)| *a && *b).collect();
    let partners: HashMap<Labels, Vec<usize>> = rows::grouped(one, key).into_iter().collect();
    for members in partners.values() {
        unique(one, members, &asked, parts.matching.card)?;
    }
    let mut answers = Vec::new();
    for (labels, members) in rows::grouped(many, key) {
        let Some(partners) = partners.get(&labels) else { continue };
        let partners: Vec<&Row> = partners.iter().map(|at| &one[*at]).collect();
        let members: Vec<&Row> = members.iter().map(|at| &many[*at]).collect();
        pair_up(&members, &partners, parts, steps, &mut answers)?;
    }
    rows::merged(answers)
}

fn occupied(rows: &[Row], steps: usize) -> Vec<bool> {
    let mut some = vec![false; steps];
    for row in rows {
        for (some, cell) in some.iter_mut().zip(&row.cells) {
            *some |= is_present(*cell);
        }
    }
    some
}

/// Two elements of the one side may not answer to the same labels.
fn unique(one: &[Row], members: &[usize], asked: &[bool], card: Card) -> Result<(), PromqlError> {
    if members.len() < 2 {
        return Ok(());
    }
    for (step, _) in asked.iter().enumerate().filter(|(_, asked)| **asked) {
        let mut present = members.iter().filter(|at| is_present(one[**at].cells[step]));
        if let (Some(first), Some(second)) = (present.next(), present.next()) {
            let side = if card == Card::OneToMany { "left" } else { "right" };
            return Err(PromqlError::Execution(format!(
                "found duplicate series for the match group on the {side} hand-side of the \
                 operation: [{}, {}];many-to-many matching not allowed: matching labels must be \
                 unique on one side",
                one[*second].labels, one[*first].labels
            )));
        }
    }
    Ok(())
}

fn pair_up(
    members: &[&Row],
    partners: &[&Row],
    parts: &Binary,
    steps: usize,
    answers: &mut Vec<Row>,
) -> Result<(), PromqlError> {
    let one_to_one = parts.matching.card == Card::OneToOne;
    let mut taken = vec![false; steps];
    let mut own: Vec<Row> = Vec::new();
    for member in members {
        for partner in partners {
            let mut cells = vec![ABSENT; steps];
            for step in 0..steps {
                let (many, one) = (member.cells[step], partner.cells[step]);
                if !is_present(many) || !is_present(one) {
                    continue;
                }
                let Some(value) = value_of(parts, many, one) else { continue };
                if one_to_one && std::mem::replace(&mut taken[step], true) {
                    return Err(PromqlError::Execution(
                        "multiple matches for labels: many-to-one matching must be explicit \
                         (group_left/group_right)"
                            .to_owned(),
                    ));
                }
                cells[step] = value;
            }
            own.push(Row { labels: labels_of(parts, &member.labels, &partner.labels), cells });
        }
    }
    let own = rows::merged(own).map_err(|_| {
        PromqlError::Execution(
            "multiple matches for labels: grouping labels must ensure unique matches".to_owned(),
        )
    })?;
    answers.extend(own);
    Ok(())
}

fn value_of(parts: &Binary, many: f64, one: f64) -> Option<f64> {
    let swapped = parts.matching.card == Card::OneToMany;
    let (left, right) = if swapped { (one, many) } else { (many, one) };
    let (value, holds) = apply(parts.op, left, right);
    if parts.returns_bool {
        return Some(f64::from(u8::from(holds)));
    }
    holds.then_some(value)
}

fn labels_of(parts: &Binary, many: &Labels, one: &Labels) -> Labels {
    let matching = &parts.matching;
    let mut labels = many.clone();
    if parts.op.drops_name() || parts.returns_bool {
        labels = labels.without_name();
    }
    if matching.card == Card::OneToOne {
        let named = |name: &str| matching.labels.iter().any(|label| label == name);
        labels = labels.retain(|name| named(name) == matching.on);
    }
    for name in &matching.include {
        labels = labels.with(name, one.get(name));
    }
    labels
}
