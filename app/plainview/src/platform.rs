//! The platform that every module stands on: clock, records, readings, bus.

use std::sync::Arc;

use anyhow::Context;
use bus::Bus;
use kernel::{SharedClock, SystemClock};
use store::records::{Migration, Records};
use store::series::SharedSeries;
use store::series::embedded::{Durability, Embedded, EmbeddedOptions};
use tempfile::TempDir;

use crate::config::{self, Config};

#[derive(Clone)]
pub(crate) struct Platform {
    pub(crate) clock: SharedClock,
    pub(crate) records: Records,
    pub(crate) series: SharedSeries,
    pub(crate) bus: Bus,
}

impl Platform {
    /// Opens the stores. Runs no migration.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let clock = SystemClock::shared();
        let records = records(config).await?;
        let mut options = EmbeddedOptions::new(config.data.dir.join("series"), Arc::clone(&clock));
        options.durability = match config.data.durability {
            config::Durability::Full => Durability::Full,
            config::Durability::Off => Durability::Off,
        };
        let series: SharedSeries =
            tokio::task::spawn_blocking(move || Embedded::open(options)).await??;
        let bus = Bus::new(records.clone(), Arc::clone(&clock));
        Ok(Self { clock, records, series, bus })
    }
}

/// A platform over real records and no readings: for what needs the modules but must not touch
/// the readings, which belong to one process at a time. Its directory goes with it.
pub(crate) struct Scratch {
    pub(crate) platform: Platform,
    _dir: TempDir,
}

impl Scratch {
    /// Over the records that the settings name.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        Self::over(records(config).await?, TempDir::with_prefix("plainview-scratch-")?)
    }

    /// Over records of its own, for what only asks the modules what they are.
    pub(crate) async fn empty() -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("plainview-scratch-")?;
        let mut config = Config::default();
        dir.path().clone_into(&mut config.data.dir);
        Self::over(records(&config).await?, dir)
    }

    fn over(records: Records, dir: TempDir) -> anyhow::Result<Self> {
        let clock = SystemClock::shared();
        let options = EmbeddedOptions::new(dir.path(), Arc::clone(&clock));
        let series: SharedSeries = Embedded::open(options)?;
        let bus = Bus::new(records.clone(), Arc::clone(&clock));
        Ok(Self { platform: Platform { clock, records, series, bus }, _dir: dir })
    }
}

/// Opens the records database that the settings name.
pub(crate) async fn records(config: &Config) -> anyhow::Result<Records> {
    let dir = &config.data.dir;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let url = if config.records.url.is_empty() {
        format!("sqlite://{}", dir.join("records.db").display())
    } else {
        config.records.url.clone()
    };
    Records::open(&url).await.context("cannot open the records database")
}

/// The name of this installation, made at its first start. The series store lets one process at a
/// time have the directory.
pub(crate) fn instance(config: &Config) -> anyhow::Result<String> {
    let file = config.data.dir.join("instance");
    match std::fs::read_to_string(&file) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot read {}", file.display()))
        }
        _ => {
            let name = uuid::Uuid::now_v7().to_string();
            std::fs::write(&file, &name)
                .with_context(|| format!("cannot write {}", file.display()))?;
            Ok(name)
        }
    }
}

/// The tables of the platform itself.
pub(crate) fn migrations() -> Vec<Migration> {
    let mut all = Bus::migrations();
    all.extend(coord::migrations());
    all.extend(web::Keys::migrations());
    all
}
