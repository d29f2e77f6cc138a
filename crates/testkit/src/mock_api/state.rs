//! What the mock remembers: resources by path, and the requests it received.
//!
//! Ids and times come from one counter, so that a run repeats exactly.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Map, Value, json};

/// How many requests are kept.
const MAX_REQUESTS: usize = 10_000;

/// The resources, each under its own path.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    items: Mutex<BTreeMap<String, Map<String, Value>>>,
    requests: Mutex<VecDeque<Value>>,
    counter: AtomicU64,
}

impl Shelf {
    /// Makes a resource in a collection and returns it.
    pub(super) fn create(&self, collection: &str, sent: &Value) -> Value {
        let number = self.next();
        let id = spread(number, 24);
        let mut item = Map::new();
        item.insert("id".into(), json!(id));
        item.insert("status".into(), json!("ready"));
        item.insert("created_at".into(), json!((1_767_225_600 + number).to_string()));
        merge(&mut item, sent);
        if collection.ends_with("live-streams") {
            item.insert("status".into(), json!("idle"));
            item.insert("stream_key".into(), json!(spread(self.next(), 36)));
        }
        self.items().insert(format!("{collection}/{id}"), item.clone());
        Value::Object(item)
    }

    pub(super) fn read(&self, path: &str) -> Option<Value> {
        self.items().get(path).cloned().map(Value::Object)
    }

    pub(super) fn update(&self, path: &str, sent: &Value) -> Option<Value> {
        let mut items = self.items();
        let item = items.get_mut(path)?;
        merge(item, sent);
        Some(Value::Object(item.clone()))
    }

    /// Removes a resource and all below it.
    pub(super) fn delete(&self, path: &str) -> bool {
        let mut items = self.items();
        let below = format!("{path}/");
        let existed = items.remove(path).is_some();
        items.retain(|other, _| !other.starts_with(&below));
        existed
    }

    /// Does what a word after an item says: some change its state, `reset-…` renews a field, all take the sent fields.
    pub(super) fn act(&self, path: &str, verb: &str, sent: &Value) -> Option<Value> {
        let fresh = spread(self.next(), 36);
        let mut items = self.items();
        let item = items.get_mut(path)?;
        let status = match verb {
            "disable" => Some("disabled"),
            "enable" | "complete" => Some("idle"),
            "cancel" => Some("cancelled"),
            _ => None,
        };
        if let Some(status) = status {
            item.insert("status".into(), json!(status));
        }
        if let Some(field) = verb.strip_prefix("reset-") {
            item.insert(field.replace('-', "_"), json!(fresh));
        }
        merge(item, sent);
        Some(Value::Object(item.clone()))
    }

    /// One page of a collection, as `limit` and `page` of the query say.
    pub(super) fn list(&self, collection: &str, query: &str) -> Value {
        let number = |name: &str, default: usize| {
            let value = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
            value.and_then(|(_, value)| value.parse().ok()).unwrap_or(default)
        };
        let below = format!("{collection}/");
        let items = self.items();
        let all: Vec<&Map<String, Value>> = items
            .iter()
            .filter(|(path, _)| path.strip_prefix(&below).is_some_and(|rest| !rest.contains('/')))
            .map(|(_, item)| item)
            .collect();
        let limit = number("limit", 25).clamp(1, 100);
        let skipped = number("page", 1).saturating_sub(1).saturating_mul(limit);
        let page: Vec<_> = all.iter().skip(skipped).take(limit).collect();
        json!({"data": page, "total_row_count": all.len()})
    }

    pub(super) fn record(&self, request: Value) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() == MAX_REQUESTS {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    pub(super) fn requests(&self) -> Value {
        json!(*self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn forget_requests(&self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A template with each parameter replaced: by an item that is there, else by `x`.
    #[cfg(test)]
    pub(super) fn example_of(&self, template: &str) -> String {
        let items = self.items();
        let mut path = String::new();
        for segment in template.trim_start_matches('/').split('/') {
            let Some((before, rest)) = segment.split_once('{') else {
                path = format!("{path}/{segment}");
                continue;
            };
            let below = format!("{path}/");
            let known = items.keys().find_map(|item| item.strip_prefix(&below)).and_then(|rest| rest.split('/').next());
            let after = rest.split_once('}').map_or("", |(_, after)| after);
            path = format!("{path}/{before}{}{after}", known.unwrap_or("x"));
        }
        path
    }

    fn items(&self) -> MutexGuard<'_, BTreeMap<String, Map<String, Value>>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }
}

/// Figures of a reporting operation: always the same, with the path they belong to.
pub(super) fn report(path: &str) -> Value {
    let row = json!({"field": path.rsplit('/').next().unwrap_or_default(), "value": 42, "total_count": 7});
    json!({"data": [row], "total_row_count": 1, "timeframe": [1_767_225_600, 1_767_312_000]})
}

/// A body of a content type.
pub(super) fn media(content_type: &str) -> Vec<u8> {
    match content_type {
        "application/vnd.apple.mpegurl" => b"#EXTM3U\n#EXT-X-VERSION:5\n".to_vec(),
        "text/vtt" => b"WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nHello.\n".to_vec(),
        "text/plain" => b"Hello.\n".to_vec(),
        "application/json" => br#"{"url":"https://image.example/storyboard.png","tiles":[]}"#.to_vec(),
        _ => b"\x89PNG\r\n\x1a\n".to_vec(),
    }
}

fn merge(item: &mut Map<String, Value>, sent: &Value) {
    for (name, value) in sent.as_object().into_iter().flatten() {
        if name != "id" {
            item.insert(name.clone(), value.clone());
        }
    }
}

/// A counter spread over letters and digits, so that it looks like the ids of a real API.
fn spread(number: u64, length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let position = usize::try_from(state % 32).unwrap_or_default();
            char::from(ALPHABET.get(position).copied().unwrap_or(b'0'))
        })
        .collect()
}
