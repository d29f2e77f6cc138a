//! `ambit access`: the requests for access that wait for a person who answers for what is asked for. Who decides is the person that
//! `[[operator.roles]]` says the system's user is; it works on a running server alone.

use ambit_model::{approval::Says, ids::AccessId};
use clap::{Args, Subcommand};

use super::{Context, Ended, operate};
use crate::operator::Act;

/// Decide requests for access.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ambit access list\n  ambit access approve 06f3… --reason \"for the quarter\"\n  ambit access deny 06f3… \
                  --reason \"ask for the reading toolset\"\n\nYou are the account that `[[operator.roles]]` names for your system user, an \
                  admin or the owner of every server the toolset reaches, and nobody decides their own requests."
)]
pub struct Access {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// List the requests that you may decide.
    List,
    /// Give what was asked for: it counts from the person's next request on.
    Approve(Word),
    /// Refuse it.
    Deny(Word),
}

#[derive(Args, Debug)]
struct Word {
    /// The request.
    id: AccessId,
    /// Why. The person reads it.
    #[arg(long)]
    reason: Option<String>,
}

impl Access {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let act = match self.what {
            What::List => Act::ListAccess {},
            What::Approve(Word { id, reason }) => Act::DecideAccess { id, says: Says::Yes, reason },
            What::Deny(Word { id, reason }) => Act::DecideAccess { id, says: Says::No, reason },
        };
        operate::run(act, context).await
    }
}
