//! The `fs/` family. Each handler runs on a file worker.

use bytes::Bytes;

use crate::files::{self, FileError, FileTurn, HeldBytes, Kind};
use crate::proto::{
    EmptyResponse, FsCopyParams, FsCreateDirectoryParams, FsGetMetadataResponse, FsPathParams,
    FsReadDirectoryEntry, FsReadDirectoryResponse, FsReadFileResponse, FsRemoveParams, FsWriteFileParams,
};
use crate::rpc::{Answer, Reason, Reply, RpcError, code, response};

/// The error as the reference tells it: -32600 for what makes no sense, -32603 in the system's words.
pub(super) fn refusal(error: FileError) -> RpcError {
    match error {
        FileError::Refused(text) => RpcError::invalid_request(text).with(Reason::InvalidParams),
        FileError::Limit(text) => RpcError::invalid_request(text).with(Reason::LimitReached),
        FileError::Os(error) => {
            RpcError::new(code::INTERNAL_ERROR, error.to_string()).with(Reason::FileSystem)
        }
    }
}

fn done(reply: Reply, outcome: Result<(), FileError>) -> Answer {
    reply.encode(outcome.map(|()| EmptyResponse {}).map_err(refusal))
}

/// A whole message whose bytes count as held until the last copy of it is written or dropped.
struct HeldMessage {
    message: Vec<u8>,
    _held: HeldBytes,
}

impl AsRef<[u8]> for HeldMessage {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

/// All clients together have not yet taken too much of what they read.
fn too_much_held() -> RpcError {
    RpcError::limit("too many file contents wait for clients to take them; retry later")
}

/// `fs/readFile`. The file is encoded right into the message, because it may be large.
pub(in crate::server) fn read_file(reply: Reply, params: FsPathParams, turn: &FileTurn) -> Answer {
    // The message around nothing; the content goes between the quotes at its end.
    let empty = response(reply.id(), &FsReadFileResponse { data_base64: String::new() });
    let (before, after) = empty.split_at(empty.len() - "\"}}".len());
    let mut held = None;
    let encoded = files::read_to_base64(params.path.as_path(), |bytes| {
        held = turn.hold(empty.len() + bytes);
        held.as_ref()?;
        let mut message = Vec::with_capacity(empty.len() + bytes);
        message.extend_from_slice(before);
        Some(message)
    });
    match (encoded, held) {
        (Ok(Some(mut message)), Some(held)) => {
            message.extend_from_slice(after);
            reply.encoded_and_held(Bytes::from_owner(HeldMessage { message, _held: held }))
        }
        (Err(error), _) => reply.encode(Err::<(), _>(refusal(error))),
        (Ok(_), _) => reply.encode(Err::<(), _>(too_much_held())),
    }
}

/// `fs/writeFile`.
pub(in crate::server) fn write_file(reply: Reply, params: FsWriteFileParams, _turn: &FileTurn) -> Answer {
    let written = files::decode_base64(&params.data_base64)
        .and_then(|content| files::write(params.path.as_path(), &content));
    done(reply, written)
}

/// `fs/createDirectory`.
pub(in crate::server) fn create_directory(
    reply: Reply,
    params: FsCreateDirectoryParams,
    _turn: &FileTurn,
) -> Answer {
    done(reply, files::create_directory(params.path.as_path(), params.recursive.unwrap_or(true)))
}

/// `fs/getMetadata`.
pub(in crate::server) fn metadata(reply: Reply, params: FsPathParams, _turn: &FileTurn) -> Answer {
    let found = files::metadata(params.path.as_path()).map(|metadata| FsGetMetadataResponse {
        is_directory: metadata.kind == Kind::Directory,
        is_file: metadata.kind == Kind::File,
        is_symlink: metadata.is_symlink,
        created_at_ms: metadata.created_at_ms,
        modified_at_ms: metadata.modified_at_ms,
    });
    reply.encode(found.map_err(refusal))
}

/// `fs/readDirectory`.
pub(in crate::server) fn read_directory(reply: Reply, params: FsPathParams, turn: &FileTurn) -> Answer {
    let entries = match files::read_directory(params.path.as_path()) {
        Ok(entries) => entries,
        Err(error) => return reply.encode(Err::<(), _>(refusal(error))),
    };
    let entries = entries.into_iter().map(|entry| FsReadDirectoryEntry {
        file_name: entry.name,
        is_directory: entry.kind == Kind::Directory,
        is_file: entry.kind == Kind::File,
    });
    let message = response(reply.id(), &FsReadDirectoryResponse { entries: entries.collect() });
    match turn.hold(message.len()) {
        Some(held) => {
            reply.encoded_and_held(Bytes::from_owner(HeldMessage { message: message.into(), _held: held }))
        }
        None => reply.encode(Err::<(), _>(too_much_held())),
    }
}

/// `fs/remove`.
pub(in crate::server) fn remove(reply: Reply, params: FsRemoveParams, _turn: &FileTurn) -> Answer {
    let (recursive, force) = (params.recursive.unwrap_or(true), params.force.unwrap_or(true));
    done(reply, files::remove(params.path.as_path(), recursive, force))
}

/// `fs/copy`.
pub(in crate::server) fn copy(reply: Reply, params: FsCopyParams, turn: &FileTurn) -> Answer {
    let (source, destination) = (params.source_path.as_path(), params.destination_path.as_path());
    done(reply, files::copy(source, destination, params.recursive, &|| turn.is_stopping()))
}
