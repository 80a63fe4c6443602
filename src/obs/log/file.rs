//! The log in a file that does not grow without end: when it is full it is renamed (`NAME.1`, `NAME.2` …) and
//! begun anew, and the oldest is removed.
//!
//! The `log` worker writes it; a file that cannot be opened or written loses its lines, and stderr says so
//! once.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use super::lane::OpenSink;
use crate::limits::{LOG_FILE_BYTES_MAX, LOG_FILES_MAX};

/// A file for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its path.
    pub path: PathBuf,
    /// Bytes at which it is begun anew.
    pub bytes_max: u64,
    /// Files that are kept, the current one among them.
    pub files_max: usize,
}

impl LogFile {
    /// What `LOG_FILE`, `LOG_FILE_BYTES_MAX` and `LOG_FILES_MAX` say, as `text` reads them.
    pub(super) fn of_environment(text: impl Fn(&'static str) -> Option<String>) -> Option<Self> {
        let path = PathBuf::from(text("LOG_FILE")?);
        let bytes_max = text("LOG_FILE_BYTES_MAX").and_then(|text| text.trim().parse().ok());
        let files_max = text("LOG_FILES_MAX").and_then(|text| text.trim().parse().ok());
        Some(Self {
            path,
            bytes_max: bytes_max.filter(|bytes| *bytes > 0).unwrap_or(LOG_FILE_BYTES_MAX),
            files_max: files_max.filter(|files| *files > 0).unwrap_or(LOG_FILES_MAX),
        })
    }

    pub(super) fn into_sink(self) -> OpenSink {
        Box::new(move || Box::new(Rotating { wanted: self.clone(), open: None, has_complained: false }))
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }
}

struct Rotating {
    wanted: LogFile,
    /// The current file and its size.
    open: Option<(File, u64)>,
    has_complained: bool,
}

impl Rotating {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let is_full = |size: u64| size > 0 && size + bytes.len() as u64 > self.wanted.bytes_max;
        if self.open.as_ref().is_some_and(|(_, size)| is_full(*size)) {
            self.open = None;
            self.rotate()?;
        }
        if self.open.is_none() {
            let file = OpenOptions::new().create(true).append(true).open(&self.wanted.path)?;
            let size = file.metadata()?.len();
            if is_full(size) {
                self.rotate()?;
                return self.append(bytes);
            }
            self.open = Some((file, size));
        }
        if let Some((file, size)) = &mut self.open {
            file.write_all(bytes)?;
            *size += bytes.len() as u64;
        }
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        let oldest = self.wanted.files_max - 1;
        if oldest == 0 {
            return std::fs::remove_file(&self.wanted.path);
        }
        for number in (1..oldest).rev() {
            // The first rotations have not so many.
            let _ = std::fs::rename(self.wanted.numbered(number), self.wanted.numbered(number + 1));
        }
        std::fs::rename(&self.wanted.path, self.wanted.numbered(/*number*/ 1))
    }
}

impl Write for Rotating {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.append(bytes) {
            self.open = None;
            if !std::mem::replace(&mut self.has_complained, true) {
                let path = self.wanted.path.display();
                let text = super::for_people(&format!("the log cannot be written to {path}: {error}\n"));
                let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(wanted: &LogFile) -> Vec<Option<u64>> {
        let paths = std::iter::once(wanted.path.clone()).chain((1..4).map(|number| wanted.numbered(number)));
        paths.map(|path| std::fs::metadata(path).ok().map(|file| file.len())).collect()
    }

    #[test]
    fn a_full_file_is_begun_anew_and_the_oldest_is_removed() {
        let dir = std::env::temp_dir().join(format!("app-server-log-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&dir).expect("a folder");
        let wanted = LogFile { path: dir.join("log"), bytes_max: 10, files_max: 3 };
        let mut log = wanted.clone().into_sink()();
        for line in ["aaaaa\n", "bbbb\n", "cc\n", "a line longer than a file\n", "d\n"] {
            log.write_all(line.as_bytes()).expect("it never fails");
        }
        assert_eq!(sizes(&wanted), [Some(2), Some(26), Some(8), None]);
        drop(log);
        // Another start goes on where the last one ended.
        let mut log = wanted.clone().into_sink()();
        log.write_all(b"eeeee\n").expect("it never fails");
        log.write_all(b"fff\n").expect("it never fails");
        assert_eq!(sizes(&wanted), [Some(4), Some(8), Some(26), None]);
        std::fs::remove_dir_all(&dir).expect("it is ours");
    }

    #[test]
    fn the_environment_says_where_and_how_much() {
        let some = |name| match name {
            "LOG_FILE" => Some("/x/log".to_owned()),
            "LOG_FILE_BYTES_MAX" => Some("1000".to_owned()),
            _ => Some("many".to_owned()),
        };
        let wanted = LogFile { path: "/x/log".into(), bytes_max: 1000, files_max: LOG_FILES_MAX };
        assert_eq!(LogFile::of_environment(some), Some(wanted));
        assert_eq!(LogFile::of_environment(|_| None), None);
    }
}
