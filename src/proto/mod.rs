//! The protocol's types: parameters, answers, notifications and items of version 2, release 0.169.
//!
//! Serde only, one file per family, no logic: what a value means is decided above, and who may call what as
//! well. Answers and notifications keep the key order of the reference and send the nulls that it sends;
//! parameters ignore unknown fields and take null for absent.
//!
//! Each type derives `schemars::JsonSchema` in tests, beside serde's traits: from those the schema that this
//! server publishes is made, and a type without it does not compile where another one holds it.

mod account;
mod catalog;
mod command_exec;
mod config;
mod config_write;
mod diagnostics;
mod fs;
mod initialize;
mod input;
mod item;
mod item_tool;
mod mcp;
pub mod methods;
mod models;
mod notification;
mod notification_item;
mod policy;
mod search;
mod server_request;
mod server_request_tool;
mod switches;
mod thread;
mod thread_attachment;
mod thread_goal;
mod thread_queue;
mod thread_read;
mod thread_search;
mod thread_settings;
mod thread_start;
mod thread_work;
mod turn;

pub use account::*;
pub use catalog::*;
pub use command_exec::*;
pub use config::*;
pub use config_write::*;
pub use diagnostics::*;
pub use fs::*;
pub use initialize::*;
pub use input::*;
pub use item::*;
pub use item_tool::*;
pub use mcp::*;
pub use models::*;
pub use notification::*;
pub use notification_item::*;
pub use policy::*;
pub use search::*;
pub use server_request::*;
pub use server_request_tool::*;
pub use switches::*;
pub use thread::*;
pub use thread_attachment::*;
pub use thread_goal::*;
pub use thread_queue::*;
pub use thread_read::*;
pub use thread_search::*;
pub use thread_settings::*;
pub use thread_start::*;
pub use thread_work::{
    BackgroundTerminalsListParams, BackgroundTerminalsListResponse, BackgroundTerminalsTerminateParams,
    BackgroundTerminalsTerminateResponse, ReviewDelivery, ReviewStartParams, ReviewStartResponse,
    ReviewTarget, ThreadBackgroundTerminal, ThreadShellCommandParams,
};
pub use turn::*;

use std::fmt;

use serde::de::{self, IgnoredAny, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// What the server tells clients without being asked.
pub trait Notification: Serialize {
    /// The notification's method, for example `turn/started`.
    const METHOD: &'static str;
}

/// The answer of methods that have nothing to say: `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EmptyResponse {}

/// The parameters of methods that take none: absent, null or `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct NoParams;

#[cfg(test)]
impl schemars::JsonSchema for NoParams {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NoParams".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["object", "null"], "additionalProperties": false })
    }
}

impl<'de> Deserialize<'de> for NoParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NoParamsVisitor)
    }
}

struct NoParamsVisitor;

impl<'de> Visitor<'de> for NoParamsVisitor {
    type Value = NoParams;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unit")
    }

    fn visit_unit<E: de::Error>(self) -> Result<NoParams, E> {
        Ok(NoParams)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NoParams, A::Error> {
        match map.next_key::<IgnoredAny>()? {
            None => Ok(NoParams),
            Some(_) => Err(de::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}

/// Takes null for the default; together with `#[serde(default)]` absent and null mean the same.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Tells null, `Some(None)`, from absent, which `#[serde(default)]` makes `None`.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_without_parameters_take_nothing() {
        for nothing in ["null", "{}"] {
            assert_eq!(serde_json::from_str::<NoParams>(nothing).unwrap(), NoParams);
        }
        let error = serde_json::from_value::<NoParams>(serde_json::json!({"x": 1})).unwrap_err();
        assert_eq!(error.to_string(), "invalid type: map, expected unit");
    }

    #[test]
    fn an_empty_answer_is_an_object() {
        assert_eq!(serde_json::to_string(&EmptyResponse {}).unwrap(), "{}");
    }
}
