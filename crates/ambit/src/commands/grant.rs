//! `ambit grant`: who holds which toolset from now on, or sees its destructive tools for a few hours.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ambit_live::deployment::Deployment;
use ambit_model::{
    claim::ClaimMatch,
    constraints::{Constraints, ToolPattern},
    grant::GrantSubject,
    ids::{AgentId, ClientId, GroupName, IssuerName, Millis, ToolsetSlug, UserKey},
};
use clap::Args;

use super::{Context, Ended, Failure, login, operate};
use crate::{
    config::{self, quantity},
    operator::Act,
};

mod import;

/// Grant a toolset, or reveal its destructive tools for a few hours. `ambit revoke grant ID` ends it early.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ambit grant --group analysts --toolset video-read --for 90d --reason \"quarterly report\"\n  \
                  ambit grant --claim org_id=acme --toolset acme-read --until 2027-06-30 --ticket CHG-7 --reason \"contract 7\"\n  \
                  ambit grant --reveal --user alice --client https://claude.ai/oauth/client.json --toolset video-cleanup \
                  --for 2h --reason \"remove test uploads\"\n  ambit grant --import grants.jsonl"
)]
pub struct Grant {
    /// Reveal the toolset's destructive tools to one user in one client, for at most 8 hours.
    #[arg(long, requires_all = ["user", "client", "life"])]
    reveal: bool,
    /// The user: a local account, or `issuer:subject`.
    #[arg(long, value_parser = UserKey::parse)]
    user: Option<UserKey>,
    /// The Ambit group.
    #[arg(long, conflicts_with = "reveal")]
    group: Option<GroupName>,
    /// The agent; with `--reveal`, the agent the user acts through.
    #[arg(long)]
    agent: Option<AgentId>,
    /// The client software, by its client id: with `--reveal` where the tools are seen, otherwise whose ceiling is raised.
    #[arg(long)]
    client: Option<ClientId>,
    /// Everybody whose token carries a claim of this value.
    #[arg(long, value_name = "CLAIM=VALUE", conflicts_with = "reveal")]
    claim: Option<String>,
    /// The issuer that vouches for the claim; the only one whose `claims` name it, if absent.
    #[arg(long, requires = "claim")]
    issuer: Option<IssuerName>,
    /// The toolset.
    #[arg(long, required_unless_present = "import")]
    toolset: Option<ToolsetSlug>,
    /// How long it counts, such as `2h` or `90d`; 90 days if neither this nor `--until` is given, at most 365.
    #[arg(long = "for", value_name = "DURATION", value_parser = life)]
    life: Option<Millis>,
    /// When it stops counting, such as `2027-06-30`.
    #[arg(long, value_name = "DATE", conflicts_with_all = ["reveal", "life"], value_parser = instant)]
    until: Option<Millis>,
    /// When it begins to count; now if absent.
    #[arg(long, value_name = "DATE", conflicts_with = "reveal", value_parser = instant)]
    from: Option<Millis>,
    /// Why.
    #[arg(long, required_unless_present = "import")]
    reason: Option<String>,
    /// The ticket or change it belongs to, in another system.
    #[arg(long, conflicts_with = "reveal")]
    ticket: Option<String>,
    /// Who said yes.
    #[arg(long, value_name = "WHO")]
    approved_by: Option<String>,
    /// A file with a JSON Schema fragment that the arguments of every tool of the toolset are held to; `PATTERN=FILE` for those
    /// of `server/tool` or `server/prefix*` alone. Can be given several times.
    #[arg(long, value_name = "[PATTERN=]FILE", conflicts_with = "reveal")]
    args_schema: Vec<String>,
    /// Make every grant of a file, or none: one JSON object a line, as in `ambit grants --json | jq -c '.[]'`.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "reveal", "user", "group", "agent", "client", "claim", "issuer", "toolset", "life", "until", "from", "reason",
            "ticket", "approved_by", "args_schema",
        ]
    )]
    import: Option<PathBuf>,
}

impl Grant {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let now = context.clock.now();
        // Whoever acts from elsewhere has no configuration here, and names the issuer of a claim.
        if login::named(context).is_some() {
            let here = match context.resolved_if_any()? {
                Some(resolved) => resolved,
                None => config::empty(Path::new("."), now)?,
            };
            let act = self.into_act(now, &here.deployment)?;
            return operate::run(act, context).await;
        }
        let resolved = context.resolved()?;
        let act = self.into_act(now, &resolved.deployment)?;
        operate::run_on(act, &resolved, context).await
    }

    fn into_act(self, now: Millis, deployment: &Deployment) -> Result<Act, Failure> {
        if let Some(file) = &self.import {
            return import::act(file);
        }
        let Self { user, agent, client, toolset, life, until, from, reason, approved_by, .. } = self;
        let (Some(toolset), Some(reason)) = (toolset, reason) else {
            return Err(Failure::Usage("name a toolset and say why: `--toolset --reason`".into()));
        };
        if self.reveal {
            let (Some(user), Some(client), Some(life_ms)) = (user, client, life) else {
                return Err(Failure::Usage(
                    "a reveal names a user, a client and a length: `--user --client --for`".into(),
                ));
            };
            return Ok(Act::Reveal { user, client, agent, toolset, reason, approved_by, life_ms });
        }
        let holder = Holder { user, group: self.group, agent, client, claim: self.claim, issuer: self.issuer };
        let subject = holder.subject(deployment)?.ok_or_else(|| {
            Failure::Usage("name who holds the grant: `--user`, `--group`, `--agent`, `--client` or `--claim`".into())
        })?;
        let begins = from.unwrap_or(now);
        let expires_at = until.or_else(|| life.and_then(|life| begins.checked_add(life)));
        let (ticket, constraints) = (self.ticket, constraints(&self.args_schema)?);
        Ok(Act::Grant { subject, toolset, reason, ticket, approved_by, starts_at: from, expires_at, constraints })
    }
}

/// The largest fragment that is read, in bytes; what it means is bounded elsewhere.
const MAX_FRAGMENT: u64 = 64 * 1024;

/// Reads `--args-schema`.
fn constraints(given: &[String]) -> Result<Constraints, Failure> {
    let mut all = BTreeMap::new();
    for text in given {
        let (pattern, file) = text.split_once('=').unwrap_or(("*", text));
        let pattern = ToolPattern::parse(pattern).map_err(|error| Failure::Usage(error.to_string()))?;
        let unreadable = |why: &dyn std::fmt::Display| Failure::Usage(format!("`{file}` cannot be used: {why}"));
        let length = fs::metadata(file).map_err(|error| unreadable(&error))?.len();
        if length > MAX_FRAGMENT {
            return Err(unreadable(&format!("it has {length} bytes, and at most {MAX_FRAGMENT} are read")));
        }
        let text = fs::read_to_string(file).map_err(|error| unreadable(&error))?;
        let fragment = serde_json::from_str(&text).map_err(|error| unreadable(&format!("it is no JSON ({error})")))?;
        if all.insert(pattern.clone(), fragment).is_some() {
            return Err(Failure::Usage(format!("`{pattern}` is given twice: put both into one fragment")));
        }
    }
    Constraints::new(all).map_err(|error| Failure::Usage(error.to_string()))
}

/// Who holds a grant, as the command line names it.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) user: Option<UserKey>,
    pub(crate) group: Option<GroupName>,
    pub(crate) agent: Option<AgentId>,
    pub(crate) client: Option<ClientId>,
    pub(crate) claim: Option<String>,
    pub(crate) issuer: Option<IssuerName>,
}

impl Holder {
    /// The one that was named, if one was.
    pub(crate) fn subject(self, deployment: &Deployment) -> Result<Option<GrantSubject>, Failure> {
        let claim = self.claim.as_deref().map(|text| claim(text, self.issuer.as_ref(), deployment)).transpose()?;
        let named = [
            self.user.map(GrantSubject::User),
            self.group.map(GrantSubject::Group),
            self.agent.map(GrantSubject::Agent),
            self.client.map(GrantSubject::Client),
            claim.map(GrantSubject::Claim),
        ];
        let mut named = named.into_iter().flatten();
        match (named.next(), named.next()) {
            (one, None) => Ok(one),
            (_, Some(_)) => {
                Err(Failure::Usage("name one holder: `--user`, `--group`, `--agent`, `--client` or `--claim`".into()))
            }
        }
    }
}

fn claim(text: &str, issuer: Option<&IssuerName>, deployment: &Deployment) -> Result<ClaimMatch, Failure> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| Failure::Usage(format!("`{text}` is no claim: write `CLAIM=VALUE`")))?;
    let reading: Vec<_> =
        deployment.issuers.values().filter(|issuer| issuer.claims.contains(name)).map(|issuer| &issuer.name).collect();
    let issuer = match (issuer, reading.as_slice()) {
        (Some(named), _) => named,
        (None, [only]) => *only,
        (None, []) => {
            return Err(Failure::Usage(format!("claim `{name}` is read of no issuer: add it to the `claims` of one")));
        }
        (None, several) => {
            let several: Vec<_> = several.iter().map(|name| format!("`{name}`")).collect();
            let several = several.join(", ");
            return Err(Failure::Usage(format!(
                "several issuers have claim `{name}`: name one with `--issuer`: {several}"
            )));
        }
    };
    ClaimMatch::new(issuer.clone(), name, value).map_err(|error| Failure::Usage(error.to_string()))
}

/// Reads a length in milliseconds.
pub(crate) fn life(text: &str) -> Result<Millis, String> {
    quantity::duration(text)
        .filter(|length| !length.is_zero())
        .and_then(|length| Millis::try_from(length.as_millis()).ok())
        .ok_or_else(|| "write a whole number and a unit, such as `2h` or `90d`".to_owned())
}

/// Reads a date or a date and time.
pub(crate) fn instant(text: &str) -> Result<Millis, String> {
    quantity::instant(text).ok_or_else(|| "write a date such as `2027-06-30`, or `2027-06-30T12:00:00Z`".to_owned())
}
