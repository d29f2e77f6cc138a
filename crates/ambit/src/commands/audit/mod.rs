//! `ambit audit`: the trail from the outside. Everything here only reads, beside a running server or without one.

use clap::{Args, Subcommand};

use super::{Context, Ended};

mod evidence;
mod read;

/// Read, search, export and verify the trail.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  ambit audit tail -n 20\n  ambit audit search --user alice --tool mux/create-asset\n  ambit audit export \
                  trail.jsonl\n  ambit audit verify trail.jsonl --key KEY --checkpoint checkpoint.txt"
)]
pub struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Show the latest records.
    Tail(read::Tail),
    /// Find records by person, agent, client, tool, endpoint, decision and time.
    Search(read::Search),
    /// Write the whole trail into one file that can be verified anywhere.
    Export(evidence::Export),
    /// Find alteration, truncation and replacement in an export, or in the trail itself.
    Verify(evidence::Verify),
}

impl Audit {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        match self.what {
            What::Tail(tail) => tail.run(context).await,
            What::Search(search) => search.run(context).await,
            What::Export(export) => export.run(context).await,
            What::Verify(verify) => verify.run(context).await,
        }
    }
}
