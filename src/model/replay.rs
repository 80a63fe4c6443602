//! A model that plays a recording: a file of Server-Sent Events as a provider sent them.
//!
//! The answers in the file are divided by lines `: ---`, which are comments to every other reader. Each
//! thread plays the file from its beginning, one answer a request, also when an answer is a failure.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use super::http::stream::Decoder;
use super::sse::SseParser;
use super::{Cancel, ModelClient, ModelError, ModelEvent, ModelFailure, ModelRequest, ModelStream};
use super::{chat, responses};
use crate::config::{ProviderConfig, WireApi};
use crate::limits::{REPLAY_BYTES_MAX, REPLAY_THREADS_MAX};
use crate::proto::CodexErrorInfo;
use crate::sync::lock;

const DIVIDER: &str = ": ---";

pub(super) struct ReplayModel {
    file: PathBuf,
    wire: WireApi,
    stream_retries: u32,
    context_window: Option<i64>,
    /// The data of the events of each answer, read when it is first needed.
    answers: OnceLock<Result<Vec<Vec<Vec<u8>>>, String>>,
    /// How far each thread is, the one heard of last at the end.
    places: Mutex<VecDeque<(String, usize)>>,
}

struct ReplayStream {
    events: std::vec::IntoIter<Vec<u8>>,
    decoder: Box<dyn Decoder>,
    pending: VecDeque<ModelEvent>,
    completed: bool,
}

impl ReplayModel {
    /// # Errors
    /// What has to be set before it can be used, for the user.
    pub(super) fn new(
        id: &str,
        provider: &ProviderConfig,
        context_window: Option<i64>,
        home: &Path,
    ) -> Result<Self, String> {
        let Some(file) = &provider.file else {
            return Err(format!(
                "the model provider `{id}` cannot be used: set `file` in [model_providers.{id}] to a \
                 recording"
            ));
        };
        Ok(Self {
            file: home.join(file),
            wire: provider.wire_api,
            stream_retries: provider.stream_max_retries,
            context_window,
            answers: OnceLock::new(),
            places: Mutex::default(),
        })
    }

    /// The number of this thread's next answer.
    fn step(&self, thread: &str) -> usize {
        let mut places = lock(&self.places);
        let found = places.iter().position(|(id, _)| id == thread);
        let place = found.and_then(|at| places.remove(at)).map_or(0, |(_, place)| place);
        if places.len() >= REPLAY_THREADS_MAX {
            places.pop_front();
        }
        places.push_back((thread.to_owned(), place + 1));
        place
    }
}

impl ModelClient for ReplayModel {
    fn stream(&self, request: &ModelRequest, cancel: &Cancel) -> Result<Box<dyn ModelStream>, ModelError> {
        if cancel.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        let failed = |message: String| ModelFailure::lasting(message, CodexErrorInfo::Other);
        let file = self.file.display();
        let answers = self.answers.get_or_init(|| read(&self.file)).as_ref();
        let answers =
            answers.map_err(|why| failed(format!("the recording {file} cannot be played: {why}")))?;
        let at = self.step(&request.conversation_id);
        let Some(events) = answers.get(at) else {
            let count = answers.len();
            return Err(failed(format!("the recording {file} is over: it has {count} answers")));
        };
        Ok(Box::new(ReplayStream {
            events: events.clone().into_iter(),
            decoder: match self.wire {
                WireApi::Responses => Box::new(responses::Decoder::default()),
                WireApi::Chat => Box::new(chat::Decoder::new(request)),
            },
            pending: VecDeque::new(),
            completed: false,
        }))
    }

    fn context_window(&self, _model: &str) -> Option<i64> {
        self.context_window
    }

    fn stream_retries_max(&self) -> u32 {
        self.stream_retries
    }
}

fn read(file: &Path) -> Result<Vec<Vec<Vec<u8>>>, String> {
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|file| file.take(REPLAY_BYTES_MAX + 1).read_to_end(&mut bytes));
    opened.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > REPLAY_BYTES_MAX {
        return Err(format!("it has more than {REPLAY_BYTES_MAX} bytes"));
    }
    parse(&String::from_utf8_lossy(&bytes))
}

fn parse(text: &str) -> Result<Vec<Vec<Vec<u8>>>, String> {
    let mut parts = vec![String::new()];
    for line in text.lines() {
        match parts.last_mut() {
            Some(part) if line.trim_end() != DIVIDER => {
                part.push_str(line);
                part.push('\n');
            }
            _ => parts.push(String::new()),
        }
    }
    // A divider at the very end, or nothing but a comment before the first one, makes no answer.
    let has_data = |part: &String| part.lines().any(|line| line.starts_with("data"));
    let mut answers = Vec::new();
    for part in parts.iter().filter(|part| has_data(part)) {
        let mut events = Vec::new();
        let mut parser = SseParser::default();
        let taken = parser.push(part.as_bytes(), |data| events.push(data));
        // The last event of a part needs no empty line after it.
        let taken = taken.and_then(|()| parser.push(b"\n", |data| events.push(data)));
        taken.map_err(|error| format!("it has {error}"))?;
        answers.push(events);
    }
    Ok(answers)
}

impl ReplayStream {
    fn advance(&mut self) -> Result<(), ModelError> {
        while self.pending.is_empty() {
            match self.events.next() {
                Some(data) => self.decoder.take(&data, &mut self.pending)?,
                None if self.decoder.end(&mut self.pending) => return Ok(()),
                None => {
                    let why = "stream closed before response.completed";
                    return Err(ModelFailure::disconnected(why).into());
                }
            }
        }
        Ok(())
    }
}

impl ModelStream for ReplayStream {
    fn next(&mut self, cancel: &Cancel) -> Result<Option<ModelEvent>, ModelError> {
        if cancel.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        if self.completed {
            return Ok(None);
        }
        self.advance()?;
        let event = self.pending.pop_front();
        self.completed = matches!(event, Some(ModelEvent::Completed { .. }) | None);
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_divided_into_answers() {
        let file = ": made by hand\r\n: ---\r\ndata: a\r\n\r\nevent: x\r\ndata: b\r\n: ---  \r\ndata: c\r\n: ---\r\n";
        let answers = parse(file).expect("it can be read");
        assert_eq!(answers, [vec![b"a".to_vec(), b"b".to_vec()], vec![b"c".to_vec()]]);
        assert_eq!(parse("no events").expect("it can be read").len(), 0);
    }

    #[test]
    fn each_thread_has_its_own_place_and_old_ones_are_forgotten() {
        let mut provider = ProviderConfig::named("R");
        provider.file = Some("x".into());
        let model =
            ReplayModel::new("r", &provider, /*context_window*/ None, Path::new("/")).expect("a file");
        assert_eq!(["a", "a", "b", "a"].map(|thread| model.step(thread)), [0, 1, 0, 2]);
        for other in 0..REPLAY_THREADS_MAX {
            model.step(&other.to_string());
        }
        assert_eq!(model.step("a"), 0);
        assert_eq!(lock(&model.places).len(), REPLAY_THREADS_MAX);
    }
}
