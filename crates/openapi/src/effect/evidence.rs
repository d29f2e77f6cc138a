//! What descriptions and argument schemas say about loss.

use serde_json::{Map, Value};

use super::names::words;
use super::words::{Sense, sense};

/// Phrases of loss that count whatever the operation is called.
const LOSS: [&str; 14] = [
    "overwritten",
    "will overwrite",
    "overwrites",
    "cannot be undone",
    "can't be undone",
    "cannot be reversed",
    "irreversib",
    "permanently delet",
    "permanently remov",
    "cannot be recovered",
    "will be lost",
    "cannot be restored",
    "maintenance mode",
    "out of service",
];
/// Phrases of loss that count where something in place is changed.
const REPLACEMENT: &[&str] = &[
    "will delete",
    "will remove",
    "will revoke",
    "will disable",
    "will replace",
    "will erase",
    "will destroy",
    "will cancel",
    "or delete ",
    "or remove ",
    "or revoke ",
    "or disable ",
    "or cancel ",
    "to overwrite",
    "overwrite the",
    "overwrite any",
    "overwrite existing",
    "overwriting",
    "replace the",
    "replaces all",
    "replace all",
    "replaces the",
    "replaces their",
    "replaces any",
    "replaces existing",
    "replacing any",
    "replacing all",
    "replacing the",
    "fully replace",
    "completely replace",
    "entirely replace",
    "will be replaced",
    "is replaced",
    "are replaced",
    "be replaced with",
    "removes any",
    "removes all",
    "remove all",
    "remove any",
    "remove existing",
    "previous values",
    "will be deleted",
    "are deleted",
    "will be removed",
    "revok",
];
/// Phrases that say nothing is kept.
const NOTHING_KEPT: [&str; 6] =
    ["not saved anywhere", "is not saved", "are not saved", "without saving", "does not persist", "nothing is stored"];
/// A description prepared for reading: visible text in lower case, without sentences about the interface's own future.
pub(super) fn prepared(description: &str) -> String {
    let future = ["closing down", "deprecated", "api version"];
    let about_itself = |sentence: &&str| !future.iter().any(|phrase| sentence.contains(phrase));
    let text = crate::text::clean(description, 20_000).to_lowercase();
    let lines = text.lines().map(|line| line.split(". ").filter(about_itself).collect::<Vec<_>>().join(". "));
    lines.collect::<Vec<_>>().join("\n").trim_start().to_owned()
}

/// A phrase of loss in prepared text.
pub(super) fn loss(text: &str) -> Option<&'static str> {
    LOSS.into_iter().find(|phrase| text.contains(phrase))
}

/// A phrase of replacement in prepared text.
pub(super) fn replacement(text: &str) -> Option<&'static str> {
    REPLACEMENT.iter().copied().find(|phrase| text.contains(phrase))
}

/// Whether a text speaks of what was taken away before, which `restore` then only gives back.
pub(super) fn is_of_what_is_gone(text: &str) -> bool {
    ["deleted", "archived", "removed", "trash", "recycle"].iter().any(|word| text.contains(word))
}

/// A phrase that lets the caller say what is done.
pub(super) fn anything_goes(text: &str) -> Option<&'static str> {
    ["any method", "any http method", "arbitrary"].into_iter().find(|phrase| text.contains(phrase))
}

/// A phrase that says nothing is kept.
pub(super) fn nothing_kept(text: &str) -> Option<&'static str> {
    NOTHING_KEPT.into_iter().find(|phrase| text.contains(phrase))
}

/// An argument that chooses or demands a loss.
pub(super) fn harmful_argument(name: &str, schema: &Value) -> Option<String> {
    const FLAGS: [&str; 16] = [
        "archived",
        "archive",
        "in_trash",
        "trashed",
        "force",
        "force_push",
        "overwrite",
        "purge",
        "hard_delete",
        "permanent",
        "permanently",
        "remove",
        "delete",
        "revoke",
        "wipe",
        "erase",
    ];
    const CHOICES: [&str; 7] = ["action", "operation", "op", "command", "event", "transition", "verb"];
    // Under these names a value is an action only where it reads like one: `replace_content`, not `block`.
    const KINDS: [&str; 3] = ["type", "kind", "mode"];
    let plain = words(name).join("_");
    let by_name = FLAGS.contains(&plain.as_str())
        || ["_to_remove", "_to_delete", "_to_revoke", "_to_disable"].iter().any(|ending| plain.ends_with(ending))
        || (is_list(schema) && ["remove_", "delete_", "revoke_"].iter().any(|start| plain.starts_with(start)));
    if by_name {
        return Some(format!("the argument `{}` can take something away", crate::text::clean(name, 60)));
    }
    let (chooses, kind) = (CHOICES.contains(&plain.as_str()), KINDS.contains(&plain.as_str()));
    let chosen = choices(schema).find(|choice| {
        let choice = words(choice);
        let first = choice.first().and_then(|word| sense(word));
        (chooses && first.is_some_and(Sense::is_harm)) || (kind && choice.len() > 1 && first == Some(Sense::Harm))
    })?;
    Some(format!("the argument `{}` can be `{}`", crate::text::clean(name, 60), crate::text::clean(chosen, 60)))
}

/// An argument that is a program.
pub(super) fn is_program(name: &str) -> bool {
    const PROGRAMS: [&str; 8] = ["cmd", "command", "sql", "script", "shell", "javascript", "source_code", "expression"];
    PROGRAMS.contains(&words(name).join("_").as_str())
}

/// An argument that only a question has: by what to filter and sort, and which page of the answer.
pub(super) fn asks(name: &str) -> bool {
    const QUESTIONS: [&str; 8] =
        ["filter", "filters", "sort", "sorts", "page_size", "start_cursor", "cursor", "per_page"];
    QUESTIONS.contains(&words(name).join("_").as_str())
}

fn choices(schema: &Value) -> impl Iterator<Item = &str> {
    let here = schema.get("enum").or_else(|| schema.pointer("/items/enum"));
    here.and_then(Value::as_array).into_iter().flatten().chain(schema.get("const")).filter_map(Value::as_str)
}

/// Whether a schema takes a list, plainly or as one of its alternatives.
pub(super) fn is_list(schema: &Value) -> bool {
    let alternatives = ["oneOf", "anyOf"].iter().filter_map(|key| schema.get(*key)?.as_array()).flatten();
    schema.get("type").is_some_and(|kind| kind == "array")
        || alternatives.into_iter().any(|one| one.get("type").is_some_and(|kind| kind == "array"))
}

/// The members of a body that is one argument, its alternatives included.
pub(super) fn members(schema: &Value) -> Vec<(&str, &Value)> {
    let parts = ["oneOf", "anyOf", "allOf"].iter().filter_map(|key| schema.get(*key)?.as_array()).flatten();
    let objects = std::iter::once(schema).chain(parts).filter_map(|part| part.get("properties")?.as_object());
    objects.flat_map(Map::iter).map(|(name, member)| (name.as_str(), member)).collect()
}
