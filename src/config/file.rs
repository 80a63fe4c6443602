//! Where the home is, and what its `config.toml` says.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use toml::Table;

use crate::error::StartError;
use crate::limits::CONFIG_BYTES_MAX;

/// The file in the home folder, and in a project's.
pub(super) const FILE_NAME: &str = "config.toml";

/// The home folder, absolute: the flag, else the environment, else `~/.codex`. An empty variable counts as
/// unset.
pub(super) fn home(
    flag: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
    cwd: &Path,
) -> Result<PathBuf, StartError> {
    let named = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = flag
        .map(Path::to_owned)
        .or_else(|| named("APP_SERVER_HOME"))
        .or_else(|| named("CODEX_HOME"))
        .or_else(|| named("HOME").map(|user| user.join(".codex")));
    match home {
        Some(home) => Ok(absolute(&home, cwd)),
        None => Err(StartError::Config(
            "there is no home folder: give --home DIR, or set APP_SERVER_HOME, CODEX_HOME or HOME".to_owned(),
        )),
    }
}

/// `path` from `cwd`, without `.` segments; `..` stays, because it may follow a link.
pub(super) fn absolute(path: &Path, cwd: &Path) -> PathBuf {
    cwd.join(path).components().collect()
}

/// The file's path and content; the content is empty if there is no file.
pub(super) fn read(home: &Path) -> Result<(PathBuf, Table), StartError> {
    let path = home.join(FILE_NAME);
    let bytes = match bytes(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((path, Table::new())),
        Err(source) => return Err(StartError::Path { what: "configuration: cannot read", path, source }),
    };
    match table(&bytes) {
        Ok(table) => Ok((path, table)),
        Err(why) => Err(StartError::Config(format!("{}{why}", path.display()))),
    }
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is allowed shows that the file is larger.
    File::open(path)?.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The content of the file; an error begins with `:line:column:`, if it has a place.
pub(super) fn table(bytes: &[u8]) -> Result<Table, String> {
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        return Err(format!(": larger than {CONFIG_BYTES_MAX} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = place(bytes, error.valid_up_to());
        format!(":{line}:{column}: not valid UTF-8")
    })?;
    toml::from_str(text).map_err(|error| {
        let message = error.message().replace('\n', ", ");
        match error.span() {
            Some(span) => {
                let (line, column) = place(bytes, span.start);
                format!(":{line}:{column}: {message}")
            }
            None => format!(": {message}"),
        }
    })
}

/// Line and column of a byte, both from 1, the column in characters.
fn place(bytes: &[u8], at: usize) -> (usize, usize) {
    let before = &bytes[..at.min(bytes.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_the_first_that_is_named_and_absolute() {
        let all = [("APP_SERVER_HOME", "/app"), ("CODEX_HOME", "codex"), ("HOME", "/user")];
        let empty = [("APP_SERVER_HOME", ""), ("CODEX_HOME", ""), ("HOME", "/user")];
        for (flag, env, wanted) in [
            (Some("/flag"), &all[..], "/flag"),
            (Some("./flag/./x"), &all, "/cwd/flag/x"),
            (Some("../flag"), &all, "/cwd/../flag"),
            (None, &all, "/app"),
            (None, &all[1..], "/cwd/codex"),
            (None, &all[2..], "/user/.codex"),
            (None, &empty, "/user/.codex"),
        ] {
            let lookup = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
            let home = home(flag.map(Path::new), &lookup, Path::new("/cwd")).unwrap();
            assert_eq!(home, Path::new(wanted), "{flag:?} {env:?}");
        }
        let error = home(/*flag*/ None, &|_| None, Path::new("/cwd")).unwrap_err().to_string();
        assert!(error.contains("--home") && error.contains("CODEX_HOME"), "{error}");
    }

    #[test]
    fn what_is_wrong_with_the_text_is_told_with_its_place() {
        for (bytes, told) in [
            (&b"model = \"a\"\nmodel = \"b\"\n"[..], ":2:1: duplicate key"),
            (b"a = 1\n\xc3\xa4 = ", ":2:"),
            (b"a = 1\nb = \"\xff\"", ":2:6: not valid UTF-8"),
            (b"[a", ":1:3: "),
        ] {
            let error = table(bytes).unwrap_err();
            assert!(error.starts_with(told) && !error.contains('\n'), "{error}");
        }
        let huge = vec![b'\n'; usize::try_from(CONFIG_BYTES_MAX).unwrap() + 1];
        assert!(table(&huge).unwrap_err().contains("larger than 4194304 bytes"));
    }
}
