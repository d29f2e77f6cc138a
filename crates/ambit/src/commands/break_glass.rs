//! `ambit break-glass`: who used tools without waiting for others, and what somebody else says of it afterwards. The glass itself
//! is broken on a page, by a person who has just proved who they are.

use ambit_model::ids::GrantId;
use clap::{Args, Subcommand};

use super::{Context, Ended, operate};
use crate::operator::Act;

/// Look at broken glass.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ambit break-glass list\n  ambit break-glass review glass:06f3… --reason \"it had to be: ticket 12\"\n\n\
                  `ambit audit search --user WHO --from WHEN --json` has what was done with it: the records of its calls name it in \
                  `break_glass`."
)]
pub struct BreakGlass {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// List broken glass: first what nobody has looked at yet, newest first.
    List,
    /// Say what came of looking at one. Not for whoever broke it.
    Review {
        /// Its id.
        id: GrantId,
        /// What you found.
        #[arg(long)]
        reason: String,
    },
}

impl BreakGlass {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let act = match self.what {
            What::List => Act::ListGlass {},
            What::Review { id, reason } => Act::ReviewGlass { id, says: reason },
        };
        operate::run(act, context).await
    }
}
