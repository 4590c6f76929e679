use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::prerequisites;
use crate::shell::{cargo, command, root, run, say, step, ui};

/// Where the demo listens and keeps its data.
#[derive(Args)]
pub(crate) struct Demo {
    /// Start over: forget the demo's data
    #[arg(long)]
    fresh: bool,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:4000")]
    listen: String,
    /// Where the demo keeps its data
    #[arg(long)]
    data: Option<PathBuf>,
}

impl Demo {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        step("prerequisites", prerequisites::check_build)?;
        step("packages of the UI", prerequisites::ui_packages)?;
        step("build the UI", || run(command("npm", &ui(), &["run", "--silent", "build"])))?;
        step("build Plainview", || {
            run(cargo(&["build", "--profile", "demo", "--package", "plainview"]))
        })?;
        let data = self.data.unwrap_or_else(|| root().join(".plainview/demo"));
        let binary = target_directory()?.join("demo/plainview");
        say("");
        let mut demo = std::process::Command::new(&binary);
        demo.args(["demo", "--listen", &self.listen]).arg("--data").arg(data);
        if self.fresh {
            demo.arg("--fresh");
        }
        // Ctrl-C reaches the child as well: it stops by itself and this waits for it.
        ignore_interrupt();
        let status = demo.status().with_context(|| format!("cannot start {}", binary.display()))?;
        anyhow::ensure!(status.success(), "the demo ended with {status}");
        Ok(())
    }
}

fn target_directory() -> anyhow::Result<PathBuf> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]).output()?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&metadata.stdout).context("cannot read cargo metadata")?;
    let directory = metadata["target_directory"].as_str().context("no target directory")?;
    Ok(PathBuf::from(directory))
}

fn ignore_interrupt() {
    // Without a handler of our own the terminal's Ctrl-C would end this process first and leave
    // the demo writing over the prompt.
    if let Err(error) = ctrlc::set_handler(|| {}) {
        say(&format!("Ctrl-C will end this at once: {error}"));
    }
}
