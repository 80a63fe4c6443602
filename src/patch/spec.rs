//! How the tool is offered to a model, in the two forms that models know: as a function with one text, or
//! as free text bound by a grammar. Knows no model; constants.

use serde_json::{Value, json};

/// The tool's name.
pub const NAME: &str = "apply_patch";

/// What the free-text form says of itself; the grammar says the rest.
pub const FREEFORM_DESCRIPTION: &str = "Edits files. The whole input is one patch as the grammar has it: \
plain text, no JSON and no Markdown fence around it.";

/// Key of the function form's only parameter.
pub const PARAMETER: &str = "input";

/// What the function form says of itself.
pub const FUNCTION_DESCRIPTION: &str = include_str!("description.txt");

/// JSON schema of the function form's parameters.
#[must_use]
pub fn parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            PARAMETER: {
                "type": "string",
                "description": "The patch, from `*** Begin Patch` to `*** End Patch`.",
            },
        },
        "required": [PARAMETER],
        "additionalProperties": false,
    })
}

/// Syntax of [`GRAMMAR`], as the Responses API names it.
pub const GRAMMAR_SYNTAX: &str = "lark";

/// The language as a grammar.
pub const GRAMMAR: &str = include_str!("grammar.lark");
