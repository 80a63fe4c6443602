//! Tokens as clients are told them.

use crate::model::Usage;
use crate::proto::TokenUsageBreakdown;

pub(super) fn breakdown(usage: Usage) -> TokenUsageBreakdown {
    TokenUsageBreakdown {
        total_tokens: usage.input + usage.output,
        input_tokens: usage.input,
        cached_input_tokens: usage.cached_input,
        cache_write_input_tokens: 0,
        output_tokens: usage.output,
        reasoning_output_tokens: usage.reasoning_output,
    }
}

pub(super) fn sum(a: TokenUsageBreakdown, b: TokenUsageBreakdown) -> TokenUsageBreakdown {
    TokenUsageBreakdown {
        total_tokens: a.total_tokens + b.total_tokens,
        input_tokens: a.input_tokens + b.input_tokens,
        cached_input_tokens: a.cached_input_tokens + b.cached_input_tokens,
        cache_write_input_tokens: a.cache_write_input_tokens + b.cache_write_input_tokens,
        output_tokens: a.output_tokens + b.output_tokens,
        reasoning_output_tokens: a.reasoning_output_tokens + b.reasoning_output_tokens,
    }
}
