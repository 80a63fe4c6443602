//! A connection's one timer: pings a silent client, and ends a connection that is dead, stuck or never said
//! who it is.
//!
//! It runs on the timer worker. Nothing is armed per message: reader and writer leave the time of their last
//! deed in the [`Link`], and the timer looks at it when it fires.

use std::net::Shutdown;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;

use super::Admission;
use super::link::Link;
use crate::clock::Monotonic;
use crate::config::net::NetConfig;
use crate::queue::Closing;

/// An unmasked ping without payload (RFC 6455, section 5.5.2).
const PING: Bytes = Bytes::from_static(&[0x89, 0x00]);

/// The state between two looks.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    link: Weak<Link>,
    admission: Admission,
    limits: Deadlines,
    opened: Monotonic,
    /// When a ping was sent that nothing has answered yet.
    pinged: Option<Monotonic>,
}

#[derive(Debug, Clone, Copy)]
struct Deadlines {
    initialize: Duration,
    ping: Duration,
    pong: Duration,
    write_stall: Duration,
    close: Duration,
}

/// What the timer sees of the connection.
#[derive(Debug, Clone, Copy)]
struct Look {
    now: Monotonic,
    last_read: Monotonic,
    writing_since: Option<Monotonic>,
    has_unwritten: bool,
    is_admitted: bool,
}

/// What the timer does.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Look again then.
    Wait(Monotonic),
    /// Ping, and look again then.
    Ping(Monotonic),
    /// The connection ends with this Close.
    Close(Closing),
    /// The client takes no bytes, so no Close either.
    Stalled,
}

impl Heartbeat {
    /// Begins to watch a connection.
    pub(crate) fn start(link: &Arc<Link>, admission: Admission, config: &NetConfig) {
        let opened = link.timer().clock().now();
        let limits = Deadlines {
            initialize: config.initialize_deadline,
            ping: config.ping_interval,
            pong: config.pong_deadline,
            write_stall: config.write_stall_deadline,
            close: config.close_deadline,
        };
        Self { link: Arc::downgrade(link), admission, limits, opened, pinged: None }.beat();
    }

    /// One look, and the next one armed.
    fn beat(mut self) {
        let Some(link) = self.link.upgrade() else { return };
        let Some(outbox) = link.outbox() else { return };
        if link.is_close_sent() {
            return;
        }
        let look = Look {
            now: link.timer().clock().now(),
            last_read: link.last_read(),
            writing_since: link.writing_since(),
            has_unwritten: outbox.bytes_queued() > 0,
            is_admitted: self.admission.is_admitted(),
        };
        let next = match self.judge(look) {
            Verdict::Wait(next) => next,
            Verdict::Ping(next) => {
                outbox.push_control(PING);
                next
            }
            Verdict::Close(closing) => {
                tracing::info!(connection = link.id().0, reason = closing.reason, "a connection is ended");
                outbox.cut(closing);
                // If the client takes nothing, the Close never leaves, and its deadline never begins.
                link.shut_after(self.limits.close, Shutdown::Both);
                return;
            }
            Verdict::Stalled => {
                tracing::info!(connection = link.id().0, "a client takes no bytes; its connection is ended");
                outbox.cut(close_1013());
                link.shut(Shutdown::Both);
                return;
            }
        };
        let key = link.timer().arm(next, move || self.beat());
        link.set_heartbeat(key);
    }

    fn judge(&mut self, look: Look) -> Verdict {
        let mut next = Monotonic(u64::MAX);
        if let Some(since) = look.writing_since {
            let due = since.after(self.limits.write_stall);
            if look.now >= due {
                return Verdict::Stalled;
            }
            next = next.min(due);
        }
        if !look.is_admitted {
            let due = self.opened.after(self.limits.initialize);
            if look.now >= due {
                let seconds = self.limits.initialize.as_secs();
                return Verdict::Close(policy(format!("no `initialize` within {seconds} s")));
            }
            next = next.min(due);
        }
        // A sign of life answers the ping, whatever it is.
        self.pinged = self.pinged.filter(|&at| look.last_read < at);
        match self.pinged {
            // The ping waits behind a message that the client is still taking; the stall deadline judges
            // that.
            Some(_) if look.has_unwritten => {
                self.pinged = Some(look.now);
                Verdict::Wait(next.min(look.now.after(self.limits.pong)))
            }
            Some(at) => {
                let due = at.after(self.limits.pong);
                if look.now >= due {
                    let seconds = self.limits.pong.as_secs();
                    return Verdict::Close(policy(format!("no answer to a ping within {seconds} s")));
                }
                Verdict::Wait(next.min(due))
            }
            None => {
                let due = look.last_read.after(self.limits.ping);
                if look.now < due {
                    return Verdict::Wait(next.min(due));
                }
                self.pinged = Some(look.now);
                Verdict::Ping(next.min(look.now.after(self.limits.pong)))
            }
        }
    }
}

fn policy(reason: String) -> Closing {
    Closing { code: 1008, reason }
}

fn close_1013() -> Closing {
    Closing { code: 1013, reason: "the client takes no bytes".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat() -> Heartbeat {
        let seconds = Duration::from_secs;
        let limits = Deadlines {
            initialize: seconds(30),
            ping: seconds(25),
            pong: seconds(20),
            write_stall: seconds(30),
            close: seconds(1),
        };
        let (admission, opened) = (Admission::default(), Monotonic(0));
        Heartbeat { link: Weak::new(), admission, limits, opened, pinged: None }
    }

    fn look(now_s: u64, last_read_s: u64) -> Look {
        let at = |seconds: u64| Monotonic(seconds * 1000);
        let (now, last_read) = (at(now_s), at(last_read_s));
        Look { now, last_read, writing_since: None, has_unwritten: false, is_admitted: true }
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic(seconds * 1000)
    }

    #[test]
    fn a_silent_client_is_pinged_and_then_ended() {
        let mut heart = heartbeat();
        assert_eq!(heart.judge(look(/*now_s*/ 0, /*last_read_s*/ 0)), Verdict::Wait(at(/*seconds*/ 25)));
        assert_eq!(
            heart.judge(look(/*now_s*/ 25, /*last_read_s*/ 10)),
            Verdict::Wait(at(/*seconds*/ 35)),
            "it spoke at 10"
        );
        assert_eq!(heart.judge(look(/*now_s*/ 35, /*last_read_s*/ 10)), Verdict::Ping(at(/*seconds*/ 55)));
        assert_eq!(heart.judge(look(/*now_s*/ 54, /*last_read_s*/ 10)), Verdict::Wait(at(/*seconds*/ 55)));
        let Verdict::Close(closing) = heart.judge(look(/*now_s*/ 55, /*last_read_s*/ 10)) else {
            panic!("it goes on")
        };
        assert_eq!((closing.code, &*closing.reason), (1008, "no answer to a ping within 20 s"));
    }

    #[test]
    fn any_sign_of_life_answers_a_ping() {
        let mut heart = heartbeat();
        assert_eq!(heart.judge(look(/*now_s*/ 25, /*last_read_s*/ 0)), Verdict::Ping(at(/*seconds*/ 45)));
        assert_eq!(
            heart.judge(look(/*now_s*/ 45, /*last_read_s*/ 25)),
            Verdict::Wait(at(/*seconds*/ 50)),
            "in the same millisecond"
        );
        assert_eq!(heart.judge(look(/*now_s*/ 50, /*last_read_s*/ 25)), Verdict::Ping(at(/*seconds*/ 70)));
    }

    #[test]
    fn a_ping_behind_a_message_on_its_way_is_not_late() {
        let mut heart = heartbeat();
        assert_eq!(heart.judge(look(/*now_s*/ 25, /*last_read_s*/ 0)), Verdict::Ping(at(/*seconds*/ 45)));
        let busy = Look {
            has_unwritten: true,
            writing_since: Some(at(/*seconds*/ 40)),
            ..look(/*now_s*/ 45, /*last_read_s*/ 0)
        };
        assert_eq!(heart.judge(busy), Verdict::Wait(at(/*seconds*/ 65)));
        assert_eq!(
            heart.judge(Look { now: at(/*seconds*/ 64), ..look(/*now_s*/ 64, /*last_read_s*/ 0) }),
            Verdict::Wait(at(/*seconds*/ 65))
        );
        assert!(matches!(heart.judge(look(/*now_s*/ 65, /*last_read_s*/ 0)), Verdict::Close(_)));
    }

    #[test]
    fn a_stalled_write_ends_exactly_at_its_deadline() {
        let mut heart = heartbeat();
        let stuck = |now_s| Look {
            writing_since: Some(at(/*seconds*/ 1)),
            has_unwritten: true,
            ..look(now_s, now_s)
        };
        assert_eq!(heart.judge(stuck(24)), Verdict::Wait(at(/*seconds*/ 31)));
        assert_eq!(heart.judge(stuck(31)), Verdict::Stalled);
    }

    #[test]
    fn a_client_that_never_initializes_is_told_so() {
        let mut heart = heartbeat();
        let mute = |now_s| Look { is_admitted: false, ..look(now_s, now_s) };
        assert_eq!(heart.judge(mute(20)), Verdict::Wait(at(/*seconds*/ 30)));
        let Verdict::Close(closing) = heart.judge(mute(30)) else { panic!("it goes on") };
        assert_eq!((closing.code, &*closing.reason), (1008, "no `initialize` within 30 s"));
        assert_eq!(heart.judge(look(/*now_s*/ 30, /*last_read_s*/ 30)), Verdict::Wait(at(/*seconds*/ 55)));
    }
}
