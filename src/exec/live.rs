//! One running command as the io worker has it: its descriptors and its sink.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::command::{CommandId, CommandRef};
use super::end::KillReason;
use super::limit::LimitWatch;
use super::running::StdinError;
use super::{Ending, ExitOutcome, OutputSink, ResourceLimits, Stream};
use crate::limits;
use crate::sys::child::{self, Child, ChildEnd, EndWatch};
use crate::sys::poller::{Interest, Poller};

/// Reads of one output in a row after the command's end, when there is nothing left to be fair to but the
/// other commands: what a pipe holds, and then some.
const READS_AFTER_END: usize = limits::COMMAND_PIPE_BYTES / limits::COMMAND_READ_BYTES + 1;
/// Writes into one input in a row.
const WRITES_IN_A_ROW: usize = 16;

/// A running command.
pub(super) struct Live {
    command: CommandRef,
    pid: Pid,
    end_watch: EndWatch,
    outputs: [Option<Output>; 2],
    input: Option<Input>,
    sink: Box<dyn OutputSink>,
    /// How it ended, and why it had to, if it had to by then.
    end: Option<(ChildEnd, Option<KillReason>)>,
    limit: LimitWatch,
}

struct Output {
    stream: Stream,
    descriptor: OwnedFd,
    is_watched: bool,
    /// Bytes read after the command's end.
    after_end: usize,
    /// It has once filled a read, and its pipe was widened.
    is_wide: bool,
}

struct Input {
    descriptor: OwnedFd,
    is_watched: bool,
}

/// What of a command is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Output(Stream),
    Input,
    Process,
}

impl Part {
    fn token(self, id: CommandId) -> u64 {
        let part = match self {
            Self::Output(Stream::Stdout) => 0,
            Self::Output(Stream::Stderr) => 1,
            Self::Input => 2,
            Self::Process => 3,
        };
        id << 2 | part
    }

    pub(super) fn of(token: u64) -> (CommandId, Self) {
        let part = match token & 3 {
            0 => Self::Output(Stream::Stdout),
            1 => Self::Output(Stream::Stderr),
            2 => Self::Input,
            _ => Self::Process,
        };
        (token >> 2, part)
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("command", &self.command.id)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Live {
    pub(super) fn new(
        command: CommandRef,
        child: Child,
        sink: Box<dyn OutputSink>,
        limits: ResourceLimits,
    ) -> Self {
        let output = |stream, descriptor| Output {
            stream,
            descriptor,
            is_watched: false,
            after_end: 0,
            is_wide: false,
        };
        Self {
            command,
            pid: child.pid,
            end_watch: child.end,
            outputs: [
                Some(output(Stream::Stdout, child.stdout)),
                child.stderr.map(|stderr| output(Stream::Stderr, stderr)),
            ],
            input: child.stdin.map(|descriptor| Input { descriptor, is_watched: false }),
            sink,
            end: None,
            limit: LimitWatch::new(limits),
        }
    }

    pub(super) fn id(&self) -> CommandId {
        self.command.id
    }

    /// Its group.
    pub(super) fn group(&self) -> Pid {
        self.pid
    }

    /// True if there is nothing more to wait for.
    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
            && (self.outputs.iter().all(Option::is_none)
                || self.command.hub.is_ending()
                || self.command.lock().is_drained)
    }

    /// Begins to watch it.
    pub(super) fn watch(&mut self, poller: &Poller) {
        let id = self.id();
        let watched = poller.add(&self.end_watch, Part::Process.token(id), Interest::Read);
        if let Err(error) = watched {
            // Nobody would hear of its end: so it ends here.
            tracing::error!(%error, "a command cannot be watched and is killed");
            child::signal_group(self.pid, Signal::KILL);
            child::wait_for_end(self.pid);
            self.look_for_end();
            self.command.lock().is_drained = true;
            return;
        }
        for output in self.outputs.iter_mut().flatten() {
            output.watch(id, poller);
        }
        self.feed(poller);
    }

    /// Something about it has changed.
    pub(super) fn look(&mut self, poller: &Poller, buffer: &mut [u8]) {
        self.feed(poller);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let is_left_alone = |output: &&Output| !output.is_watched;
            if self.outputs[stream as usize].as_ref().filter(is_left_alone).is_some() {
                self.read(stream, poller, buffer);
            }
        }
    }

    pub(super) fn on_ready(&mut self, part: Part, poller: &Poller, buffer: &mut [u8]) {
        match part {
            Part::Output(stream) => self.read(stream, poller, buffer),
            Part::Input => self.feed(poller),
            Part::Process => self.on_end(poller, buffer),
        }
    }

    /// The process has ended; what it said last may still be in its pipes.
    fn on_end(&mut self, poller: &Poller, buffer: &mut [u8]) {
        if self.end.is_some() {
            return;
        }
        self.look_for_end();
        if self.end.is_none() {
            return;
        }
        poller.remove(&self.end_watch);
        if let Some((_, Some(_))) = self.end {
            // Who was told to end is not waited for through what it has started.
            self.kill_all();
            let own = Some((self.command.id, self.pid));
            self.command.hub.sweep(own, limits::COMMAND_SWEEP_PAUSE);
        }
        self.read(Stream::Stdout, poller, buffer);
        self.read(Stream::Stderr, poller, buffer);
        if self.outputs.iter().any(Option::is_some) {
            let command = Arc::clone(&self.command);
            let key = self.command.hub.timer.arm_after(limits::COMMAND_DRAIN_DEADLINE, move || {
                command.lock().is_drained = true;
                command.look();
            });
            self.command.lock().timers.push(key);
        }
    }

    fn look_for_end(&mut self) {
        self.end = child::has_ended(self.pid).map(|end| (end, self.command.lock().kill));
    }

    /// Kills what is left of its group.
    fn kill_all(&self) {
        child::signal_group(self.pid, Signal::KILL);
    }

    /// Reads an output as far as there is room for it.
    fn read(&mut self, stream: Stream, poller: &Poller, buffer: &mut [u8]) {
        let id = self.id();
        let slot = &mut self.outputs[stream as usize];
        let reads = if self.end.is_some() { READS_AFTER_END } else { 1 };
        for _ in 0..reads {
            let Some(output) = slot else { return };
            let extra = match self.end {
                Some(_) => limits::COMMAND_DRAIN_BYTES.saturating_sub(output.after_end),
                None => 0,
            };
            let room = self.sink.room(stream).max(extra).min(buffer.len());
            if room == 0 {
                return output.leave(poller);
            }
            match rustix::io::read(&output.descriptor, &mut buffer[..room]) {
                Ok(count) if count > 0 => {
                    if self.end.is_some() {
                        output.after_end += count;
                    }
                    if count == limits::COMMAND_READ_BYTES && !std::mem::replace(&mut output.is_wide, true) {
                        child::widen(&output.descriptor, limits::COMMAND_PIPE_BYTES);
                    }
                    self.limit.hear(&buffer[..count]);
                    self.sink.output(stream, &buffer[..count]);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // The end of a pipe, or of a terminal: EIO.
                Ok(_) | Err(_) => {
                    output.leave(poller);
                    *slot = None;
                    return;
                }
            }
        }
        if let Some(output) = slot {
            output.watch(id, poller);
        }
    }

    /// Writes into the input as much as it takes.
    fn feed(&mut self, poller: &Poller) {
        let id = self.id();
        let Some(input) = &mut self.input else { return };
        for _ in 0..WRITES_IN_A_ROW {
            let mut state = self.command.lock();
            let Some(front) = state.stdin.writes.front() else {
                let is_closed = state.stdin.is_closed;
                drop(state);
                input.leave(poller);
                if is_closed {
                    self.input = None;
                }
                return;
            };
            let outcome = if front.bytes.is_empty() {
                Ok(0)
            } else {
                rustix::io::write(&input.descriptor, &front.bytes)
            };
            match outcome {
                Ok(count) => {
                    state.stdin.advance(count);
                    let is_through = state.stdin.writes.front().is_some_and(|write| write.bytes.is_empty());
                    let through = if is_through { state.stdin.pop() } else { None };
                    drop(state);
                    if let Some(write) = through {
                        write.done.tell(Ok(()));
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    // Nobody reads it any more.
                    let writes = state.stdin.shut();
                    let error = if state.kill.is_some() { StdinError::Ended } else { StdinError::Closed };
                    drop(state);
                    for write in writes {
                        write.done.tell(Err(error));
                    }
                    input.leave(poller);
                    self.input = None;
                    return;
                }
            }
        }
        input.watch(id, poller);
    }

    /// Ends what is left of its group, reaps it, and tells its sink; a broken sink is told nothing.
    pub(super) fn finish(mut self, poller: &Poller, is_well: bool) {
        for output in self.outputs.iter_mut().flatten() {
            output.leave(poller);
        }
        let drain_timed_out = self.outputs.iter().any(Option::is_some);
        if let Some(input) = &mut self.input {
            input.leave(poller);
        }
        if self.end.is_none() {
            poller.remove(&self.end_watch);
        }
        // While it is not reaped, the group's number cannot be another's.
        self.kill_all();
        self.command.hub.leave(self.pid);
        child::reap(self.pid);
        self.command.close();
        // The descriptors are closed before anybody hears of the end.
        let Self { sink, end, limit, outputs, input, end_watch, .. } = self;
        drop((outputs, input, end_watch));
        if let (Some((end, kill)), true) = (end, is_well) {
            let outcome = ExitOutcome::new(end, kill, limit.hit(end), drain_timed_out);
            sink.ended(Ending::Exited(outcome));
        }
    }
}

impl Output {
    fn watch(&mut self, id: CommandId, poller: &Poller) {
        if !self.is_watched {
            let added = poller.add(&self.descriptor, Part::Output(self.stream).token(id), Interest::Read);
            self.is_watched = is_added(added);
        }
    }

    fn leave(&mut self, poller: &Poller) {
        if std::mem::take(&mut self.is_watched) {
            poller.remove(&self.descriptor);
        }
    }
}

impl Input {
    fn watch(&mut self, id: CommandId, poller: &Poller) {
        if !self.is_watched {
            self.is_watched = is_added(poller.add(&self.descriptor, Part::Input.token(id), Interest::Write));
        }
    }

    fn leave(&mut self, poller: &Poller) {
        if std::mem::take(&mut self.is_watched) {
            poller.remove(&self.descriptor);
        }
    }
}

/// A watch that the system refuses costs what it was for, and the log says so.
fn is_added(added: std::io::Result<()>) -> bool {
    if let Err(error) = &added {
        tracing::error!(%error, "a command's pipe cannot be watched");
    }
    added.is_ok()
}
