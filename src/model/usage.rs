//! Tokens as providers count them.

use serde::Deserialize;

use super::Usage;

/// The counts of an answer, in the words of the Responses API or of Chat Completions; some servers use both
/// at once.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenCounts {
    input_tokens: Option<i64>,
    prompt_tokens: Option<i64>,
    input_tokens_details: Option<Details>,
    prompt_tokens_details: Option<Details>,
    output_tokens: Option<i64>,
    completion_tokens: Option<i64>,
    output_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Option<i64>,
    reasoning_tokens: Option<i64>,
}

impl From<TokenCounts> for Usage {
    fn from(counts: TokenCounts) -> Self {
        let input = counts.input_tokens_details.or(counts.prompt_tokens_details).unwrap_or_default();
        let output = counts.output_tokens_details.or(counts.completion_tokens_details).unwrap_or_default();
        Self {
            input: counts.input_tokens.or(counts.prompt_tokens).unwrap_or_default(),
            cached_input: input.cached_tokens.unwrap_or_default(),
            output: counts.output_tokens.or(counts.completion_tokens).unwrap_or_default(),
            reasoning_output: output.reasoning_tokens.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_count_are_understood_also_together() {
        let usage = Usage { input: 9, cached_input: 8, output: 4, reasoning_output: 1 };
        let own = r#""input_tokens":9,"input_tokens_details":{"cached_tokens":8},"output_tokens":4,
            "output_tokens_details":{"reasoning_tokens":1}"#;
        let chat = own.replace("input_", "prompt_").replace("output_", "completion_");
        for text in [own.to_owned(), chat.clone(), format!("{own},{chat}")] {
            let counts: TokenCounts = serde_json::from_str(&format!("{{{text}}}")).expect("counts");
            assert_eq!(Usage::from(counts), usage, "{text}");
        }
        let sparse =
            r#"{"input_tokens":null,"prompt_tokens":3,"input_tokens_details":{"cached_tokens":null}}"#;
        let counts: TokenCounts = serde_json::from_str(sparse).expect("counts");
        assert_eq!(Usage::from(counts), Usage { input: 3, ..Usage::default() });
    }
}
