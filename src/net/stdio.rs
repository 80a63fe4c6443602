//! The stdio transport: one JSON object per line, in on one descriptor and out on another.
//!
//! A script's pipe is served to its end: what arrived before the end of input is handed to the processor,
//! also a last line without a newline, and only then the end itself. The reader never refuses for load; it
//! waits, and the pipe pushes back. It knows nothing of methods.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Select};
use memchr::memchr;
use rustix::event::{PollFd, PollFlags, poll};

use super::slices::write_slices;
use super::{Admission, ConnectionId, ConnectionIds, InputEnd, NetEvent, NetInbox, Opened, Transport};
use crate::error::StartError;
use crate::limits;
use crate::queue::{Batch, InboxPort, Next, Outbox, OutboxDrain, OutboxLimits, Overflow};
use crate::rpc::{Reason, RpcError, Undecodable, decode};
use crate::sys::worker::Worker;

/// The limits of the stdio transport.
#[derive(Debug, Clone, Copy)]
pub struct StdioConfig {
    /// Largest line, in bytes, without its newline.
    pub message_bytes_max: usize,
    /// Bytes in the outbox at which the processor waits for the client.
    pub outbox_bytes: usize,
}

impl StdioConfig {
    /// The limits of [`limits`].
    #[must_use]
    pub fn standard() -> Self {
        Self { message_bytes_max: limits::MESSAGE_BYTES_MAX, outbox_bytes: limits::OUTBOX_BYTES_STDIO }
    }
}

/// The two workers of the one stdio connection.
#[derive(Debug)]
pub struct Stdio {
    reader: Worker,
    writer: Worker,
    outbox: Outbox,
    /// The reader watches the other end; its closing wakes a reader that waits for input.
    wake: OwnedFd,
}

impl Stdio {
    /// Opens the connection on `input` and `output`, which may be pipes, sockets, files or terminals.
    ///
    /// # Errors
    /// The operating system's refusal to start a worker or to make a pipe.
    pub fn start(
        input: OwnedFd,
        output: OwnedFd,
        config: StdioConfig,
        ids: &ConnectionIds,
        inbox: &NetInbox,
    ) -> Result<Self, StartError> {
        let started = |error| StartError::io("cannot serve stdio", error);
        let (outbox, drain) = Outbox::new(OutboxLimits {
            messages: limits::OUTBOX_MESSAGES,
            bytes: config.outbox_bytes,
            control_frames: limits::OUTBOX_CONTROL_FRAMES,
            overflow: Overflow::Wait,
        });
        let id = ids.next();
        let (wake_reader, wake) = io::pipe().map_err(started)?;
        let (wake_reader, wake) = (OwnedFd::from(wake_reader), OwnedFd::from(wake));
        let writer = Worker::spawn("stdio-wr", limits::STACK_BYTES_IO, {
            let port = inbox.port();
            move || write_lines(id, File::from(output), drain, &port)
        })
        .map_err(started)?;
        let reader = Worker::spawn("stdio-rd", limits::STACK_BYTES_IO, {
            let port = inbox.port();
            let outbox = outbox.clone();
            move || {
                let opened = Opened {
                    id,
                    outbox,
                    transport: Transport::Stdio,
                    peer: "stdio".to_owned(),
                    admission: Admission::default(),
                };
                // An error of either send means that the processor has ended before us.
                if port.send(NetEvent::Opened(opened), /*bytes*/ 0).is_err() {
                    return;
                }
                let mut lines =
                    Lines { id, port, line: Vec::new(), skipping: false, max: config.message_bytes_max };
                let end = read_lines(File::from(input), &wake_reader, &mut lines);
                let _ = lines.port.send(NetEvent::Closed(id, end), /*bytes*/ 0);
            }
        })
        .map_err(started)?;
        Ok(Self { reader, writer, outbox, wake })
    }

    /// The connection's outbox, for whoever has to free a processor that waits for a client that does not
    /// read.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Waits until the finished outbox is written out, which takes as long as the client takes to read it; a
    /// word on `hurry` shortens that to the deadline.
    pub fn write_out(&self, hurry: &Receiver<()>) {
        let mut select = Select::new();
        select.recv(self.writer.ended());
        select.recv(hurry);
        select.ready();
    }

    /// Stops reading and writing; a worker that is still held up after `deadline` is left behind.
    pub fn stop(self, deadline: Duration) {
        drop(self.wake);
        self.reader.join_within(deadline);
        self.writer.join_within(deadline);
    }
}

/// Puts lines together and hands them on.
struct Lines {
    id: ConnectionId,
    port: InboxPort<NetEvent>,
    line: Vec<u8>,
    /// The line is above the limit and was refused; its rest is thrown away.
    skipping: bool,
    max: usize,
}

/// The processor is gone; there is nobody to read for.
struct ProcessorEnded;

impl Lines {
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), ProcessorEnded> {
        while let Some(at) = memchr(b'\n', bytes) {
            self.extend(&bytes[..at])?;
            self.end_of_line()?;
            bytes = &bytes[at + 1..];
        }
        self.extend(bytes)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), ProcessorEnded> {
        if self.skipping {
            return Ok(());
        }
        if self.line.len() + bytes.len() <= self.max {
            self.line.extend_from_slice(bytes);
            return Ok(());
        }
        self.skipping = true;
        self.line = Vec::new();
        let error = RpcError::invalid_request(format!(
            "Invalid request: the message is longer than {} bytes, the limit of this server",
            self.max
        ))
        .with(Reason::MessageTooLarge);
        self.send(Err(Undecodable { id: None, error }), /*bytes*/ 0)
    }

    fn end_of_line(&mut self) -> Result<(), ProcessorEnded> {
        if std::mem::take(&mut self.skipping) {
            return Ok(());
        }
        // An empty line asks for nothing: scripts end with one, and CRLF files have many.
        if self.line.iter().all(u8::is_ascii_whitespace) {
            self.line.clear();
            return Ok(());
        }
        let bytes = self.line.len();
        let message = decode(&self.line);
        self.line.clear();
        if self.line.capacity() > limits::WRITE_BATCH_BYTES {
            self.line = Vec::new();
        }
        self.send(message, bytes)
    }

    fn send(
        &self,
        message: Result<crate::rpc::Incoming, Undecodable>,
        bytes: usize,
    ) -> Result<(), ProcessorEnded> {
        self.port.send(NetEvent::Message(self.id, message), bytes).map_err(|_| ProcessorEnded)
    }
}

fn read_lines(mut input: File, wake: &OwnedFd, lines: &mut Lines) -> InputEnd {
    let mut buffer = vec![0; limits::STDIO_READ_BYTES];
    loop {
        if !wait_readable(&input, wake) {
            return InputEnd::EndOfInput;
        }
        match input.read(&mut buffer) {
            Ok(0) => {
                let _ = lines.end_of_line();
                return InputEnd::EndOfInput;
            }
            Ok(count) => {
                if lines.take(&buffer[..count]).is_err() {
                    return InputEnd::EndOfInput;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => {
                tracing::warn!(%error, "reading stdin failed; taken as the end of input");
                return InputEnd::EndOfInput;
            }
        }
    }
}

/// Waits for input. False if the server stops.
fn wait_readable(input: &File, wake: &OwnedFd) -> bool {
    loop {
        let mut watched = [PollFd::new(input, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        match poll(&mut watched, None) {
            Ok(_) if !watched[1].revents().is_empty() => return false,
            Ok(_) if !watched[0].revents().is_empty() => return true,
            // A descriptor that cannot be polled: let the read say what is wrong.
            Err(error) if error != rustix::io::Errno::INTR => return true,
            _ => {}
        }
    }
}

fn write_lines(id: ConnectionId, mut output: File, mut drain: OutboxDrain, port: &InboxPort<NetEvent>) {
    let mut batch = Batch::default();
    let mut buffer = Vec::new();
    loop {
        let next = drain.next(&mut batch, limits::WRITE_BATCH_BYTES);
        if let Err(error) = write_batch(&mut output, &batch.data, &mut buffer) {
            if error.kind() != ErrorKind::BrokenPipe {
                tracing::warn!(%error, "writing stdout failed");
            }
            // First free whoever waits for room: the processor may be among them.
            drop(drain);
            let _ = port.send(NetEvent::Closed(id, InputEnd::Gone), /*bytes*/ 0);
            return;
        }
        if next != Next::Continue {
            return;
        }
    }
}

/// Writes whole lines, gathering small ones into one system call. A large one is written from where it is,
/// with those before it: a copy would double what it takes.
fn write_batch(output: &mut File, messages: &[Bytes], buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    for message in messages {
        if message.len() < limits::WRITE_COPY_BYTES {
            buffer.extend_from_slice(message);
            buffer.push(b'\n');
        } else {
            write_all(output, &mut [buffer, &message[..], b"\n"].map(IoSlice::new))?;
            buffer.clear();
        }
    }
    write_all(output, &mut [IoSlice::new(buffer)])?;
    if buffer.capacity() > 2 * limits::WRITE_BATCH_BYTES {
        *buffer = Vec::new();
    }
    Ok(())
}

/// Writes all of it, also to a descriptor which the parent has made non-blocking.
fn write_all(output: &mut File, mut left: &mut [IoSlice<'_>]) -> io::Result<()> {
    loop {
        match write_slices(output, &mut left) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::OUT)], None);
            }
            written => return written,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn a_large_line_is_written_in_one_go_with_what_is_before_it() {
        // Each write is a message of its own.
        let (ours, theirs) = UnixDatagram::pair().expect("a pair");
        let large = vec![b'x'; limits::WRITE_COPY_BYTES];
        let messages = [Bytes::from_static(b"{}"), Bytes::from(large.clone()), Bytes::from_static(b"[]")];
        write_batch(&mut File::from(OwnedFd::from(ours)), &messages, &mut Vec::new()).expect("it is written");
        let mut buffer = vec![0; 2 * limits::WRITE_COPY_BYTES];
        let size = theirs.recv(&mut buffer).expect("the first");
        assert!(buffer[..size] == [b"{}\n", &large[..], b"\n"].concat(), "{size} bytes");
        let size = theirs.recv(&mut buffer).expect("the second");
        assert_eq!(&buffer[..size], b"[]\n");
    }

    #[test]
    fn a_pipe_that_does_not_wait_gets_all_of_it() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        rustix::io::ioctl_fionbio(&writer, /*value*/ true).expect("it does not wait");
        let large = Bytes::from(vec![b'x'; 64 * limits::WRITE_COPY_BYTES]);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut writer = File::from(OwnedFd::from(writer));
                let messages = [Bytes::from_static(b"{}"), large.clone()];
                write_batch(&mut writer, &messages, &mut Vec::new()).expect("it is written");
            });
            let mut read = Vec::new();
            reader.read_to_end(&mut read).expect("it ends");
            assert!(read == [b"{}\n", &large[..], b"\n"].concat(), "{} bytes", read.len());
        });
    }
}
