//! What must be on the machine, and how it gets there.

use anyhow::bail;

use crate::shell::{answer, command, found, root, run, say, step, ui};

const NODE_MIN: (u32, u32) = (20, 19);

/// A Debian package, the program it brings, and what is left out without it.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    pub(crate) needed_for: &'static str,
}

pub(crate) const TEST_PACKAGES: &[Package] = &[
    Package {
        name: "postgresql",
        program: "/usr/lib/postgresql/*/bin/initdb",
        needed_for: "records on Postgres",
    },
    Package { name: "mosquitto", program: "/usr/sbin/mosquitto", needed_for: "MQTT" },
    Package { name: "mosquitto-clients", program: "/usr/bin/mosquitto_pub", needed_for: "MQTT" },
    Package {
        name: "prometheus",
        program: "/usr/bin/prometheus",
        needed_for: "remote-write and the query API beside Prometheus' own",
    },
    Package {
        name: "collectd-core",
        program: "/usr/sbin/collectd",
        needed_for: "collectd beside what it writes into its own files",
    },
    Package {
        name: "xfsprogs",
        program: "/usr/sbin/xfs_io",
        needed_for: "power loss (faults::power)",
    },
    Package {
        name: "python3-venv",
        program: "/usr/lib/python3*/ensurepip/__init__.py",
        needed_for: "the Python clients",
    },
    Package { name: "g++", program: "/usr/bin/c++", needed_for: "the fuzz targets (libFuzzer)" },
    Package { name: "chromium", program: "/usr/bin/chromium", needed_for: "the browser tests" },
];

/// Fails with everything that is missing, in one message.
pub(crate) fn check_build() -> anyhow::Result<()> {
    let mut missing = Vec::new();
    match answer("node", &["--version"]).as_deref().and_then(node_version) {
        Some(version) if version >= NODE_MIN => {}
        Some((major, minor)) => missing.push(format!(
            "Node.js {}.{} or newer (this is {major}.{minor})",
            NODE_MIN.0, NODE_MIN.1
        )),
        None => missing.push(format!(
            "Node.js {}.{} or newer: https://nodejs.org or your distribution's package `nodejs`",
            NODE_MIN.0, NODE_MIN.1
        )),
    }
    if !found("npm") {
        missing.push("npm, which comes with Node.js or as the package `npm`".to_owned());
    }
    if !found("cc") {
        missing.push("a C compiler, for SQLite: the package `gcc` or `build-essential`".to_owned());
    }
    if !missing.is_empty() {
        bail!("these are missing:\n  - {}", missing.join("\n  - "));
    }
    Ok(())
}

fn node_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Installs what the tests need where this user may, and returns what is still missing.
pub(crate) fn install_for_tests() -> Vec<&'static Package> {
    let absent = || TEST_PACKAGES.iter().filter(|p| !present(p)).collect::<Vec<_>>();
    let names: Vec<&str> = absent().iter().map(|p| p.name).collect();
    install(&names);
    absent()
}

/// Installs Debian packages where this user may; what fails is said, not hidden.
pub(crate) fn install(names: &[&str]) {
    let is_root = answer("id", &["-u"]).as_deref() == Some("0");
    if names.is_empty() || !is_root || !found("apt-get") {
        return;
    }
    say(&format!("installing {}", names.join(", ")));
    let script = format!(
        "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {}",
        names.join(" ")
    );
    if let Err(error) = run(command("sh", &root(), &["-c", &script])) {
        say(&format!("could not install them: {error:#}"));
    }
}

fn present(package: &Package) -> bool {
    answer("sh", &["-c", &format!("ls {}", package.program)]).is_some()
}

/// Why filesystems cannot be mounted and shut down here, if so: what the power-loss tests need.
pub(crate) fn no_power_loss() -> Option<&'static str> {
    if answer("id", &["-u"]).as_deref() != Some("0") {
        return Some("mounting a filesystem needs root");
    }
    let tried = answer("sh", &["-c", "losetup -f && command -v mkfs.ext4"]);
    tried.is_none().then_some("this machine gives no loop device or no mkfs.ext4")
}

/// Makes sure that `cargo nextest` is there.
pub(crate) fn nextest() -> anyhow::Result<()> {
    if answer(env!("CARGO"), &["nextest", "--version"]).is_some() {
        return Ok(());
    }
    step("install cargo-nextest", || {
        run(crate::shell::cargo(&["install", "cargo-nextest", "--locked"]))
    })
}

/// The UI's packages, as its lock file names them.
pub(crate) fn ui_packages() -> anyhow::Result<()> {
    let stamp = ui().join("node_modules/.package-lock.json");
    let lock = ui().join("package-lock.json");
    let fresh = match (stamp.metadata(), lock.metadata()) {
        (Ok(stamp), Ok(lock)) => stamp.modified()? >= lock.modified()?,
        _ => false,
    };
    if fresh {
        return Ok(());
    }
    run(command("npm", &ui(), &["ci", "--no-audit", "--no-fund"]))
}
