use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

/// The files the rules look at, by path from the root with `/`.
#[derive(Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

const ROOMS: &[&str] = &["app", "platform", "modules", "xtask", "docs/errors", "docs/events"];
const KINDS: &[&str] = &["rs", "toml", "md", "json"];

impl Tree {
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        for room in ROOMS {
            tree.walk(root, &root.join(room))?;
        }
        for file in ["ARCHITECTURE.md", "Cargo.toml"] {
            if let Ok(text) = std::fs::read_to_string(root.join(file)) {
                tree.files.insert(file.to_owned(), text);
            }
        }
        Ok(tree)
    }

    fn walk(&mut self, root: &Path, directory: &Path) -> anyhow::Result<()> {
        if !directory.exists() {
            return Ok(());
        }
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target" && name != "node_modules") {
                    self.walk(root, &path)?;
                }
            } else if path.extension().and_then(|e| e.to_str()).is_some_and(|e| KINDS.contains(&e))
            {
                let name = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
                let text = std::fs::read_to_string(&path).with_context(|| name.clone())?;
                self.files.insert(name, text);
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let owned = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self { files: owned.collect() }
    }

    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Rust files that are part of what ships, without trailing test modules and test folders.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter()
            .filter(|(path, _)| path.ends_with(".rs") && path.contains("/src/"))
            .filter(|(path, _)| !is_test(path))
            .map(|(path, text)| (path, before_tests(text)))
    }

    /// Names of the folders right under `room` that hold a manifest.
    pub(crate) fn crates_in<'a>(&'a self, room: &'a str) -> impl Iterator<Item = &'a str> {
        self.files.keys().filter_map(move |path| {
            let rest = path.strip_prefix(room)?.strip_prefix('/')?;
            rest.strip_suffix("/Cargo.toml").filter(|name| !name.contains('/'))
        })
    }
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("conformance.rs")
}

/// The part of a file before its trailing test module.
pub(crate) fn before_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod ").map_or(text, |at| &text[..at])
}
