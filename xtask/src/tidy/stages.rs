//! ARCHITECTURE.md's stage × module table is true.

use std::collections::BTreeSet;

use super::{Breach, Tree};

const STAGES: &[&str] = &["sense", "detect", "predict", "decide", "act", "learn"];
const PLACE: &str = "ARCHITECTURE.md";

/// Each module has a row; a cell holds `●` exactly where the stage's file exists.
pub(super) fn table(tree: &Tree) -> Vec<Breach> {
    let modules: Vec<&str> = tree.crates_in("modules").collect();
    let Some(text) = tree.get(PLACE) else {
        return vec![Breach::new(PLACE, "is missing")];
    };
    let mut breaches = Vec::new();
    for module in modules {
        let Some(drawn) = row(text, module) else {
            breaches.push(Breach::new(PLACE, format!("the stage table has no row for `{module}`")));
            continue;
        };
        for stage in STAGES {
            let built = ["", "/mod"]
                .iter()
                .any(|tail| tree.get(&format!("modules/{module}/src/{stage}{tail}.rs")).is_some());
            if built != drawn.contains(stage) {
                let what = if built { "is there but not drawn" } else { "is drawn but not there" };
                breaches
                    .push(Breach::new(PLACE, format!("the stage `{stage}` of `{module}` {what}")));
            }
        }
    }
    breaches
}

/// The stages that the row of `module` marks.
fn row(text: &str, module: &str) -> Option<BTreeSet<&'static str>> {
    let line = text.lines().find(|line| {
        line.starts_with('|') && line.split('|').nth(1).is_some_and(|cell| cell.trim() == module)
    })?;
    let cells = line.split('|').skip(2).map(str::trim);
    Some(STAGES.iter().zip(cells).filter(|(_, cell)| *cell == "●").map(|(s, _)| *s).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "| module | sense | detect | predict | decide | act | learn |\n|---|---|---|---|---|---|---|\n";

    #[test]
    fn finds_a_stage_not_drawn_and_one_not_built() {
        let text = format!("{HEAD}| guard | ● | | | | | ● |\n");
        let tree = Tree::of(&[
            ("ARCHITECTURE.md", &text),
            ("modules/guard/Cargo.toml", ""),
            ("modules/guard/src/sense.rs", "x"),
            ("modules/guard/src/decide.rs", "x"),
        ]);
        assert_eq!(table(&tree).len(), 2);
    }

    #[test]
    fn finds_a_module_without_a_row() {
        let tree = Tree::of(&[("ARCHITECTURE.md", HEAD), ("modules/guard/Cargo.toml", "")]);
        assert_eq!(table(&tree).len(), 1);
    }
}
