//! The schemas rules are held to. There is one for rules that read no arguments, and one per tool for those that do: with a
//! schema of its own, an odd tool spoils nothing for the others.

use std::collections::BTreeSet;

use cedar_policy::{Schema, SchemaFragment};
use serde_json::{Value, json};

use crate::{rules::RulesError, typing::ArgumentType};

pub(crate) const PLATFORM_SCHEMA: &str = include_str!("platform.cedarschema");

/// Makes schemas.
pub(crate) struct Schemas {
    base: Value,
}

impl Schemas {
    pub(crate) fn platform() -> Result<Self, RulesError> {
        let broken = |error: &dyn ToString| RulesError::Schema(error.to_string());
        let (fragment, warnings) =
            SchemaFragment::from_cedarschema_str(PLATFORM_SCHEMA).map_err(|error| broken(&error))?;
        if let Some(warning) = { warnings }.next() {
            return Err(broken(&warning));
        }
        let base = fragment.to_json_value().map_err(|error| broken(&error))?;
        Ok(Self { base })
    }

    /// The schema without arguments, in which these tools have an action of their own.
    pub(crate) fn without_arguments(&self, tools: &BTreeSet<String>) -> Result<Schema, RulesError> {
        let mut schema = self.base.clone();
        let mut own = schema.pointer("//actions/call").cloned().unwrap_or_default();
        if let Some(own) = own.as_object_mut() {
            own.insert("memberOf".to_owned(), json!([{ "id": "call" }]));
        }
        if let Some(actions) = actions(&mut schema) {
            for tool in tools {
                actions.entry(tool.clone()).or_insert_with(|| own.clone());
            }
        }
        Schema::from_json_value(schema).map_err(|error| RulesError::Schema(error.to_string()))
    }

    /// The schema of one tool, whose arguments have this type. Other tools that rules name are there by name only.
    pub(crate) fn with_arguments(
        &self,
        tool: &str,
        arguments: &ArgumentType,
        named: &BTreeSet<String>,
    ) -> Result<Schema, RulesError> {
        let mut schema = self.base.clone();
        let mut context = schema.pointer("//commonTypes/Call").cloned().unwrap_or_default();
        if let Some(attributes) = context.get_mut("attributes").and_then(Value::as_object_mut) {
            attributes.insert("arguments".to_owned(), arguments.schema());
        }
        let own = json!({
            "memberOf": [{ "id": "call" }],
            "appliesTo": { "principalTypes": ["Caller"], "resourceTypes": ["Tool"], "context": context },
        });
        if let Some(actions) = actions(&mut schema) {
            actions.insert("call".to_owned(), json!({}));
            for other in named {
                actions.insert(other.clone(), json!({ "memberOf": [{ "id": "call" }] }));
            }
            actions.insert(tool.to_owned(), own);
        }
        Schema::from_json_value(schema).map_err(|error| RulesError::Schema(error.to_string()))
    }
}

fn actions(schema: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    schema.pointer_mut("//actions").and_then(Value::as_object_mut)
}
