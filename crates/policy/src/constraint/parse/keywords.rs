//! The keywords about values: types, finite sets, limits. Each goes into the description it narrows and says which types it
//! speaks of.

use serde_json::Value;

use super::{MAX_VALUES, Place, Reader};
use crate::constraint::{
    error::{ConstraintError, Fault},
    node::{Bound, Node, NumberLimits},
    number,
    pattern::Pattern,
    types::Types,
};

impl Reader {
    pub(super) fn types(&self, names: &Value) -> Result<Types, ConstraintError> {
        let expected =
            "a JSON type or a list of some: `string`, `number`, `integer`, `boolean`, `array`, `object`, `null`";
        Types::read(names).ok_or_else(|| self.refuse(Fault::Value { keyword: "type", expected }))
    }

    pub(super) fn values(&self, key: &str, argument: &Value) -> Result<Vec<Value>, ConstraintError> {
        if key == "const" {
            return Ok(vec![argument.clone()]);
        }
        let expected = "a list of at least one value";
        let values = argument.as_array().filter(|values| !values.is_empty());
        let values = values.ok_or_else(|| self.refuse(Fault::Value { keyword: "enum", expected }))?;
        if values.len() > MAX_VALUES {
            let remedy = "use a `pattern`, or make several grants of it";
            return Err(self.refuse(Fault::TooLarge { what: "`enum`", limit: MAX_VALUES, remedy }));
        }
        Ok(values.clone())
    }

    pub(super) fn text(&mut self, key: &str, argument: &Value, node: &mut Node) -> Result<Types, ConstraintError> {
        match key {
            "minLength" => node.text.min = self.count("minLength", argument)?,
            "maxLength" => node.text.max = Some(self.count("maxLength", argument)?),
            _ => {
                let expected = "a regular expression as text";
                let source =
                    argument.as_str().ok_or_else(|| self.refuse(Fault::Value { keyword: "pattern", expected }))?;
                let pattern = Pattern::compile(source).map_err(|fault| self.refuse(Fault::Pattern(fault)))?;
                if !pattern.is_anchored() {
                    self.advice.push(format!(
                        "pattern `{source}` at `{}` also matches inside a longer text: write `^(…)$` to mean all of it",
                        self.pointer()
                    ));
                }
                node.text.patterns.push(pattern);
            }
        }
        Ok(Types::STRING)
    }

    pub(super) fn number(&self, key: &str, argument: &Value, node: &mut Node) -> Result<Types, ConstraintError> {
        let keyword = match key {
            "minimum" => "minimum",
            "maximum" => "maximum",
            "exclusiveMinimum" => "exclusiveMinimum",
            "exclusiveMaximum" => "exclusiveMaximum",
            _ => {
                let expected = "a whole number from 1 to 2^53";
                let step = argument.as_u64().filter(|step| (1..=number::MAX_STEP).contains(step));
                node.number.steps =
                    vec![step.ok_or_else(|| self.refuse(Fault::Value { keyword: "multipleOf", expected }))?];
                return Ok(Types::INTEGER);
            }
        };
        let Value::Number(at) = argument else {
            return Err(self.refuse(Fault::Value { keyword, expected: "a number" }));
        };
        let bound = Some(Bound { at: number::canonical(at), open: keyword.starts_with("exclusive") });
        let mut limits = NumberLimits::default();
        if keyword.ends_with("inimum") {
            limits.min = bound;
        } else {
            limits.max = bound;
        }
        node.number = node.number.meet(&limits);
        Ok(Types::NUMBER)
    }

    pub(super) fn list(&mut self, key: &str, argument: &Value, node: &mut Node) -> Result<Types, ConstraintError> {
        match key {
            "minItems" => node.list.min = self.count("minItems", argument)?,
            "maxItems" => node.list.max = Some(self.count("maxItems", argument)?),
            _ => {
                self.path.push("items".to_owned());
                node.list.items = Some(Box::new(self.schema(argument, Place::Items)?.node));
                self.path.pop();
            }
        }
        Ok(Types::ARRAY)
    }

    fn count(&self, keyword: &'static str, argument: &Value) -> Result<u64, ConstraintError> {
        let whole = match argument {
            Value::Number(number) => number::canonical(number).as_u64(),
            _ => None,
        };
        whole.ok_or_else(|| self.refuse(Fault::Value { keyword, expected: "a whole number of at least 0" }))
    }
}
