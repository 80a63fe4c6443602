//! What the user sends, as the model is told it.

use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::limits;
use crate::model::Content;
use crate::proto::{MediaSource, UserInput};

/// The pieces of a message. What cannot be given to a model is named instead.
pub(super) fn content(input: &[UserInput]) -> Vec<Content> {
    input.iter().map(piece).collect()
}

fn piece(input: &UserInput) -> Content {
    let text = match input {
        UserInput::Text { text, .. } => text.clone(),
        UserInput::Image { source: MediaSource::Url { url }, .. } => {
            return Content::Image { url: url.clone() };
        }
        UserInput::Image { source: MediaSource::File { file_id }, .. } => {
            format!("[a picture, uploaded elsewhere as {file_id}, that this server cannot show]")
        }
        UserInput::LocalImage { path, .. } => match picture(Path::new(path)) {
            Ok(url) => return Content::Image { url },
            Err(error) => format!("[the picture {path} cannot be shown: {error}]"),
        },
        UserInput::Audio { .. } => "[a sound, which this server cannot pass on]".to_owned(),
        UserInput::LocalAudio { path } => format!("[the sound {path}, which this server cannot pass on]"),
        UserInput::Skill { name, path } => skill(name, path),
        UserInput::Mention { name, path } => format!("[{name}]({path})"),
    };
    Content::Text { text }
}

/// A skill that the user chose: its text, so that the model need not read the file.
fn skill(name: &str, path: &str) -> String {
    match read_bounded(Path::new(path), limits::SKILL_BYTES_MAX) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            format!("<skill>\n<name>{name}</name>\n<path>{path}</path>\n{text}\n</skill>")
        }
        Err(error) => format!("[the skill {name} cannot be read from {path}: {error}]"),
    }
}

/// A picture on disk as a `data:` URL.
///
/// # Errors
/// Why it cannot be read, or that it is no picture, or too large, for people.
pub(super) fn picture(path: &Path) -> Result<String, String> {
    let bytes = read_bounded(path, limits::PICTURE_BYTES_MAX)?;
    let kind = picture_kind(&bytes).ok_or("it is neither PNG, JPEG, GIF nor WebP")?;
    Ok(format!("data:image/{kind};base64,{}", STANDARD.encode(bytes)))
}

fn picture_kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("png"),
        [0xff, 0xd8, 0xff, ..] => Some("jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("webp"),
        _ => None,
    }
}

/// A whole file, if it is a file of at most `max` bytes.
///
/// # Errors
/// Why not, for people.
pub(super) fn read_bounded(path: &Path, max: usize) -> Result<Vec<u8>, String> {
    // A named pipe would wait for its writer; only files are opened.
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > max {
        return Err(format!("it is larger than {max} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_told_by_its_first_bytes_and_bounded() {
        let folder = std::env::temp_dir().join(format!("app-server-input-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).expect("a folder");
        let (png, text) = (folder.join("a.png"), folder.join("b.png"));
        std::fs::write(&png, [0x89, b'P', b'N', b'G', 1]).expect("a file");
        std::fs::write(&text, "no picture").expect("a file");
        assert_eq!(picture(&png), Ok("data:image/png;base64,iVBORwE=".to_owned()));
        assert!(picture(&text).expect_err("no picture").contains("neither PNG"));
        assert!(picture(&folder).expect_err("a folder").contains("not a file"));
        assert!(read_bounded(&text, /*max*/ 9).expect_err("too large").contains("larger than 9"));
        assert_eq!(read_bounded(&text, /*max*/ 10).map(|bytes| bytes.len()), Ok(10));
        std::fs::remove_dir_all(folder).expect("it goes");
    }
}
