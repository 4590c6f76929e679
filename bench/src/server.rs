//! The contenders as processes: started on free ports with a directory each, stopped again.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::http::Connection;
use crate::measure;

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(60);

/// A program that listens, with what it has on disk.
pub(crate) struct Server {
    pub(crate) who: String,
    /// What its durability is and what else was set.
    pub(crate) settings: String,
    pub(crate) port: u16,
    pub(crate) token: Option<String>,
    child: Child,
    dir: TempDir,
}

/// Where the directories of servers are made: a real disk, not a tmpfs.
pub(crate) fn directory() -> anyhow::Result<TempDir> {
    let place = std::env::var_os("PLAINVIEW_BENCH_DIR").unwrap_or_else(|| "/var/tmp".into());
    Ok(tempfile::Builder::new().prefix("plainview-bench-").tempdir_in(place)?)
}

pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn version(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|o| [o.stdout, o.stderr].concat()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut words = text.split([' ', '\n', ',', '-', '+', '~']);
    let found = words.find(|word| {
        let word = word.trim_start_matches('v');
        word.split('.').count() >= 2 && word.starts_with(|c: char| c.is_ascii_digit())
    });
    found.unwrap_or("of unknown version").trim_start_matches('v').to_owned()
}

/// The program under test.
pub(crate) fn plainview_program() -> PathBuf {
    if let Some(named) = std::env::var_os("PLAINVIEW_BIN") {
        return named.into();
    }
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("plainview")
}

fn nats_program() -> String {
    std::env::var_os("NATS_SERVER")
        .map_or_else(|| "nats-server".to_owned(), |path| path.to_string_lossy().into_owned())
}

impl Server {
    fn start(
        who: String,
        settings: &str,
        port: u16,
        token: Option<String>,
        dir: TempDir,
        command: &mut Command,
    ) -> anyhow::Result<Self> {
        let log = std::fs::File::create(dir.path().join("log"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{who} does not start; is it installed?"))?;
        let settings = settings.to_owned();
        let mut server = Self { who, settings, port, token, child, dir };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > START || server.child.try_wait()?.is_some() {
                bail!("{} does not listen: {}", server.who, server.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub(crate) fn plainview(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (dir, port, program) = (directory()?, free_port()?, plainview_program());
        let base = |command: &mut Command| {
            command.current_dir(dir.path()).arg("--data").arg(dir.path().join("data"));
            for (name, value) in settings {
                command.env(format!("PLAINVIEW_{name}"), value);
            }
        };
        let mut make = Command::new(&program);
        base(&mut make);
        let made = make
            .args(["--json", "keys", "create", "--name", "bench", "--role", "admin"])
            .output()?;
        let key: serde_json::Value = serde_json::from_slice(&made.stdout)
            .with_context(|| String::from_utf8_lossy(&made.stderr).into_owned())?;
        let token = key["key"].as_str().context("no key made")?.to_owned();
        let mut serve = Command::new(&program);
        base(&mut serve);
        serve.args(["--listen", &format!("127.0.0.1:{port}"), "serve"]);
        let who = format!("Plainview {}", version(&program.to_string_lossy(), &["--version"]));
        let said = "fsync before every ack, detectors on, default settings";
        Self::start(who, said, port, Some(token), dir, &mut serve)
    }

    pub(crate) fn victoria_metrics() -> anyhow::Result<Self> {
        let (dir, port) = (directory()?, free_port()?);
        let who = format!(
            "VictoriaMetrics {}",
            version("dpkg-query", &["-W", "-f=${Version}", "victoria-metrics"])
        );
        let mut command = Command::new("victoria-metrics");
        command
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .arg(format!("-storageDataPath={}", dir.path().join("data").display()))
            .args([
                "-retentionPeriod=100y",
                "-search.latencyOffset=0s",
                "-search.maxSamplesPerSeries=100000000",
                "-loggerLevel=WARN",
            ]);
        Self::start(who, "no fsync before ack (its only mode)", port, None, dir, &mut command)
    }

    pub(crate) fn influx() -> anyhow::Result<Self> {
        let (dir, port) = (directory()?, free_port()?);
        let who = format!("InfluxDB {}", version("influxd", &["version"]));
        let at = dir.path();
        let rpc = free_port()?;
        let file = at.join("influx.toml");
        std::fs::write(
            &file,
            format!(
                "reporting-disabled = true\nbind-address = \"127.0.0.1:{rpc}\"\n\
                 [meta]\n dir = \"{0}/data/meta\"\n\
                 [data]\n dir = \"{0}/data/data\"\n wal-dir = \"{0}/data/wal\"\n wal-fsync-delay = \"0s\"\n\
                 [http]\n bind-address = \"127.0.0.1:{port}\"\n log-enabled = false\n max-body-size = 0\n\
                 [monitor]\n store-enabled = false\n",
                at.display()
            ),
        )?;
        let mut command = Command::new("influxd");
        command.args(["-config"]).arg(&file);
        let settings = "wal-fsync-delay 0s: fsync before ack";
        let server = Self::start(who, settings, port, None, dir, &mut command)?;
        let made = server.connect()?.post("/query?q=CREATE+DATABASE+bench", &[])?;
        anyhow::ensure!(made.status == 200, "InfluxDB made no database");
        Ok(server)
    }

    /// A broker that keeps nothing on disk and hands out as much as its readers want.
    pub(crate) fn mosquitto() -> anyhow::Result<Self> {
        const PROGRAM: &str = "/usr/sbin/mosquitto";
        let (dir, port) = (directory()?, free_port()?);
        let file = dir.path().join("mosquitto.conf");
        std::fs::write(
            &file,
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n\
                 max_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\n"
            ),
        )?;
        let who =
            format!("Mosquitto {}", version("dpkg-query", &["-W", "-f=${Version}", "mosquitto"]));
        let mut command = Command::new(PROGRAM);
        command.arg("-c").arg(&file);
        Self::start(who, "no persistence: PUBACK without disk", port, None, dir, &mut command)
    }

    /// JetStream that syncs before every acknowledgement, which is not its default.
    pub(crate) fn nats() -> anyhow::Result<Self> {
        let (dir, port) = (directory()?, free_port()?);
        let program = nats_program();
        let file = dir.path().join("nats.conf");
        let store = dir.path().join("data");
        std::fs::write(
            &file,
            format!(
                "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\", sync_interval: always }}\n",
                store.display()
            ),
        )?;
        let who = format!("NATS {}", version(&program, &["--version"]));
        let mut command = Command::new(&program);
        command.arg("-c").arg(&file);
        Self::start(who, "sync_interval always", port, None, dir, &mut command)
    }

    /// A cluster with its durable defaults and one table of readings. It refuses to run as root,
    /// so root borrows the user that its package makes.
    pub(crate) fn postgres() -> anyhow::Result<Self> {
        const BIN: &str = "/usr/lib/postgresql/15/bin";
        let (dir, port) = (directory()?, free_port()?);
        let as_user = |args: &[&str]| -> Command {
            let root = std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0);
            let (program, rest) = if root {
                (
                    "setpriv",
                    [&["--reuid=postgres", "--regid=postgres", "--clear-groups"], args].concat(),
                )
            } else {
                (args[0], args[1..].to_vec())
            };
            let mut command = Command::new(program);
            command.args(rest);
            command
        };
        let data = dir.path().join("data");
        let (at, home_text) = (data.display().to_string(), dir.path().display().to_string());
        // Owned by whoever made it; its user must be able to write.
        let _opened = Command::new("chown").args(["postgres", &home_text]).status();
        let made = as_user(&[&format!("{BIN}/initdb"), "-D", &at, "-U", "bench", "-A", "trust"])
            .output()?;
        anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let who = format!("PostgreSQL {}", version(&format!("{BIN}/postgres"), &["--version"]));
        let port_text = port.to_string();
        let mut serve = as_user(&[
            &format!("{BIN}/postgres"),
            "-D",
            &at,
            "-p",
            &port_text,
            "-k",
            &home_text,
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "max_connections=200",
        ]);
        let server = Self::start(who, "durable defaults", port, None, dir, &mut serve)?;
        let table = "CREATE TABLE readings (sensor int, at timestamptz, value float8)";
        for _ in 0..50 {
            let made = Command::new(format!("{BIN}/psql"))
                .args(["-h", &home_text, "-p", &port_text, "-U", "bench", "postgres", "-c", table])
                .output()?;
            if made.status.success() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("{} makes no table: {}", server.who, server.log())
    }

    /// Its directory, where scratch files may lie too.
    pub(crate) fn home(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.port, self.token.as_deref())
    }

    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        measure::cpu_seconds(self.pid())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let from = text.len().saturating_sub(2_000);
        text.get(from..).unwrap_or_default().to_owned()
    }

    pub(crate) fn bytes_on_disk(&self) -> anyhow::Result<u64> {
        measure::bytes_below(Path::new(&self.data()))
    }

    /// What the readings take, their log and its free pages included, without registry, events and
    /// the detectors' states; those grow with sensors, not with readings.
    pub(crate) fn bytes_of_readings(&self) -> anyhow::Result<u64> {
        let series = self.data().join("series");
        if series.is_dir() { measure::bytes_below(&series) } else { self.bytes_on_disk() }
    }

    fn stop(&mut self) {
        let pid = self.child.id().to_string();
        let _asked = Command::new("kill").args(["-TERM", &pid]).status();
        let begun = Instant::now();
        while begun.elapsed() < STOP {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
