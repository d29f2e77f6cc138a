//! `ambit grant`: who holds which toolset from now on, or sees its destructive tools for a few hours.

use ambit_model::{
    grant::GrantSubject,
    ids::{AgentId, ClientId, GroupName, Millis, ToolsetSlug, UserKey},
};
use clap::{ArgGroup, Args};

use super::{Context, Ended, Failure, operate};
use crate::{config::quantity, operator::Act};

/// Grant a toolset, or reveal its destructive tools for a few hours.
#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("length").args(["life", "until"]).required(true),
    after_help = "Examples:\n  ambit grant --group analysts --toolset video-read --for 90d --reason \"quarterly report\"\n  \
                  ambit grant --reveal --user alice --client https://claude.ai/oauth/client.json --toolset video-cleanup \
                  --for 2h --reason \"remove test uploads\""
)]
pub struct Grant {
    /// Reveal the toolset's destructive tools to one user in one client, for at most 8 hours.
    #[arg(long, requires_all = ["user", "client"])]
    reveal: bool,
    /// The user: a local account, or `issuer:subject`.
    #[arg(long, value_parser = UserKey::parse)]
    user: Option<UserKey>,
    /// The Ambit group.
    #[arg(long, conflicts_with_all = ["user", "agent", "reveal"])]
    group: Option<GroupName>,
    /// The agent; with `--reveal`, the agent the user acts through.
    #[arg(long)]
    agent: Option<AgentId>,
    /// The client software, by its client id.
    #[arg(long, requires = "reveal")]
    client: Option<ClientId>,
    /// The toolset.
    #[arg(long)]
    toolset: ToolsetSlug,
    /// How long it counts, such as `2h` or `90d`.
    #[arg(long = "for", value_name = "DURATION", value_parser = life)]
    life: Option<Millis>,
    /// When it stops counting, such as `2027-06-30`.
    #[arg(long, value_name = "DATE", conflicts_with = "reveal", value_parser = instant)]
    until: Option<Millis>,
    /// When it begins to count; now if absent.
    #[arg(long, value_name = "DATE", conflicts_with = "reveal", value_parser = instant)]
    from: Option<Millis>,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Who said yes.
    #[arg(long, value_name = "WHO")]
    approved_by: Option<String>,
}

impl Grant {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let now = context.clock.now();
        let act = self.into_act(now)?;
        operate::run(act, context).await
    }

    fn into_act(self, now: Millis) -> Result<Act, Failure> {
        let Self { reveal, user, group, agent, client, toolset, life, until, from, reason, approved_by } = self;
        if reveal {
            let (Some(user), Some(client), Some(life_ms)) = (user, client, life) else {
                return Err(Failure::Usage(
                    "a reveal names a user, a client and a length: `--user --client --for`".into(),
                ));
            };
            return Ok(Act::Reveal { user, client, agent, toolset, reason, approved_by, life_ms });
        }
        let subject = match (user, group, agent) {
            (Some(user), None, None) => GrantSubject::User(user),
            (None, Some(group), None) => GrantSubject::Group(group),
            (None, None, Some(agent)) => GrantSubject::Agent(agent),
            _ => {
                return Err(Failure::Usage(
                    "name who holds the grant: exactly one of `--user`, `--group` and `--agent`".into(),
                ));
            }
        };
        let begins = from.unwrap_or(now);
        let expires_at = until.or_else(|| life.and_then(|life| begins.checked_add(life)));
        let expires_at = expires_at.ok_or_else(|| Failure::Usage("give a length: `--for` or `--until`".into()))?;
        Ok(Act::Grant { subject, toolset, reason, approved_by, starts_at: from, expires_at })
    }
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
