//! Content blocks of a tool result.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::text::clean;

/// A content block (MCP specification, server/tools, "Tool Result").
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Content {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A picture.
    Image {
        /// Base64.
        data: String,
        /// Its media type.
        #[serde(rename = "mimeType")]
        mime_type: String,
    },
    /// A sound.
    Audio {
        /// Base64.
        data: String,
        /// Its media type.
        #[serde(rename = "mimeType")]
        mime_type: String,
    },
}

impl Content {
    /// A text block.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

/// Whether bytes of this media type have a block of their own.
pub(super) fn is_medium(media: &str) -> bool {
    // SVG is text that can carry scripts; it stays text.
    (media.starts_with("image/") && media != "image/svg+xml") || media.starts_with("audio/")
}

/// Bytes that are no UTF-8 text, or a medium.
pub(super) fn of_bytes(media: &str, content_type: Option<&str>, body: &[u8], most: usize) -> Content {
    if is_medium(media) && body.len() <= most {
        let (data, mime_type) = (STANDARD.encode(body), media.to_owned());
        return if media.starts_with("image/") {
            Content::Image { data, mime_type }
        } else {
            Content::Audio { data, mime_type }
        };
    }
    if crate::body::is_text(media) || crate::body::is_json(media) {
        return Content::text(decoded(content_type.unwrap_or_default(), body));
    }
    let kind =
        if media.is_empty() { "of no stated type".to_owned() } else { format!("of type `{}`", clean(media, 100)) };
    Content::text(format!("the API answered with {} bytes {kind}, which are not shown: they are not text", body.len()))
}

/// Text in another encoding than UTF-8. Latin-1 is read as such; of any other, what is no UTF-8 is replaced.
pub(super) fn decoded(content_type: &str, body: &[u8]) -> String {
    let lower = content_type.to_ascii_lowercase();
    let charset = lower.split(';').find_map(|part| part.trim().strip_prefix("charset=")).unwrap_or_default();
    match charset.trim_matches('"') {
        "iso-8859-1" | "latin1" | "us-ascii" => body.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8_lossy(body).into_owned(),
    }
}
