//! The methods: one line each, saying where it runs.
//!
//! `here` answers in the processor, at once. `store` makes a job for the store worker, which reads and
//! encodes; the processor only sends. `later` takes the duty to answer along and answers when something has
//! happened. `files` decodes, works and answers on a file worker, `shared` beside other work of its client,
//! `bulky` with a large answer, or `alone`.

use std::collections::HashMap;

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::handlers::{
    account, catalog, command_exec, config_file, diagnostics, features, fs, initialize, mcp, process, search,
    skills, thread_family, thread_fork, thread_goal, thread_inject, thread_keep, thread_life, thread_lists,
    thread_queue, thread_search, thread_settings, thread_work, turns, watch,
};
use super::processor::Processor;
use crate::net::ConnectionId;
use crate::proto::methods;
use crate::queue::Access;
use crate::rpc::{Params, Reason, Reply, Request, RpcError, code};
use crate::store::{Database, StoreError, StoreHandle};

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) connection: ConnectionId,
}

/// What a `store` method wants read, and from which database.
pub(super) struct Query<R> {
    pub(super) store: StoreHandle,
    pub(super) read: Read<R>,
}

type Read<R> = Box<dyn FnOnce(&Database) -> Result<R, RpcError> + Send>;

type Run = fn(&mut Processor, Caller, &Method, Reply, Params);

/// One line of the table.
pub(super) struct Method {
    pub(super) name: &'static str,
    run: Run,
    /// The types of its parameters and, where the handler says so, of its answer.
    #[cfg(test)]
    types: fn() -> tests::Types,
}

macro_rules! method {
    (here $name:literal $handler:path) => {
        Method {
            name: $name,
            run: |processor, caller, method, reply, params| {
                reply.send(
                    decode(processor, caller, method, params)
                        .and_then(|params| $handler(processor, caller, params)),
                );
            },
            #[cfg(test)]
            types: || tests::here($handler),
        }
    };
    (store $name:literal $handler:path) => {
        Method {
            name: $name,
            run: |processor, caller, method, reply, params| match decode(processor, caller, method, params)
                .and_then(|params| $handler(processor, params))
            {
                Ok(query) => processor.read_and_answer(query, reply),
                Err(error) => reply.refuse(error),
            },
            #[cfg(test)]
            types: || tests::store($handler),
        }
    };
    (files shared $name:literal $handler:path) => {
        method!(files (Access::Shared) $name $handler)
    };
    (files bulky $name:literal $handler:path) => {
        method!(files (Access::Bulky) $name $handler)
    };
    (files alone $name:literal $handler:path) => {
        method!(files (Access::Alone) $name $handler)
    };
    (files ($access:expr) $name:literal $handler:path) => {
        Method {
            name: $name,
            run: |processor, caller, _, reply, params| {
                processor.run_on_files(caller, $access, reply, params, $handler);
            },
            #[cfg(test)]
            types: || tests::files($handler),
        }
    };
    (later $name:literal $handler:path) => {
        Method {
            name: $name,
            run: |processor, caller, method, reply, params| match decode(processor, caller, method, params) {
                Ok(params) => $handler(processor, caller, params, reply),
                Err(error) => reply.refuse(error),
            },
            #[cfg(test)]
            types: || tests::later($handler),
        }
    };
}

/// All methods of this server, sorted by name.
pub(super) const METHODS: &[Method] = &[
    method!(here "account/login/cancel" account::cancel),
    method!(later "account/login/start" account::login),
    method!(later "account/logout" account::logout),
    method!(here "account/rateLimits/read" catalog::rate_limits),
    method!(here "account/read" account::read),
    method!(here "collaborationMode/list" catalog::collaboration_modes),
    method!(later "command/exec" command_exec::exec),
    method!(here "command/exec/resize" command_exec::resize),
    method!(here "command/exec/terminate" command_exec::terminate),
    method!(later "command/exec/write" command_exec::write),
    method!(later "config/batchWrite" config_file::write_batch),
    method!(later "config/mcpServer/reload" mcp::reload),
    method!(later "config/read" config_file::read),
    method!(later "config/value/write" config_file::write_value),
    method!(here "configRequirements/read" catalog::config_requirements),
    method!(here "experimentalFeature/enablement/set" features::switch),
    method!(later "experimentalFeature/list" features::list),
    method!(files alone "fs/copy" fs::copy),
    method!(files alone "fs/createDirectory" fs::create_directory),
    method!(files shared "fs/getMetadata" fs::metadata),
    method!(files bulky "fs/readDirectory" fs::read_directory),
    method!(files bulky "fs/readFile" fs::read_file),
    method!(files alone "fs/remove" fs::remove),
    method!(here "fs/unwatch" watch::unwatch),
    method!(later "fs/watch" watch::watch),
    method!(files alone "fs/writeFile" fs::write_file),
    method!(later "fuzzyFileSearch" search::search),
    method!(here "fuzzyFileSearch/sessionStart" search::start),
    method!(here "fuzzyFileSearch/sessionStop" search::stop),
    method!(here "fuzzyFileSearch/sessionUpdate" search::update),
    method!(here "hooks/list" catalog::hooks),
    method!(later "initialize" initialize::initialize),
    method!(here "mcpServer/oauth/login" mcp::oauth_login),
    method!(later "mcpServer/resource/read" mcp::read_resource),
    method!(later "mcpServer/tool/call" mcp::call_tool),
    method!(later "mcpServerStatus/list" mcp::statuses),
    method!(here "model/list" catalog::models),
    method!(here "modelProvider/list" catalog::model_providers),
    method!(here "permissionProfile/list" catalog::permission_profiles),
    method!(here "process/kill" process::kill),
    method!(here "process/resizePty" process::resize),
    method!(later "process/spawn" process::spawn),
    method!(later "process/writeStdin" process::write),
    method!(later "review/start" thread_work::review),
    method!(later "server/diagnostics" diagnostics::read),
    method!(later "skills/config/write" skills::write),
    method!(here "skills/extraRoots/set" skills::set_extra_roots),
    method!(later "skills/list" skills::list),
    method!(later "thread/archive" thread_family::archive),
    method!(later "thread/attachment/add" thread_keep::add),
    method!(store "thread/attachment/list" thread_keep::list),
    method!(later "thread/attachment/remove" thread_keep::remove),
    method!(store "thread/attachmentOwner/list" thread_keep::owners),
    method!(here "thread/backgroundTerminals/clean" thread_work::clean),
    method!(here "thread/backgroundTerminals/list" thread_work::terminals),
    method!(here "thread/backgroundTerminals/terminate" thread_work::terminate),
    method!(later "thread/compact/start" thread_work::compact),
    method!(later "thread/delete" thread_family::delete),
    method!(later "thread/fork" thread_fork::fork),
    method!(later "thread/goal/clear" thread_goal::clear),
    method!(store "thread/goal/get" thread_goal::get),
    method!(later "thread/goal/set" thread_goal::set),
    method!(later "thread/inject_items" thread_inject::inject),
    method!(store "thread/items/list" thread_lists::items),
    method!(store "thread/items/read" thread_lists::items_by_id),
    method!(later "thread/list" thread_lists::threads),
    method!(here "thread/loaded/list" thread_lists::loaded),
    method!(later "thread/metadata/update" thread_family::update_metadata),
    method!(later "thread/name/set" thread_life::set_name),
    method!(later "thread/queue/add" thread_queue::add),
    method!(later "thread/queue/delete" thread_queue::delete),
    method!(store "thread/queue/list" thread_queue::list),
    method!(later "thread/queue/reorder" thread_queue::reorder),
    method!(later "thread/queue/start" thread_queue::start),
    method!(later "thread/queue/update" thread_queue::update),
    method!(store "thread/read" thread_lists::read),
    method!(later "thread/readState/update" thread_keep::update_read_state),
    method!(later "thread/resume" thread_life::resume),
    method!(later "thread/revert" thread_family::revert),
    method!(later "thread/search" thread_search::threads),
    method!(store "thread/searchOccurrences" thread_search::occurrences),
    method!(later "thread/settings/update" thread_settings::update),
    method!(later "thread/shellCommand" thread_work::shell_command),
    method!(later "thread/start" thread_life::start),
    method!(store "thread/turns/list" thread_lists::turns),
    method!(later "thread/unarchive" thread_family::unarchive),
    method!(here "thread/unsubscribe" thread_life::unsubscribe),
    method!(here "turn/interrupt" turns::interrupt),
    method!(later "turn/start" turns::start),
    method!(here "turn/steer" turns::steer),
];

/// The methods that are served, sorted, each with the types that its handler takes and gives.
#[cfg(test)]
pub(crate) fn served() -> impl Iterator<Item = (&'static str, tests::Types)> {
    METHODS.iter().map(|method| (method.name, (method.types)()))
}

impl Processor {
    /// Answers one request, now or later.
    pub(super) fn dispatch(&mut self, connection: ConnectionId, request: Request) {
        let Some(session) = self.sessions.get(connection) else { return };
        let caller = Caller { connection };
        let at = METHODS.binary_search_by(|method| method.name.cmp(&request.method));
        let trace = request.trace.as_deref();
        let watch = self.watch(session, &request.id, &request.method, at.ok(), trace);
        let span = watch.span.clone();
        let _within = span.enter();
        let reply = session.reply(request.id).watched(watch);
        match at {
            Ok(at) => {
                let method = &METHODS[at];
                (method.run)(self, caller, method, reply, request.params);
            }
            Err(_) => reply.refuse(not_here(&request.method, session.client.is_some())),
        }
    }

    /// Lets the store worker read and encode, and sends what it made.
    fn read_and_answer<R: Serialize + 'static>(&self, query: Query<R>, reply: Reply) {
        let events = self.services.events.clone();
        let (read, reply) = (query.read, reply.queueing());
        // A queue without room drops the job and the reply in it, which then answers by itself.
        let _ = query.store.read(
            // A refusal by the handler is an outcome of the read, not a failure of the store.
            move |database| Ok(read(database)),
            move |outcome| {
                let outcome = outcome.unwrap_or_else(|error| Err(store_refusal(&error)));
                events.tell(super::Event::Answer(reply.arrived().encode(outcome)));
            },
        );
    }
}

fn not_here(method: &str, initialized: bool) -> RpcError {
    match methods::find(method) {
        None => RpcError::invalid_request(format!("Invalid request: unknown method `{method}`"))
            .with(Reason::UnknownMethod),
        Some(_) if !initialized => not_initialized(),
        Some(_) => RpcError::new(code::METHOD_NOT_FOUND, format!("{method} is not supported by this server"))
            .with(Reason::UnsupportedMethod),
    }
}

/// Decodes the parameters, then checks that the client may ask at all: the reference's order.
fn decode<P: DeserializeOwned>(
    processor: &Processor,
    caller: Caller,
    method: &Method,
    params: Params,
) -> Result<P, RpcError> {
    let decoded = decode_params::<P>(&params)?;
    if method.name == "initialize" {
        return Ok(decoded);
    }
    let Some(session) = processor.sessions.get(caller.connection).filter(|session| session.client.is_some())
    else {
        return Err(not_initialized());
    };
    if !session.is_experimental() {
        refuse_experimental(method.name, text(&params))?;
    }
    Ok(decoded)
}

fn text(params: &Params) -> &str {
    params.as_ref().map_or("{}", |params| params.get())
}

/// Decodes the parameters; absent ones are an empty object.
pub(super) fn decode_params<P: DeserializeOwned>(params: &Params) -> Result<P, RpcError> {
    serde_json::from_str::<P>(text(params)).map_err(|error| invalid_params(&error))
}

fn invalid_params(error: &serde_json::Error) -> RpcError {
    let text = error.to_string();
    // Where in the message it was helps nobody who wrote it with a serializer, and the reference leaves it
    // out.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    RpcError::invalid_request(format!("Invalid request: {text}")).with(Reason::InvalidParams)
}

pub(super) fn not_initialized() -> RpcError {
    RpcError::invalid_request("Not initialized").with(Reason::NotInitialized)
}

fn refuse_experimental(method: &str, params: &str) -> Result<(), RpcError> {
    let refusal = |what: &str| {
        RpcError::invalid_request(format!("{what} requires experimentalApi capability"))
            .with(Reason::ExperimentalApi)
    };
    if methods::find(method).is_some_and(|method| method.experimental) {
        return Err(refusal(method));
    }
    let mut fields = methods::experimental_fields(method).peekable();
    if fields.peek().is_none() {
        return Ok(());
    }
    // What is sent is only looked for: no value is taken apart a second time.
    let Ok(sent) = serde_json::from_str::<HashMap<String, Option<IgnoredAny>>>(params) else {
        return Ok(());
    };
    match fields.find(|field| matches!(sent.get(*field), Some(Some(_)))) {
        Some(field) => Err(refusal(&format!("{method}.{field}"))),
        None => Ok(()),
    }
}

/// What a client is told when the store refuses.
pub(super) fn store_refusal(error: &StoreError) -> RpcError {
    match error {
        StoreError::InvalidCursor(_) => {
            RpcError::invalid_request(error.to_string()).with(Reason::InvalidParams)
        }
        StoreError::NotFound { .. } => {
            RpcError::invalid_request(error.to_string()).with(Reason::ThreadNotFound)
        }
        StoreError::Owned { .. } => RpcError::invalid_request(error.to_string()).with(Reason::ActiveWriter),
        other => RpcError::internal(format!("the store refused: {other}")).with(Reason::Store),
    }
}

#[cfg(test)]
mod tests {
    use std::any::type_name;

    use super::*;
    use crate::server::files::FileHandler;

    /// Names of the types of a method's parameters and of its answer, if the handler's type tells the second.
    pub(crate) type Types = (&'static str, Option<&'static str>);

    pub(super) fn here<P, R>(_: fn(&mut Processor, Caller, P) -> Result<R, RpcError>) -> Types {
        (type_name::<P>(), Some(type_name::<R>()))
    }

    pub(super) fn store<P, R>(_: fn(&mut Processor, P) -> Result<Query<R>, RpcError>) -> Types {
        (type_name::<P>(), Some(type_name::<R>()))
    }

    pub(super) fn files<P>(_: FileHandler<P>) -> Types {
        (type_name::<P>(), None)
    }

    pub(super) fn later<P>(_: fn(&mut Processor, Caller, P, Reply)) -> Types {
        (type_name::<P>(), None)
    }

    #[test]
    fn the_table_is_sorted_and_every_method_is_published() {
        assert!(METHODS.is_sorted_by(|a, b| a.name < b.name));
        for method in METHODS {
            assert!(methods::find(method.name).is_some(), "{} is not in the protocol", method.name);
        }
    }

    #[test]
    fn an_experimental_field_is_refused_unless_it_is_null() {
        assert!(refuse_experimental("thread/start", r#"{"cwd":"/","historyMode":null}"#).is_ok());
        let error = refuse_experimental("thread/start", r#"{"historyMode":"legacy"}"#).expect_err("refused");
        assert_eq!(error.message, "thread/start.historyMode requires experimentalApi capability");
        assert!(refuse_experimental("collaborationMode/list", "{}").is_err());
    }
}
