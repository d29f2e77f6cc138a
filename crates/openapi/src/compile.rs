//! A document compiled to tools.
//!
//! Every operation is compiled alone: one that cannot be is reported with its JSON pointer and left out, the others stay.
//! Names, schemas and effects depend on the content of the document, not on its order. The result shares nothing with the
//! document and can outlive it.

mod operation;
mod shown;

use std::collections::BTreeSet;
use std::sync::Arc;

use ambit_model::Effect;
use http::Method;
use serde_json::Value;

use crate::document::{DocumentError, version};
use crate::names::tool_names;
use crate::parameters::credentials;
use crate::plan::Plan;
use crate::schema::Converter;
use operation::{Context, Operation};

/// The most operations of one document.
pub const MAX_OPERATIONS: usize = 5_000;
/// The members of a path item that are operations, in the order they are compiled.
const METHODS: [(&str, Method); 8] = [
    ("get", Method::GET),
    ("head", Method::HEAD),
    ("post", Method::POST),
    ("put", Method::PUT),
    ("patch", Method::PATCH),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("trace", Method::TRACE),
];

/// What to compile.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which tools carry an `outputSchema`.
    pub output_schemas: OutputSchemas,
}

/// Which tools carry an `outputSchema`. A document's answers are often described wrongly, and a client that checks them
/// then refuses a good one: it is switched on for tools whose answers somebody has looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OutputSchemas {
    /// None.
    #[default]
    Off,
    /// These, by local name.
    Of(BTreeSet<String>),
}

/// The tools of a document.
#[derive(Debug, Clone, Default)]
pub struct Compiled {
    /// The tools, by path and method.
    pub tools: Vec<Arc<OperationTool>>,
    /// The operations that could not be compiled.
    pub left_out: Vec<LeftOut>,
}

/// An operation that could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its JSON pointer in the document.
    pub pointer: String,
    /// Why.
    pub reason: String,
}

/// One operation as a tool.
#[derive(Debug, Clone)]
pub struct OperationTool {
    /// Its local name.
    pub name: String,
    /// The document's id of the operation.
    pub operation_id: Option<String>,
    /// A title for people.
    pub title: Option<String>,
    /// What the model reads.
    pub description: String,
    /// The schema of the arguments; its root is a closed object without composition.
    pub input_schema: Value,
    /// The schema of the answer, where asked for and the document has one.
    pub output_schema: Option<Value>,
    /// The method.
    pub method: Method,
    /// The path template, as the document has it.
    pub path: String,
    /// Ambit's own classification.
    pub effect: Effect,
    /// The sentence that explains it.
    pub reason: String,
    /// Whether it is taken to read because of its method, and no word that is known says so: its owner should look.
    pub by_method_alone: bool,
    /// How a request is built.
    pub plan: Plan,
}

/// Compiles a document.
///
/// # Errors
/// [`DocumentError`] where the document as a whole cannot be used.
pub fn compile(document: &Value, options: &Options) -> Result<Compiled, DocumentError> {
    let version = version(document)?;
    let document = crate::scope::absolute(document);
    let document = document.as_ref();
    let mut converter = Converter::new(document, version);
    let (operations, mut left_out) = operations(document, &converter)?;
    let names = tool_names(&operations.iter().map(Operation::identity).collect::<Vec<_>>());
    let credentials = credentials(document, &converter.refs);
    let mut context = Context { converter: &mut converter, credentials: &credentials, options };
    let mut tools = Vec::with_capacity(operations.len());
    for (operation, name) in operations.iter().zip(names) {
        let compiled = match name {
            Some(name) => operation.compile(name, &mut context),
            None => Err("another operation has the same name and place".to_owned()),
        };
        match compiled {
            Ok(tool) => tools.push(Arc::new(tool)),
            Err(reason) => left_out.push(LeftOut { pointer: operation.pointer(), reason }),
        }
    }
    left_out.sort_by(|one, other| one.pointer.cmp(&other.pointer));
    Ok(Compiled { tools, left_out })
}

/// The operations of a document by path and method, and the path items that are none.
fn operations<'d>(
    document: &'d Value,
    converter: &Converter<'d>,
) -> Result<(Vec<Operation<'d>>, Vec<LeftOut>), DocumentError> {
    let paths = document.get("paths").and_then(Value::as_object).ok_or(DocumentError::NoPaths)?;
    let mut sorted: Vec<_> = paths.iter().filter(|(path, _)| !path.starts_with("x-")).collect();
    sorted.sort_unstable_by(|one, other| one.0.cmp(other.0));
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for (path, raw) in sorted {
        let pointer = format!("/paths/{}", operation::token(path));
        let item = match converter.refs.deref(raw) {
            Ok(item) if item.is_object() => item,
            Ok(_) => {
                left_out.push(LeftOut { pointer, reason: "the path item is not an object".to_owned() });
                continue;
            }
            Err(error) => {
                left_out.push(LeftOut { pointer, reason: error.to_string() });
                continue;
            }
        };
        for (key, method) in &METHODS {
            let Some(raw) = item.get(*key) else { continue };
            found.push(Operation { path, key, method: method.clone(), item, raw });
            if found.len() > MAX_OPERATIONS {
                return Err(DocumentError::TooManyOperations(MAX_OPERATIONS));
            }
        }
    }
    Ok((found, left_out))
}

#[cfg(test)]
mod tests;
