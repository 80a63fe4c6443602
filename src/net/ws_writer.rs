//! The writing half of a WebSocket: from the outbox to the socket.
//!
//! It runs on the connection's writer, which decides alone which Close goes out: the first. Only while it
//! has nothing to do others write for it ([`Shortcut`]), one at a time, as the outbox sees to; so frames
//! never mix. It knows nothing of what it sends.

use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

use super::link::Link;
use super::slices::write_slices;
use crate::limits;
use crate::queue::{Batch, Closing, Next, OutboxDrain, Shortcut};

/// Writes until the connection ends: after a Close, or when the socket fails.
pub(crate) fn run(mut drain: OutboxDrain, link: &Arc<Link>, close_deadline: Duration) {
    let mut batch = Batch::default();
    let mut frames = FrameWriter::default();
    loop {
        let next = drain.next(&mut batch, limits::WRITE_BATCH_BYTES);
        match frames.write(&mut &**link, &batch, &next) {
            Ok(Written::Open) => {}
            Ok(Written::Close) => {
                link.note_close_sent();
                // Nothing follows a Close, and a client need not wait for the server's end.
                link.shut(Shutdown::Write);
                // From here the client has this long to answer; the reader waits for that.
                link.shut_after(close_deadline, Shutdown::Both);
                return;
            }
            Err(error) => {
                tracing::debug!(connection = link.id().0, %error, "the client does not take what is written");
                link.shut(Shutdown::Both);
                return;
            }
        }
    }
}

/// What stands on the wire after a batch.
#[derive(Debug, PartialEq, Eq)]
enum Written {
    /// More may follow.
    Open,
    /// A Close was the last.
    Close,
}

/// Makes frames of messages, few system calls of many small ones and no copy of a large one.
#[derive(Debug, Default)]
struct FrameWriter {
    buffer: Vec<u8>,
}

impl FrameWriter {
    fn write(&mut self, out: &mut impl Write, batch: &Batch, next: &Next) -> io::Result<Written> {
        self.buffer.clear();
        self.buffer.extend_from_slice(&batch.rest);
        for frame in &batch.control {
            self.buffer.extend_from_slice(frame);
            if is_close(frame) {
                out.write_all(&self.buffer)?;
                return Ok(Written::Close);
            }
        }
        for message in &batch.data {
            put_header(&mut self.buffer, message)?;
            if message.len() <= limits::WRITE_COPY_BYTES {
                self.buffer.extend_from_slice(message);
            } else {
                write_slices(out, &mut &mut [IoSlice::new(&self.buffer), IoSlice::new(message)][..])?;
                self.buffer.clear();
            }
        }
        if let Next::Close(closing) = next {
            close_frame(closing).format(&mut self.buffer).map_err(io::Error::other)?;
        }
        if !self.buffer.is_empty() {
            out.write_all(&self.buffer)?;
        }
        if self.buffer.capacity() > limits::WRITE_KEEP_BYTES {
            // An idle connection keeps no large buffer.
            self.buffer = Vec::new();
        }
        Ok(if matches!(next, Next::Close(_)) { Written::Close } else { Written::Open })
    }
}

impl Shortcut for Link {
    fn write(&self, messages: &mut dyn ExactSizeIterator<Item = &[u8]>, bytes: usize) -> io::Result<Bytes> {
        let mut frames = Vec::with_capacity(bytes + messages.len() * FRAME_HEADER_BYTES_MAX);
        for message in messages {
            put_header(&mut frames, message)?;
            frames.extend_from_slice(message);
        }
        let written = self.write_now(&frames)?;
        Ok(if written == frames.len() { Bytes::new() } else { Bytes::from(frames).slice(written..) })
    }
}

/// Bytes of the longest header without a mask: two, and eight of length (RFC 6455, section 5.2).
const FRAME_HEADER_BYTES_MAX: usize = 10;

/// The header of a message's only frame (RFC 6455, section 5.2).
fn put_header(buffer: &mut Vec<u8>, message: &[u8]) -> io::Result<()> {
    let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
    header.format(message.len() as u64, buffer).map_err(io::Error::other)
}

/// The server's Close. The reason is cut at a character to what a control frame can hold.
fn close_frame(closing: &Closing) -> Frame {
    let mut end = closing.reason.len().min(limits::CLOSE_REASON_BYTES);
    while !closing.reason.is_char_boundary(end) {
        end -= 1;
    }
    Frame::close(Some(CloseFrame { code: closing.code.into(), reason: closing.reason[..end].into() }))
}

fn is_close(frame: &Bytes) -> bool {
    frame.first().is_some_and(|first| first & 0x0F == 0x8)
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::clock::Clock;
    use crate::net::ConnectionId;
    use crate::queue::{BroadcastLimits, Broadcaster, Outbox, OutboxLimits, Overflow};
    use crate::timer::TimerWorker;
    use tungstenite::protocol::{Message, Role, WebSocket};

    /// Takes at most so many bytes per call, and counts the calls.
    struct Slow {
        taken: Vec<u8>,
        per_call: usize,
        calls: usize,
    }

    impl Slow {
        fn new(per_call: usize) -> Self {
            Self { taken: Vec::new(), per_call, calls: 0 }
        }
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            let size = bytes.len().min(self.per_call);
            self.taken.extend_from_slice(&bytes[..size]);
            Ok(size)
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.calls += 1;
            let mut room = self.per_call;
            for slice in slices {
                let size = slice.len().min(room);
                self.taken.extend_from_slice(&slice[..size]);
                room -= size;
            }
            Ok(self.per_call - room)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Writes all that is in the outbox and reads it back as a client.
    fn through(messages: &[usize], closing: Option<Closing>, per_call: usize) -> (Vec<Message>, usize) {
        let limits =
            OutboxLimits { messages: 1_000, bytes: 1 << 30, control_frames: 4, overflow: Overflow::Wait };
        let (outbox, mut drain) = Outbox::new(limits);
        for &length in messages {
            outbox.push(vec![b'x'; length].into());
        }
        let end = closing.clone().unwrap_or(Closing { code: 1000, reason: String::new() });
        outbox.finish(end);
        let (mut slow, mut frames, mut batch) =
            (Slow::new(per_call), FrameWriter::default(), Batch::default());
        loop {
            let next = drain.next(&mut batch, limits::WRITE_BATCH_BYTES);
            if frames.write(&mut slow, &batch, &next).expect("it writes") == Written::Close {
                break;
            }
        }
        assert!(frames.buffer.capacity() <= limits::WRITE_KEEP_BYTES);
        let mut client = WebSocket::from_raw_socket(io::Cursor::new(slow.taken), Role::Client, None);
        let read = std::iter::from_fn(|| client.read().ok()).collect();
        (read, slow.calls)
    }

    #[test]
    fn messages_of_every_size_arrive_whole_over_any_socket() {
        let sizes = [0, 1, 125, 126, 65_535, 65_536, limits::WRITE_COPY_BYTES, 300_000, 2];
        for per_call in [100_000, 7_001, 13] {
            let (read, _) = through(&sizes, /*closing*/ None, per_call);
            let lengths: Vec<usize> = read.iter().map(Message::len).collect();
            assert_eq!(lengths[..sizes.len()], sizes, "{per_call} bytes per call");
            assert!(matches!(read.last(), Some(Message::Close(_))));
        }
    }

    #[test]
    fn many_small_messages_are_few_calls_and_a_large_one_is_one() {
        let (_, calls) = through(&[100; 600], /*closing*/ None, usize::MAX);
        assert_eq!(calls, 1);
        let (_, calls) = through(&[10_000_000], /*closing*/ None, usize::MAX);
        assert_eq!(calls, 2, "the message, and the Close");
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let closing = Closing { code: 1013, reason: "ü".repeat(100) };
        let (read, _) = through(&[], Some(closing), usize::MAX);
        let Some(Message::Close(Some(frame))) = read.first() else { panic!("{read:?}") };
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1013, "ü".repeat(61).as_str()));
    }

    #[test]
    fn nothing_follows_the_clients_close_reply() {
        let close: Bytes = vec![0x88, 0x00].into();
        let mut batch = Batch::default();
        batch.control.extend([Bytes::from_static(&[0x8A, 0x00]), close, Bytes::from_static(&[0x8A, 0x00])]);
        batch.data.push(Bytes::from_static(b"late"));
        let mut slow = Slow::new(usize::MAX);
        let written = FrameWriter::default().write(&mut slow, &batch, &Next::Continue).expect("it writes");
        assert_eq!((written, slow.taken), (Written::Close, vec![0x8A, 0x00, 0x88, 0x00]));
    }

    /// Messages of all sizes from some bytes to more than the socket holds, each with its number.
    fn numbered(at: usize) -> String {
        format!("{at} {}", "x".repeat(at * 37 % 9000))
    }

    #[test]
    fn what_is_written_by_both_ways_arrives_whole_and_in_order_at_a_slow_client() {
        const MESSAGES: usize = 3000;
        // Over TCP a part of a message may be taken.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let theirs = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let socket = socket2::Socket::from(listener.accept().expect("a client").0);
        socket.set_send_buffer_size(8 * 1024).expect("a size");
        let (_timer_worker, timer) = TimerWorker::start(Clock::real()).expect("a timer");
        let link = Link::new(ConnectionId(1), socket, timer);
        let limits = OutboxLimits {
            messages: MESSAGES + 1,
            bytes: 1 << 30,
            control_frames: 4,
            overflow: Overflow::Cut(Closing { code: 1013, reason: String::new() }),
        };
        let (outbox, drain) = Outbox::new(limits);
        let shortcut: Weak<Link> = Arc::downgrade(&link);
        outbox.set_shortcut(shortcut);
        let mut broadcaster = Broadcaster::new(BroadcastLimits {
            messages: 10_000,
            bytes: 1 << 30,
            at_once: 1,
            written_bytes: 16 * 1024,
            pause: Duration::from_micros(10),
            stack_bytes: 64 * 1024,
        });
        assert!(broadcaster.join(/*id*/ 1, &outbox, Arc::default()));
        let said = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| run(drain, &link, Duration::from_secs(60)));
            scope.spawn(|| {
                for at in 0..MESSAGES {
                    // So that the next message finds a writer that waits, and is written without it.
                    while !outbox.is_at_rest() {
                        std::thread::yield_now();
                    }
                    let message = Bytes::from(numbered(at));
                    if at % 7 == 0 {
                        outbox.push(message);
                    } else {
                        broadcaster.tell("topic", message).expect("a worker");
                    }
                    said.fetch_add(1, Ordering::Release);
                }
                outbox.finish(Closing { code: 1000, reason: String::new() });
            });
            let mut client = WebSocket::from_raw_socket(theirs, Role::Client, None);
            for at in 0..MESSAGES {
                // It leaves the socket as full as it can be, and reads when nothing goes on.
                let (mut seen, mut same) = (0, 0);
                while same < 200 && seen < MESSAGES {
                    std::thread::yield_now();
                    let now = said.load(Ordering::Acquire);
                    (seen, same) = (now, if now == seen { same + 1 } else { 0 });
                }
                let message = client.read().expect("a message");
                assert_eq!(message.to_text().expect("text"), numbered(at), "message {at}");
            }
            assert!(matches!(client.read(), Ok(Message::Close(_))));
        });
    }
}
