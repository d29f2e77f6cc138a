//! The client side: what the gateway says to an upstream, and what it believes of the answer.
//!
//! [`request`] writes our own envelope around arguments that were judged; [`answer`] reads one
//! message of the reply, [`progress`] what is told before it, [`result`] a tool's result, [`listing`] a page of
//! tools, [`capabilities`] what a server cannot do without. What an upstream
//! says is data: it can fail a call or leave out a tool, but nothing here trusts it, completes it
//! or reads it in two ways. A result that is passed on keeps its bytes: unknown members, the order
//! of keys and the spelling of numbers survive.

pub mod answer;
pub mod capabilities;
pub mod listing;
pub mod progress;
pub mod request;
pub mod result;
#[cfg(test)]
mod tests;

pub use answer::{AnswerFault, Incoming, RemoteError};
pub use listing::{ListedTool, Page, Unusable};
pub use progress::Progress;
pub use request::ClientInfo;
pub use result::{CallResult, ResultFault};

use crate::scan::{Mode, Scanner};

/// How deep an upstream's message may nest, the envelope included.
pub const MAX_DEPTH: u16 = 128;

/// The newest legacy revision, offered in `initialize`.
pub const OFFERED_LEGACY: crate::era::LegacyVersion = crate::era::LegacyVersion::V2025_11_25;

/// A revision that is accepted from upstreams alone: it differs from 2025-06-18 in nothing the
/// gateway uses, except that it does not know the `MCP-Protocol-Version` header.
pub const OLDEST_LEGACY: &str = "2025-03-26";

fn scanner(text: &str) -> Scanner<'_> {
    Scanner::new(text, Mode::Lenient, MAX_DEPTH, usize::MAX)
}

/// An upstream's words in a sentence of ours: at most `longest` characters, control characters
/// escaped.
fn quoted(text: &str, longest: usize) -> String {
    let mut out = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == longest {
            out.push('…');
            break;
        }
        match character {
            '\n' | '\t' => out.push(' '),
            other if other.is_control() => out.extend(other.escape_debug()),
            other => out.push(other),
        }
    }
    out
}
