//! The whole truth: every check there is, in one run.

use clap::Args;

use crate::prerequisites::{self, Package};
use crate::servers::Postgres;
use crate::shell::{cargo, command, root, run, say, step, ui};
use crate::{codegen, fuzz, tidy};

/// Crates whose documentation holds examples that must run.
const DOCUMENTED: &[&str] = &["kernel", "store", "signal"];

/// Where a test finds the Postgres server it may make databases on.
const POSTGRES_URL: &str = "PLAINVIEW_TEST_POSTGRES_URL";
/// Which database the integration tests keep records in: `sqlite` or `postgres`.
const RECORDS: &str = "PLAINVIEW_TEST_RECORDS";

/// Which part of the checks to run; all of them by default.
#[derive(Args)]
pub(crate) struct Test {
    /// Leave out the browser tests
    #[arg(long)]
    no_browser: bool,
    /// Leave out everything that needs a database server
    #[arg(long)]
    no_servers: bool,
}

#[derive(Default)]
struct Tally {
    passed: Vec<String>,
    failed: Vec<String>,
    left_out: Vec<String>,
}

impl Tally {
    /// Runs one check and goes on whatever comes of it: one run shows all that is wrong.
    fn check(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<()>) {
        match step(name, work) {
            Ok(()) => self.passed.push(name.to_owned()),
            Err(error) => {
                say(&format!("{error:#}"));
                self.failed.push(format!("{name}: {error:#}"));
            }
        }
    }

    fn leave_out(&mut self, name: &str, why: &str) {
        say(&format!("\n!! LEFT OUT: {name}, because {why}"));
        self.left_out.push(format!("{name}: {why}"));
    }

    fn close(self) -> anyhow::Result<()> {
        say("\n══ what was checked");
        for name in &self.passed {
            say(&format!("  passed    {name}"));
        }
        for name in &self.left_out {
            say(&format!("  LEFT OUT  {name}"));
        }
        for name in &self.failed {
            say(&format!("  FAILED    {name}"));
        }
        say(&format!(
            "\n{} passed, {} failed, {} skipped",
            self.passed.len(),
            self.failed.len(),
            self.left_out.len()
        ));
        anyhow::ensure!(self.failed.is_empty(), "{} of the checks failed", self.failed.len());
        Ok(())
    }
}

impl Test {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        step("prerequisites", prerequisites::check_build)?;
        let missing = prerequisites::install_for_tests();
        prerequisites::nextest()?;
        let mut tally = Tally::default();
        for package in &missing {
            let why = format!("the package {} is missing and could not be installed", package.name);
            tally.leave_out(package.needed_for, &why);
        }
        tally.check("house rules (tidy)", tidy::run);
        tally.check("format", || run(cargo(&["fmt", "--all", "--check"])));
        check_ui(&mut tally);
        tally.check("clippy", || {
            run(cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-Dwarnings"]))
        });
        tally.check("HTTP contract", contract_is_current);
        tally.check("typed client", client_is_current);
        let postgres = self.postgres(&mut tally, &missing);
        let filter = filter(&mut tally, &missing);
        tally.check("unit, property and conformance tests", || {
            nextest(&["--workspace", "-E", &filter], postgres.as_ref(), "sqlite")
        });
        for name in DOCUMENTED {
            tally.check(&format!("documentation of {name}"), || {
                run(cargo(&["test", "--quiet", "--doc", "--package", name]))
            });
        }
        if postgres.is_some() {
            tally.check("integration tests with records on Postgres", || {
                nextest(&["--package", "plainview", "--test", "it"], postgres.as_ref(), "postgres")
            });
        }
        drop(postgres);
        check_fuzz(&mut tally, &missing);
        self.browser(&mut tally, &missing);
        tally.close()
    }

    fn postgres(&self, tally: &mut Tally, missing: &[&Package]) -> Option<Postgres> {
        if missing.iter().any(|package| package.name == "postgresql") {
            return None;
        }
        if self.no_servers {
            tally.leave_out("records on Postgres", "--no-servers was given");
            return None;
        }
        let mut server = None;
        tally.check("start PostgreSQL", || {
            server = Some(Postgres::start()?);
            Ok(())
        });
        server
    }

    fn browser(&self, tally: &mut Tally, missing: &[&Package]) {
        if missing.iter().any(|package| package.name == "chromium") {
            return;
        }
        if self.no_browser {
            tally.leave_out("the browser tests", "--no-browser was given");
            return;
        }
        tally.check("browser tests", browser_tests);
    }
}

fn check_ui(tally: &mut Tally) {
    tally.check("UI: packages", prerequisites::ui_packages);
    for (name, script) in [
        ("UI: lint", "lint"),
        ("UI: types", "typecheck"),
        ("UI: unit tests", "test"),
        ("UI: build", "build"),
        ("UI: size of the first load", "budget"),
    ] {
        tally.check(name, || run(command("npm", &ui(), &["run", "--silent", script])));
    }
}

fn check_fuzz(tally: &mut Tally, missing: &[&Package]) {
    if missing.iter().all(|package| package.name != "g++") {
        tally.check("fuzz targets on their seed corpus", fuzz::short);
    }
}

fn nextest(args: &[&str], postgres: Option<&Postgres>, records: &str) -> anyhow::Result<()> {
    let mut tests = cargo(&["nextest", "run", "--no-fail-fast", "--status-level", "slow"]);
    tests.args(args).env(RECORDS, records);
    if let Some(server) = postgres {
        tests.env(POSTGRES_URL, &server.url);
    }
    run(tests)
}

/// Which tests the general run takes. The browser's are a step of their own; what this machine
/// cannot do is left out and said.
fn filter(tally: &mut Tally, missing: &[&Package]) -> String {
    let mut filter = "not test(/^browser::/)".to_owned();
    if missing.iter().any(|package| package.name == "mosquitto") {
        filter.push_str(" and not test(/mqtt/)");
    }
    if missing.iter().any(|package| package.name == "collectd-core") {
        filter.push_str(" and not test(/collectd/)");
    }
    let powerless = missing.iter().any(|package| package.name == "xfsprogs");
    if let Some(why) = prerequisites::no_power_loss() {
        tally.leave_out("power loss (faults::power)", why);
    } else if !powerless {
        return filter;
    }
    filter.push_str(" and not test(/^faults::power/)");
    filter
}

/// The journeys and pages in a real browser, against a real Plainview each.
fn browser_tests() -> anyhow::Result<()> {
    let mut tests = cargo(&["nextest", "run", "--no-fail-fast", "--status-level", "pass"]);
    tests.args(["--package", "plainview", "--test", "it", "-E", "test(/^browser::/)"]);
    run(tests)
}

fn contract_is_current() -> anyhow::Result<()> {
    let committed = std::fs::read_to_string(root().join("api/openapi.json"))?;
    anyhow::ensure!(
        committed == codegen::run_openapi()?,
        "api/openapi.json is not what the code says; run `cargo xtask codegen` and commit it"
    );
    Ok(())
}

fn client_is_current() -> anyhow::Result<()> {
    let file = ui().join("src/api/generated/schema.ts");
    let committed = std::fs::read_to_string(&file)?;
    codegen::run_client(&ui())?;
    let generated = std::fs::read_to_string(&file)?;
    std::fs::write(&file, &committed)?;
    anyhow::ensure!(
        committed == generated,
        "the typed client is not what the contract says; run `cargo xtask codegen` and commit it"
    );
    Ok(())
}
