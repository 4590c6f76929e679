//! The settings: `plainview.toml`, overridden by `PLAINVIEW_SECTION__KEY`, with the names of the
//! older systems as aliases. The only place that knows the environment's names.

mod aliases;
mod check;
mod model;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};

pub(crate) use check::{examine, refusals};
pub(crate) use model::*;

/// The settings file that is read when none is named.
const HERE: &str = "plainview.toml";

/// The environment as it came to the process.
pub(crate) type Environ = BTreeMap<String, String>;

/// The environment of this process.
pub(crate) fn environ() -> Environ {
    std::env::vars().collect()
}

/// Why settings could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the settings file {} does not exist", .0.display())]
    NoFile(PathBuf),
    #[error("{0}")]
    Wrong(#[from] Box<figment::Error>),
}

/// Reads the settings. `file` must exist when given; `./plainview.toml` is read when it exists.
pub(crate) fn load(file: Option<&Path>, environ: &Environ) -> Result<Config, ConfigError> {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    match file {
        Some(file) if !file.exists() => return Err(ConfigError::NoFile(file.to_path_buf())),
        Some(file) => figment = figment.merge(Toml::file_exact(file)),
        None if Path::new(HERE).exists() => figment = figment.merge(Toml::file_exact(HERE)),
        None => {}
    }
    figment = aliases::merge(figment, environ);
    Ok(figment.extract().map_err(Box::new)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environ(pairs: &[(&str, &str)]) -> Environ {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_environment_overrides_and_older_names_work() {
        let config = load(
            None,
            &environ(&[
                ("PLAINVIEW_SERVER__LISTEN", "127.0.0.1:4711"),
                ("ENVIRONMENT", "production"),
                ("DATABASE_URL", "postgres://db/x"),
                ("CORS_ORIGINS", "https://a.example, https://b.example"),
                ("API_KEYS", "ines:operator:aaaabbbbccccddddeeeeffff00001111"),
                ("JSON_LOGGING", "true"),
                ("EVENT_HANDLER_MAX_RETRIES", "5"),
            ]),
        )
        .unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:4711");
        assert_eq!(config.environment, Environment::Production);
        assert_eq!(config.records.url, "postgres://db/x");
        assert_eq!(config.server.cors_origins, ["https://a.example", "https://b.example"]);
        assert_eq!(config.auth.keys.len(), 1);
        assert!(config.log.json);
        assert_eq!(config.events.retries_max, 5);
    }

    #[test]
    fn the_new_name_beats_the_older_one() {
        let config =
            load(None, &environ(&[("LOG_LEVEL", "warn"), ("PLAINVIEW_LOG__LEVEL", "debug")]))
                .unwrap();
        assert_eq!(config.log.level, "debug");
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let error = load(None, &environ(&[("PLAINVIEW_SERVER__LISTN", "x")])).unwrap_err();
        assert!(error.to_string().contains("listn"), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Some(Path::new("/nowhere/p.toml")), &environ(&[])).unwrap_err();
        assert!(error.to_string().contains("/nowhere/p.toml"));
    }

    #[test]
    fn the_commented_example_is_the_default() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/plainview.toml");
        let config = load(Some(Path::new(example)), &environ(&[])).unwrap();
        assert_eq!(
            serde_json::to_value(&config).unwrap(),
            serde_json::to_value(Config::default()).unwrap()
        );
    }
}
