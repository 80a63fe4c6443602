//! Writing is atomic, and changes nothing but the content.

use std::os::unix::fs::symlink;

use super::*;
use crate::files::tests::Folder;

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, Mode::Keep, &|file| file.write_all(content))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").mode() & 0o7777
}

#[test]
fn a_new_file_gets_the_usual_permissions_and_an_old_one_keeps_its_own() {
    let folder = Folder::new();
    let (new, usual) = (folder.at("new"), folder.at("usual"));
    fs::write(&usual, "").expect("written");
    write(&new, b"one").expect("written");
    assert_eq!(mode(&new), mode(&usual));
    for kept in [0o600, 0o755, 0o640] {
        fs::set_permissions(&new, fs::Permissions::from_mode(kept)).expect("set");
        let before = fs::metadata(&new).expect("there").ino();
        write(&new, b"two").expect("written");
        assert_eq!((mode(&new), fs::read(&new).expect("read")), (kept, b"two".to_vec()));
        assert_ne!(fs::metadata(&new).expect("there").ino(), before, "replaced, not overwritten");
    }
    // What runs with other rights than its caller's does not do so with other content.
    fs::set_permissions(&new, fs::Permissions::from_mode(0o4755)).expect("set");
    write(&new, b"three").expect("written");
    assert_eq!(mode(&new), 0o755);
    assert_eq!(folder.names(), ["new", "usual"], "nothing else is left");
}

#[test]
fn links_are_followed_and_stay() {
    let folder = Folder::new();
    fs::create_dir(folder.at("d")).expect("made");
    symlink("d/real", folder.at("inner")).expect("a link");
    symlink("inner", folder.at("outer")).expect("a link");
    for content in ["made through a link", "and replaced"] {
        write(&folder.at("outer"), content.as_bytes()).expect("written");
        assert_eq!(fs::read_to_string(folder.at("d/real")).expect("read"), content);
    }
    assert_eq!(fs::read_link(folder.at("outer")).expect("still a link"), Path::new("inner"));
    symlink("b", folder.at("a")).expect("a link");
    symlink("a", folder.at("b")).expect("a link");
    assert_eq!(write(&folder.at("a"), b"").expect_err("a circle").raw_os_error(), Some(libc::ELOOP));
}

#[test]
fn what_is_no_regular_file_is_written_in_place() {
    let folder = Folder::new();
    let before = fs::metadata("/dev/null").expect("there").ino();
    write(Path::new("/dev/null"), b"gone").expect("taken");
    assert_eq!(fs::metadata("/dev/null").expect("there").ino(), before);
    let error = write(&folder.at(""), b"").expect_err("a folder");
    assert_eq!(error.to_string(), "Is a directory (os error 21)");
    let pipe = folder.pipe("pipe");
    // Nobody reads: it refuses instead of waiting for ever.
    write(&pipe, b"x").expect_err("nobody reads");
}

#[test]
fn a_failure_leaves_the_old_content_and_nothing_else() {
    let folder = Folder::new();
    let path = folder.at("kept");
    fs::write(&path, "old").expect("written");
    let failing = |file: &mut File| {
        file.write_all(b"half of the new")?;
        Err(io::Error::from_raw_os_error(libc::ENOSPC))
    };
    assert!(replace(&path, Mode::Keep, &failing).is_err());
    assert_eq!(
        (fs::read_to_string(&path).expect("read"), folder.names()),
        ("old".to_owned(), vec!["kept".to_owned()])
    );
}

#[test]
fn a_reader_never_sees_a_part() {
    const WRITES: usize = 300;
    let folder = Folder::new();
    let path = folder.at("busy");
    // Each content is one letter many times, and each letter has a length of its own.
    let content = |round: usize| vec![b'a' + (round % 26) as u8; 1 + (round % 26) * 7_919];
    write(&path, &content(0)).expect("written");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) || looks < 10 {
                let seen = fs::read(&path).expect("always there");
                let round = usize::from(seen[0] - b'a');
                assert_eq!(seen, content(round), "a torn file");
                looks += 1;
            }
        });
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let path = &path;
                scope.spawn(move || {
                    for round in 0..WRITES {
                        write(path, &content(round * 2 + writer)).expect("written");
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("no panic");
        }
        done.store(true, Ordering::Relaxed);
        reader.join().expect("no torn file");
    });
    assert_eq!(folder.names(), ["busy"]);
}
