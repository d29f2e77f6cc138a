//! `ambit revoke`, `ambit block`, `ambit unblock`: the kill switches.

use ambit_model::{ids::GrantId, revocation::Scope};
use clap::Args;

use super::{Context, Ended, Failure, operate};
use crate::operator::{Act, act::ScopeText};

const SCOPES: &str = "Scopes: deployment, endpoint SLUG, server SLUG, tool SERVER/TOOL, user NAME or ISSUER:SUBJECT, agent ID, \
                      client ID, credential ID, family ID, sid ISSUER:VALUE, jti ISSUER:VALUE";

/// End everything of a scope issued until now; a new login is possible. `grant ID` ends one grant or reveal.
#[derive(Args, Debug)]
#[command(after_help = format!("{SCOPES}, grant ID\n\nExample: ambit revoke user alice --reason \"laptop lost\""))]
pub struct Revoke {
    #[command(flatten)]
    what: What,
}

/// Refuse everything of a scope until it is lifted.
#[derive(Args, Debug)]
#[command(after_help = format!("{SCOPES}\n\nExample: ambit block tool mux/delete-asset --reason \"incident 12\""))]
pub struct Block {
    #[command(flatten)]
    what: What,
}

/// Lift a block.
#[derive(Args, Debug)]
#[command(after_help = format!("{SCOPES}\n\nExample: ambit unblock tool mux/delete-asset --reason \"incident 12 is over\""))]
pub struct Unblock {
    #[command(flatten)]
    what: What,
}

#[derive(Args, Debug)]
struct What {
    /// The kind of scope.
    scope: String,
    /// Which one; nothing for `deployment`.
    #[arg(default_value = "", hide_default_value = true)]
    id: String,
    /// Why.
    #[arg(long, default_value = "no reason given")]
    reason: String,
}

impl What {
    fn scope(&self) -> Result<ScopeText, Failure> {
        Scope::parse(&self.scope, &self.id).map(ScopeText).map_err(|error| Failure::Usage(error.to_string()))
    }
}

impl Revoke {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let act = if self.what.scope == "grant" || self.what.scope == "reveal" {
            let id = GrantId::parse(&self.what.id).map_err(|error| Failure::Usage(error.to_string()))?;
            Act::End { id, reason: self.what.reason }
        } else {
            Act::Revoke { scope: self.what.scope()?, reason: self.what.reason }
        };
        operate::run(act, context).await
    }
}

impl Block {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let act = Act::Block { scope: self.what.scope()?, reason: self.what.reason };
        operate::run(act, context).await
    }
}

impl Unblock {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let act = Act::Unblock { scope: self.what.scope()?, reason: self.what.reason };
        operate::run(act, context).await
    }
}
