//! The one way in which commands print JSON.

use serde::Serialize;
use serde_json::Value;

/// Returns a value as one JSON document of several lines.
#[must_use]
pub fn json(value: &impl Serialize) -> String {
    // What commands print has text keys and finite numbers, and so is always JSON.
    let value = serde_json::to_value(value).unwrap_or(Value::Null);
    format!("{value:#}\n")
}
