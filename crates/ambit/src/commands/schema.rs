//! `ambit schema`: the JSON Schema of the configuration file, for editors; or the description of the admin API, for whoever
//! writes programs against it.

use clap::Args;

use super::{Context, DONE, Ended};
use crate::{admin, config};

/// Print the JSON Schema of `ambit.toml`, or the OpenAPI description of the admin API.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit schema > ambit.schema.json")]
pub struct Schema {
    /// Print the OpenAPI description of the admin API in its place.
    #[arg(long)]
    admin_api: bool,
}

impl Schema {
    pub(crate) fn run(&self, context: &mut Context<'_>) -> Ended {
        let text = if self.admin_api { admin::text() } else { config::schema::text() };
        context.out.write_all(text.as_bytes())?;
        Ok(DONE)
    }
}
