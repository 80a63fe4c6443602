//! Watching, on real folders and a simulated clock: what is told, and what is let go.

use std::fs;
use std::path::Path;
use std::sync::Mutex as StdMutex;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::*;
use crate::files::tests::Folder;

const PATIENCE: Duration = Duration::from_secs(20);

/// The moments of this clock come as they are needed, so nothing here waits for time to pass.
struct Scene {
    folder: Folder,
    clock: Clock,
    watcher: Watcher,
    last_number: StdMutex<u64>,
}

struct Watched {
    number: u64,
    told: Receiver<Vec<PathBuf>>,
}

impl Scene {
    fn new() -> Self {
        let clock = Clock::simulated(/*wall_start_ms*/ 0);
        let watcher = Watcher::start(clock.clone()).expect("a worker starts");
        Self { folder: Folder::new(), clock, watcher, last_number: StdMutex::default() }
    }

    fn try_watch(&self, path: &Path) -> Result<Watched, FileError> {
        let mut number = self.last_number.lock().expect("no panic");
        *number += 1;
        let (tell, told) = bounded(1000);
        let (then, stands) = bounded(1);
        self.watcher
            .watch(
                *number,
                path.to_path_buf(),
                move |changed| tell.send(changed).expect("there is room"),
                move |outcome| then.send(outcome).expect("somebody waits"),
            )
            .expect("it is not busy");
        stands.recv_timeout(PATIENCE).expect("the worker answers").map(|()| Watched { number: *number, told })
    }

    fn watch(&self, name: &str) -> Watched {
        self.try_watch(&self.folder.at(name)).expect("it is watched")
    }

    /// Lets time pass until the watch has told everything that is expected, in one or more goes.
    fn hears(&self, watched: &Watched, expected: &[&str]) {
        let expected: BTreeSet<PathBuf> = expected.iter().map(|name| self.folder.at(name)).collect();
        let mut heard = BTreeSet::new();
        let mut waited = Duration::ZERO;
        while heard != expected {
            assert!(heard.is_subset(&expected), "{heard:?} instead of {expected:?}");
            assert!(waited < PATIENCE, "heard only {heard:?} of {expected:?}");
            self.clock.advance(limits::WATCH_GATHER);
            const STEP: Duration = Duration::from_millis(5);
            if let Ok(changed) = watched.told.recv_timeout(STEP) {
                assert!(changed.is_sorted(), "{changed:?}");
                heard.extend(changed);
            }
            waited += STEP;
        }
    }

    /// What has happened by now has been told.
    fn catches_up(&self) {
        // Events come in their order, so a later one that is told shows that there is no earlier one left.
        let marker = self.watch("marker");
        fs::write(self.folder.at("marker"), "").expect("written");
        self.hears(&marker, &["marker"]);
        self.watcher.unwatch(marker.number);
        fs::remove_file(self.folder.at("marker")).expect("removed");
    }

    /// Hears the rest of what has happened by now: a write is more than one event.
    fn settles(&self, watched: &Watched) {
        self.catches_up();
        while watched.told.try_recv().is_ok() {}
    }

    /// What has happened by now has been told, and that was nothing for this watch.
    fn hears_nothing(&self, watched: &Watched) {
        self.catches_up();
        assert_eq!(watched.told.try_recv().ok(), None);
    }
}

use std::collections::BTreeSet;

fn write(path: &Path, content: &str) {
    fs::write(path, content).expect("written");
}

#[test]
fn a_file_is_seen_however_it_changes() {
    let scene = Scene::new();
    let at = |name: &str| scene.folder.at(name);
    write(&at("file"), "one");
    let watched = scene.watch("file");
    write(&at("file"), "two");
    scene.hears(&watched, &["file"]);
    // Replaced by a rename, as editors do, again and again: the new file is watched as well.
    for round in 0..3 {
        write(&at("new"), &format!("round {round}"));
        fs::rename(at("new"), at("file")).expect("renamed");
        scene.hears(&watched, &["file"]);
        write(&at("file"), "in place again");
        scene.hears(&watched, &["file"]);
    }
    fs::remove_file(at("file")).expect("removed");
    scene.hears(&watched, &["file"]);
    write(&at("file"), "made again");
    scene.hears(&watched, &["file"]);
    scene.settles(&watched);
    write(&at("neighbour"), "");
    scene.hears_nothing(&watched);
}

#[test]
fn a_directory_tells_of_its_names_and_not_of_what_is_below() {
    let scene = Scene::new();
    let at = |name: &str| scene.folder.at(name);
    fs::create_dir_all(at("d/sub")).expect("made");
    let watched = scene.watch("d");
    write(&at("d/new"), "");
    fs::rename(at("d/new"), at("d/renamed")).expect("renamed");
    scene.hears(&watched, &["d/new", "d/renamed"]);
    scene.settles(&watched);
    write(&at("d/sub/deep"), "");
    scene.hears_nothing(&watched);
    let burst: Vec<String> = (0..20).map(|number| format!("d/burst{number}")).collect();
    burst.iter().for_each(|name| write(&at(name), ""));
    scene.hears(&watched, &burst.iter().map(String::as_str).collect::<Vec<_>>());
    // What the server writes shows under its own name only.
    crate::files::write(&at("d/written"), b"x").expect("written");
    scene.hears(&watched, &["d/written"]);
    crate::files::write(&at("d/written"), b"again").expect("written");
    scene.hears(&watched, &["d/written"]);
}

#[test]
fn a_path_that_is_not_there_is_seen_when_it_comes_and_comes_back() {
    let scene = Scene::new();
    let at = |name: &str| scene.folder.at(name);
    let watched = scene.watch("a/b/c");
    for _ in 0..3 {
        fs::create_dir_all(at("a/b")).expect("made");
        write(&at("a/b/c"), "");
        scene.hears(&watched, &["a/b/c"]);
        write(&at("a/b/c"), "more");
        scene.hears(&watched, &["a/b/c"]);
        fs::remove_dir_all(at("a")).expect("removed");
        scene.hears(&watched, &["a/b/c"]);
    }
    // A whole folder that comes by a rename brings it along.
    fs::create_dir_all(at("made/b")).expect("made");
    write(&at("made/b/c"), "");
    fs::rename(at("made"), at("a")).expect("renamed");
    scene.hears(&watched, &["a/b/c"]);
    // And one that goes by a rename takes it along.
    fs::rename(at("a/b"), at("gone")).expect("renamed");
    scene.hears(&watched, &["a/b/c"]);
    scene.settles(&watched);
    write(&at("gone/c"), "elsewhere");
    scene.hears_nothing(&watched);
}

#[test]
fn a_directory_that_is_made_again_is_watched_again() {
    let scene = Scene::new();
    let at = |name: &str| scene.folder.at(name);
    fs::create_dir(at("d")).expect("made");
    let watched = scene.watch("d");
    for _ in 0..3 {
        fs::remove_dir_all(at("d")).expect("removed");
        scene.hears(&watched, &["d"]);
        fs::create_dir(at("d")).expect("made");
        scene.hears(&watched, &["d"]);
        write(&at("d/file"), "");
        scene.hears(&watched, &["d/file"]);
        fs::remove_file(at("d/file")).expect("removed");
        scene.hears(&watched, &["d/file"]);
    }
}

#[test]
fn a_link_is_seen_and_so_is_what_it_leads_to() {
    let scene = Scene::new();
    let at = |name: &str| scene.folder.at(name);
    fs::create_dir(at("real")).expect("made");
    write(&at("real/file"), "");
    std::os::unix::fs::symlink("real/file", at("link")).expect("a link");
    std::os::unix::fs::symlink("real", at("folder")).expect("a link");
    let (file, folder) = (scene.watch("link"), scene.watch("folder"));
    write(&at("real/file"), "changed");
    scene.hears(&file, &["link"]);
    scene.hears(&folder, &["folder/file"]);
    fs::remove_file(at("link")).expect("removed");
    write(&at("link"), "no link any more");
    scene.hears(&file, &["link"]);
}

#[test]
fn changes_are_gathered_and_told_once() {
    let scene = Scene::new();
    fs::create_dir(scene.folder.at("d")).expect("made");
    let watched = scene.watch("d");
    for round in 0..50 {
        write(&scene.folder.at("d/file"), &round.to_string());
    }
    // Nothing comes before its time: this clock stands still.
    assert!(watched.told.recv_timeout(Duration::from_millis(50)).is_err());
    scene.hears(&watched, &["d/file"]);
    assert_eq!(watched.told.try_recv().ok(), None);
}

#[test]
fn too_many_changes_are_told_as_one() {
    let scene = Scene::new();
    fs::create_dir(scene.folder.at("d")).expect("made");
    let watched = scene.watch("d");
    for number in 0..=limits::WATCH_CHANGED_PATHS_MAX {
        write(&scene.folder.at("d").join(number.to_string()), "");
    }
    let waiting = std::iter::repeat_with(|| {
        scene.clock.advance(limits::WATCH_GATHER);
        watched.told.recv_timeout(Duration::from_millis(20))
    });
    let told: Vec<PathBuf> = waiting.take(1000).flatten().flatten().take(1).collect();
    // It may have been told in two parts, the first of them with names.
    assert!(told[0].starts_with(scene.folder.at("d")));
}

#[test]
fn an_ended_watch_is_silent_and_nothing_is_kept() {
    let scene = Scene::new();
    let at = |name: &str| scene.folder.at(name);
    write(&at("file"), "");
    let (first, second) = (scene.watch("file"), scene.watch("file"));
    scene.watcher.unwatch(first.number);
    write(&at("file"), "changed");
    scene.hears(&second, &["file"]);
    assert_eq!(first.told.try_recv().ok(), None);
    // The last watch takes the system's watches and their descriptor with it.
    scene.watcher.unwatch(second.number);
    scene.watcher.unwatch(second.number);
    let looked = scene.watch("file");
    scene.watcher.unwatch(looked.number);
}

#[test]
fn a_worker_that_cannot_keep_up_refuses() {
    let scene = Scene::new();
    let (release, released) = bounded::<()>(0);
    let (sticks, is_stuck) = bounded(1);
    let stuck = move |_| {
        sticks.send(()).expect("somebody waits");
        let _ = released.recv();
    };
    scene.watcher.watch(/*number*/ 0, scene.folder.at("a"), |_| {}, stuck).expect("it is not busy");
    is_stuck.recv_timeout(PATIENCE).expect("the worker takes it up");
    let more = (1..=2 * limits::WATCHES_MAX as u64)
        .take_while(|&number| scene.watcher.watch(number, scene.folder.at("a"), |_| {}, |_| {}).is_ok());
    assert_eq!(more.count(), limits::WATCHES_MAX);
    drop(release);
}

#[test]
fn lost_events_make_every_watch_tell() {
    let scene = Scene::new();
    write(&scene.folder.at("file"), "");
    let (file, missing) = (scene.watch("file"), scene.watch("not/there"));
    let rescan = notify::Event::new(notify::EventKind::Other).set_flag(notify::event::Flag::Rescan);
    scene.watcher.bag.see(Ok(rescan));
    scene.hears(&file, &["file"]);
    scene.hears(&missing, &["not/there"]);
}
