//! `ambit policy history` and `ambit policy rollback`: the rule sets that were applied, and one of them written back where the
//! rules lie, from where a running server takes it. What lies there and was never applied is not thrown away.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use ambit_policy::{Judge, JudgeInput, KeptPolicies, PolicyFile};
use ambit_store::rule_sets::{self, RuleSet};
use clap::Args;
use serde_json::json;

use super::read;
use crate::{
    commands::{Context, DONE, Ended, Failure, operate, render::counted, view},
    config::{Resolved, quantity::instant_text},
    operator::Act,
};

/// List the rule sets that were applied, the latest first.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit policy history")]
pub struct History {}

/// Write an earlier rule set back and apply it.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit policy rollback 3f2a9c01d4e5b678")]
pub struct Rollback {
    /// The digest of the rule set, or its first characters, from `ambit policy history`.
    digest: String,
    /// Also if the rules that lie there now were never applied, and are lost then.
    #[arg(long)]
    discard: bool,
}

impl History {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let sets = applied(&context.resolved_without_rules()?).await?;
        let rows: Vec<_> = sets
            .iter()
            .map(|set| {
                let files: Vec<String> =
                    kept(set).map(|kept| kept.files.into_iter().map(|file| file.name).collect()).unwrap_or_default();
                json!({
                    "digest": set.digest,
                    "first_applied": instant_text(set.first_applied_at),
                    "last_applied": instant_text(set.last_applied_at),
                    "files": files,
                })
            })
            .collect();
        let lines: Vec<_> = sets
            .iter()
            .map(|set| {
                let files = kept(set).map_or(0, |kept| kept.files.len());
                format!("{}  {}  {}", set.digest.short(), instant_text(set.last_applied_at), counted(files, "file"))
            })
            .collect();
        let text = if lines.is_empty() { "no rules were applied yet".to_owned() } else { lines.join("\n") };
        context.print(&rows, &text)?;
        Ok(DONE)
    }
}

impl Rollback {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let resolved = context.resolved_without_rules()?;
        let sets = applied(&resolved).await?;
        let wanted = self.digest.trim_start_matches("sha256:");
        let mut found = sets.iter().filter(|set| {
            let text = set.digest.to_string();
            text.trim_start_matches("sha256:").starts_with(wanted)
        });
        let (Some(set), None) = (found.next(), found.next()) else {
            let message = format!("`{}` names no rule set, or several: see `ambit policy history`", self.digest);
            return Err(Failure::Usage(message));
        };
        let kept = kept(set).ok_or_else(|| Failure::Refused("the rule set cannot be read from the store".into()))?;
        if !self.discard && !is_applied(&resolved, &sets) {
            return Err(Failure::Refused(format!(
                "the rules in `{}` were never applied and would be lost: keep them elsewhere, or say `--discard`",
                resolved.rules.directory.display()
            )));
        }
        let directory = &resolved.rules.directory;
        write_back(directory, &kept.files)
            .map_err(|error| Failure::Refused(format!("`{}` cannot be written: {error}", directory.display())))?;
        let place = directory.display();
        let mut text =
            format!("{} of rule set {} written to `{place}`", counted(kept.files.len(), "file"), set.digest.short());
        let serving = operate::is_serving(&resolved).await;
        if serving {
            let done = operate::act_on(Act::Reload {}, &resolved, &[], context).await?;
            text = format!("{text}; {}", done.sentence);
        }
        if kept.timezone != resolved.rules.timezone.as_deref().unwrap_or("UTC") {
            text = format!("{text}; it was applied with `policies.timezone = \"{}\"`", kept.timezone);
        }
        let files: Vec<_> = kept.files.iter().map(|file| &file.name).collect();
        context.print(&json!({ "digest": set.digest, "files": files, "applied": serving }), &text)?;
        Ok(DONE)
    }
}

async fn applied(resolved: &Resolved) -> Result<Vec<RuleSet>, Failure> {
    let Some(store) = view::store_if_any(resolved).await? else { return Ok(Vec::new()) };
    let sets = rule_sets::list(&store).await.map_err(Failure::because);
    store.close().await;
    sets
}

fn kept(set: &RuleSet) -> Option<KeptPolicies> {
    serde_json::from_str(&set.rules).ok()
}

/// Whether the rules that lie there are an applied set, or none.
fn is_applied(resolved: &Resolved, sets: &[RuleSet]) -> bool {
    let Ok(present) = read(resolved, None) else { return !resolved.rules.directory.exists() };
    if present.is_empty() {
        return true;
    }
    let input = JudgeInput { policies: present, ..JudgeInput::default() };
    Judge::build(input).is_ok_and(|judge| sets.iter().any(|set| set.digest == judge.rules_digest()))
}

/// Leaves exactly these files of rules in a directory. Each is whole or not there.
fn write_back(directory: &Path, files: &[PolicyFile]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut written = BTreeSet::new();
    for file in files {
        // The name as it was shown has a directory in front, which may have been another one.
        let Some(name) = Path::new(&file.name).file_name() else { continue };
        let path = directory.join(name);
        let neighbour = path.with_extension("tmp");
        fs::write(&neighbour, &file.text)?;
        fs::rename(&neighbour, &path)?;
        written.insert(path);
    }
    let left: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    for path in left {
        if path.extension().is_some_and(|ending| ending == "cedar") && !written.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
