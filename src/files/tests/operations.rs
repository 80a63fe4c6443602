//! Single operations: what has no recording to be compared with.

use std::os::unix::fs::symlink;

use super::*;
use crate::files::tests::Folder;

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let text = read_to_base64(path, |bytes| Some(Vec::with_capacity(bytes)))?.expect("a buffer was given");
    Ok(BASE64.decode(text).expect("Base64"))
}

#[test]
fn a_file_of_any_length_is_read_whole() {
    let folder = Folder::new();
    let path = folder.at("file");
    let lengths = [0, 1, 2, 3, 4, READ_CHUNK_BYTES - 1, READ_CHUNK_BYTES, READ_CHUNK_BYTES + 1];
    for length in lengths.into_iter().chain([3 * READ_CHUNK_BYTES + 2]) {
        let content: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
        fs::write(&path, &content).expect("written");
        assert!(read(&path).expect("read") == content, "{length} bytes");
    }
}

#[test]
fn a_file_without_a_length_is_read_to_its_end() {
    let stat = read(Path::new("/proc/self/stat")).expect("read");
    assert!(stat.starts_with(std::process::id().to_string().as_bytes()));
    let maps = read(Path::new("/proc/self/maps")).expect("read");
    assert!(maps.ends_with(b"\n") && maps.len() > 1000, "{} bytes", maps.len());
}

#[test]
fn what_is_no_file_or_too_large_is_refused_at_once() {
    let folder = Folder::new();
    let pipe = folder.pipe("pipe");
    for path in [pipe, folder.at(""), "/dev/zero".into()] {
        assert!(matches!(read(&path), Err(FileError::Refused(text)) if text.ends_with("is not a file")));
    }
    let large = File::create(folder.at("large")).expect("made");
    large.set_len(limits::FILE_READ_BYTES_MAX + 1).expect("it has holes");
    let error = read(&folder.at("large")).expect_err("too large");
    assert!(error.to_string().contains("at most 256 MiB"), "{error}");
}

#[test]
fn a_directory_is_listed_by_name_without_links_that_lead_nowhere() {
    let folder = Folder::new();
    fs::create_dir(folder.at("b")).expect("made");
    fs::write(folder.at("c"), "").expect("written");
    symlink("b", folder.at("a")).expect("a link");
    symlink("nowhere", folder.at("d")).expect("a link");
    let listed = read_directory(&folder.at("")).expect("listed");
    let listed: Vec<(&str, Kind)> = listed.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
    assert_eq!(listed, [("a", Kind::Directory), ("b", Kind::Directory), ("c", Kind::File)]);
}

#[test]
fn a_removed_link_leaves_its_target_and_the_root_stays() {
    let folder = Folder::new();
    fs::create_dir(folder.at("d")).expect("made");
    fs::write(folder.at("d/kept"), "").expect("written");
    symlink("d", folder.at("link")).expect("a link");
    remove(&folder.at("link"), /*recursive*/ true, /*force*/ false).expect("removed");
    assert!(folder.at("d/kept").exists() && folder.names() == ["d"]);
    assert!(remove(Path::new("/"), /*recursive*/ true, /*force*/ true).is_err());
}

#[test]
fn times_before_1970_are_negative() {
    assert_eq!(unix_ms(UNIX_EPOCH - std::time::Duration::from_millis(5)), -5);
}

#[test]
fn a_directory_with_more_entries_than_are_listed_is_refused() {
    let folder = Folder::new();
    for name in ["a", "b", "c"] {
        fs::write(folder.at(name), "").expect("written");
    }
    assert_eq!(list(&folder.at(""), /*most*/ 3).expect("just as many").len(), 3);
    let Err(FileError::Limit(text)) = list(&folder.at(""), /*most*/ 2) else { panic!("it was listed") };
    assert!(text.contains("more than 2 entries"), "{text}");
}
