//! What a message says: as members for a program, or as a line for a chat. Whatever comes from outside is text in both, and
//! nothing of a call but its tool is in either.

use ambit_live::notices::{About, Notice, NoticeKind};
use ambit_model::{access::life_text, calendar::instant_text};
use bytes::Bytes;
use serde_json::{Value, json};

/// The form of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// `type`, `timestamp` and `data`, as Standard Webhooks has it.
    Generic,
    /// `text`, as incoming webhooks of Slack and its likes read it.
    Slack,
}

impl Format {
    /// The body of a message.
    pub(super) fn body(self, notice: &Notice) -> Bytes {
        let value = match self {
            Self::Generic => members(notice),
            Self::Slack => json!({ "text": line(notice) }),
        };
        value.to_string().into()
    }
}

/// The id of a message: the same however often it is sent.
pub(super) fn id(notice: &Notice) -> String {
    let clean = |text: &str| text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>();
    format!("msg_{}_{}", clean(notice.kind.as_str()), clean(&notice.id))
}

fn members(notice: &Notice) -> Value {
    let place = match notice.kind {
        NoticeKind::GlassBroken => "review",
        NoticeKind::ApprovalRequested
        | NoticeKind::ApprovalApproved
        | NoticeKind::ApprovalDenied
        | NoticeKind::AccessRequested
        | NoticeKind::AccessApproved
        | NoticeKind::AccessDenied => "link",
    };
    let mut data = json!({ "id": notice.id, "requester": notice.requester, place: notice.link });
    let about = match &notice.about {
        About::Call { tool, server, effect, environment } => json!({
            "tool": tool,
            "server": server,
            "effect": effect,
            "environment": environment,
        }),
        About::Toolset { toolset, until, reason } => json!({
            "toolset": toolset,
            "until": instant_text(*until),
            "reason": reason,
        }),
        About::Access { toolset, life_ms } => json!({ "toolset": toolset, "seconds": life_ms / 1000 }),
    };
    if let (Some(data), Value::Object(about)) = (data.as_object_mut(), about) {
        data.extend(about);
    }
    json!({ "type": notice.kind.as_str(), "timestamp": instant_text(notice.at), "data": data })
}

fn line(notice: &Notice) -> String {
    let who = escaped(&notice.requester);
    let what = match &notice.about {
        About::Call { tool, effect, environment, .. } => {
            format!("`{}` ({effect}, {})", escaped(&tool.to_string()), escaped(environment))
        }
        About::Toolset { toolset, until, reason } => {
            format!("toolset `{}` until {}: {}", escaped(toolset), instant_text(*until), escaped(reason))
        }
        About::Access { toolset, life_ms } => format!("toolset `{}` for {}", escaped(toolset), life_text(*life_ms)),
    };
    let link = escaped(&notice.link);
    match notice.kind {
        NoticeKind::ApprovalRequested => format!("A call of {what} by {who} waits for a yes: <{link}|look at it>"),
        NoticeKind::ApprovalApproved => format!("A call of {what} by {who} was approved: <{link}|look at it>"),
        NoticeKind::ApprovalDenied => format!("A call of {what} by {who} was denied: <{link}|look at it>"),
        NoticeKind::AccessRequested => format!("{who} asks for {what}: <{link}|look at it>"),
        NoticeKind::AccessApproved => format!("{who} was given {what}: <{link}|look at it>"),
        NoticeKind::AccessDenied => format!("{who} was not given {what}: <{link}|look at it>"),
        NoticeKind::GlassBroken => format!("{who} broke the glass for {what}. Look at it: `{link} --reason …`"),
    }
}

/// The three characters that mean something there, and what would end a code span or a line.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '`' => out.push('\''),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
