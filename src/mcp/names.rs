//! Names by which models call tools of servers. Knows only names; runs on its caller's OS thread.

use std::collections::BTreeSet;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::QualifiedTool;
use crate::limits::MCP_TOOL_NAME_BYTES_MAX;

/// Gives each tool a name of its own, in letters that models accept, and puts them in order.
pub(super) fn qualify(tools: Vec<QualifiedTool>) -> Vec<QualifiedTool> {
    let mut taken = BTreeSet::new();
    let mut qualified: Vec<QualifiedTool> = tools
        .into_iter()
        .map(|tool| {
            let full = format!("mcp__{}__{}", tool.server, tool.tool.name);
            let mut name: String = full.chars().map(accepted).collect();
            if name.len() > MCP_TOOL_NAME_BYTES_MAX || taken.contains(&name) {
                let hash = hash(&full);
                name.truncate(MCP_TOOL_NAME_BYTES_MAX - hash.len());
                name.push_str(&hash);
            }
            taken.insert(name.clone());
            QualifiedTool { name, ..tool }
        })
        .collect();
    qualified.sort_by(|a, b| a.name.cmp(&b.name));
    qualified.dedup_by(|a, b| a.name == b.name);
    qualified
}

fn accepted(character: char) -> char {
    if character.is_ascii_alphanumeric() || matches!(character, '_' | '-') { character } else { '_' }
}

/// Tells apart what would look the same.
fn hash(full: &str) -> String {
    Sha256::digest(full).iter().take(4).fold("_".to_owned(), |mut text, byte| {
        // Writing into a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ToolApproval;
    use crate::mcp::ServerTool;

    #[test]
    fn names_are_accepted_by_models_and_unique() {
        let tool =
            |name: &str| ServerTool::from_definition(serde_json::json!({ "name": name, "inputSchema": {} }));
        let long = "x".repeat(MCP_TOOL_NAME_BYTES_MAX);
        let names = ["plain", "with space", "with.space", &long, "é"];
        let tools = names.iter().map(|name| QualifiedTool {
            name: String::new(),
            server: "my srv".to_owned(),
            tool: tool(name).expect("a tool"),
            approval: ToolApproval::Auto,
        });
        let qualified = qualify(tools.collect());
        assert_eq!(qualified.len(), names.len());
        assert!(qualified.iter().any(|tool| tool.name == "mcp__my_srv__plain"));
        for tool in qualified {
            assert!(tool.name.len() <= MCP_TOOL_NAME_BYTES_MAX, "{}", tool.name);
            assert!(tool.name.chars().all(|c| accepted(c) == c), "{}", tool.name);
        }
    }
}
