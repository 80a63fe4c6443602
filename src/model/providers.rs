//! The models that can be asked, by the ids of their providers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::http::HttpModel;
use super::replay::ReplayModel;
use super::stored_key::StoredKey;
use super::{Cancel, ModelClient, ModelError, ModelFailure, ModelRequest, ModelStream, OfflineModel};
use crate::config::{Config, PROVIDER_OFFLINE, PROVIDER_OPENAI, ProviderConfig, ProviderKind};
use crate::limits::MODEL_CONTEXT_WINDOW;
use crate::proto::CodexErrorInfo;

/// Where OpenAI's interface begins, and the variable that its key is usually kept in.
const OPENAI_URL: &str = "https://api.openai.com/v1";
pub(super) const OPENAI_KEY: &str = "OPENAI_API_KEY";

/// A client for each provider, made once; connections are kept per provider.
pub struct Providers {
    clients: BTreeMap<String, Arc<dyn ModelClient>>,
    /// What the HTTP and replay clients were made of.
    made_of: BTreeMap<String, ProviderConfig>,
    window: Option<i64>,
    stored_key: Arc<StoredKey>,
}

impl Providers {
    /// Clients for the configured and the built-in providers. Keys are taken from `env` here and now. A
    /// provider that lacks something is there as well: its turns fail and say what to set.
    #[must_use]
    pub fn new(config: &Config, env: &dyn Fn(&str) -> Option<String>) -> Self {
        Self::made(config, env, /*before*/ None)
    }

    /// The same for another configuration of the same home: the clients of providers that are as they were
    /// go on, with their connections.
    #[must_use]
    pub fn renewed(&self, config: &Config, env: &dyn Fn(&str) -> Option<String>) -> Self {
        Self::made(config, env, Some(self))
    }

    fn made(config: &Config, env: &dyn Fn(&str) -> Option<String>, before: Option<&Self>) -> Self {
        let offline: Arc<dyn ModelClient> = Arc::new(OfflineModel);
        let mut clients = BTreeMap::from([(PROVIDER_OFFLINE.to_owned(), Arc::clone(&offline))]);
        let mut made_of = BTreeMap::new();
        let window = Some(config.model_context_window.unwrap_or(MODEL_CONTEXT_WINDOW));
        let stored_key = match before {
            Some(before) => Arc::clone(&before.stored_key),
            None => Arc::new(StoredKey::below(&config.data_dir)),
        };
        let before = before.filter(|before| before.window == window);
        let mut add = |id: &str, provider: &ProviderConfig| {
            made_of.insert(id.to_owned(), provider.clone());
            if let Some(before) = before.filter(|before| before.made_of.get(id) == Some(provider))
                && let Some(client) = before.clients.get(id)
            {
                clients.insert(id.to_owned(), Arc::clone(client));
                return;
            }
            let client = match provider.kind {
                ProviderKind::Offline => Arc::clone(&offline),
                ProviderKind::Http => usable(HttpModel::new(id, provider, window, env, &stored_key)),
                ProviderKind::Replay => usable(ReplayModel::new(id, provider, window, &config.home)),
            };
            clients.insert(id.to_owned(), client);
        };
        for (id, provider) in &config.model_providers {
            if id == PROVIDER_OPENAI {
                add(id, &with_openai_defaults(provider.clone(), env));
            } else {
                add(id, provider);
            }
        }
        if !config.model_providers.contains_key(PROVIDER_OPENAI) {
            add(PROVIDER_OPENAI, &with_openai_defaults(ProviderConfig::named("OpenAI"), env));
        }
        Self { clients, made_of, window, stored_key }
    }

    /// The key that clients sign in with; providers without `env_key` send it.
    #[must_use]
    pub fn stored_key(&self) -> Arc<StoredKey> {
        Arc::clone(&self.stored_key)
    }

    /// The model behind a provider's id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<dyn ModelClient>> {
        self.clients.get(id).cloned()
    }

    /// The model behind a provider's id; for an unknown id one that fails and says what to do.
    #[must_use]
    pub fn get_or_failing(&self, id: &str) -> Arc<dyn ModelClient> {
        self.get(id).unwrap_or_else(|| {
            let known: Vec<&str> = self.clients.keys().map(String::as_str).collect();
            let message = format!(
                "there is no model provider `{id}`; there are {} (others need a table [model_providers.{id}] \
                 in config.toml)",
                known.join(", ")
            );
            Arc::new(Unusable { message })
        })
    }
}

/// The usual variable counts if it is set; else the key that a client signed in with does.
fn with_openai_defaults(
    mut provider: ProviderConfig,
    env: &dyn Fn(&str) -> Option<String>,
) -> ProviderConfig {
    provider.base_url.get_or_insert_with(|| OPENAI_URL.to_owned());
    if provider.env_key.is_none() && env(OPENAI_KEY).is_some_and(|key| !key.trim().is_empty()) {
        provider.env_key = Some(OPENAI_KEY.to_owned());
    }
    provider
}

fn usable<C: ModelClient + 'static>(client: Result<C, String>) -> Arc<dyn ModelClient> {
    match client {
        Ok(client) => Arc::new(client),
        Err(message) => Arc::new(Unusable { message }),
    }
}

/// Stands for a provider that cannot be asked: the turn fails and says why.
struct Unusable {
    message: String,
}

impl ModelClient for Unusable {
    fn stream(&self, _: &ModelRequest, _: &Cancel) -> Result<Box<dyn ModelStream>, ModelError> {
        Err(ModelFailure::lasting(self.message.clone(), CodexErrorInfo::Other))
    }

    fn context_window(&self, _model: &str) -> Option<i64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::{Flags, Override};
    use crate::model::cancellation;

    fn providers(overrides: &[&str], env: &[(&str, &str)]) -> Providers {
        let mut flags = Flags::none();
        let parse = |text: &&str| Override::parse(text).expect("key=value");
        flags.overrides = overrides.iter().map(parse).collect();
        let home = std::path::Path::new("/nowhere");
        let config = Config::load(&flags, &|name| (name == "CODEX_HOME").then(|| home.into()), home);
        let env = |name: &str| {
            let found = env.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Providers::new(&config.expect("a configuration"), &env)
    }

    fn complaint(providers: &Providers, id: &str) -> String {
        let (_canceller, cancel) = cancellation(Clock::real());
        match providers.get_or_failing(id).stream(&ModelRequest::default(), &cancel) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{id} can be asked"),
        }
    }

    #[test]
    fn what_is_missing_is_said_by_its_name() {
        let set = ["model_providers.a.env_key=A_KEY", "model_providers.a.base_url=http://127.0.0.1:9/v1"];
        let without = providers(&set, &[("A_KEY", " ")]);
        assert!(complaint(&without, "a").contains("environment variable `A_KEY`"));
        assert!(complaint(&without, "b").contains("no model provider `b`; there are a, offline, openai"));
        assert!(complaint(&without, "openai").contains("`OPENAI_API_KEY`"));
        let odd = providers(&["model_providers.a.name=A"], &[]);
        assert!(complaint(&odd, "a").contains("set `base_url` in [model_providers.a]"));
        let odd = providers(&["model_providers.a.base_url=localhost:8080"], &[]);
        assert!(complaint(&odd, "a").contains("begin with http://"));
        let odd = providers(&["model_providers.a.kind=replay"], &[]);
        assert!(complaint(&odd, "a").contains("set `file`"));
        let secret = "se\ncret";
        let odd = providers(&set, &[("A_KEY", secret)]);
        let complaint = complaint(&odd, "a");
        assert!(complaint.contains("`A_KEY` is not fit") && !complaint.contains(secret), "{complaint}");
    }

    #[test]
    fn the_context_window_is_configured_or_the_usual_one() {
        let window =
            |providers: Providers| providers.get("openai").and_then(|client| client.context_window("m"));
        assert_eq!(window(providers(&[], &[("OPENAI_API_KEY", "k")])), Some(MODEL_CONTEXT_WINDOW));
        let small = providers(&["model_context_window=8192"], &[("OPENAI_API_KEY", "k")]);
        assert_eq!(window(small), Some(8192));
        assert!(providers(&[], &[]).get("offline").is_some());
    }
}
