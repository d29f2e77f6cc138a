//! From validated arguments to the one request they stand for.
//!
//! A [`Plan`] is made when the document is compiled: method, path template, parameters, body. [`Plan::build`] puts values
//! into their places, each encoded for its place. Scheme, host and prefix come from the [`BaseUrl`], the shape of the path
//! from the template; an argument can be neither more nor less than one value in its place, and one that tries is refused,
//! never repaired. The credential and the headers of the connection are added by the gateway.

mod template;
mod whole;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, uri::PathAndQuery};
use serde_json::{Map, Value};

use crate::body::BodyPlan;
use crate::names::Place;
use crate::parameters::style::{self, Pair};
use crate::parameters::{Credentials, Form, Parameter};
use crate::server::BaseUrl;
pub(crate) use template::Template;
pub use template::TemplateError;

/// The longest path and query, in bytes. Servers refuse longer ones, most with 8 or 16 KiB.
pub const MAX_TARGET_BYTES: usize = 16 << 10;

/// How one operation's request is built.
#[derive(Debug, Clone)]
pub struct Plan {
    method: Method,
    template: Template,
    parameters: Vec<Parameter>,
    body: Option<BodyPlan>,
    accept: HeaderValue,
    /// Every argument there is, sorted.
    arguments: Vec<String>,
    /// Names in query and cookies that an exploded object must not use: declared ones and credentials.
    taken: Vec<(Place, String)>,
}

/// A request, complete but for the credential and the headers of the connection.
#[derive(Debug, Clone)]
pub struct BuiltRequest {
    /// The method.
    pub method: Method,
    /// Path and query, with the base URL's prefix in front.
    pub path_and_query: PathAndQuery,
    /// `accept`, `content-type` where there is a body, declared header parameters, cookie parameters as one `cookie`.
    pub headers: HeaderMap,
    /// The body, if one is sent.
    pub body: Option<Vec<u8>>,
}

/// Why arguments do not make a request. Nothing has been sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Not an object.
    #[error("`{0}` is not an object: give its members by name")]
    NotAnObject(String),
    /// An argument the operation does not have.
    #[error("there is no argument `{0}`: remove it")]
    Unknown(String),
    /// An argument that must be given is not.
    #[error("the argument `{0}` is missing: give it a value")]
    Missing(String),
    /// A value that would change the shape of a path.
    #[error("the argument `{argument}` is part of a path and {problem}: give the plain identifier")]
    Path {
        /// The argument.
        argument: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A value that is not a header value.
    #[error("the argument `{0}` is sent as a header, which holds visible ASCII characters only: remove the others")]
    Header(String),
    /// A member name that would set another parameter.
    #[error("the argument `{argument}` has the member `{member}`, which is the name of another parameter: remove it")]
    Taken {
        /// The argument.
        argument: String,
        /// The member.
        member: String,
    },
    /// Text that is not base64.
    #[error("the argument `{0}` is not base64: encode the bytes in the standard alphabet")]
    Base64(String),
    /// A file name with a folder or a control character.
    #[error("the file name in `{0}` is empty or has a folder or a control character: give the plain name")]
    FileName(String),
    /// A text that is not a media type.
    #[error("the media type in `{0}` is not one: write it like `image/png`")]
    MediaType(String),
    /// More than [`MAX_TARGET_BYTES`].
    #[error("path and query would have `{0}` bytes, at most `{MAX_TARGET_BYTES}` are sent: give shorter values")]
    TooLong(usize),
    /// No separator is free of the content; does not happen by chance.
    #[error("no boundary can separate the parts of the body: change a value")]
    Boundary,
}

impl Plan {
    pub(crate) fn new(
        method: Method,
        template: Template,
        parameters: Vec<Parameter>,
        body: Option<BodyPlan>,
        accept: HeaderValue,
        credentials: &Credentials,
    ) -> Self {
        let named = parameters.iter().map(|parameter| parameter.argument.clone());
        let in_body = body.iter().flat_map(BodyPlan::arguments).map(str::to_owned);
        let mut arguments: Vec<String> = named.chain(in_body).collect();
        arguments.sort_unstable();
        let declared = parameters.iter().map(|one| (one.place, one.name.clone()));
        let spreads = |(place, _): &(Place, String)| matches!(place, Place::Query | Place::Cookie);
        let taken = declared.chain(credentials.iter().cloned()).filter(spreads).collect();
        Self { method, template, parameters, body, accept, arguments, taken }
    }

    /// The method of every request of this plan.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Builds the request of arguments that the tool's schema has already accepted.
    ///
    /// # Errors
    /// [`BuildError`]: a value that fits the schema and not its place.
    pub fn build(&self, base: &BaseUrl, arguments: &Value) -> Result<BuiltRequest, BuildError> {
        let arguments = whole::written(arguments);
        let arguments = arguments.as_object().ok_or_else(|| BuildError::NotAnObject("arguments".to_owned()))?;
        let known = |name: &&String| self.arguments.binary_search(name).is_err();
        if let Some(unknown) = arguments.keys().find(known) {
            return Err(BuildError::Unknown(crate::text::clean(unknown, 80)));
        }
        let path_and_query = self.target(base, arguments)?;
        let mut headers = self.headers(arguments)?;
        let body = match &self.body {
            Some(plan) => plan.write(arguments)?,
            None => None,
        };
        let body = match body {
            Some((media, bytes)) => {
                // INVARIANT: media types were checked when the document was compiled, boundaries are hexadecimal.
                let media = HeaderValue::try_from(media).map_err(|_| BuildError::Boundary)?;
                headers.insert(header::CONTENT_TYPE, media);
                Some(bytes)
            }
            None => None,
        };
        Ok(BuiltRequest { method: self.method.clone(), path_and_query, headers, body })
    }

    fn target(&self, base: &BaseUrl, arguments: &Map<String, Value>) -> Result<PathAndQuery, BuildError> {
        let value_of = |name: &str| {
            let parameter = self.parameters.iter().find(|one| one.place == Place::Path && one.name == name)?;
            Some((parameter, arguments.get(&parameter.argument)))
        };
        let mut target = base.prefix().to_owned();
        self.template.expand(value_of, &mut target)?;
        let mut open = '?';
        for (name, value) in self.query(arguments)? {
            target.push(open);
            target.push_str(&name);
            target.push('=');
            target.push_str(&value);
            open = '&';
        }
        if target.len() > MAX_TARGET_BYTES {
            return Err(BuildError::TooLong(target.len()));
        }
        // INVARIANT: only a checked template and encoded values went in.
        PathAndQuery::try_from(target).map_err(|_| BuildError::TooLong(usize::MAX))
    }

    fn query(&self, arguments: &Map<String, Value>) -> Result<Vec<Pair>, BuildError> {
        let mut pairs = Vec::new();
        for parameter in self.parameters.iter().filter(|parameter| parameter.place == Place::Query) {
            let Some(value) = given(parameter, arguments)? else { continue };
            match parameter.form {
                Form::Styled { style, explode, reserved } => {
                    self.refuse_taken(parameter, explode && style != style::Style::DeepObject, value)?;
                    pairs.extend(style::in_query(style, explode, reserved, &parameter.name, value));
                }
                Form::Json => pairs.push((style::encoded(&parameter.name), style::encoded(&style::json(value)))),
                Form::Text => {
                    let text = style::text(value).unwrap_or_default();
                    pairs.push((style::encoded(&parameter.name), style::encoded(&text)));
                }
            }
        }
        Ok(pairs)
    }

    /// An exploded object's members become parameters of their own; they must not be those of somebody else.
    fn refuse_taken(&self, parameter: &Parameter, spreads: bool, value: &Value) -> Result<(), BuildError> {
        let Value::Object(members) = value else { return Ok(()) };
        let taken = |name: &String| self.taken.iter().any(|(place, other)| *place == parameter.place && other == name);
        match members.keys().find(|name| spreads && taken(name)) {
            Some(member) => {
                let member = crate::text::clean(member, 80);
                Err(BuildError::Taken { argument: parameter.argument.clone(), member })
            }
            None => Ok(()),
        }
    }

    fn headers(&self, arguments: &Map<String, Value>) -> Result<HeaderMap, BuildError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, self.accept.clone());
        let mut cookies = Vec::new();
        for parameter in &self.parameters {
            if !matches!(parameter.place, Place::Header | Place::Cookie) {
                continue;
            }
            let Some(value) = given(parameter, arguments)? else { continue };
            let bad = || BuildError::Header(parameter.argument.clone());
            if parameter.place == Place::Cookie {
                let pairs = match parameter.form {
                    Form::Styled { explode, .. } => {
                        self.refuse_taken(parameter, explode, value)?;
                        style::in_cookie(explode, &parameter.name, value)
                    }
                    Form::Json => vec![(style::encoded(&parameter.name), style::encoded(&style::json(value)))],
                    Form::Text => style::in_cookie(false, &parameter.name, value),
                };
                cookies.extend(pairs.iter().map(|(name, value)| format!("{name}={value}")));
                continue;
            }
            let text = match parameter.form {
                Form::Styled { explode, .. } => style::in_header(explode, value),
                Form::Json => style::json(value),
                Form::Text => style::text(value).unwrap_or_default().into_owned(),
            };
            let name = HeaderName::try_from(&parameter.name).map_err(|_| bad())?;
            headers.insert(name, header_value(&text).ok_or_else(bad)?);
        }
        if !cookies.is_empty() {
            let bad = || BuildError::Header("cookie".to_owned());
            headers.insert(header::COOKIE, header_value(&cookies.join("; ")).ok_or_else(bad)?);
        }
        Ok(headers)
    }
}

fn given<'a>(parameter: &Parameter, arguments: &'a Map<String, Value>) -> Result<Option<&'a Value>, BuildError> {
    match arguments.get(&parameter.argument) {
        None if parameter.required => Err(BuildError::Missing(parameter.argument.clone())),
        None | Some(Value::Null) => Ok(None),
        Some(value) => Ok(Some(value)),
    }
}

/// Visible ASCII and inner blanks: what every server reads alike.
fn header_value(text: &str) -> Option<HeaderValue> {
    let visible = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    (visible && text.trim() == text).then(|| HeaderValue::from_str(text).ok()).flatten()
}

#[cfg(test)]
mod tests;
