//! Where things live and how long they may be.

use std::collections::BTreeSet;

use super::{Breach, Tree};

const FILE_LINES_MAX: usize = 600;
const MAIN_LINES_MAX: usize = 30;
const COMPOSE_LINES_MAX: usize = 300;

/// The rooms of a module. A missing stage is a missing file.
pub(super) const MODULE_FILES: &[&str] = &[
    "lib", "model", "events", "sense", "detect", "predict", "decide", "act", "learn", "service",
    "records", "http", "error",
];
const HOMELESS: &[&str] = &["util", "utils", "common", "helpers", "helper", "types", "misc"];

pub(super) fn names(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, text) in tree.iter().filter(|(path, _)| path.ends_with(".rs")) {
        for part in path.trim_end_matches(".rs").split('/') {
            if HOMELESS.contains(&part) {
                breaches.push(Breach::new(path, format!("`{part}` is no home; name the thing")));
            }
        }
        let Some((_, inside)) = path.strip_prefix("modules/").and_then(|p| p.split_once("/src/"))
        else {
            continue;
        };
        let room = inside.trim_end_matches(".rs").split('/').next().unwrap_or_default();
        if !MODULE_FILES.contains(&room) {
            breaches.push(Breach::new(path, format!("a module has no room called `{room}`")));
        }
        if text.trim().is_empty() {
            breaches.push(Breach::new(path, "an empty file; a missing stage is a missing file"));
        }
    }
    breaches
}

pub(super) fn lengths(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, text) in tree.shipped() {
        let lines = text.lines().count();
        let most = match path {
            "app/plainview/src/main.rs" => MAIN_LINES_MAX,
            "app/plainview/src/compose.rs" => COMPOSE_LINES_MAX,
            _ => FILE_LINES_MAX,
        };
        if lines > most {
            breaches
                .push(Breach::new(path, format!("{lines} lines before tests; {most} is the most")));
        }
    }
    breaches
}

/// Every error code has a page that says what to do.
pub(super) fn error_pages(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, text) in tree.shipped().filter(|(path, _)| !path.starts_with("xtask")) {
        for code in codes(text) {
            if tree.get(&format!("docs/errors/{code}.md")).is_none() {
                breaches.push(Breach::new(path, format!("docs/errors/{code}.md is missing")));
            }
        }
    }
    breaches
}

/// A schema for every type of event that is said, and none for what nobody says.
pub(super) fn event_schemas(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut said = BTreeSet::new();
    for (path, text) in tree.shipped().filter(|(path, _)| !path.starts_with("xtask")) {
        for kind in kinds(text) {
            let schema = format!("docs/events/{kind}.json");
            if tree.get(&schema).is_none() {
                breaches.push(Breach::new(path, format!("{schema} is missing")));
            }
            said.insert(schema);
        }
    }
    let stray = tree
        .iter()
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("docs/events/") && path.ends_with(".json"))
        .filter(|path| !said.contains(*path));
    breaches.extend(stray.map(|path| Breach::new(path, "a schema of an event that nobody says")));
    breaches
}

/// The types of every constant `…: EventType = EventType::new("…"` in `text`.
fn kinds(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("EventType = EventType::new(\"").filter_map(|(at, start)| {
        let rest = &text[at + start.len()..];
        Some(rest.split_once('"')?.0)
    })
}

/// The codes of every `ErrorCode { code: "…"` in `text`.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("ErrorCode {").filter_map(|(at, _)| {
        let rest = text[at..].split_once('}')?.0;
        let value = rest.split_once("code:")?.1.split_once('"')?.1;
        Some(value.split_once('"')?.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(breaches: &[Breach]) -> Vec<&str> {
        breaches.iter().map(|breach| breach.rule.as_str()).collect()
    }

    #[test]
    fn finds_an_event_without_a_schema_and_a_schema_without_an_event() {
        let text = "pub const TRIPPED: EventType = EventType::new(\"pump.tripped\", 1);";
        let tree = Tree::of(&[
            ("modules/guard/src/events.rs", text),
            ("docs/events/pump.started.json", "{}"),
        ]);
        assert_eq!(
            rules(&event_schemas(&tree)),
            ["docs/events/pump.tripped.json is missing", "a schema of an event that nobody says"]
        );
        let whole = Tree::of(&[
            ("modules/guard/src/events.rs", text),
            ("docs/events/pump.tripped.json", "{}"),
        ]);
        assert_eq!(event_schemas(&whole), []);
    }

    #[test]
    fn finds_a_homeless_file_and_a_foreign_room() {
        let tree = Tree::of(&[
            ("platform/web/src/util.rs", "fn a() {}"),
            ("modules/guard/src/manager.rs", "fn a() {}"),
            ("modules/guard/src/http/routes.rs", "fn a() {}"),
            ("modules/guard/src/act.rs", "\n"),
        ]);
        let found = names(&tree);
        assert_eq!(
            rules(&found),
            [
                "an empty file; a missing stage is a missing file",
                "a module has no room called `manager`",
                "`util` is no home; name the thing",
            ]
        );
    }

    #[test]
    fn finds_long_files_but_not_long_tests() {
        let long = "x\n".repeat(FILE_LINES_MAX + 1);
        let tested = format!("x\n#[cfg(test)]\nmod tests {{\n{long}}}");
        let main = "x\n".repeat(MAIN_LINES_MAX + 1);
        let compose = "x\n".repeat(COMPOSE_LINES_MAX + 1);
        let tree = Tree::of(&[
            ("platform/web/src/long.rs", &long),
            ("platform/web/src/tested.rs", &tested),
            ("app/plainview/src/main.rs", &main),
            ("app/plainview/src/compose.rs", &compose),
        ]);
        let places: Vec<String> = lengths(&tree).into_iter().map(|breach| breach.place).collect();
        assert_eq!(
            places,
            [
                "app/plainview/src/compose.rs",
                "app/plainview/src/main.rs",
                "platform/web/src/long.rs"
            ]
        );
    }

    #[test]
    fn finds_an_error_code_without_a_page() {
        let code = r#"const A: ErrorCode = ErrorCode { code: "sensor-unknown", status: 404 };"#;
        let tree = Tree::of(&[("modules/telemetry/src/error.rs", code)]);
        assert_eq!(error_pages(&tree).len(), 1);
        let tree = Tree::of(&[
            ("modules/telemetry/src/error.rs", code),
            ("docs/errors/sensor-unknown.md", "# Unknown sensor"),
        ]);
        assert_eq!(error_pages(&tree), []);
    }
}
