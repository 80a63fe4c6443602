//! `[mcp_servers.NAME]`: servers whose tools agents may use.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;
use crate::error::StartError;
use crate::limits::{MCP_SERVERS_MAX, MCP_STARTUP_TIMEOUT, MCP_TOOL_TIMEOUT};

/// A server that speaks the Model Context Protocol.
#[derive(Clone, PartialEq, Eq)]
pub struct McpServerConfig {
    /// How it is reached.
    pub transport: McpTransport,
    /// False leaves it out.
    pub enabled: bool,
    /// It must have answered `initialize` and listed its tools within this.
    pub startup_timeout: Duration,
    /// Each call must be answered within this.
    pub tool_timeout: Duration,
    /// Only these tools; none is all.
    pub enabled_tools: Option<Vec<String>>,
    /// Not these, whatever else is said.
    pub disabled_tools: Vec<String>,
    /// When agents have to ask before they use a tool.
    pub approval: ToolApproval,
    /// The same for single tools.
    pub tool_approvals: BTreeMap<String, ToolApproval>,
}

/// When an agent has to ask before it uses a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ToolApproval {
    /// Unless the tool says that it changes nothing, or nothing that matters.
    #[default]
    Auto,
    /// Always.
    Prompt,
    /// Unless the tool says that it only reads.
    Writes,
    /// Never.
    Approve,
}

impl ToolApproval {
    const CHOICES: &[(&str, Self)] = &[
        ("auto", Self::Auto),
        ("prompt", Self::Prompt),
        ("writes", Self::Writes),
        ("approve", Self::Approve),
    ];
}

/// How a server is reached.
#[derive(Clone, PartialEq, Eq)]
pub enum McpTransport {
    /// It is started, and spoken to over its standard streams.
    Stdio {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Variables that are set for it. The values may be secrets.
        env: BTreeMap<String, String>,
        /// Names of this process's variables that it gets beside the usual harmless ones.
        env_vars: Vec<String>,
        /// The folder that it starts in.
        cwd: Option<PathBuf>,
    },
    /// It runs somewhere and speaks HTTP.
    Http {
        /// Where.
        url: String,
        /// Name of the environment variable with the token that it wants.
        bearer_token_env_var: Option<String>,
        /// Headers of each request. The values may be secrets.
        http_headers: BTreeMap<String, String>,
        /// Headers of each request whose values are in the named environment variables.
        env_http_headers: BTreeMap<String, String>,
    },
}

/// Without what may be secret.
impl fmt::Debug for McpServerConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("McpServerConfig").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl McpServerConfig {
    /// True if the configuration lets agents use this tool.
    #[must_use]
    pub fn allows(&self, tool: &str) -> bool {
        let is_in = |tools: &[String]| tools.iter().any(|name| name == tool);
        self.enabled_tools.as_deref().is_none_or(is_in) && !is_in(&self.disabled_tools)
    }

    /// When agents have to ask before they use this tool.
    #[must_use]
    pub fn approval_of(&self, tool: &str) -> ToolApproval {
        self.tool_approvals.get(tool).copied().unwrap_or(self.approval)
    }

    fn read(mut section: Section<'_>, unknown: &mut Vec<String>) -> Result<Self, StartError> {
        // Known to the reference; here a server that does not start never keeps a turn from running.
        section.ignore("required");
        let transport = match (section.text("command")?, section.text("url")?) {
            (Some(command), None) => McpTransport::Stdio {
                command,
                args: section.texts("args")?.unwrap_or_default(),
                env: section.text_map("env")?,
                env_vars: section.texts("env_vars")?.unwrap_or_default(),
                cwd: section.text("cwd")?.map(PathBuf::from),
            },
            (None, Some(url)) => McpTransport::Http {
                url,
                bearer_token_env_var: section.text("bearer_token_env_var")?,
                http_headers: section.text_map("http_headers")?,
                env_http_headers: section.text_map("env_http_headers")?,
            },
            (Some(_), Some(_)) => {
                return Err(section.error("url", "there is a `command` too; give one of them"));
            }
            (None, None) => return Err(section.error("command", "missing; give a `command` or a `url`")),
        };
        let mut tool_approvals = BTreeMap::new();
        if let Some(mut tools) = section.table("tools")? {
            for name in tools.keys() {
                let Some(mut tool) = tools.table(name)? else { continue };
                if let Some(approval) = tool.choice("approval_mode", ToolApproval::CHOICES)? {
                    tool_approvals.insert(name.to_owned(), approval);
                }
                tool.finish(unknown);
            }
        }
        let startup_ms = section.integer("startup_timeout_ms", 1..=i64::MAX as u64)?;
        let config = Self {
            transport,
            enabled: section.switch("enabled")?.unwrap_or(true),
            startup_timeout: section
                .seconds("startup_timeout_sec")?
                .or(startup_ms.map(Duration::from_millis))
                .unwrap_or(MCP_STARTUP_TIMEOUT),
            tool_timeout: section.seconds("tool_timeout_sec")?.unwrap_or(MCP_TOOL_TIMEOUT),
            enabled_tools: section.texts("enabled_tools")?,
            disabled_tools: section.texts("disabled_tools")?.unwrap_or_default(),
            approval: section
                .choice("default_tools_approval_mode", ToolApproval::CHOICES)?
                .unwrap_or_default(),
            tool_approvals,
        };
        section.finish(unknown);
        Ok(config)
    }
}

/// The configured servers by name.
pub(super) fn read_servers<'a>(
    root: &mut Section<'a>,
    unknown: &mut Vec<String>,
) -> Result<BTreeMap<String, McpServerConfig>, StartError> {
    let mut servers = BTreeMap::new();
    let Some(mut section) = root.table("mcp_servers")? else { return Ok(servers) };
    for name in section.keys() {
        if servers.len() == MCP_SERVERS_MAX {
            return Err(section.error(name, format_args!("at most {MCP_SERVERS_MAX} servers are accepted")));
        }
        if let Some(table) = section.table(name)? {
            servers.insert(name.to_owned(), McpServerConfig::read(table, unknown)?);
        }
    }
    Ok(servers)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Flags, Override};

    fn load(overrides: &[&str]) -> Result<Config, String> {
        let mut flags = Flags::none();
        flags.home = Some("/no/such/home".into());
        flags.overrides = overrides.iter().map(|text| Override::parse(text).expect("key=value")).collect();
        Config::load(&flags, &|_| None, Path::new("/")).map_err(|error| error.to_string())
    }

    #[test]
    fn servers_of_both_kinds_are_read() {
        let config = load(&[
            "mcp_servers.a={command='x', args=['1'], env={K='a secret'}, cwd='sub', startup_timeout_sec=0.5}",
            "mcp_servers.b={url='http://h/mcp', bearer_token_env_var='T', tool_timeout_sec=3, odd=1}",
            "mcp_servers.c={command='x', enabled=false, enabled_tools=['t','u'], disabled_tools=['u']}",
        ])
        .expect("a configuration");
        let server = |name: &str| &config.mcp_servers[name];
        assert_eq!(server("a").startup_timeout, Duration::from_millis(500));
        assert_eq!(server("a").tool_timeout, MCP_TOOL_TIMEOUT);
        assert_eq!(server("b").tool_timeout, Duration::from_secs(3));
        assert!(matches!(&server("b").transport, McpTransport::Http { url, .. } if url == "http://h/mcp"));
        let allowed = ["t", "u", "v"].map(|tool| server("c").allows(tool));
        assert_eq!((server("c").enabled, allowed), (false, [true, false, false]));
        assert_eq!(config.unknown_keys, ["mcp_servers.b.odd"]);
        let asked = load(&["mcp_servers.a={command='x', default_tools_approval_mode='prompt', \
                            tools={t={approval_mode='approve'}}}"]);
        let asked = &asked.expect("a configuration").mcp_servers["a"];
        assert_eq!(
            ["t", "u"].map(|tool| asked.approval_of(tool)),
            [ToolApproval::Approve, ToolApproval::Prompt]
        );
        assert!(!format!("{:?}", server("a")).contains("secret"), "no value is shown");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (set, told) in [
            ("mcp_servers.a={}", "mcp_servers.a.command"),
            ("mcp_servers.a={command='x', url='y'}", "mcp_servers.a.url"),
            ("mcp_servers.a={command=1}", "mcp_servers.a.command"),
            ("mcp_servers.a={command='x', tool_timeout_sec=-1}", "mcp_servers.a.tool_timeout_sec"),
            (
                "mcp_servers.a={command='x', default_tools_approval_mode='y'}",
                "found the string \"y\", accepted is one of \"auto\", \"prompt\", \"writes\", \"approve\"",
            ),
            (
                "mcp_servers.a={command='x', tools={t={approval_mode=1}}}",
                "mcp_servers.a.tools.t.approval_mode",
            ),
        ] {
            let error = load(&[set]).expect_err(set);
            assert!(error.contains(told), "{set}: {error}");
        }
        let many: Vec<String> =
            (0..=MCP_SERVERS_MAX).map(|number| format!("mcp_servers.s{number}.command='x'")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(load(&many[1..]).is_ok());
        assert!(load(&many).expect_err("too many").contains("at most 32 servers"));
    }
}
