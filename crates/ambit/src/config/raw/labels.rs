//! The labels of tools, as the schema of the file describes them.

use schemars::JsonSchema;

/// What passes through a tool. Only its schema is used: the type itself is `ambit_model::label::Label`.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Label {
    /// Its result may hold what strangers wrote: web pages, mail, tickets of customers.
    UntrustedContent,
    /// Its result may hold what strangers must not read.
    PrivateData,
    /// Its arguments may reach strangers: mail, a public ticket, a request to any address.
    PublicSink,
}
