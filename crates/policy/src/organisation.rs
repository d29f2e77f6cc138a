//! The organisation's rules, from the text of `policies/*.cedar`: only `forbid`, each under an `@id` of its own. What can be
//! said without knowing a tool is checked here; nothing of a file with a problem counts.

use std::{collections::BTreeMap, ops::Range};

use ambit_model::Digest;
use cedar_policy::{Effect, Policy, PolicyId};

use crate::{
    problem::{RuleProblem, Source},
    rule::Rule,
    statements::{Statement, split, words},
    zone::{UnknownTimezone, Zone},
};

/// The largest rule set that is read, in bytes over all files.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The annotations a rule may carry.
const ANNOTATIONS: [&str; 6] = ["id", "mode", "message", "reason", "owner", "ticket"];

/// A file of rules.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct PolicyFile {
    /// Its name, as problems and explanations say it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The organisation's rules as they are written, and the zone their hours are meant in.
#[derive(Clone, Debug)]
pub struct Policies {
    files: Vec<PolicyFile>,
    zone: Zone,
}

/// Rules as they are kept, with the schema they were written for.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct KeptPolicies {
    /// The files, by name.
    pub files: Vec<PolicyFile>,
    /// The zone hours are meant in.
    pub timezone: String,
    /// What rules could read.
    pub schema: String,
}

impl KeptPolicies {
    /// These rules, to be kept.
    pub fn of(policies: &Policies) -> Self {
        Self {
            files: policies.files.clone(),
            timezone: policies.timezone().to_owned(),
            schema: crate::schema::PLATFORM_SCHEMA.to_owned(),
        }
    }
}

impl Default for Policies {
    fn default() -> Self {
        Self { files: Vec::new(), zone: Zone::utc() }
    }
}

impl PartialEq for Policies {
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files && self.zone.name() == other.zone.name()
    }
}

impl Policies {
    /// The rules of some files. UTC if no zone is named.
    ///
    /// # Errors
    /// [`UnknownTimezone`].
    pub fn new(mut files: Vec<PolicyFile>, timezone: Option<&str>) -> Result<Self, UnknownTimezone> {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { files, zone: timezone.map_or_else(|| Ok(Zone::utc()), Zone::named)? })
    }

    /// The files, by name.
    pub fn files(&self) -> &[PolicyFile] {
        &self.files
    }

    /// The zone hours are meant in.
    pub fn timezone(&self) -> &str {
        self.zone.name()
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The digest of names, texts and zone.
    pub fn digest(&self) -> Digest {
        Digest::of_parts(self.parts())
    }

    pub(crate) fn zone(&self) -> &Zone {
        &self.zone
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let files = self.files.iter().flat_map(|file| [file.name.as_bytes(), file.text.as_bytes()]);
        files.chain([self.zone.name().as_bytes()])
    }

    pub(crate) fn source(&self, file: usize) -> Option<Source<'_>> {
        self.files.get(file).map(|file| Source { file: &file.name, text: &file.text })
    }

    /// Every rule, or every problem.
    pub(crate) fn read(&self) -> Result<Vec<Rule>, Vec<RuleProblem>> {
        let (mut rules, mut problems) = (Vec::new(), Vec::new());
        let mut named: BTreeMap<String, String> = BTreeMap::new();
        for (number, file) in self.files.iter().enumerate() {
            let source = Source { file: &file.name, text: &file.text };
            for statement in split(&file.text) {
                let read = read(&source, number, statement).and_then(|rule| {
                    let place =
                        format!("{}:{}", file.name, source.problem(statement.start..statement.start, "", None).line);
                    match named.insert(rule.id().to_owned(), place) {
                        None => Ok(rule),
                        Some(first) => {
                            let message = format!("the `@id` `{}` stands already at {first}", rule.id());
                            Err(vec![at_annotation(&source, statement, "id", message, "give each rule its own")])
                        }
                    }
                });
                match read {
                    Ok(rule) => rules.push(rule),
                    Err(more) => problems.extend(more),
                }
            }
        }
        if problems.is_empty() { Ok(rules) } else { Err(problems) }
    }
}

/// Where a rule was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Written {
    /// The number of the file.
    pub(crate) file: usize,
    /// Where its statement starts, in bytes.
    pub(crate) start: usize,
    /// How long it is, in bytes.
    pub(crate) length: usize,
}

fn read(source: &Source<'_>, file: usize, statement: Statement<'_>) -> Result<Rule, Vec<RuleProblem>> {
    let policy = Policy::parse(None, statement.text).map_err(|errors| {
        let complaints = errors.iter().map(|error| source.complaint(statement.start, statement.text.len(), error));
        complaints.collect::<Vec<_>>()
    })?;
    let of_rule = |message: String, remedy: &str| {
        let word = head(statement.text);
        vec![source.problem(statement.start + word.start..statement.start + word.end, message, Some(remedy))]
    };
    if policy.effect() == Effect::Permit {
        let remedy = "grants let callers in: write a grant, or turn this around into a `forbid`";
        return Err(of_rule(
            "a rule of the organisation only takes away, so `permit` is not allowed".to_owned(),
            remedy,
        ));
    }
    let id = annotations(source, statement, &policy)?;
    let written = Written { file, start: statement.start, length: statement.text.len() };
    let rule = Rule::of_organisation(policy.new_id(PolicyId::new(id.clone())), written);
    let complain = |message: &str, remedy: &str| {
        of_rule(message.to_owned(), remedy).into_iter().map(|problem| problem.of(&id)).collect::<Vec<_>>()
    };
    if rule.compares_actions() {
        return Err(complain(
            "the conditions read `action`",
            "say in the head which action is meant: `action in Action::\"call\"`, `action == Action::\"list\"`, or \
             `action == Action::\"server/tool\"`",
        ));
    }
    if rule.is_per_call() && rule.answers_list() {
        return Err(complain(
            "the rule reads `context`, which belongs to one call, and is asked about lists as well",
            "limit it to calls: `action in Action::\"call\"`",
        ));
    }
    if let Some(never) = rule.never() {
        let found = never.at.as_ref().and_then(|text| find(statement.text, text));
        let at = found.unwrap_or_else(|| head(statement.text));
        let what = if never.part { "a part of the rule" } else { "the rule" };
        let message = format!("{what} can never match: {}", never.message);
        let problem =
            source.problem(statement.start + at.start..statement.start + at.end, message, Some(&never.remedy));
        return Err(vec![problem.of(&id)]);
    }
    Ok(rule)
}

/// What stands before a rule. Gives its name.
fn annotations(source: &Source<'_>, statement: Statement<'_>, policy: &Policy) -> Result<String, Vec<RuleProblem>> {
    let id = match policy.annotation("id") {
        Some(id) if is_id(id) => id.to_owned(),
        Some(id) => {
            let message = format!("`{id}` is no `@id`");
            let remedy = "write lower-case letters, digits, `-`, `_` and `.`, at most 64, starting with a letter";
            return Err(vec![at_annotation(source, statement, "id", message, remedy)]);
        }
        None => {
            let (message, word) = ("the rule has no `@id`", head(statement.text));
            let at = statement.start + word.start..statement.start + word.end;
            let remedy = "write `@id(\"name\")` before it, so that decisions can name it";
            return Err(vec![source.problem(at, message, Some(remedy))]);
        }
    };
    if is_platforms(&id) {
        let message = format!("the `@id` `{id}` is of the platform's own rules");
        return Err(vec![at_annotation(
            source,
            statement,
            "id",
            message,
            "name it without `guard.`, `ambit.` or `entitled`",
        )]);
    }
    if let Some((name, _)) = policy.annotations().find(|(name, _)| !ANNOTATIONS.contains(name)) {
        let message = format!("`@{name}` means nothing here");
        let remedy =
            format!("the annotations of a rule are {}", ANNOTATIONS.map(|name| format!("`@{name}`")).join(", "));
        return Err(vec![at_annotation(source, statement, name, message, &remedy).of(&id)]);
    }
    if let Some(mode) = policy.annotation("mode").filter(|mode| !["enforce", "report"].contains(mode)) {
        let message = format!("`{mode}` is no mode");
        let remedy = "write `@mode(\"report\")` to record only, or leave it out to enforce";
        return Err(vec![at_annotation(source, statement, "mode", message, remedy).of(&id)]);
    }
    Ok(id)
}

/// Where the word stands that says what kind of rule it is, after the annotations.
pub(crate) fn head(statement: &str) -> Range<usize> {
    let found = words(statement).find(|word| matches!(statement.get(word.clone()), Some("forbid" | "permit")));
    found.unwrap_or(0..statement.len())
}

/// Where a text of a rule stands, behind its annotations.
pub(crate) fn find(statement: &str, text: &str) -> Option<Range<usize>> {
    let conditions = head(statement).end;
    let at = conditions + statement.get(conditions..)?.find(text)?;
    Some(at..at + text.len())
}

fn at_annotation(
    source: &Source<'_>,
    statement: Statement<'_>,
    name: &str,
    message: String,
    remedy: &str,
) -> RuleProblem {
    let from = statement.text.find(&format!("@{name}")).unwrap_or(0);
    let rest = statement.text.get(from..).unwrap_or_default();
    let length = rest.find(')').map_or(rest.len(), |end| end + 1);
    source.problem(statement.start + from..statement.start + from + length, message, Some(remedy))
}

fn is_id(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
}

/// The names of the platform's rules, those there are and those there may be.
fn is_platforms(id: &str) -> bool {
    id == "entitled" || id.starts_with("guard.") || id.starts_with("ambit.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Rule>, Vec<RuleProblem>> {
        let file = PolicyFile { name: "policies/a.cedar".to_owned(), text: text.to_owned() };
        Policies::new(vec![file], None).unwrap().read()
    }

    #[test]
    fn what_is_no_rule_of_the_organisation_is_refused_at_its_place() {
        for (text, place, message) in [
            ("\n  permit (principal, action, resource);", (2, 3), "`permit` is not allowed"),
            ("@id(\"a\")\npermit (principal, action, resource);", (2, 1), "`permit` is not allowed"),
            ("forbid (principal, action, resource);", (1, 1), "has no `@id`"),
            ("@mode(\"report\") @id(\"A b\") forbid (principal, action, resource);", (1, 17), "`A b` is no `@id`"),
            ("@id(\"guard.x\") forbid (principal, action, resource);", (1, 1), "of the platform's own"),
            ("@id(\"entitled\") forbid (principal, action, resource);", (1, 1), "of the platform's own"),
            ("@id(\"a\") @mod(\"report\") forbid (principal, action, resource);", (1, 10), "`@mod` means nothing"),
            ("@id(\"a\") @mode(\"off\") forbid (principal, action, resource);", (1, 10), "`off` is no mode"),
            (
                "@id(\"a\") forbid (principal, action, resource);\n@id(\"a\") forbid (principal, action, resource);",
                (2, 1),
                "stands already at policies/a.cedar:1",
            ),
            ("@id(\"a\") forbid (principal, action, resource) when { context.approved };", (1, 10), "reads `context`"),
            (
                "@id(\"a\") forbid (principal, action in Action::\"call\", resource) when { action in Action::\"call\" };",
                (1, 10),
                "conditions read `action`",
            ),
            (
                "@id(\"a\") forbid (principal, action, resource) when { resource.effect = \"read\" };",
                (1, 54),
                "not a valid operator",
            ),
            (
                "@id(\"a\") forbid (principal, action, resource)\n  when { resource.effect == \"wirte\" };",
                (2, 29),
                "can never match: `resource.effect` is never `wirte`",
            ),
            (
                "@id(\"a\") forbid (principal, action in Action::\"call\", resource) when { context.time.hour > 23 };",
                (1, 85),
                "can never match: `context.time.hour` is never > 23",
            ),
            ("@id(\"a\") forbid (principal == ?principal, action, resource);", (1, 0), "template"),
            ("@id(\"a\") forbid (principal, action, resource)", (1, 0), "unexpected end"),
        ] {
            let problems = read_text(text).err().unwrap();
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].message.contains(message), "{text}: {}", problems[0]);
            // Where the engine puts its own complaint within a line is its own matter.
            let column = if place.1 == 0 { 0 } else { problems[0].column };
            assert_eq!((problems[0].line, column), place, "{text}: {}", problems[0]);
        }
    }

    #[test]
    fn every_problem_is_told_and_nothing_counts_then() {
        let problems = read_text(
            "permit (principal, action, resource); forbid (principal, action, resource);\n@id(\"ok\") forbid (principal, action, resource);",
        );
        assert_eq!(problems.err().unwrap().len(), 2);
        let rules = read_text("// two\n@id(\"a\") forbid (principal, action, resource);\n@id(\"b.c-d_1\") @mode(\"report\") forbid (principal, action, resource);").unwrap();
        assert_eq!(
            rules.iter().map(|rule| (rule.id(), rule.is_reported())).collect::<Vec<_>>(),
            [("a", false), ("b.c-d_1", true)]
        );
    }

    #[test]
    fn the_digest_covers_names_texts_and_zone() {
        let of = |name: &str, text: &str, zone| {
            Policies::new(vec![PolicyFile { name: name.into(), text: text.into() }], zone).unwrap().digest()
        };
        let base = of("a", "b", None);
        assert_ne!(of("a", "c", None), base);
        assert_ne!(of("b", "b", None), base);
        assert_ne!(of("a", "b", Some("Europe/Berlin")), base);
        assert_eq!(of("a", "b", Some("UTC")), base);
    }
}
