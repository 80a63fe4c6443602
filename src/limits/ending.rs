//! What the end of the process may take.

use std::time::Duration;

use super::CLOSE_DEADLINE;

/// A stdio client that sent a signal and does not read has this long before its output is given up.
pub const STDIO_STOP_DEADLINE: Duration = Duration::from_millis(300);
/// At the end of the process each worker has this long to stop before it is named in the log and left.
pub const WORKER_STOP_DEADLINE: Duration = Duration::from_secs(1);
/// After a drain each network client has this long to take what is queued for it. Who has not loses the rest.
pub const DELIVERY_DEADLINE: Duration = Duration::from_secs(5);
/// The same when the end is forced.
pub const FORCED_DELIVERY_DEADLINE: Duration = Duration::from_millis(300);
/// From the moment on at which nothing is waited for any more, the process has this long to end. Above it,
/// who holds it up is named in the log and the process ends with exit code 1.
pub const END_DEADLINE: Duration = Duration::from_secs(10);
/// The same from a second signal on; on stdio from the first, or from a closed output on. The Python SDK
/// kills two seconds after its signal, and one is promised.
pub const FORCED_END_DEADLINE: Duration = Duration::from_millis(900);
/// At the end of the process spans have this long to reach their collector (feature `otlp`). Later ones are
/// lost.
pub const OTLP_FLUSH_DEADLINE: Duration = Duration::from_millis(500);
/// A collector must have answered within this, unless the environment says otherwise.
pub const OTLP_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a collector's answer that are read. More is an error of that export.
pub const OTLP_ANSWER_BYTES: u64 = 64 * 1024;
/// What the log has to say when the process is ended before its time gets this long to be written.
pub const LOG_LAST_WORDS_DEADLINE: Duration = Duration::from_millis(50);

const _: () = assert!(2 * STDIO_STOP_DEADLINE.as_millis() < FORCED_END_DEADLINE.as_millis());
const _: () = assert!(FORCED_DELIVERY_DEADLINE.as_millis() < FORCED_END_DEADLINE.as_millis());
const _: () = assert!(
    DELIVERY_DEADLINE.as_millis() + CLOSE_DEADLINE.as_millis() + WORKER_STOP_DEADLINE.as_millis()
        < END_DEADLINE.as_millis()
);
