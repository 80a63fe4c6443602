//! The configuration as clients read and change it. The file is read anew each time and written on a file
//! worker; what runs keeps what it was started with.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::dispatch::Caller;
use super::super::processor::Processor;
use crate::config::{Config, Edit, Layer, LayerSource, Override, edit, shown};
use crate::files;
use crate::proto::{
    ConfigBatchWriteParams, ConfigEdit, ConfigLayer, ConfigLayerMetadata, ConfigLayerSource,
    ConfigReadParams, ConfigReadResponse, ConfigValueWriteParams, ConfigWriteResponse, MergeStrategy,
    OverriddenMetadata, WriteStatus,
};
use crate::rpc::{Reply, RpcError};

/// One write at a time, whoever asks: each reads what the one before has written.
static WRITES: Mutex<()> = Mutex::new(());

/// `config/read`: the configuration as it stands in the file now; values that were not configured are shown
/// as they are used.
pub(in crate::server) fn read(
    processor: &mut Processor,
    caller: Caller,
    params: ConfigReadParams,
    reply: Reply,
) {
    let (known, defaults) = (processor.facts.sources.clone(), processor.facts.defaults.clone());
    processor.try_from_files(caller, reply, move || {
        let config = known.reloaded().map_err(|error| RpcError::internal(error.to_string()))?;
        let mut effective = shown(&config.effective);
        let mut default = |key: &str, value: Value| {
            effective.entry(key).or_insert(value);
        };
        let encode = |error: serde_json::Error| RpcError::internal(error.to_string());
        default("model", defaults.model.into());
        default("model_provider", defaults.model_provider.into());
        default("approval_policy", serde_json::to_value(defaults.approval_policy).map_err(encode)?);
        default("sandbox_mode", serde_json::to_value(defaults.sandbox_mode).map_err(encode)?);
        let mut origins = BTreeMap::new();
        for layer in &config.layers {
            // A stronger layer comes later and takes the key.
            leaves(&mut String::new(), &shown(&layer.table), &metadata(layer), &mut origins);
        }
        let layers = config
            .layers
            .iter()
            .rev()
            .filter(|layer| matches!(layer.source, LayerSource::File(_)) || !layer.table.is_empty());
        let layers = layers.map(|layer| {
            let ConfigLayerMetadata { name, version } = metadata(layer);
            let config = Value::Object(shown(&layer.table));
            ConfigLayer { name, version, config, disabled_reason: None }
        });
        Ok(ConfigReadResponse {
            config: serde_json::value::to_raw_value(&effective).map_err(encode)?,
            origins,
            layers: params.include_layers.then(|| layers.collect()),
        })
    });
}

/// `config/value/write`
pub(in crate::server) fn write_value(
    processor: &mut Processor,
    caller: Caller,
    params: ConfigValueWriteParams,
    reply: Reply,
) {
    let known = processor.facts.sources.clone();
    processor.try_from_files(caller, reply, move || {
        write(&known, vec![params.edit], params.file_path.as_deref(), params.expected_version.as_deref())
    });
}

/// `config/batchWrite`
pub(in crate::server) fn write_batch(
    processor: &mut Processor,
    caller: Caller,
    params: ConfigBatchWriteParams,
    reply: Reply,
) {
    let known = processor.facts.sources.clone();
    processor.try_from_files(caller, reply, move || {
        write(&known, params.edits, params.file_path.as_deref(), params.expected_version.as_deref())
    });
}

/// Makes the changes, all or none; the file is replaced in one step.
fn write(
    known: &Config,
    edits: Vec<ConfigEdit>,
    file: Option<&str>,
    expected: Option<&str>,
) -> Result<ConfigWriteResponse, RpcError> {
    let path = known.home.join("config.toml");
    if file.is_some_and(|file| path != std::path::Path::new(file)) {
        return Err(refused("configLayerReadonly", "Only writes to the user config are allowed"));
    }
    let edits = edits.into_iter().map(change).collect::<Result<Vec<_>, _>>()?;
    let _alone = WRITES.lock().unwrap_or_else(PoisonError::into_inner);
    let invalid = |why: String| refused("configValidationError", format!("Invalid configuration: {why}"));
    let before = known.reloaded().map_err(|error| invalid(error.to_string()))?;
    if expected.is_some_and(|expected| file_version(&before) != expected) {
        let text = "Configuration was modified since last read. Fetch latest version and retry.";
        return Err(refused("configVersionConflict", text));
    }
    let io = |error: std::io::Error| {
        RpcError::internal(format!("the configuration could not be written: {}: {error}", path.display()))
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(io(error)),
    };
    let edited = edit(&text, &edits).map_err(|why| refused("configValidationError", why))?;
    let after = before.with_file_text(&edited).map_err(|error| invalid(error.to_string()))?;
    if edited != text {
        std::fs::create_dir_all(&known.home).map_err(io)?;
        files::write(&path, edited.as_bytes()).map_err(|error| {
            RpcError::internal(format!("the configuration could not be written: {error}"))
        })?;
    }
    let overridden_metadata = edits.iter().find_map(|edit| overridden(&after, edit));
    Ok(ConfigWriteResponse {
        status: if overridden_metadata.is_some() { WriteStatus::OkOverridden } else { WriteStatus::Ok },
        version: file_version(&after),
        file_path: path.display().to_string(),
        overridden_metadata,
    })
}

fn change(edit: ConfigEdit) -> Result<Edit, RpcError> {
    let invalid = |why: &str| refused("configValidationError", why);
    if edit.key_path.trim().is_empty() {
        return Err(invalid("keyPath must not be empty"));
    }
    let parsed = Override::new(&edit.key_path, toml::Value::Boolean(true));
    let key = parsed.map_err(|_| invalid("keyPath segments must not be empty"))?.key;
    Ok(Edit { key, value: edit.value, upsert: edit.merge_strategy == MergeStrategy::Upsert })
}

/// What the command line says instead.
fn overridden(config: &Config, edit: &Edit) -> Option<OverriddenMetadata> {
    let layer = config.layers.iter().find(|layer| layer.source == LayerSource::CommandLine)?;
    let table = Value::Object(shown(&layer.table));
    let value = edit.key.iter().try_fold(&table, |value, segment| value.get(segment))?;
    (*value != edit.value).then(|| OverriddenMetadata {
        message: "Overridden by the command line: -c or a flag".to_owned(),
        overriding_layer: metadata(layer),
        effective_value: value.clone(),
    })
}

fn refused(code: &str, text: impl Into<String>) -> RpcError {
    RpcError::invalid_request(text).with_data(json!({ "config_write_error_code": code }))
}

fn file_version(config: &Config) -> String {
    let file = config.layers.iter().find(|layer| matches!(layer.source, LayerSource::File(_)));
    file.map(|layer| metadata(layer).version).unwrap_or_default()
}

fn metadata(layer: &Layer) -> ConfigLayerMetadata {
    let name = match &layer.source {
        LayerSource::File(path) => {
            ConfigLayerSource::User { file: path.display().to_string(), profile: None }
        }
        LayerSource::CommandLine | LayerSource::Request => ConfigLayerSource::SessionFlags,
    };
    // Of all that it says, secrets too; a hash gives none away.
    let content = serde_json::to_vec(&layer.table).unwrap_or_default();
    let version = Sha256::digest(content).iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing into a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    ConfigLayerMetadata { name, version }
}

/// Notes who sets each value of a table, by its dotted key.
fn leaves(
    path: &mut String,
    table: &Map<String, Value>,
    layer: &ConfigLayerMetadata,
    origins: &mut BTreeMap<String, ConfigLayerMetadata>,
) {
    let length = path.len();
    for (key, value) in table {
        if length > 0 {
            path.push('.');
        }
        path.push_str(key);
        match value {
            Value::Object(inner) => leaves(path, inner, layer, origins),
            _ => drop(origins.insert(path.clone(), layer.clone())),
        }
        path.truncate(length);
    }
}
