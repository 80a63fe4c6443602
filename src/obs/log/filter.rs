//! `RUST_LOG`: which events become lines.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// What is logged if `RUST_LOG` does not say.
const LEVEL_DEFAULT: LevelFilter = LevelFilter::WARN;
/// What a directive may look like, for messages.
const ACCEPTED: &str =
    "accepted are off, error, warn, info, debug, trace, and target=level, with commas between them";

/// Which events are wanted, and what was wrong with the text.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) targets: Targets,
    pub(super) warnings: Vec<String>,
}

impl Filter {
    /// Reads directives with commas between them. One that is garbage is warned of and does not spoil the
    /// others. Targets that no directive names keep the default level.
    pub(super) fn parse(text: Option<&str>) -> Self {
        let mut targets = Targets::new().with_default(LEVEL_DEFAULT);
        let mut warnings = Vec::new();
        let directives = text.unwrap_or("").split(',').map(str::trim);
        for directive in directives.filter(|directive| !directive.is_empty()) {
            match Targets::from_str(directive) {
                Ok(parsed) if is_mistyped_level(directive) => {
                    warnings.push(format!(
                        "RUST_LOG: {directive:?} is no level and is taken as a target; {ACCEPTED}"
                    ));
                    targets = targets.with_targets(&parsed);
                }
                Ok(parsed) => {
                    if let Some(level) = parsed.default_level() {
                        targets = targets.with_default(level);
                    }
                    targets = targets.with_targets(&parsed);
                }
                Err(error) => {
                    warnings.push(format!("RUST_LOG: {directive:?} is ignored ({error}); {ACCEPTED}"));
                }
            }
        }
        Self { targets, warnings }
    }
}

/// A lone word is a target with everything switched on; unless it is ours or a path it is more likely a level
/// with a typing error.
fn is_mistyped_level(directive: &str) -> bool {
    let is_level = directive.parse::<LevelFilter>().is_ok();
    !is_level && !directive.contains(['=', ':']) && !directive.starts_with("app_server")
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn directives_say_what_is_logged() {
        let net = "app_server::net";
        let store = "app_server::store";
        for (text, target, most) in [
            (None, net, Some(Level::WARN)),
            (Some(""), net, Some(Level::WARN)),
            (Some("debug"), net, Some(Level::DEBUG)),
            (Some("TRACE"), net, Some(Level::TRACE)),
            (Some("off"), net, None),
            (Some("app_server::net=debug"), net, Some(Level::DEBUG)),
            (Some("app_server::net=debug"), store, Some(Level::WARN)),
            (Some("info, app_server::net=error"), net, Some(Level::ERROR)),
            (Some("info, app_server::net=error"), store, Some(Level::INFO)),
            (Some("a=b=c,app_server::net=debug"), net, Some(Level::DEBUG)),
            (Some("app_server"), store, Some(Level::TRACE)),
        ] {
            let filter = Filter::parse(text);
            let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
            let mut enabled = levels.into_iter().filter(|level| filter.targets.would_enable(target, level));
            assert_eq!(enabled.next_back(), most, "{text:?} {target}");
        }
    }

    #[test]
    fn garbage_is_warned_of() {
        for (text, warned) in [
            ("a=b=c", Some("RUST_LOG: \"a=b=c\" is ignored")),
            ("app_server=loud", Some("RUST_LOG: \"app_server=loud\" is ignored")),
            ("debgu", Some("RUST_LOG: \"debgu\" is no level and is taken as a target; accepted are off")),
            ("app_server::net", None),
            ("warn,rusqlite=info", None),
            (" , ", None),
        ] {
            let warnings = Filter::parse(Some(text)).warnings;
            match warned {
                Some(warned) => {
                    assert!(warnings.len() == 1 && warnings[0].starts_with(warned), "{warnings:?}")
                }
                None => assert_eq!(warnings, [""; 0], "{text}"),
            }
        }
    }
}
