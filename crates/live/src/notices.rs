//! What people outside should hear of soon: a call or a wish for access that waits for them, how it
//! was decided, that somebody broke the glass.
//!
//! Telling costs nothing and waits for nobody: whoever does not listen, or not fast enough, misses it and is told how much.
//! Nothing depends on a notice; what happened is in the trail. None carries an argument of a call.

use ambit_model::{
    Effect,
    ids::{Millis, ServerSlug, ToolId},
};
use tokio::sync::broadcast;

/// Most notices that wait for a listener.
const KEPT: usize = 256;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum NoticeKind {
    /// A call waits for people.
    ApprovalRequested,
    /// Enough of them said yes.
    ApprovalApproved,
    /// One of them said no.
    ApprovalDenied,
    /// Somebody uses tools without waiting for others.
    GlassBroken,
    /// A person wants a toolset and waits for whoever answers for it.
    AccessRequested,
    /// They said yes.
    AccessApproved,
    /// They said no.
    AccessDenied,
}

impl NoticeKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ApprovalRequested,
        Self::ApprovalApproved,
        Self::ApprovalDenied,
        Self::GlassBroken,
        Self::AccessRequested,
        Self::AccessApproved,
        Self::AccessDenied,
    ];

    /// The word of configuration and of the message.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApprovalRequested => "approval.requested",
            Self::ApprovalApproved => "approval.approved",
            Self::ApprovalDenied => "approval.denied",
            Self::GlassBroken => "break_glass.begun",
            Self::AccessRequested => "access.requested",
            Self::AccessApproved => "access.approved",
            Self::AccessDenied => "access.denied",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// What.
    pub kind: NoticeKind,
    /// When.
    pub at: Millis,
    /// The request, or the reveal.
    pub id: String,
    /// What it is about.
    pub about: About,
    /// Whom the call is made for, and by: `user local:alice`, `agent bot for user local:alice`.
    pub requester: String,
    /// Where people look at it: the address of a page, or of broken glass the command that says what came of looking.
    pub link: String,
}

/// What a notice is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum About {
    /// A call of one tool.
    Call {
        /// The tool.
        tool: ToolId,
        /// Its server.
        server: ServerSlug,
        /// Its effect.
        effect: Effect,
        /// Of the server.
        environment: String,
    },
    /// Every tool of a toolset, for a while.
    Toolset {
        /// The toolset.
        toolset: String,
        /// Until when.
        until: Millis,
        /// Why, in the person's words.
        reason: String,
    },
    /// A toolset that a person wants.
    Access {
        /// The toolset.
        toolset: String,
        /// For how long, in milliseconds.
        life_ms: Millis,
    },
}

/// Where notices are told and heard. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Notices {
    sender: broadcast::Sender<Notice>,
}

impl Default for Notices {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(KEPT) }
    }
}

impl Notices {
    /// Tells whoever listens.
    pub fn tell(&self, notice: Notice) {
        // Nobody listens: that is no failure.
        let _ = self.sender.send(notice);
    }

    /// Hears everything that is told from now on.
    pub fn listen(&self) -> broadcast::Receiver<Notice> {
        self.sender.subscribe()
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.sender.receiver_count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_word() {
        for kind in NoticeKind::ALL {
            assert_eq!(NoticeKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(NoticeKind::parse("approval"), None);
    }
}
