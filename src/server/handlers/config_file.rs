//! The configuration as clients read and change it. The file is read anew each time and written on a file
//! worker. New threads begin with what it says; loaded ones keep what they began with, unless the client
//! wants them to follow.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::super::dispatch::Caller;
use super::super::processor::Processor;
use super::super::{Configuration, Current, facts};
use crate::config::{Config, Edit, Layer, LayerSource, Override, edit, shown};
use crate::error::StartError;
use crate::files;
use crate::proto::{
    ConfigBatchWriteParams, ConfigEdit, ConfigLayer, ConfigLayerMetadata, ConfigLayerSource,
    ConfigReadParams, ConfigReadResponse, ConfigValueWriteParams, ConfigWriteResponse, MergeStrategy,
    OverriddenMetadata, WriteStatus,
};
use crate::rpc::{Reply, RpcError};

/// `config/read`: the configuration as it stands in the file now; values that were not configured are shown
/// as they are used.
pub(in crate::server) fn read(
    processor: &mut Processor,
    caller: Caller,
    params: ConfigReadParams,
    reply: Reply,
) {
    let cwd = super::thread_life::place(processor, params.cwd.as_deref(), /*stored*/ None);
    processor.look_into_configuration(caller, reply, move |configuration| {
        let unreadable = |error: StartError| RpcError::internal(error.to_string());
        let current = configuration.now().map_err(unreadable)?;
        let config = match params.cwd {
            Some(_) => configuration.seen_from(&current, &cwd).map_err(unreadable)?,
            None => Arc::clone(&current.config),
        };
        let defaults = facts::defaults(&config, &cwd);
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
        for layer in config.layers.iter().filter(|layer| layer.disabled.is_none()) {
            // A stronger layer comes later and takes the key.
            leaves(&mut String::new(), &shown(&layer.table), &metadata(layer), &mut origins);
        }
        let layers = config
            .layers
            .iter()
            .rev()
            .filter(|layer| layer.source != LayerSource::CommandLine || !layer.table.is_empty());
        let layers = layers.map(|layer| {
            let ConfigLayerMetadata { name, version } = metadata(layer);
            let config = Value::Object(shown(&layer.table));
            ConfigLayer { name, version, config, disabled_reason: layer.disabled.clone() }
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
    let ConfigValueWriteParams { edit, file_path, expected_version } = params;
    let order = Order { edits: vec![edit], file_path, expected_version };
    processor.change_configuration(caller, reply, move |configuration| write(configuration, order));
}

/// `config/batchWrite`
pub(in crate::server) fn write_batch(
    processor: &mut Processor,
    caller: Caller,
    params: ConfigBatchWriteParams,
    reply: Reply,
) {
    let ConfigBatchWriteParams { edits, file_path, expected_version, reload_user_config } = params;
    let order = Order { edits, file_path, expected_version };
    let change = move |configuration: &Configuration| write(configuration, order);
    match reload_user_config {
        true => processor.change_configuration_of_all(caller, reply, change),
        false => processor.change_configuration(caller, reply, change),
    }
}

/// What a client wants written.
struct Order {
    edits: Vec<ConfigEdit>,
    file_path: Option<String>,
    expected_version: Option<String>,
}

/// Makes the changes, all or none.
fn write(
    configuration: &Configuration,
    order: Order,
) -> Result<(Arc<Current>, ConfigWriteResponse), RpcError> {
    let edits = order.edits.into_iter().map(change).collect::<Result<Vec<_>, _>>()?;
    let (current, path) = configuration.change(wrong, |before| {
        let path = before.file();
        if order.file_path.is_some_and(|file| path != Path::new(&file)) {
            return Err(refused("configLayerReadonly", "Only writes to the user config are allowed"));
        }
        if order.expected_version.is_some_and(|expected| file_version(before) != expected) {
            let text = "Configuration was modified since last read. Fetch latest version and retry.";
            return Err(refused("configVersionConflict", text));
        }
        replace(before, &path, |text| edit(text, &edits))?;
        Ok(path)
    })?;
    let overridden_metadata = edits.iter().find_map(|edit| overridden(&current.config, edit));
    let answer = ConfigWriteResponse {
        status: if overridden_metadata.is_some() { WriteStatus::OkOverridden } else { WriteStatus::Ok },
        version: file_version(&current.config),
        file_path: path.display().to_string(),
        overridden_metadata,
    };
    Ok((current, answer))
}

/// Changes the text of the user's file.
pub(super) fn rewrite(
    configuration: &Configuration,
    edited: impl FnOnce(&str) -> Result<String, String>,
) -> Result<(Arc<Current>, ()), RpcError> {
    configuration.change(wrong, |before| replace(before, &before.file(), edited))
}

/// Writes the file with an edited text in one step, if that would still be a configuration.
fn replace(
    before: &Config,
    path: &Path,
    edited: impl FnOnce(&str) -> Result<String, String>,
) -> Result<(), RpcError> {
    let io = |error: std::io::Error| {
        RpcError::internal(format!("the configuration could not be written: {}: {error}", path.display()))
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(io(error)),
    };
    let edited = edited(&text).map_err(|why| refused("configValidationError", why))?;
    before.with_file_text(&edited).map_err(wrong)?;
    if edited != text {
        std::fs::create_dir_all(&before.home).map_err(io)?;
        files::write(path, edited.as_bytes()).map_err(|error| {
            RpcError::internal(format!("the configuration could not be written: {error}"))
        })?;
    }
    Ok(())
}

fn wrong(error: StartError) -> RpcError {
    refused("configValidationError", format!("Invalid configuration: {error}"))
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
        LayerSource::Project(folder) => {
            ConfigLayerSource::Project { dot_codex_folder: folder.display().to_string() }
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

/// Notes who sets each value of a table, by its dotted key; entries of an array count from 0.
fn leaves(
    path: &mut String,
    table: &Map<String, Value>,
    layer: &ConfigLayerMetadata,
    origins: &mut BTreeMap<String, ConfigLayerMetadata>,
) {
    for (key, value) in table {
        leaf(path, key, value, layer, origins);
    }
}

fn leaf(
    path: &mut String,
    key: &str,
    value: &Value,
    layer: &ConfigLayerMetadata,
    origins: &mut BTreeMap<String, ConfigLayerMetadata>,
) {
    let length = path.len();
    if length > 0 {
        path.push('.');
    }
    path.push_str(key);
    match value {
        Value::Object(inner) => leaves(path, inner, layer, origins),
        Value::Array(entries) => {
            for (at, entry) in entries.iter().enumerate() {
                leaf(path, &at.to_string(), entry, layer, origins);
            }
        }
        _ => drop(origins.insert(path.clone(), layer.clone())),
    }
    path.truncate(length);
}
