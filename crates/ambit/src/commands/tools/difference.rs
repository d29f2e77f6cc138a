//! How a definition differs from the accepted one: a line for each value that was added, removed or changed.

use ambit_model::tool::Definition;
use serde_json::Value;

use super::clean;

/// The most lines one tool gets.
const MAX_LINES: usize = 40;

/// The longest value that is shown, in characters.
const MAX_VALUE: usize = 160;

/// The lines, in a stable order.
pub(super) fn between(accepted: &Definition, seen: &Definition) -> Vec<String> {
    let (before, after) = (serde_json::to_value(accepted), serde_json::to_value(seen));
    let (Ok(before), Ok(after)) = (before, after) else { return Vec::new() };
    let mut lines = Vec::new();
    compare("", &before, &after, &mut lines);
    let more = lines.len().saturating_sub(MAX_LINES);
    if more > 0 {
        lines.truncate(MAX_LINES);
        lines.push(format!("… and {more} more"));
    }
    lines
}

fn compare(place: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, old) in before {
                match after.get(key) {
                    Some(new) => compare(&join(place, key), old, new, lines),
                    None => lines.push(format!("- {}: {}", join(place, key), shown(old))),
                }
            }
            for (key, new) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                lines.push(format!("+ {}: {}", join(place, key), shown(new)));
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (old, new)) in before.iter().zip(after).enumerate() {
                compare(&join(place, &index.to_string()), old, new, lines);
            }
        }
        (old, new) if old == new => {}
        (Value::String(old), Value::String(new)) if old.chars().count().max(new.chars().count()) > MAX_VALUE => {
            let (old, new) = around_the_change(old, new);
            lines.push(format!("~ {place}: {old} → {new}"));
        }
        (old, new) => lines.push(format!("~ {place}: {} → {}", shown(old), shown(new))),
    }
}

fn join(place: &str, key: &str) -> String {
    let key = clean(key);
    if place.is_empty() { key } else { format!("{place}.{key}") }
}

fn shown(value: &Value) -> String {
    shorten(&clean(&value.to_string()))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Two long texts from shortly before the place where they part.
fn around_the_change(old: &str, new: &str) -> (String, String) {
    const CONTEXT: usize = 40;
    let common = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
    let skip = common.saturating_sub(CONTEXT);
    let part = |text: &str| {
        let rest: String = text.chars().skip(skip).collect();
        let lead = if skip > 0 { "…" } else { "" };
        format!("\"{lead}{}\"", shorten(&clean(&rest)))
    };
    (part(old), part(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ambit_model::ids::ToolId;
    use serde_json::json;

    fn definition(description: &str, schema: Value) -> Definition {
        Definition {
            id: ToolId::parse("mux/get-asset").unwrap(),
            title: None,
            description: description.into(),
            input_schema: schema,
            output_schema: None,
            annotations: None,
            rest: None,
            binding: None,
        }
    }

    #[test]
    fn every_change_is_a_line_and_nothing_else_is() {
        let before =
            definition("reads", json!({"type": "object", "properties": {"id": {"type": "string"}, "old": {}}}));
        let after = definition(
            "reads\u{1b}[2J and sends",
            json!({"type": "object", "properties": {"id": {"type": "integer"}, "token": {"type": "string"}}}),
        );
        let lines = between(&before, &after);
        assert_eq!(
            lines,
            [
                "~ description: \"reads\" → \"reads\\u001b[2J and sends\"",
                "~ input_schema.properties.id.type: \"string\" → \"integer\"",
                "- input_schema.properties.old: {}",
                "+ input_schema.properties.token: {\"type\":\"string\"}",
            ]
        );
        assert!(between(&before, &before).is_empty());
    }

    #[test]
    fn a_long_text_is_shown_where_it_changes() {
        let long = "x".repeat(1000);
        let lines =
            between(&definition(&format!("{long} end"), json!({})), &definition(&format!("{long} END"), json!({})));
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(line.contains("end\" → ") && line.contains("END\"") && line.chars().count() < 500, "{line}");
    }

    #[test]
    fn many_changes_are_cut() {
        let many: serde_json::Map<_, _> = (0..100).map(|n| (n.to_string(), json!(n))).collect();
        let lines = between(&definition("", json!({})), &definition("", Value::Object(many)));
        assert_eq!(lines.len(), MAX_LINES + 1);
        assert!(lines.last().unwrap().contains("60 more"));
    }
}
