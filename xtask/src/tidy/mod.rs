//! The house rules as a program. Each rule is tried on a planted breach in its tests.

mod layout;
mod manifests;
mod sources;
mod stages;
mod tree;

use anyhow::bail;

use crate::shell::{root, say};
use tree::Tree;

/// One place where a rule is broken.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Breach {
    pub(crate) place: String,
    pub(crate) rule: String,
}

impl Breach {
    fn new(place: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { place: place.into(), rule: rule.into() }
    }
}

pub(crate) fn run() -> anyhow::Result<()> {
    let breaches = check(&Tree::read(&root())?);
    for breach in &breaches {
        say(&format!("{}: {}", breach.place, breach.rule));
    }
    if !breaches.is_empty() {
        bail!("{} breaches of the house rules", breaches.len());
    }
    Ok(())
}

fn check(tree: &Tree) -> Vec<Breach> {
    let rules: &[fn(&Tree) -> Vec<Breach>] = &[
        manifests::directions,
        manifests::depth,
        layout::names,
        layout::lengths,
        layout::error_pages,
        layout::event_schemas,
        sources::orm_in_records,
        sources::borrowed_world,
        sources::http_in_http,
        stages::table,
    ];
    let mut breaches: Vec<Breach> = rules.iter().flat_map(|rule| rule(tree)).collect();
    breaches.sort();
    breaches
}
