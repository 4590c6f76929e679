//! Who may depend on whom, and how deep the house is.

use std::collections::{BTreeMap, BTreeSet};

use super::{Breach, Tree};

/// Edges from the lowest crate to the top.
const DEPTH_MAX: usize = 5;

/// `platform` never depends on `modules`; a module never depends on a sibling.
pub(super) fn directions(tree: &Tree) -> Vec<Breach> {
    let modules: BTreeSet<&str> = tree.crates_in("modules").collect();
    let mut breaches = Vec::new();
    for name in tree.crates_in("platform") {
        let manifest = format!("platform/{name}/Cargo.toml");
        for used in
            dependencies(tree, &manifest, true).iter().filter(|d| modules.contains(d.as_str()))
        {
            breaches
                .push(Breach::new(&manifest, format!("platform depends on the module `{used}`")));
        }
    }
    for name in &modules {
        let manifest = format!("modules/{name}/Cargo.toml");
        for used in dependencies(tree, &manifest, true)
            .iter()
            .filter(|d| modules.contains(d.as_str()) && d.as_str() != *name)
        {
            breaches
                .push(Breach::new(&manifest, format!("a module depends on its sibling `{used}`")));
        }
    }
    breaches
}

/// No crate deeper than [`DEPTH_MAX`].
pub(super) fn depth(tree: &Tree) -> Vec<Breach> {
    let mut edges: BTreeMap<&str, (String, BTreeSet<String>)> = BTreeMap::new();
    for room in ["app", "platform", "modules"] {
        for name in tree.crates_in(room) {
            let manifest = format!("{room}/{name}/Cargo.toml");
            edges.insert(name, (manifest.clone(), dependencies(tree, &manifest, false)));
        }
    }
    edges
        .keys()
        .filter_map(|name| {
            let depth = depth_of(name, &edges, DEPTH_MAX + 2);
            (depth > DEPTH_MAX).then(|| {
                Breach::new(&edges[name].0, format!("lies {depth} deep; {DEPTH_MAX} is the most"))
            })
        })
        .collect()
}

fn depth_of(name: &str, edges: &BTreeMap<&str, (String, BTreeSet<String>)>, left: usize) -> usize {
    let Some((_, used)) = edges.get(name) else { return 0 };
    if left == 0 {
        return 0;
    }
    used.iter()
        .filter(|next| edges.contains_key(next.as_str()))
        .map(|next| 1 + depth_of(next, edges, left - 1))
        .max()
        .unwrap_or(0)
}

fn dependencies(tree: &Tree, manifest: &str, with_tests: bool) -> BTreeSet<String> {
    let Some(table) = tree.get(manifest).and_then(|text| text.parse::<toml::Table>().ok()) else {
        return BTreeSet::new();
    };
    let sections: &[&str] =
        if with_tests { &["dependencies", "dev-dependencies"] } else { &["dependencies"] };
    sections
        .iter()
        .filter_map(|section| table.get(*section)?.as_table())
        .flat_map(|section| section.keys().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_platform_crate_that_knows_a_module() {
        let tree = Tree::of(&[
            ("platform/store/Cargo.toml", "[dependencies]\nincidents.workspace = true"),
            ("modules/incidents/Cargo.toml", "[dependencies]\nstore.workspace = true"),
        ]);
        assert_eq!(directions(&tree).len(), 1);
    }

    #[test]
    fn finds_a_module_that_knows_its_sibling_even_in_its_tests() {
        let tree = Tree::of(&[
            ("modules/models/Cargo.toml", "[dev-dependencies]\nincidents.workspace = true"),
            ("modules/incidents/Cargo.toml", "[dependencies]\n"),
        ]);
        assert_eq!(directions(&tree)[0].place, "modules/models/Cargo.toml");
    }

    #[test]
    fn finds_a_house_that_is_too_deep() {
        let mut files = Vec::new();
        let manifests: Vec<(String, String)> = (0..8)
            .map(|i| {
                let dependency =
                    if i == 0 { String::new() } else { format!("c{}.workspace = true", i - 1) };
                (format!("platform/c{i}/Cargo.toml"), format!("[dependencies]\n{dependency}"))
            })
            .collect();
        for (path, text) in &manifests {
            files.push((path.as_str(), text.as_str()));
        }
        let places: Vec<String> =
            depth(&Tree::of(&files)).into_iter().map(|breach| breach.place).collect();
        assert_eq!(places, ["platform/c6/Cargo.toml", "platform/c7/Cargo.toml"]);
    }
}
