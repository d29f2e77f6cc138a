//! `cargo xtask tidy`: the architecture rules as a check. A rule stands here because breaking it would pass every other check.
//!
//! It reads the manifests and the sources as text; it does not build anything.

mod links;
mod rooms;
mod sources;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::shell::{cargo, read, root};

/// One broken rule: where, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// File and line, or a manifest.
    pub place: String,
    /// The rule and its remedy.
    pub rule: String,
}

/// Prints the findings. Whether there were none.
pub fn run() -> Result<bool> {
    let metadata = read(&mut cargo(&["metadata", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let mut findings = rooms::check(&metadata);
    let allowed = fs::read_to_string(root().join("deny.toml")).context("read `deny.toml`")?;
    findings.extend(rooms::check_licences(&metadata, &allowed));
    let files = rust_files(&root().join("crates"))?.into_iter().chain(rust_files(&root().join("xtask"))?);
    let mut long = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).with_context(|| format!("read `{}`", path.display()))?;
        let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        findings.extend(sources::check(&shown, &text));
        let lines = text.lines().count();
        if lines > sources::LONG_FILE_LINES {
            long.push(format!("{lines:>5} lines  {shown}"));
        }
    }
    findings.extend(links::check(&pages()?, |path| root().join(path).exists()));
    for finding in &findings {
        println!("{}: {}", finding.place, finding.rule);
    }
    if !long.is_empty() {
        println!("files past {} lines, where a second idea may hide:\n{}", sources::LONG_FILE_LINES, long.join("\n"));
    }
    println!("tidy: {} findings", findings.len());
    Ok(findings.is_empty())
}

/// The repository's own pages, by their path from its root: those at the top, and all of `docs` and `examples`.
fn pages() -> Result<BTreeMap<PathBuf, String>> {
    let mut folders = vec![root(), root().join("docs"), root().join("examples")];
    let mut pages = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("read `{}`", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.extend((folder != root()).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).with_context(|| format!("read `{}`", path.display()))?;
                pages.insert(path.strip_prefix(root()).unwrap_or(&path).to_owned(), text);
            }
        }
    }
    Ok(pages)
}

/// Every Rust file below a folder, in order.
pub fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
        .with_context(|| format!("read `{}`", folder.display()))?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}
