//! One page of an upstream's `tools/list`.
//!
//! Each tool is read on its own: one that cannot be used is left out with the reason, the rest of
//! the page stays. Definitions are held to the strict grammar (each key once, whole surrogate
//! pairs), because they are digested, shown and validated against as one tree.

use serde_json::{Map, Value};

use super::answer::{member, string};
use super::result::final_type;
use super::{quoted, scanner};
use crate::headers::mirror::{self, Mirrors};
use crate::raw::Raw;
use crate::scan::{Mode, Scanner};

/// Longest name of a tool, in bytes. The specification recommends 128 characters.
pub const MAX_NAME_BYTES: usize = 256;

/// Longest cursor that is sent back, in bytes.
pub const MAX_CURSOR_BYTES: usize = 8 * 1024;

/// A tool as its server describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedTool {
    /// Its name there.
    pub name: String,
    /// A title for people.
    pub title: Option<String>,
    /// What the model reads.
    pub description: Option<String>,
    /// The schema of the arguments, an object.
    pub input_schema: Value,
    /// The schema of the result.
    pub output_schema: Option<Value>,
    /// Its annotations, an object: hints, and untrusted.
    pub annotations: Option<Value>,
    /// Every other member.
    pub rest: Option<Value>,
    /// The parameters a modern call mirrors in headers.
    pub mirrors: Mirrors,
}

/// A tool that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Its name, or `tool 7` of the page where it has none.
    pub place: String,
    /// Why.
    pub reason: String,
}

/// One page.
#[derive(Debug, Default, PartialEq)]
pub struct Page {
    /// The usable tools, in the server's order.
    pub tools: Vec<ListedTool>,
    /// The others.
    pub left_out: Vec<Unusable>,
    /// Where the next page begins; none on the last.
    pub next_cursor: Option<String>,
}

/// Reads the result of `tools/list`, of at most `most` tools. A tool in whose text `tells_secret` finds
/// one is left out, and not even named.
///
/// # Errors
/// One clause that says why this is not a page.
pub fn read_page(result: Raw<'_>, most: usize, tells_secret: impl Fn(&str) -> bool) -> Result<Page, String> {
    final_type(member(result, "resultType")).map_err(|fault| fault.to_string())?;
    let tools = member(result, "tools").filter(|tools| tools.as_str().starts_with('['));
    let tools = tools.ok_or("its `result` has no array `tools`")?;
    let mut page = Page { next_cursor: next_cursor(result)?, ..Page::default() };
    let unreadable = |_| "its `tools` cannot be read".to_owned();
    let mut scanner = scanner(tools.as_str());
    let mut array = scanner.open_array().map_err(unreadable)?;
    let mut count = 0;
    while scanner.next_item(&mut array).map_err(unreadable)? {
        let item = scanner.value().map_err(unreadable)?;
        if count == most {
            return Err("it lists more tools than the `max_tools` of this server".into());
        }
        count += 1;
        if tells_secret(item) {
            let reason = "it repeats the credential that the server is reached with".into();
            page.left_out.push(Unusable { place: format!("tool {count}"), reason });
            continue;
        }
        match read_tool(item) {
            Ok(tool) => page.tools.push(tool),
            Err(reason) => {
                let name = member(Raw::from_scanned(item), "name").and_then(|name| string(name.as_str()));
                let place = name.map_or_else(|| format!("tool {count}"), |name| quoted(&name, 128));
                page.left_out.push(Unusable { place, reason });
            }
        }
    }
    Ok(page)
}

/// What of a page its tools depend on. A page that says the same here reads the same.
pub fn substance(result: Raw<'_>) -> [&str; 2] {
    ["resultType", "tools"].map(|name| member(result, name).map_or("", Raw::as_str))
}

/// Where the next page begins, without looking into this one. An empty cursor ends the list as an absent one does: real
/// servers write both.
///
/// # Errors
/// One clause that says why it cannot be followed.
pub fn next_cursor(result: Raw<'_>) -> Result<Option<String>, String> {
    match member(result, "nextCursor") {
        None => Ok(None),
        Some(cursor) if matches!(cursor.as_str(), "null" | "\"\"") => Ok(None),
        Some(cursor) => match string(cursor.as_str()) {
            Some(cursor) if cursor.len() <= MAX_CURSOR_BYTES => Ok(Some(cursor.into_owned())),
            Some(_) => Err("its `nextCursor` is too long".into()),
            None => Err("its `nextCursor` is not a string".into()),
        },
    }
}

fn read_tool(text: &str) -> Result<ListedTool, String> {
    let mut strict = Scanner::new(text, Mode::Strict, super::MAX_DEPTH, usize::MAX);
    strict.value().map_err(|fault| fault.to_string())?;
    let value: Value = serde_json::from_str(text).map_err(|error| format!("it cannot be read: {error}"))?;
    let Value::Object(mut members) = value else {
        return Err("it is not an object".into());
    };
    // `null` is how some servers write "none".
    members.retain(|_, value| !value.is_null());
    let name = take_string(&mut members, "name")?.ok_or("it has no `name`")?;
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(format!("its `name` is empty or longer than {MAX_NAME_BYTES} bytes"));
    }
    let title = take_string(&mut members, "title")?;
    let description = take_string(&mut members, "description")?;
    let input_schema = take_object(&mut members, "inputSchema")?.ok_or("it has no `inputSchema`")?;
    let (mirrors, invalid) = mirror::compile(&input_schema);
    if let Some(invalid) = invalid.into_iter().next() {
        // The specification has clients drop such a tool.
        return Err(invalid.to_string());
    }
    if members.get("execution").and_then(|execution| execution.get("taskSupport")) == Some(&Value::from("required")) {
        return Err("it runs only as a task, which is not relayed".into());
    }
    let annotations = take_object(&mut members, "annotations")?;
    let output_schema = members.remove("outputSchema");
    let rest = (!members.is_empty()).then_some(Value::Object(members));
    Ok(ListedTool { name, title, description, input_schema, output_schema, annotations, rest, mirrors })
}

fn take_string(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its `{name}` is not a string")),
    }
}

fn take_object(members: &mut Map<String, Value>, name: &str) -> Result<Option<Value>, String> {
    match members.remove(name) {
        None => Ok(None),
        Some(object @ Value::Object(_)) => Ok(Some(object)),
        Some(_) => Err(format!("its `{name}` is not an object")),
    }
}
