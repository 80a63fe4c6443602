//! A unix socket's place in the file system: made safely, found stale or alive, removed at the end.
//!
//! It knows nothing of what is spoken over the socket. It runs on whoever starts and stops the server.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, RawMode, fchmod, flock};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::error::StartError;
use crate::limits;

/// A bound socket's file; it is removed when this is dropped, if it is still the same file.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

/// Binds `path` with the permissions `mode`, and listens.
///
/// A missing folder is made, for the owner only. A socket that nobody listens on any more is replaced; a live
/// one, another user's, or a file that is no socket is left alone.
pub(crate) fn bind(path: &Path, mode: u32) -> Result<(Socket, SocketFile), StartError> {
    let cannot =
        |error: io::Error| StartError::io(format_args!("cannot listen on unix://{}", path.display()), error);
    let address = SockAddr::unix(path).map_err(cannot)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(limits::UNIX_FOLDER_MODE).create(folder).map_err(cannot)?;
    // Two servers that start together must not both find the same socket stale: one looks at a time. The lock
    // goes away with the file descriptor.
    let lock = File::open(folder).map_err(cannot)?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| cannot(error.into()))?;
    remove_stale(path)?;
    let listen = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // The new file takes its permissions from the socket: there is no moment with wider ones.
        fchmod(&socket, Mode::from_raw_mode(limits::UNIX_SOCKET_MODE as RawMode))?;
        socket.bind(&address)?;
        let metadata = fs::symlink_metadata(path)?;
        let file = SocketFile { path: path.to_owned(), device_and_inode: identity(&metadata) };
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        socket.listen(limits::LISTEN_BACKLOG)?;
        Ok((socket, file))
    };
    listen().map_err(cannot)
}

fn remove_stale(path: &Path) -> Result<(), StartError> {
    let shown = path.display();
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StartError::io(format_args!("cannot look at {shown}"), error)),
    };
    let refuse = |why: &str| Err(StartError::Other(format!("cannot listen on unix://{shown}: {why}")));
    if !metadata.file_type().is_socket() {
        return refuse("the file exists and is no socket; remove it or choose another path");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return refuse("the socket belongs to another user; choose another path");
    }
    match UnixStream::connect(path) {
        Ok(_) => refuse("another server is listening there; stop it or choose another path"),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)
            .map_err(|error| StartError::io(format_args!("cannot replace the stale socket {shown}"), error)),
        Err(error) => refuse(&format!("the socket exists and cannot be probed ({error})")),
    }
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| identity(&metadata) == self.device_and_inode);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Folder;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[test]
    fn folder_and_socket_have_their_permissions_and_the_socket_goes_at_the_end() {
        let folder = Folder::new();
        for wanted in [0o600, 0o660] {
            let path = folder.at("a/b/x.sock");
            let (socket, file) = bind(&path, wanted).expect("it binds");
            assert_eq!((mode(&path), mode(path.parent().expect("a folder"))), (wanted, 0o700));
            UnixStream::connect(&path).expect("it listens");
            drop((socket, file));
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_or_foreign_file_is_not() {
        let folder = Folder::new();
        let path = folder.at("x.sock");
        let (socket, file) = bind(&path, /*mode*/ 0o600).expect("it binds");
        let error = bind(&path, /*mode*/ 0o600).expect_err("it is alive").to_string();
        assert!(error.contains("another server is listening"), "{error}");
        // As after a crash: the file stays, nobody listens.
        std::mem::forget(file);
        drop(socket);
        let (socket, file) = bind(&path, /*mode*/ 0o600).expect("it was stale");
        drop(socket);
        drop(file);
        fs::write(&path, "precious").expect("a file");
        let error = bind(&path, /*mode*/ 0o600).expect_err("no socket").to_string();
        assert!(error.contains("is no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "precious");
    }

    #[test]
    fn what_replaced_our_socket_is_not_removed() {
        let folder = Folder::new();
        let path = folder.at("x.sock");
        let (_socket, file) = bind(&path, /*mode*/ 0o600).expect("it binds");
        fs::remove_file(&path).expect("it is there");
        fs::write(&path, "other").expect("a file");
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn a_path_that_is_too_long_is_a_clear_error() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(200)));
        let error = bind(&path, /*mode*/ 0o600).expect_err("too long").to_string();
        assert!(error.contains("cannot listen on unix:///tmp/xxx"), "{error}");
    }
}
