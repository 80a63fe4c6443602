//! Searching: what is found, in which order, and that it can be asked again and stopped.

use std::fs;
use std::time::Duration;

use super::*;
use crate::files::tests::Folder;

const PATIENCE: Duration = Duration::from_secs(20);

fn make(folder: &Folder, files: &[&str]) -> String {
    for name in files {
        let path = folder.at(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
        fs::write(path, "").expect("written");
    }
    folder.at("").to_str().expect("UTF-8").trim_end_matches('/').to_owned()
}

fn find(roots: &[&str], query: &str) -> Vec<Match> {
    let roots = roots.iter().map(|&root| root.to_owned()).collect();
    let (tell, told) = bounded(1);
    let memory = SearchMemory::default();
    let search = Search::once(/*number*/ 1, roots, query.to_owned(), &memory, move |found| {
        tell.send(found).expect("somebody waits");
    });
    let search = search.expect("a worker starts");
    let found = told.recv_timeout(PATIENCE).expect("it ends");
    drop(search);
    assert_eq!(memory.0.used(), 0, "all memory is given back");
    found
}

fn paths(found: &[Match]) -> Vec<&str> {
    found.iter().map(|found| found.path.as_str()).collect()
}

#[test]
fn scores_and_places_are_those_of_the_reference() {
    let folder = Folder::new();
    let files =
        ["a.txt", "b.bin", "d1/after.txt", "d1/burst0", "d1/renamed.txt", "d1/via.txt", "missing-watch"];
    let root = make(&folder, &files);
    let found = find(&[&root], "a");
    let shown: Vec<(&str, u32, &[u32])> =
        found.iter().map(|found| (found.path.as_str(), found.score, &*found.indices)).collect();
    // As recorded.
    let expected: [(&str, u32, &[u32]); 5] = [
        ("a.txt", 65570, &[0]),
        ("d1/after.txt", 65570, &[3]),
        ("d1/renamed.txt", 65552, &[6]),
        ("d1/via.txt", 65552, &[5]),
        ("missing-watch", 65552, &[9]),
    ];
    assert_eq!(shown, expected);
    assert!(found.iter().all(|found| &*found.root == root.as_str() && !found.is_directory));
}

#[test]
fn a_match_in_the_name_stands_above_one_in_the_path() {
    let folder = Folder::new();
    let root = make(&folder, &["main/x/other.rs", "src/main.rs", "m/a/i/n/deep.rs", "src/ünïcode-mäin.rs"]);
    let found = find(&[&root], "main");
    assert_eq!(paths(&found)[..2], ["main", "src/main.rs"], "{found:#?}");
    assert!(found[0].is_directory);
    assert!(paths(&found).contains(&"main/x/other.rs"));
    // Several words each have to match; a path is matched across its parts.
    assert_eq!(paths(&find(&[&root], "src main.rs"))[0], "src/main.rs");
    assert_eq!(paths(&find(&[&root], "main/other")), ["main/x/other.rs"]);
    // A capital letter is meant as one.
    assert!(find(&[&root], "Main").is_empty());
    let accented = find(&[&root], "unicode");
    assert_eq!(accented[0].indices, [4, 5, 6, 7, 8, 9, 10], "{accented:?}");
}

#[test]
fn ignored_files_and_git_itself_are_left_out_and_hidden_ones_are_not() {
    let folder = Folder::new();
    let root = make(&folder, &[".git/file", ".github/file", "target/file", "sub/file", "sub/other.file"]);
    fs::write(folder.at(".gitignore"), "target/\n").expect("written");
    fs::write(folder.at("sub/.ignore"), "*.file\n").expect("written");
    std::os::unix::fs::symlink("/", folder.at("file-system")).expect("a link");
    assert_eq!(paths(&find(&[&root], "file")), [".github/file", "file-system", "sub/file"]);
}

#[test]
fn roots_are_searched_one_by_one_and_a_missing_one_is_empty() {
    let folder = Folder::new();
    let root = make(&folder, &["one/file", "two/file"]);
    let (one, two) = (format!("{root}/one"), format!("{root}/two"));
    let found = find(&[&one, "/no/such/folder", &two], "file");
    let roots: Vec<&str> = found.iter().map(|found| &*found.root).collect();
    assert_eq!((roots, paths(&found)), (vec![&*one, &*two], vec!["file", "file"]));
    assert!(find(&[], "file").is_empty());
}

#[test]
fn at_most_so_many_are_told_and_the_best_are_among_them() {
    let folder = Folder::new();
    let names: Vec<String> = (0..200).map(|number| format!("{number:03}/x-file-{number}")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("zzz/file");
    let root = make(&folder, &names);
    let found = find(&[&root], "file");
    assert_eq!((found.len(), &*found[0].path), (limits::SEARCH_MATCHES_MAX, "zzz/file"));
}

#[test]
fn a_search_without_memory_ends_with_what_it_has() {
    let folder = Folder::new();
    let root = make(&folder, &["file"]);
    let memory = SearchMemory::default();
    let taken = memory.0.try_take(limits::SEARCH_BYTES);
    let mut engine = Engine::new(vec![root], &memory);
    engine.look_for("file".to_owned());
    while !engine.is_complete() {
        engine.step();
    }
    assert!(engine.best().is_empty());
    drop(taken);
}

#[test]
fn a_session_is_asked_again_without_walking_again_and_ends_at_once() {
    let folder = Folder::new();
    let root = make(&folder, &["alpha", "beta"]);
    let (tell, told) = bounded(1000);
    let memory = SearchMemory::default();
    let tell = move |progress: Progress| tell.send(progress).expect("there is room");
    let search =
        Search::start(/*number*/ 1, vec![root], &memory, Clock::simulated(/*wall_start_ms*/ 0), tell);
    let search = search.expect("a worker starts");
    let ask = |query: &str| {
        search.look_for(query.to_owned());
        let mut latest = Vec::new();
        loop {
            let progress = told.recv_timeout(PATIENCE).expect("it tells");
            if progress.query != query {
                continue;
            }
            latest = progress.matches.unwrap_or(latest);
            if progress.is_complete {
                return latest.into_iter().map(|found| found.path).collect::<Vec<_>>();
            }
        }
    };
    assert_eq!(ask("alpha"), ["alpha"]);
    // Made after the walk, so it is not found.
    fs::write(folder.at("alpha2"), "").expect("written");
    assert_eq!(ask("alp"), ["alpha"]);
    assert_eq!(ask("et"), ["beta"]);
    assert!(ask("nothing").is_empty());
    assert!(ask("").is_empty());
    assert_eq!(ask("a").len(), 2);
    let worker = search.stop().expect("it was running");
    assert_eq!(worker.join_within(PATIENCE), crate::sys::worker::Ended::Returned);
    assert!(told.try_recv().is_err());
}

#[test]
fn a_search_keeps_as_many_entries_as_it_may_and_no_more() {
    let memory = SearchMemory::default();
    let mut found = Found::new(Arc::clone(&memory.0));
    found.begin(&"/".into());
    let added =
        (0..=limits::SEARCH_ENTRIES_MAX).take_while(|_| found.add("a/b", /*is_directory*/ false));
    assert_eq!(added.count(), limits::SEARCH_ENTRIES_MAX);
    assert_eq!(found.get(limits::SEARCH_ENTRIES_MAX - 1).path, "a/b");
    drop(found);
    assert_eq!(memory.0.used(), 0, "all memory is given back");
}
