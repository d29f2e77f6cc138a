//! `ambit simulate`: the decisions of the trail, made again under other rules or grants. Says what would have been denied or
//! allowed that was not, whom it concerns, and what cannot be said because a fact was not kept. It changes nothing.

use std::{path::PathBuf, sync::Arc};

use ambit_live::{catalogue::ServerCatalogue, deployment::Deployment, keys::Keys};
use ambit_model::ids::Millis;
use ambit_policy::Policies;
use clap::Args;
use serde_json::json;

use super::{Context, DONE, Ended, FINDING, Failure, policy, view};
use crate::config::{self, Resolved, quantity};

mod again;
mod findings;
mod history;
mod record;

use again::Judges;

/// Say what other rules or grants would have changed about real calls.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: ambit simulate --policies proposed --since 30d\n\nEvery call in this node's trail is decided twice: \
                  as the present rules and grants decide it, and as the proposed ones would, both at the time of the call."
)]
pub struct Simulate {
    /// A directory of rules in place of the present ones.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// A file of `[[grants]]` in place of those in the configuration.
    #[arg(long, value_name = "FILE")]
    grants: Option<PathBuf>,
    /// From when on: `30d`, `12h`, or a date.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: String,
}

impl Simulate {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        if self.policies.is_none() && self.grants.is_none() {
            return Err(Failure::Usage("name what is proposed: `--policies DIR`, `--grants FILE`, or both".into()));
        }
        let since = self.since(context.clock.now())?;
        let present = context.resolved()?;
        let (proposed, rules) = self.proposed(&present, context)?;
        let servers = view::catalogues(&present, None, context).await?;
        let store = view::store_if_any(&present).await?;
        let now = snapshot(&present, &present.deployment.policies, &servers, (store.as_ref(), since)).await;
        let then = snapshot(&proposed, &rules, &servers, (store.as_ref(), since)).await;
        if let Some(store) = store {
            store.close().await;
        }
        let present_snapshot = now?.map_err(|problems| Failure::Refused(policy::told(&problems)))?;
        let proposed_snapshot = match then? {
            Ok(snapshot) => snapshot,
            Err(problems) => {
                context.print(&json!({ "ok": false, "problems": problems }), &policy::told(&problems))?;
                return Ok(FINDING);
            }
        };
        let keys = Keys::open(&present.key_dir()).map_err(Failure::because)?;
        let judges = Judges { present: &present_snapshot, proposed: &proposed_snapshot, keys: &keys };
        let findings = history::read(&present, since, judges, context)?;
        context.print(&findings.value(since), &findings.in_words(since))?;
        Ok(DONE)
    }

    fn since(&self, now: Millis) -> Result<Millis, Failure> {
        let ago = quantity::duration(&self.since).and_then(|ago| i64::try_from(ago.as_millis()).ok());
        ago.map(|ago| now.saturating_sub(ago)).or_else(|| quantity::instant(&self.since)).ok_or_else(|| {
            Failure::Usage(format!("`--since {}` is no time: write `30d`, `12h`, or a date", self.since))
        })
    }

    /// The configuration and the rules that are proposed.
    fn proposed(&self, present: &Resolved, context: &Context<'_>) -> Result<(Resolved, Arc<Policies>), Failure> {
        let rules = match &self.policies {
            Some(_) => {
                policy::read(present, self.policies.as_ref()).map_err(|error| Failure::Usage(error.to_string()))?
            }
            None => Arc::clone(&present.deployment.policies),
        };
        let resolved = match (&self.grants, &present.file) {
            (Some(grants), Some(file)) => config::load_with_grants(file, grants, context.clock.now())?,
            (Some(_), None) => return Err(Failure::Usage("`--grants` needs a configuration file".into())),
            (None, _) => present.clone(),
        };
        Ok((resolved, rules))
    }
}

async fn snapshot(
    resolved: &Resolved,
    policies: &Arc<Policies>,
    servers: &[Arc<ServerCatalogue>],
    (store, since): (Option<&ambit_store::Store>, Millis),
) -> Result<policy::Held, Failure> {
    let deployment = Deployment { policies: Arc::clone(policies), ..resolved.deployment.clone() };
    let parts = (deployment, resolved.lock.clone(), servers.to_vec());
    policy::held(ambit_live::preview_since(parts, store, since).await)
}
