//! What waits for a person, and what they wait for: one page for approvals and for requests for access.

use askama::Template;

/// The page.
#[derive(Template)]
#[template(path = "inbox.html")]
pub(super) struct Inbox<'a> {
    pub(super) title: &'a str,
    pub(super) person: &'a str,
    /// Address and name of the other one.
    pub(super) beside: (&'a str, &'a str),
    pub(super) waiting: Vec<Entry>,
    pub(super) own: Vec<Entry>,
}

/// A request on it.
pub(super) struct Entry {
    /// Where it is looked at.
    pub(super) href: String,
    /// What it is about.
    pub(super) what: String,
    pub(super) who: String,
    pub(super) stage: &'static str,
    pub(super) when: String,
}
