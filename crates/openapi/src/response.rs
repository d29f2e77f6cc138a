//! An API's answer as a tool result.
//!
//! A good JSON answer is passed on as it came, as text and as structured content: unknown members, their order and numbers
//! survive. An error becomes `isError` with a short readable body, so that a model can react to it. Bytes that are no text
//! are described or, where MCP has a form for them, encoded. Nothing of the request or its credential appears here.

mod blocks;
mod error_body;

use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

pub use blocks::Content;

/// The deepest nesting of JSON that is handed on as structured content; clients parse it recursively.
const MAX_DEPTH: usize = 128;

/// What an answer may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of an error's body that are shown.
    pub error_bytes: usize,
    /// The most bytes of an image or a sound that are handed on encoded.
    pub media_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { error_bytes: 2_000, media_bytes: 512 << 10 }
    }
}

/// A `CallToolResult`: serialises to the members `content`, `structuredContent` and `isError`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolOutcome {
    /// What a model reads.
    pub content: Vec<Content>,
    /// The answer's JSON as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Box<RawValue>>,
    /// Whether the call failed.
    pub is_error: bool,
}

impl ToolOutcome {
    /// A failure, told in words.
    pub fn error(text: impl Into<String>) -> Self {
        Self { content: vec![Content::text(text)], structured_content: None, is_error: true }
    }

    /// A success, told in words.
    pub fn said(text: impl Into<String>) -> Self {
        Self { content: vec![Content::text(text)], structured_content: None, is_error: false }
    }

    /// The result for revisions whose structured content must be an object (2025-06-18 and 2025-11-25): another value
    /// stays in the text alone.
    #[must_use]
    pub fn for_object_only_clients(mut self) -> Self {
        if self.structured_content.as_ref().is_some_and(|json| !json.get().trim_start().starts_with('{')) {
            self.structured_content = None;
        }
        self
    }
}

/// The tool result of an answer.
pub fn to_tool_result(status: StatusCode, content_type: Option<&str>, body: &[u8], limits: Limits) -> ToolOutcome {
    if status.is_success() {
        return success(status, content_type, body, limits);
    }
    if status.is_redirection() {
        return ToolOutcome::error(format!(
            "the API answered {} with a redirect, which is not followed: the place it names may be another server's",
            named(status)
        ));
    }
    let shown = error_body::shown(content_type, body, limits.error_bytes);
    let remark = match status {
        StatusCode::UNAUTHORIZED => "\nThe gateway's own credential for this API was refused; its owner must renew it.",
        StatusCode::TOO_MANY_REQUESTS => "\nThe API limits how often it is called; wait before the next call.",
        _ => "",
    };
    match shown {
        Some(shown) => ToolOutcome::error(format!("the API answered {}: {shown}{remark}", named(status))),
        None => ToolOutcome::error(format!("the API answered {} without a readable body{remark}", named(status))),
    }
}

fn named(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn success(status: StatusCode, content_type: Option<&str>, body: &[u8], limits: Limits) -> ToolOutcome {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.trim_ascii().is_empty() {
        return ToolOutcome::said(format!("done: the API answered {} without a body", named(status)));
    }
    let media = content_type.map(crate::body::essence).unwrap_or_default();
    let json = media.is_empty() || crate::body::is_json(&media);
    match std::str::from_utf8(body) {
        Ok(text) if json => json_result(text),
        Ok(text) if !blocks::is_medium(&media) => ToolOutcome::said(text),
        Ok(_) | Err(_) => ToolOutcome {
            content: vec![blocks::of_bytes(&media, content_type, body, limits.media_bytes)],
            structured_content: None,
            is_error: false,
        },
    }
}

/// JSON that is broken, or deeper than clients bear, stays text.
fn json_result(text: &str) -> ToolOutcome {
    let text = text.trim();
    let structured = within_depth(text).then(|| serde_json::from_str::<Box<RawValue>>(text).ok()).flatten();
    ToolOutcome { content: vec![Content::text(text)], structured_content: structured, is_error: false }
}

fn within_depth(json: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return false;
                }
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests;
