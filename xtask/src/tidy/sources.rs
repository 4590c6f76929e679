//! What may be said where.

use super::{Breach, Tree};

/// The stages are pure; they know neither the wire nor the database.
const STAGES: &[&str] =
    &["model", "events", "sense", "detect", "predict", "decide", "act", "learn"];

/// Crates of the platform that own tables, and the file or folder where their SQL lives.
const PLATFORM_RECORDS: &[&str] =
    &["platform/store/src/", "platform/bus/src/", "platform/coord/src/", "platform/web/src/auth"];

/// SQL and ORM types live in `records` alone, so that no query hides in a handler.
pub(super) fn orm_in_records(tree: &Tree) -> Vec<Breach> {
    tree.shipped()
        .filter(|(path, _)| !in_records(path) && !path.starts_with("xtask"))
        .filter(|(path, _)| !PLATFORM_RECORDS.iter().any(|room| path.starts_with(room)))
        .filter_map(|(path, text)| {
            let word = ["sea_orm", "rusqlite", "sqlx"].into_iter().find(|w| code_says(text, w))?;
            Some(Breach::new(path, format!("`{word}` outside records")))
        })
        .collect()
}

fn in_records(path: &str) -> bool {
    path.contains("/records/") || path.ends_with("/records.rs")
}

/// The clock, the environment and randomness come in as arguments.
pub(super) fn borrowed_world(tree: &Tree) -> Vec<Breach> {
    const WORDS: &[(&str, &str)] = &[
        ("SystemTime::now", "the clock is an argument"),
        ("Timestamp::now", "the clock is an argument"),
        ("env::var", "the environment is read in config.rs"),
        ("rand::random", "randomness is an argument"),
        ("thread_rng", "randomness is an argument"),
    ];
    const HOMES: &[&str] = &[
        "platform/kernel/src/clock.rs",
        "app/plainview/src/config",
        "xtask/",
        "platform/testkit/",
    ];
    let mut breaches = Vec::new();
    for (path, text) in tree.shipped() {
        if HOMES.iter().any(|home| path.starts_with(home)) || path.ends_with("build.rs") {
            continue;
        }
        for (word, rule) in WORDS.iter().filter(|(word, _)| code_says(text, word)) {
            breaches.push(Breach::new(path, format!("`{word}`: {rule}")));
        }
    }
    breaches
}

/// Stage files know no HTTP, no database, no clock and no waiting.
pub(super) fn http_in_http(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (path, text) in tree.shipped() {
        let Some((_, inside)) = path.strip_prefix("modules/").and_then(|p| p.split_once("/src/"))
        else {
            continue;
        };
        let room = inside.trim_end_matches(".rs").split('/').next().unwrap_or_default();
        if !STAGES.contains(&room) {
            continue;
        }
        for word in ["axum", "sea_orm", "tokio::", "async fn", ".await"] {
            if code_says(text, word) {
                breaches.push(Breach::new(path, format!("`{word}` in the pure stage `{room}`")));
            }
        }
    }
    breaches
}

/// Whether a line of code, not of comment, holds `word`.
fn code_says(text: &str, word: &str) -> bool {
    text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_query_in_a_handler() {
        let query = "use sea_orm::EntityTrait;";
        let tree = Tree::of(&[
            ("modules/incidents/src/http.rs", query),
            ("modules/incidents/src/records.rs", query),
            ("modules/incidents/src/records/alerts.rs", query),
        ]);
        let found = orm_in_records(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "modules/incidents/src/http.rs");
    }

    #[test]
    fn finds_a_clock_the_environment_and_dice() {
        let text = "let a = std::time::SystemTime::now();\nlet b = std::env::var(\"X\");\nlet c: u8 = rand::random();\n// SystemTime::now in words is fine";
        let tree = Tree::of(&[("platform/bus/src/log.rs", text)]);
        assert_eq!(borrowed_world(&tree).len(), 3);
        assert_eq!(borrowed_world(&Tree::of(&[("app/plainview/src/config.rs", text)])), []);
    }

    #[test]
    fn finds_a_stage_that_waits_or_speaks_http() {
        let tree = Tree::of(&[
            ("modules/guard/src/detect.rs", "async fn a() { b().await }"),
            ("modules/guard/src/decide.rs", "use axum::Json;"),
            ("modules/guard/src/service.rs", "async fn a() { b().await }"),
        ]);
        assert_eq!(http_in_http(&tree).len(), 3);
    }
}
