//! Servers that the tests need, started on free ports and stopped again.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::shell::{answer, run};

/// A PostgreSQL cluster of our own, in a directory that goes with it.
pub(crate) struct Postgres {
    bin: PathBuf,
    directory: PathBuf,
    pub(crate) url: String,
}

impl Postgres {
    /// Makes and starts a cluster. PostgreSQL refuses to run as root, so root borrows the
    /// `postgres` user that its package makes.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let bin = binaries().context("PostgreSQL's programs are not under /usr/lib/postgresql")?;
        let directory = std::env::temp_dir().join(format!("plainview-pg-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let port = free_port()?;
        if is_root() {
            run(program("chown", &["postgres", &text(&directory)?]))?;
        }
        let data = text(&directory.join("data"))?;
        let initdb = text(&bin.join("initdb"))?;
        run(as_server_user(&[
            &initdb,
            "-D",
            &data,
            "-U",
            "plainview",
            "-A",
            "trust",
            "--no-sync",
        ]))?;
        let options = format!(
            "-c listen_addresses=127.0.0.1 -p {port} -k {} -c max_connections=300",
            text(&directory)?
        );
        let log = text(&directory.join("log"))?;
        let control = text(&bin.join("pg_ctl"))?;
        run(as_server_user(&[
            &control, "-D", &data, "-w", "-s", "-l", &log, "-o", &options, "start",
        ]))?;
        let url = format!("postgres://plainview@127.0.0.1:{port}/postgres");
        Ok(Self { bin, directory, url })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let stop = || -> anyhow::Result<()> {
            let control = text(&self.bin.join("pg_ctl"))?;
            let data = text(&self.directory.join("data"))?;
            run(as_server_user(&[&control, "-D", &data, "-s", "-m", "fast", "stop"]))?;
            Ok(std::fs::remove_dir_all(&self.directory)?)
        };
        if let Err(error) = stop() {
            crate::shell::complain(&format!("PostgreSQL was not cleaned up: {error:#}"));
        }
    }
}

fn binaries() -> Option<PathBuf> {
    let newest = answer("sh", &["-c", "ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1"])?;
    (!newest.is_empty()).then(|| PathBuf::from(newest))
}

fn is_root() -> bool {
    answer("id", &["-u"]).as_deref() == Some("0")
}

fn as_server_user(args: &[&str]) -> Command {
    let mut command = if is_root() {
        program("runuser", &["-u", "postgres", "--"])
    } else {
        let mut command = Command::new(args[0]);
        command.args(&args[1..]);
        return command;
    };
    command.args(args).current_dir("/");
    command.stdout(std::process::Stdio::null());
    command
}

fn program(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args);
    command
}

fn text(path: &Path) -> anyhow::Result<String> {
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => bail!("{} is no UTF-8 path", path.display()),
    }
}

pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
