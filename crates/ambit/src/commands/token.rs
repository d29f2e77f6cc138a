//! `ambit token`: a short-lived access token for trying things out, under `[operator] mint` only.

use ambit_model::ids::{AgentId, Millis, ToolsetSlug, UserKey};
use clap::Args;

use super::{Context, Ended, grant::life, operate};
use crate::operator::Act;

/// Mint a short-lived access token for trying things out. It never destroys, approves or administers.
#[derive(Args, Debug)]
#[command(
    after_help = "Needs `mint = true` under `[operator]`.\n\nExample: ambit token --user alice --endpoint /mcp --json"
)]
pub struct Token {
    /// The local account it stands for.
    #[arg(long, value_parser = UserKey::parse)]
    user: UserKey,
    /// The agent that acts for the user.
    #[arg(long)]
    agent: Option<AgentId>,
    /// The path of the endpoint it is for.
    #[arg(long, value_name = "PATH", default_value = "/mcp")]
    endpoint: String,
    /// Only these toolsets; all if absent.
    #[arg(long = "toolset", value_name = "TOOLSET", num_args = 1..)]
    toolsets: Vec<ToolsetSlug>,
    /// How long it lives, at most `15m`.
    #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = life)]
    life: Millis,
}

impl Token {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let toolsets = (!self.toolsets.is_empty()).then_some(self.toolsets);
        let act =
            Act::Token { user: self.user, agent: self.agent, endpoint: self.endpoint, toolsets, life_ms: self.life };
        operate::run(act, context).await
    }
}
