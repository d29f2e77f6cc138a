//! `ambit schema`: the JSON Schema of the configuration file, for editors.

use clap::Args;

use super::{Context, DONE, Ended};
use crate::config;

/// Print the JSON Schema of `ambit.toml`.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit schema > ambit.schema.json")]
pub struct Schema {}

impl Schema {
    #[expect(clippy::unused_self, reason = "every command runs as a method of its arguments")]
    pub(crate) fn run(&self, context: &mut Context<'_>) -> Ended {
        context.out.write_all(config::schema::text().as_bytes())?;
        Ok(DONE)
    }
}
