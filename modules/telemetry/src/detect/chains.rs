use std::ops::Range;
use std::sync::Arc;

use store::series::{Batch, Offset};

/// The runs of some batches, chained sensor by sensor in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// First and last run of each sensor of the shard; [`NO_RUN`] between walks.
    ends: Vec<(u32, u32)>,
    runs: Vec<Run>,
    /// Sensors of these batches, in order of their first run.
    slots: Vec<usize>,
    walked: usize,
}

/// Rows that follow each other and are of one sensor.
#[derive(Clone, Copy, Debug)]
struct Run {
    batch: u32,
    start: u32,
    end: u32,
    /// The run after this one, of the same sensor.
    next: u32,
}

const NO_RUN: u32 = u32::MAX;
/// Batches are chained together until they have so many rows.
const ROWS_TOGETHER: usize = 1 << 16;

/// How many of these batches to chain together, one at least.
pub(super) fn together(batches: &[(Offset, Arc<Batch>)]) -> usize {
    let mut rows = 0;
    let fit = batches.iter().take_while(|(_, batch)| {
        rows += batch.len();
        rows <= ROWS_TOGETHER
    });
    fit.count().max(1).min(batches.len())
}

impl Chains {
    pub(super) fn begin(&mut self) {
        self.runs.clear();
        self.slots.clear();
        self.walked = 0;
    }

    pub(super) fn add(&mut self, slot: usize, batch: usize, rows: Range<usize>) {
        if slot >= self.ends.len() {
            self.ends.resize(slot + 1, (NO_RUN, NO_RUN));
        }
        let run = self.runs.len() as u32;
        let (start, end) = (rows.start as u32, rows.end as u32);
        self.runs.push(Run { batch: batch as u32, start, end, next: NO_RUN });
        let (first, last) = &mut self.ends[slot];
        if *first == NO_RUN {
            (*first, *last) = (run, run);
            self.slots.push(slot);
        } else {
            self.runs[*last as usize].next = run;
            *last = run;
        }
    }

    /// The next sensor and its first run.
    pub(super) fn next_chain(&mut self) -> Option<(usize, u32)> {
        let slot = *self.slots.get(self.walked)?;
        self.walked += 1;
        let (first, _) = std::mem::replace(&mut self.ends[slot], (NO_RUN, NO_RUN));
        Some((slot, first))
    }

    /// Which of the batches a run is in, and its rows.
    pub(super) fn rows(&self, run: u32) -> (usize, Range<usize>) {
        let Run { batch, start, end, .. } = self.runs[run as usize];
        (batch as usize, start as usize..end as usize)
    }

    pub(super) fn after(&self, run: u32) -> Option<u32> {
        Some(self.runs[run as usize].next).filter(|next| *next != NO_RUN)
    }
}

#[cfg(test)]
mod tests {
    use store::series::SeriesId;

    use super::*;

    fn batches(rows: &[usize]) -> Vec<(Offset, Arc<Batch>)> {
        let batch = |rows: usize| Batch { series: vec![SeriesId(0); rows], ..Batch::default() };
        (1..).map(Offset).zip(rows.iter().map(|rows| Arc::new(batch(*rows)))).collect()
    }

    #[test]
    fn batches_are_chained_until_they_are_large() {
        assert_eq!(together(&batches(&[10_000; 9])), 6);
        assert_eq!(together(&batches(&[100_000, 1])), 1);
        assert_eq!(together(&batches(&[1, 1])), 2);
    }

    #[test]
    fn a_chain_goes_through_all_batches_in_their_order() {
        let mut chains = Chains::default();
        chains.begin();
        for (batch, slot, rows) in [(0, 7, 0..2), (0, 3, 2..3), (1, 7, 0..1), (2, 7, 4..9)] {
            chains.add(slot, batch, rows);
        }
        let mut walked = Vec::new();
        while let Some((slot, first)) = chains.next_chain() {
            let mut run = Some(first);
            while let Some(this) = run {
                walked.push((slot, chains.rows(this)));
                run = chains.after(this);
            }
        }
        let wanted = vec![(7, (0, 0..2)), (7, (1, 0..1)), (7, (2, 4..9)), (3, (0, 2..3))];
        assert_eq!(walked, wanted);
    }
}
