use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use clap::Args;

use super::output;
use crate::config::{Config, Environment, UnknownSensors};
use crate::{compose, logging, serve};

const KEY_FILE: &str = "demo-key";
const MARKER: &str = "plainview-demo";
const OPERATOR: &str = "demo-operator";

/// Starts with the simulated plant.
#[derive(Args)]
pub(crate) struct Demo {
    /// Start over: forget the demo's data
    #[arg(long)]
    fresh: bool,
}

impl Demo {
    pub(super) async fn run(&self, mut config: Config) -> anyhow::Result<()> {
        let begun = Instant::now();
        anyhow::ensure!(
            config.server.listen.ip().is_loopback(),
            "the demo listens on this machine only; use 127.0.0.1 and not {}",
            config.server.listen.ip()
        );
        config.environment = Environment::Development;
        config.plant.enabled = true;
        config.ingest.unknown_sensors = UnknownSensors::Auto;
        if config.log.level == "info" {
            config.log.level = "warn".to_owned();
        }
        logging::start(&config.log)?;
        prepare(&config.data.dir, self.fresh)?;
        let key = self.operator_key(&config).await?;
        let data = config.data.dir.canonicalize()?;
        serve::run(config, move |address| {
            output::print(&format!(
                "Plainview shows the simulated plant North, live after {:.1} s.\n\n  \
                 Open     http://{address}/app/#key={key}\n  \
                 Data     {}\n  \
                 Stop     Ctrl-C (nothing is lost; the next start goes on from here)\n",
                begun.elapsed().as_secs_f64(),
                data.display()
            ));
        })
        .await
    }

    /// The operator's key: made at the first start, kept beside the data, readable by its owner.
    async fn operator_key(&self, config: &Config) -> anyhow::Result<String> {
        let file = config.data.dir.join(KEY_FILE);
        if let Ok(key) = std::fs::read_to_string(&file) {
            return Ok(key.trim().to_owned());
        }
        let key = compose::create_key(config, OPERATOR, web::Role::Admin, None).await?;
        write_secret(&file, &key)?;
        Ok(key)
    }
}

/// Makes the data directory, or empties it when it is a demo's and `fresh` is wanted.
fn prepare(dir: &Path, fresh: bool) -> anyhow::Result<()> {
    let marker = dir.join(MARKER);
    if fresh && dir.exists() {
        let is_empty = std::fs::read_dir(dir)?.next().is_none();
        anyhow::ensure!(
            is_empty || marker.exists(),
            "{} holds no demo, so --fresh leaves it alone",
            dir.display()
        );
        std::fs::remove_dir_all(dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(std::fs::write(marker, "data of `plainview demo`\n")?)
}

fn write_secret(file: &Path, secret: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)?;
    file.write_all(secret.as_bytes())?;
    Ok(file.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_never_empties_a_directory_that_is_no_demo() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
        assert!(prepare(dir.path(), true).is_err());
        assert!(dir.path().join("thesis.txt").exists());
    }

    #[test]
    fn fresh_empties_a_demo() {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path(), false).unwrap();
        std::fs::write(dir.path().join("log.db"), "old").unwrap();
        prepare(dir.path(), true).unwrap();
        assert!(!dir.path().join("log.db").exists());
    }
}
