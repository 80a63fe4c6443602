//! Copying: what has no recording to be compared with.

use super::*;
use crate::files::tests::Folder;

fn never() -> bool {
    false
}

#[test]
fn a_tree_is_copied_with_links_and_permissions_and_without_special_files() {
    let folder = Folder::new();
    fs::create_dir_all(folder.at("from/sub/closed")).expect("made");
    fs::write(folder.at("from/sub/run"), "#!").expect("written");
    fs::set_permissions(folder.at("from/sub/run"), fs::Permissions::from_mode(0o750)).expect("set");
    fs::write(folder.at("from/sub/closed/inside"), "x").expect("written");
    fs::set_permissions(folder.at("from/sub/closed"), fs::Permissions::from_mode(0o500)).expect("set");
    symlink("sub/run", folder.at("from/link")).expect("a link");
    folder.pipe("from/pipe");

    copy(&folder.at("from"), &folder.at("to"), /*recursive*/ true, &never).expect("copied");
    let mode = |name: &str| fs::metadata(folder.at(name)).expect("there").mode() & 0o7777;
    assert_eq!((mode("to/sub/run"), mode("to/sub/closed")), (0o750, 0o500));
    assert_eq!(fs::read_to_string(folder.at("to/sub/closed/inside")).expect("read"), "x");
    assert_eq!(fs::read_link(folder.at("to/link")).expect("a link"), Path::new("sub/run"));
    assert!(!folder.at("to/pipe").exists());
    for closed in ["from/sub/closed", "to/sub/closed"] {
        fs::set_permissions(folder.at(closed), fs::Permissions::from_mode(0o700)).expect("set");
    }
}

#[test]
fn a_directory_is_not_copied_into_itself_by_any_name() {
    let folder = Folder::new();
    fs::create_dir_all(folder.at("d/sub")).expect("made");
    symlink("d", folder.at("other-name")).expect("a link");
    for destination in ["d", "d/new/deep", "other-name/sub/new", "other-name"] {
        let copied = copy(&folder.at("d"), &folder.at(destination), /*recursive*/ true, &never);
        assert!(matches!(copied, Err(FileError::Refused(_))), "{destination}");
    }
    copy(&folder.at("d"), &folder.at("dd"), /*recursive*/ true, &never).expect("only the name begins alike");
}

#[test]
fn a_file_copied_onto_itself_keeps_its_content() {
    let folder = Folder::new();
    fs::write(folder.at("a"), "kept").expect("written");
    fs::hard_link(folder.at("a"), folder.at("b")).expect("a second name");
    for destination in ["a", "b"] {
        copy(&folder.at("a"), &folder.at(destination), /*recursive*/ false, &never).expect("done");
        assert_eq!(fs::read_to_string(folder.at("a")).expect("read"), "kept");
    }
}

#[test]
fn a_long_copy_ends_with_the_process() {
    let folder = Folder::new();
    fs::create_dir(folder.at("d")).expect("made");
    for name in 0..10 {
        fs::write(folder.at("d").join(name.to_string()), "").expect("written");
    }
    let asked = std::cell::Cell::new(0);
    let stopping = || asked.replace(asked.get() + 1) == 5;
    let copied = copy(&folder.at("d"), &folder.at("e"), /*recursive*/ true, &stopping);
    assert!(matches!(copied, Err(FileError::Refused(text)) if text.contains("shutting down")));
    assert_eq!(fs::read_dir(folder.at("e")).expect("there").count(), 5);
}
