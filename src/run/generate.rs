//! `app-server generate-json-schema` and `app-server generate-ts`: the protocol's types as files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::cli::{GenerateArgs, Language};
use crate::error::{Exit, StartError};
use crate::schema::{json_files, typescript_files};

/// Writes the files; those of the same name are replaced, others stay.
///
/// # Errors
/// Without a folder, and if it or a file cannot be written; the path is named.
pub(super) fn generate(args: &GenerateArgs) -> Result<Exit, StartError> {
    let (word, files) = match args.language {
        Language::JsonSchema => ("generate-json-schema", json_files(args.experimental)),
        Language::TypeScript => ("generate-ts", typescript_files(args.experimental)),
    };
    let Some(out) = &args.out else {
        return Err(StartError::Usage(format!("{word}: say with --out DIR where the files go")));
    };
    let files = files.map_err(|error| StartError::Other(format!("the embedded types: {error}")))?;
    let paths: Vec<_> = files.iter().map(|file| out.join(&file.path)).collect();
    let folders: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
    for folder in folders {
        fs::create_dir_all(folder).map_err(|source| refused("cannot make the folder", folder, source))?;
    }
    for (path, file) in paths.iter().zip(&files) {
        fs::write(path, &file.text).map_err(|source| refused("cannot write", path, source))?;
    }
    Ok(Exit::Done)
}

fn refused(what: &'static str, path: &Path, source: std::io::Error) -> StartError {
    StartError::Path { what, path: path.to_path_buf(), source }
}
