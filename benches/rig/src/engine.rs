//! The product's own benches, the engine's and the broker's: run where it has them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// Name of the product's package.
const PACKAGE: &str = "portcullis";

/// Runs the engine's bench if the product has one; says whether it went well.
pub fn bench(workspace: &Path) -> anyhow::Result<bool> {
    match cargo_bench(workspace, "engine")? {
        Some(mut cargo) => Ok(cargo.status()?.success()),
        None => Ok(true),
    }
}

/// Runs the bench of pinholes in the kernel if the product has one; its figures.
pub fn pinholes(workspace: &Path) -> anyhow::Result<Option<Value>> {
    let Some(mut cargo) = cargo_bench(workspace, "broker")? else {
        return Ok(None);
    };
    let file = tempfile::NamedTempFile::new()?;
    if !cargo
        .env("PORTCULLIS_BENCH_JSON", file.path())
        .status()?
        .success()
    {
        bail!("the bench of the broker failed");
    }
    let text = std::fs::read_to_string(file.path())?;
    Ok(Some(
        serde_json::from_str(&text).context("the broker's figures")?,
    ))
}

/// The command that runs one bench of the product; none if the product has no such.
fn cargo_bench(workspace: &Path, name: &str) -> anyhow::Result<Option<Command>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(&cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(workspace)
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    if !has_bench(&serde_json::from_slice(&output.stdout)?, name) {
        eprintln!("{name}: the package has no such bench, left out");
        return Ok(None);
    }
    println!();
    let mut command = Command::new(&cargo);
    command
        .args(["bench", "--package", PACKAGE, "--bench", name])
        .current_dir(workspace);
    Ok(Some(command))
}

fn has_bench(metadata: &Value, name: &str) -> bool {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let product = list(metadata, "packages")
        .into_iter()
        .find(|package| package["name"] == PACKAGE);
    product.is_some_and(|package| {
        list(&package, "targets")
            .iter()
            .any(|target| target["name"] == name && list(target, "kind").contains(&"bench".into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn benches_are_those_of_the_product() {
        let with = |package: &str, kind: &str| json!({"packages": [{"name": package, "targets": [{"name": "broker", "kind": [kind]}]}]});
        assert!(has_bench(&with("portcullis", "bench"), "broker"));
        assert!(!has_bench(&with("portcullis", "bench"), "engine"));
        assert!(!has_bench(&with("portcullis", "lib"), "broker"));
        assert!(!has_bench(&with("another", "bench"), "broker"));
    }
}
