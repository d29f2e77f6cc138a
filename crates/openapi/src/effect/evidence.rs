//! What descriptions and argument schemas say about loss.

use serde_json::{Map, Value};

use super::words::{Sense, sense, sense_in_prose, words};
use crate::text::first_sentence;

/// Phrases of loss that count whatever the operation is called.
const LOSS: [&str; 12] = [
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
const UNMISTAKABLE: [&str; 11] = [
    "delete",
    "remove",
    "revoke",
    "destroy",
    "erase",
    "purge",
    "wipe",
    "disable",
    "overwrite",
    "deactivate",
    "restrict",
];

/// A description prepared for reading: visible text in lower case, without sentences about the interface's own future.
pub(super) fn prepared(description: &str) -> String {
    let about_itself = |sentence: &&str| !(sentence.contains("closing down") || sentence.contains("deprecated"));
    let text = crate::text::clean(description, 20_000).to_lowercase();
    let lines = text.lines().map(|line| line.split(". ").filter(about_itself).collect::<Vec<_>>().join(". "));
    lines.collect::<Vec<_>>().join("\n").trim_start().to_owned()
}

/// A phrase of loss in prepared text.
pub(super) fn loss(text: &str) -> Option<&'static str> {
    LOSS.into_iter().find(|phrase| text.contains(phrase))
}

/// A phrase of replacement in prepared text, or an unmistakable verb in its first sentence.
pub(super) fn replacement(text: &str) -> Option<&'static str> {
    REPLACEMENT.iter().copied().find(|phrase| text.contains(phrase)).or_else(|| harm_in_first_sentence(text))
}

/// An unmistakable verb of loss in the first sentence.
pub(super) fn harm_in_first_sentence(text: &str) -> Option<&'static str> {
    let sentence = words(first_sentence(text));
    UNMISTAKABLE.into_iter().find(|verb| {
        sentence.iter().any(|word| word == verb || word.strip_suffix('s').is_some_and(|stem| stem == *verb))
    })
}

/// A phrase that says nothing is kept.
pub(super) fn nothing_kept(text: &str) -> Option<&'static str> {
    NOTHING_KEPT.into_iter().find(|phrase| text.contains(phrase))
}

/// The first verb of prose within its first words.
pub(super) fn verb_of_prose(text: &str) -> Option<(String, Sense)> {
    let sentence = first_sentence(text);
    let first = words(sentence);
    // The first word may be of any sense; a later one is read as a verb only where it cannot be a noun.
    let leading = first.first().and_then(|word| Some((word.clone(), sense_in_prose(word)?)));
    leading.or_else(|| {
        let later = first.iter().skip(1).take(8);
        later.filter_map(|word| Some((word.clone(), sense(word)?))).find(|(_, sense)| *sense != Sense::HarmOrNoun)
    })
}

/// Whether a verb after `or` / `and` in a name adds a sense: `enable-or-disable`, `create_or_update`.
pub(super) fn alternative(words: &[String]) -> Option<(&str, Sense)> {
    let joins = words.windows(2).filter_map(|pair| match pair {
        [join, verb] if join == "or" || join == "and" => Some((verb.as_str(), sense(verb)?)),
        _ => None,
    });
    joins.max_by_key(|(_, sense)| matches!(sense, Sense::Harm | Sense::HarmOrNoun))
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
        (chooses && matches!(first, Some(Sense::Harm | Sense::HarmOrNoun)))
            || (kind && choice.len() > 1 && first == Some(Sense::Harm))
    })?;
    Some(format!("the argument `{}` can be `{}`", crate::text::clean(name, 60), crate::text::clean(chosen, 60)))
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
