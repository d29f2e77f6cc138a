//! `ambit approve`: the calls that wait for a person's yes. Who decides is the person that `[[operator.roles]]` says the system's
//! user is; it works on a running server alone.

use ambit_model::{approval::Says, ids::ApprovalId};
use clap::{Args, Subcommand};

use super::{Context, Ended, operate};
use crate::operator::Act;

/// Decide calls that wait for approval.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ambit approve list\n  ambit approve show 06f3…\n  ambit approve yes 06f3… --reason \"checked with \
                  support\"\n\nYou are the account that `[[operator.roles]]` names for your system user, and nobody decides their own calls."
)]
pub struct Approve {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// List the requests that you may decide.
    List,
    /// Show one with its complete arguments.
    Show {
        /// The request.
        id: ApprovalId,
    },
    /// Let this exact call run once.
    Yes(Word),
    /// Refuse it.
    No(Word),
}

#[derive(Args, Debug)]
struct Word {
    /// The request.
    id: ApprovalId,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
}

impl Approve {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let act = match self.what {
            What::List => Act::ListApprovals {},
            What::Show { id } => Act::ShowApproval { id },
            What::Yes(Word { id, reason }) => Act::Decide { id, says: Says::Yes, reason },
            What::No(Word { id, reason }) => Act::Decide { id, says: Says::No, reason },
        };
        operate::run(act, context).await
    }
}
