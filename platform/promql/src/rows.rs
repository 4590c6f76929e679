//! Vectors over all steps at once: one row per series, one cell per step.

use std::collections::HashMap;

use crate::{Labels, PromqlError};

/// Stands in a cell that holds no sample: a NaN that no operation makes. A result that happens to
/// be NaN has other bits.
pub(crate) const ABSENT: f64 = f64::from_bits(0x7ff8_0000_5049_4e56);

pub(crate) fn is_present(cell: f64) -> bool {
    cell.to_bits() != ABSENT.to_bits()
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    pub(crate) cells: Vec<f64>,
}

impl Row {
    pub(crate) fn has_samples(&self) -> bool {
        self.cells.iter().any(|cell| is_present(*cell))
    }
}

/// Changes every sample of `rows`; `None` takes it away.
pub(crate) fn change(rows: &mut [Row], apply: impl Fn(usize, f64) -> Option<f64>) {
    for row in rows {
        for (step, cell) in row.cells.iter_mut().enumerate() {
            if is_present(*cell) {
                *cell = apply(step, *cell).unwrap_or(ABSENT);
            }
        }
    }
}

/// Puts rows of equal labels together and drops the empty ones.
///
/// # Errors
/// When two of them have a sample at the same step.
pub(crate) fn merged(rows: Vec<Row>) -> Result<Vec<Row>, PromqlError> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        if !row.has_samples() {
            continue;
        }
        let Some(place) = places.get(&row.labels) else {
            places.insert(row.labels.clone(), kept.len());
            kept.push(row);
            continue;
        };
        for (cell, new) in kept[*place].cells.iter_mut().zip(&row.cells) {
            match (is_present(*cell), is_present(*new)) {
                (true, true) => return Err(PromqlError::same_labels()),
                (false, true) => *cell = *new,
                (_, false) => {}
            }
        }
    }
    Ok(kept)
}

pub(crate) fn without_names(mut rows: Vec<Row>) -> Result<Vec<Row>, PromqlError> {
    for row in &mut rows {
        row.labels = row.labels.without_name();
    }
    merged(rows)
}

/// Rows by a key of their labels, in the order in which the keys come.
pub(crate) fn grouped(rows: &[Row], key: impl Fn(&Labels) -> Labels) -> Vec<(Labels, Vec<usize>)> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Labels, Vec<usize>)> = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let key = key(&row.labels);
        let place = *places.entry(key.clone()).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(i);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, cells: &[f64]) -> Row {
        Row { labels: Labels::new([("a", name)]), cells: cells.to_vec() }
    }

    #[test]
    fn what_is_not_a_number_is_a_sample_all_the_same() {
        assert!(is_present(f64::NAN) && is_present((-1.0_f64).sqrt()) && !is_present(ABSENT));
        assert!(is_present(f64::NAN + 1.0));
    }

    #[test]
    fn rows_of_equal_labels_become_one_unless_they_collide() {
        let one = merged(vec![row("x", &[1.0, ABSENT]), row("x", &[ABSENT, 2.0])]).unwrap();
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].cells, [1.0, 2.0]);
        assert!(merged(vec![row("x", &[1.0]), row("x", &[2.0])]).is_err());
        assert!(merged(vec![row("x", &[ABSENT])]).unwrap().is_empty());
    }
}
