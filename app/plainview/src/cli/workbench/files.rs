use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Failure;

/// One input file and where its result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) target: PathBuf,
}

/// The `.csv` and `.csv.gz` files at or below `input`, by name, each with its place below `out`.
/// What lies below `out` is a result and no input.
///
/// # Errors
/// When nothing is found, or two files would have the same result.
pub(crate) fn sources(input: &Path, out: &Path) -> Result<Vec<Source>, Failure> {
    let kind = fs::metadata(input).map_err(|error| Failure::file(input, error.to_string()))?;
    let mut paths = Vec::new();
    let base = if kind.is_dir() {
        collect(input, fs::canonicalize(out).ok().as_deref(), &mut paths)?;
        paths.sort();
        input
    } else {
        paths.push(input.to_owned());
        input.parent().unwrap_or(Path::new(""))
    };
    if paths.is_empty() {
        return Err(Failure::file(input, "no .csv or .csv.gz file is below this folder"));
    }
    let mut taken: HashMap<PathBuf, PathBuf> = HashMap::new();
    let mut sources = Vec::with_capacity(paths.len());
    for path in paths {
        let target = out.join(plain(path.strip_prefix(base).unwrap_or(&path)));
        if is_same(&path, &target) {
            return Err(Failure::file(&path, "the result would replace this input"));
        }
        if let Some(other) = taken.insert(target.clone(), path.clone()) {
            let reason = format!("its result would replace the one of {}", other.display());
            return Err(Failure::file(&path, reason));
        }
        sources.push(Source { path, target });
    }
    Ok(sources)
}

fn collect(folder: &Path, out: Option<&Path>, paths: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| Failure::file(folder, error.to_string());
    if out.is_some_and(|out| fs::canonicalize(folder).is_ok_and(|folder| folder == out)) {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.to_string_lossy();
        if path.is_dir() {
            collect(&path, out, paths)?;
        } else if name.ends_with(".csv") || name.ends_with(".csv.gz") {
            paths.push(path);
        }
    }
    Ok(())
}

/// The name without `.gz`: results of folders are plain.
fn plain(relative: &Path) -> PathBuf {
    match relative.to_str().and_then(|name| name.strip_suffix(".gz")) {
        Some(name) => PathBuf::from(name),
        None => relative.to_owned(),
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_lie_like_their_inputs_and_are_no_inputs() {
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path();
        fs::create_dir_all(input.join("deep/er")).unwrap();
        fs::write(input.join("deep/er/a.csv.gz"), "").unwrap();
        fs::write(input.join("b.csv"), "").unwrap();
        fs::write(input.join("c.txt"), "").unwrap();
        let out = input.join("out");
        fs::create_dir_all(&out).unwrap();
        fs::write(out.join("b.csv"), "").unwrap();
        let found = sources(input, &out).unwrap();
        let targets: Vec<_> = found.iter().map(|source| source.target.clone()).collect();
        assert_eq!(targets, [out.join("b.csv"), out.join("deep/er/a.csv")]);
    }

    #[test]
    fn two_inputs_never_share_a_result() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.csv"), "").unwrap();
        fs::write(dir.path().join("a.csv.gz"), "").unwrap();
        let shared = sources(dir.path(), Path::new("/nowhere")).unwrap_err().to_string();
        assert!(shared.contains("would replace"), "{shared}");
        let own = sources(&dir.path().join("a.csv"), dir.path()).unwrap_err().to_string();
        assert!(own.contains("would replace this input"), "{own}");
    }
}
