//! `ambit account`: local accounts are declared in the configuration; their passwords are set through one-time links.

use ambit_model::ids::Subject;
use clap::{Args, Subcommand};

use super::{Context, Ended, operate};
use crate::operator::Act;

/// Look after local accounts.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit account link alice")]
pub struct Account {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print a one-time link that sets the password of a declared account.
    #[command(after_help = "Example: ambit account link alice")]
    Link {
        /// The account.
        account: Subject,
    },
}

impl Account {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let What::Link { account } = self.what;
        operate::run(Act::AccountLink { account }, context).await
    }
}
