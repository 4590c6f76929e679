//! PromQL: whatever is written is refused or answered in bounded time and memory, and a query laid
//! out anew is the same query.
#![no_main]

use std::cell::Cell;

use fuzz::bounded;
use libfuzzer_sys::fuzz_target;
use promql::{
    Answer, Grid, Labels, Limits, NAME, PromqlError, Query, STALE, Sample, Selection, Source, Take,
    format, parse_selector,
};

/// How often a query may ask whether it must end.
const PATIENCE: u32 = 2_000;

/// Series in memory.
struct Memory(Vec<(Labels, Vec<Sample>)>);

impl Source for Memory {
    fn select(&self, selection: &Selection<'_>, take: &mut Take<'_>) -> Result<(), PromqlError> {
        for (labels, samples) in &self.0 {
            if selection.matchers.iter().all(|matcher| matcher.passes(labels.get(&matcher.name))) {
                let inside = samples
                    .iter()
                    .filter(|s| (selection.from_ms..=selection.to_ms).contains(&s.at_ms));
                take(labels, &inside.copied().collect::<Vec<_>>())?;
            }
        }
        Ok(())
    }
}

fn plant() -> Memory {
    let series = |name: &str, asset: &str, le: &str, values: &[f64]| {
        let labels = [(NAME, name), ("asset", asset), ("le", le)];
        let samples = (0_i64..).zip(values);
        let samples = samples.map(|(i, value)| Sample { at_ms: i * 30_000, value: *value });
        (Labels::new(labels.into_iter().filter(|(_, value)| !value.is_empty())), samples.collect())
    };
    let ramp: Vec<f64> = (0..21).map(f64::from).collect();
    Memory(vec![
        series("a", "p", "", &ramp),
        series("a", "q", "", &[1.0, f64::NAN, f64::INFINITY, -0.0, 1e308, STALE, 2.0]),
        series("b", "p", "", &[0.0, 2.0, 4.0, 1.0, 3.0]),
        series("h", "p", "1", &[1.0, 2.0, 3.0]),
        series("h", "p", "+Inf", &[2.0, 3.0, 4.0]),
    ])
}

fn answers(query: &Query) -> [Result<Answer, PromqlError>; 2] {
    let (memory, asked) = (plant(), Cell::new(0));
    let is_over = || {
        asked.set(asked.get() + 1);
        asked.get() > PATIENCE
    };
    let limits = Limits { is_over: &is_over };
    let grid = Grid::range(0, 600_000, 60_000).expect("a grid");
    [query.instant(300_000, &memory, &limits), query.range(grid, &memory, &limits)]
}

fuzz_target!(|text: &str| {
    drop(parse_selector(text));
    let Ok(query) = bounded(text.len(), 1 << 20, 20_000, || Query::parse(text)) else { return };
    let first = bounded(text.len(), 256 << 20, 0, || answers(&query));
    let laid_out = format(text).expect("what was parsed");
    let again = Query::parse(&laid_out).unwrap_or_else(|error| panic!("{laid_out:?}: {error}"));
    // Answers hold NaNs, so they are compared as they are shown.
    assert_eq!(format!("{first:?}"), format!("{:?}", answers(&again)), "{laid_out:?}");
});
