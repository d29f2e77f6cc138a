//! Media types: which of several is sent, and whether one is JSON, text or bytes.

use serde_json::{Map, Value};

/// The order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Json,
    JsonSuffix,
    Form,
    Multipart,
    Text,
    Bytes,
}

pub(super) fn rank(media: &str) -> Option<Rank> {
    let essence = essence(media);
    match essence.as_str() {
        "application/json" | "text/json" => Some(Rank::Json),
        "application/x-www-form-urlencoded" => Some(Rank::Form),
        "multipart/form-data" => Some(Rank::Multipart),
        "application/xml"
        | "application/yaml"
        | "application/x-yaml"
        | "application/x-ndjson"
        | "application/jsonl"
        | "application/graphql"
        | "application/javascript"
        | "application/sql" => Some(Rank::Text),
        other if other.ends_with("+json") => Some(Rank::JsonSuffix),
        other if other.starts_with("text/") || other.ends_with("+xml") || other.ends_with("+yaml") => Some(Rank::Text),
        // Other multipart types have no names for their parts.
        other if other.starts_with("multipart/") => None,
        _ => Some(Rank::Bytes),
    }
}

/// Whether a media type is JSON.
pub(crate) fn is_json(media: &str) -> bool {
    matches!(rank(media), Some(Rank::Json | Rank::JsonSuffix))
}

/// Whether a media type is text that is no JSON.
pub(crate) fn is_text(media: &str) -> bool {
    matches!(rank(media), Some(Rank::Text | Rank::Form))
}

/// A media type without its parameters, in lower case.
pub(crate) fn essence(media: &str) -> String {
    media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

pub(super) fn preferred(content: &Map<String, Value>) -> Option<(&str, &Value)> {
    let ranked = content.iter().filter_map(|(media, entry)| Some((rank(media)?, media.as_str(), entry)));
    ranked.min_by_key(|(rank, media, _)| (*rank, *media)).map(|(_, media, entry)| (media, entry))
}

/// A media range names no media type; what is sent under one is bytes or text.
pub(super) fn concrete(media: &str) -> String {
    match essence(media).as_str() {
        "text/*" => "text/plain".to_owned(),
        range if range.contains('*') => "application/octet-stream".to_owned(),
        _ => media.trim().to_owned(),
    }
}
