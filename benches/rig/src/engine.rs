//! The engine's own benches, which need no network: run where the product has some.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// Name of the product's package.
const PACKAGE: &str = "portcullis";

/// Runs `cargo bench` for the product if it has benches; says whether they went well.
pub fn bench(workspace: &Path) -> anyhow::Result<bool> {
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
    if !has_benches(&serde_json::from_slice(&output.stdout)?) {
        eprintln!("engine: the package has no benches, left out");
        return Ok(true);
    }
    println!();
    Ok(Command::new(&cargo)
        .args(["bench", "--package", PACKAGE, "--benches"])
        .current_dir(workspace)
        .status()?
        .success())
}

fn has_benches(metadata: &Value) -> bool {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let product = list(metadata, "packages")
        .into_iter()
        .find(|package| package["name"] == PACKAGE);
    product.is_some_and(|package| {
        list(&package, "targets")
            .iter()
            .any(|target| list(target, "kind").contains(&"bench".into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn benches_are_those_of_the_product() {
        let with = |name: &str, kind: &str| json!({"packages": [{"name": name, "targets": [{"kind": [kind]}]}]});
        assert!(has_benches(&with("portcullis", "bench")));
        assert!(!has_benches(&with("portcullis", "lib")));
        assert!(!has_benches(&with("another", "bench")));
    }
}
