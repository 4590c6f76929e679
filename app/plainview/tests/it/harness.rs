//! A real Plainview in a process of its own, on a free port and in a directory of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use testkit::TestDatabase;

/// How long a start may take before a test gives up on it; the promise itself is 2 s.
const START_DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_plainview")
}

/// An HTTP client of the tests; their servers speak plain HTTP, but a client wants a provider.
pub(crate) fn client(timeout: Duration) -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().timeout(timeout).build().unwrap()
}

/// Records where this run wants them: `PLAINVIEW_TEST_RECORDS` says `sqlite` or `postgres`.
async fn fresh_database() -> TestDatabase {
    if std::env::vars().any(|(name, value)| name == "PLAINVIEW_TEST_RECORDS" && value == "postgres")
    {
        let database = TestDatabase::postgres().await.unwrap();
        return database.expect("PLAINVIEW_TEST_POSTGRES_URL names no server");
    }
    TestDatabase::sqlite().unwrap()
}

/// How a test wants its Plainview.
#[derive(Default)]
pub(crate) struct Setup {
    settings: Vec<(String, String)>,
    file: String,
    data: Option<PathBuf>,
}

impl Setup {
    /// Keeps the data in `data` instead of the test's own directory.
    pub(crate) fn data(mut self, data: PathBuf) -> Self {
        self.data = Some(data);
        self
    }

    /// Overrides one setting, such as `("INGEST__UNKNOWN_SENSORS", "reject")`.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.push((format!("PLAINVIEW_{name}"), value.into()));
        self
    }

    /// Adds lines to the settings file.
    pub(crate) fn file(mut self, toml: &str) -> Self {
        self.file.push_str(toml);
        self
    }

    pub(crate) async fn start(self) -> Plainview {
        let dir = tempfile::tempdir().unwrap();
        let database = fresh_database().await;
        std::fs::write(dir.path().join("plainview.toml"), &self.file).unwrap();
        let mut plainview = Plainview {
            child: None,
            base: String::new(),
            port: 0,
            key: String::new(),
            settings: self.settings,
            data: self.data.unwrap_or_else(|| dir.path().join("data")),
            database,
            dir,
            http: client(DEADLINE),
        };
        plainview.key = plainview.create_key("tester", "admin");
        plainview.launch().await;
        plainview
    }
}

/// A running Plainview; dropping it kills the process.
pub(crate) struct Plainview {
    child: Option<Child>,
    pub(crate) base: String,
    port: u16,
    /// A key of role admin.
    pub(crate) key: String,
    settings: Vec<(String, String)>,
    data: PathBuf,
    database: TestDatabase,
    dir: TempDir,
    http: reqwest::Client,
}

impl Plainview {
    pub(crate) async fn start() -> Self {
        Setup::default().start().await
    }

    pub(crate) fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// The command line of this Plainview: its settings, its data.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .current_dir(self.dir.path())
            .arg("--data")
            .arg(&self.data)
            .args(args)
            .env_clear()
            .env("PLAINVIEW_RECORDS__URL", self.database.url())
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn create_key(&self, name: &str, role: &str) -> String {
        let output =
            self.command(&["keys", "create", "--name", name, "--role", role]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Starts the process and waits until it is ready. Returns how long that took.
    pub(crate) async fn launch(&mut self) -> Duration {
        let begun = Instant::now();
        let listen = format!("127.0.0.1:{}", self.port);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .unwrap();
        let mut child = self
            .command(&["serve", "--listen", &listen])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        self.child = Some(child);
        let address = line.trim().rsplit("http://").next().unwrap_or_default().to_owned();
        assert!(address.starts_with("127.0.0.1:"), "no address in `{line}`: {}", self.log());
        self.port = address.rsplit(':').next().unwrap().parse().unwrap();
        self.base = format!("http://{address}");
        self.until(START_DEADLINE, "ready", async |it: &Self| {
            let answer = it.http.get(format!("{}/ready", it.base)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        begun.elapsed()
    }

    /// Does something to the records behind the process' back.
    pub(crate) async fn sql(&self, statement: &str) {
        self.database.execute(statement).await.unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, as a supervisor stops it. Returns how long it took and whether it ended well.
    pub(crate) fn stop(&mut self) -> (Duration, bool) {
        let mut child = self.child.take().unwrap();
        let begun = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let status = child.wait().unwrap();
        (begun.elapsed(), status.success())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.url(path)).header("X-API-Key", &self.key)
    }

    /// A GET that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.request(reqwest::Method::GET, path).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "GET {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("GET {path}: {error}: {text}"))
    }

    /// A POST with a JSON body; status and body back.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.request(reqwest::Method::POST, path).json(body).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Asks `question` until it answers, or panics with the log after `deadline`.
    pub(crate) async fn until<T>(
        &self,
        deadline: Duration,
        what: &str,
        question: impl AsyncFn(&Self) -> Option<T>,
    ) -> T {
        let begun = Instant::now();
        loop {
            if let Some(answer) = question(self).await {
                return answer;
            }
            assert!(begun.elapsed() < deadline, "{what}: not within {deadline:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// The first item of a list that `wanted` picks, waiting for it.
    pub(crate) async fn item(&self, path: &str, wanted: impl Fn(&Value) -> bool + Sync) -> Value {
        self.until(DEADLINE, path, async |it: &Self| {
            let page = it.get(path).await;
            page["items"].as_array()?.iter().find(|item| wanted(item)).cloned()
        })
        .await
    }

    /// Every event of one type, oldest first.
    pub(crate) async fn events(&self, query: &str) -> Vec<Value> {
        let page = self.get(&format!("/api/v1/events?limit=1000&{query}")).await;
        page["items"].as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Plainview {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("── the log's end, newest first\n{}", tail.join("\n"));
        }
    }
}
