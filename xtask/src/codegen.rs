//! The committed HTTP contract and what is generated from it.

use anyhow::Context;

use crate::shell::{self, cargo, command, root, step, ui};

pub(crate) fn run_openapi() -> anyhow::Result<String> {
    let output = cargo(&["run", "--quiet", "--package", "plainview", "--", "openapi"])
        .output()
        .context("cannot run `plainview openapi`")?;
    anyhow::ensure!(
        output.status.success(),
        "`plainview openapi` failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

pub(crate) fn run() -> anyhow::Result<()> {
    step("api/openapi.json", || {
        Ok(std::fs::write(root().join("api/openapi.json"), run_openapi()?)?)
    })?;
    step("ui/src/api/generated", || run_client(&ui()))
}

/// Writes the typed client anew from `api/openapi.json`.
pub(crate) fn run_client(ui: &std::path::Path) -> anyhow::Result<()> {
    shell::run(command("npm", ui, &["run", "--silent", "codegen"]))
}
