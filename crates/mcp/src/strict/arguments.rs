//! A call's `arguments` become one value: validated, judged, digested and sent as the same tree.
//!
//! A number is accepted only if nothing is lost on the way: an integer literal that fits `i64` or
//! `u64`, or a literal whose decimal value equals the shortest decimal form of the `f64` it reads
//! as (so `1.10`, `1.0`, `1e2` pass: other spelling, same number; `0.1000000000000000055511151231`
//! and 23-digit integers do not). Otherwise the human who approves a call, and the API that runs
//! it, could see different numbers.

use serde_json::{Map, Number, Value};

use crate::raw::Raw;
use crate::scan::{Fault, Mode, Scanner};

use super::Limits;

/// Why arguments were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Not an object.
    #[error("`arguments` must be an object")]
    NotAnObject,
    /// A number would change its value.
    #[error(
        "number at `{pointer}` in `arguments` cannot be kept exactly: `{literal}`; send it as a string or with fewer digits"
    )]
    Number {
        /// RFC 6901 pointer inside `arguments`.
        pointer: String,
        /// The literal, at most 64 characters of it.
        literal: String,
    },
    /// The text is not JSON of the strict kind.
    #[error("`arguments`: {0}")]
    Json(Fault),
}

/// Reads `arguments`, in the order the caller wrote them.
///
/// # Errors
/// See [`ArgumentError`]; depth is bounded by [`Limits::DEPTH_CEILING`] and, for spans of a parsed
/// message, already by the limits of that parse.
pub fn parse_arguments(raw: Raw<'_>) -> Result<Value, ArgumentError> {
    if !raw.is_object() {
        return Err(ArgumentError::NotAnObject);
    }
    let scanner = Scanner::new(raw.as_str(), Mode::Strict, Limits::DEPTH_CEILING, usize::MAX);
    let mut builder = Builder { scanner, path: Vec::new() };
    let value = builder.value()?;
    builder.scanner.finish().map_err(ArgumentError::Json)?;
    Ok(value)
}

enum Step {
    Key(String),
    Index(usize),
}

struct Builder<'a> {
    scanner: Scanner<'a>,
    /// Where we are; filled only for arrays' indexes and objects' keys on the way down.
    path: Vec<Step>,
}

impl Builder<'_> {
    fn value(&mut self) -> Result<Value, ArgumentError> {
        match self.scanner.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => {
                let text = self.scanner.string("a string").map_err(ArgumentError::Json)?;
                Ok(Value::String(text.into_owned()))
            }
            _ => {
                let text = self.scanner.value().map_err(ArgumentError::Json)?;
                match text {
                    "true" => Ok(Value::Bool(true)),
                    "false" => Ok(Value::Bool(false)),
                    "null" => Ok(Value::Null),
                    literal => exact_number(literal).map(Value::Number).ok_or_else(|| self.inexact(literal)),
                }
            }
        }
    }

    fn object(&mut self) -> Result<Value, ArgumentError> {
        let mut map = Map::new();
        let mut object = self.scanner.open_object().map_err(ArgumentError::Json)?;
        while let Some(key) = self.scanner.next_key(&mut object).map_err(ArgumentError::Json)? {
            self.path.push(Step::Key(key.name.into_owned()));
            let value = self.value()?;
            if let Some(Step::Key(name)) = self.path.pop() {
                map.insert(name, value);
            }
        }
        Ok(Value::Object(map))
    }

    fn array(&mut self) -> Result<Value, ArgumentError> {
        let mut items = Vec::new();
        let mut array = self.scanner.open_array().map_err(ArgumentError::Json)?;
        while self.scanner.next_item(&mut array).map_err(ArgumentError::Json)? {
            self.path.push(Step::Index(items.len()));
            items.push(self.value()?);
            self.path.pop();
        }
        Ok(Value::Array(items))
    }

    fn inexact(&self, literal: &str) -> ArgumentError {
        let mut pointer = String::new();
        for step in &self.path {
            pointer.push('/');
            match step {
                Step::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
                Step::Index(index) => pointer.push_str(&index.to_string()),
            }
        }
        ArgumentError::Number { pointer, literal: literal.chars().take(64).collect() }
    }
}

/// The number, if its value survives; `literal` follows the JSON grammar.
fn exact_number(literal: &str) -> Option<Number> {
    let integer = !literal.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'));
    if integer {
        if literal == "-0" {
            return Some(Number::from(0));
        }
        if let Ok(signed) = literal.parse::<i64>() {
            return Some(Number::from(signed));
        }
        // An integer beyond 64 bits is refused even where a float could hold it: it would be sent
        // in another notation than the one it was written in.
        return literal.parse::<u64>().ok().map(Number::from);
    }
    let float = literal.parse::<f64>().ok()?;
    let number = Number::from_f64(float)?;
    // The form that will be sent. Where two shortest forms are equally near (…786.25 as …786.2 or …786.3)
    // another formatter may choose the other one.
    let shortest = number.to_string();
    (Decimal::of(literal)? == Decimal::of(&shortest)?).then_some(number)
}

/// A decimal literal in one normal form: digits without outer zeros, and the power of ten of the
/// last one. Equal numbers have equal forms.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn of(literal: &str) -> Option<Self> {
        let (negative, rest) = match literal.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, literal),
        };
        let (mantissa, power) = match rest.split_once(['e', 'E']) {
            // An exponent beyond i32 cannot belong to a finite, non-zero f64.
            Some((mantissa, power)) => (mantissa, i64::from(power.parse::<i32>().ok()?)),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = String::with_capacity(whole.len() + fraction.len());
        digits.push_str(whole.trim_start_matches('0'));
        digits.push_str(fraction);
        let mut exponent = power.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let kept = digits.trim_end_matches('0').len();
        exponent += i64::try_from(digits.len() - kept).ok()?;
        digits.truncate(kept);
        let leading = digits.len() - digits.trim_start_matches('0').len();
        digits.drain(..leading);
        if digits.is_empty() {
            // Zero has neither sign nor scale.
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        Some(Self { negative, digits, exponent })
    }
}

/// The value as JSON with the members of every object in the byte order of their names, without
/// white space: the one form that is digested and sent.
pub fn to_sorted_json(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    write_sorted_json(value, &mut out);
    out
}

/// [`to_sorted_json`] into a buffer that already holds something.
pub fn write_sorted_json(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => crate::write::string(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_sorted_json(item, out);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (index, (name, item)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                crate::write::string(out, name);
                out.push(b':');
                write_sorted_json(item, out);
            }
            out.push(b'}');
        }
    }
}
