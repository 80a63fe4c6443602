//! Links and `..`: what a patch touches is where its paths really lead.

use std::os::unix::fs::symlink;

use super::*;

fn link(folder: &Folder, target: &str, name: &str) {
    symlink(target, folder.path().join(name)).expect("a link can be made");
}

/// What the plan of a patch would touch outside `inside/`, where it runs.
fn outside(folder: &Folder, body: &str) -> Vec<String> {
    let root = folder.path().join("inside");
    let patch = Patch::parse(&patch(body)).expect("a patch");
    let plan = Plan::new(&patch, &root).expect("it fits");
    let below = |path: &Path| path.strip_prefix(folder.path()).unwrap_or(path).display().to_string();
    plan.outside(&[root]).into_iter().map(below).collect()
}

#[test]
fn escapes_are_seen_through() {
    let folder = Folder::with(&[("inside/a", "a\n"), ("outside/o", "o\n")]);
    link(&folder, "../outside", "inside/folder");
    link(&folder, "../outside/o", "inside/file");
    link(&folder, "../outside/new", "inside/nowhere");
    link(&folder, "folder", "inside/twice");
    link(&folder, "a", "inside/within");
    let real = folder.path().join("outside/o").display().to_string();
    let cases: [(&str, &[&str]); 10] = [
        ("*** Update File: a\n@@\n-a\n", &[]),
        ("*** Update File: within\n@@\n-a\n", &[]),
        ("*** Add File: sub/../b\n+x\n", &[]),
        ("*** Add File: ../b\n+x\n", &["b"]),
        ("*** Add File: folder/../b\n+x\n", &["b"]),
        ("*** Update File: folder/o\n@@\n-o\n", &["outside/o"]),
        ("*** Update File: file\n@@\n-o\n", &["outside/o"]),
        ("*** Add File: nowhere\n+x\n", &["outside/new"]),
        ("*** Add File: twice/n/m\n+x\n", &["outside/n/m"]),
        ("*** Update File: a\n*** Move to: folder/a\n", &["outside/a"]),
    ];
    for (body, expected) in cases {
        assert_eq!(outside(&folder, body), expected, "{body}");
    }
    assert_eq!(outside(&folder, &format!("*** Delete File: {real}\n")), ["outside/o"]);
    // What goes is the link, not what it leads to.
    assert!(outside(&folder, "*** Delete File: file\n").is_empty());
}

#[test]
fn a_root_may_be_a_link_itself() {
    let folder = Folder::with(&[("real/a", "a\n")]);
    link(&folder, "real", "root");
    let root = folder.path().join("root");
    let patch = Patch::parse(&patch("*** Update File: a\n@@\n-a\n+b\n")).expect("a patch");
    let plan = Plan::new(&patch, &root).expect("it fits");
    assert!(plan.outside(std::slice::from_ref(&root)).is_empty());
    assert_eq!(plan.touched(), [folder.path().join("real/a")]);
    assert_eq!(plan.changes()[0].path, root.join("a").display().to_string(), "shown as it was named");
}

#[test]
fn links_are_written_through_and_deleted_themselves() {
    let folder = Folder::with(&[("a", "a\n"), ("b", "b\n")]);
    link(&folder, "a", "to-a");
    link(&folder, "b", "to-b");
    let plan = folder.apply("*** Update File: to-a\n@@\n-a\n+A\n*** Delete File: to-b\n").expect("it fits");
    assert_eq!(folder.read("a"), "A\n");
    assert_eq!(folder.read("b"), "b\n");
    assert_eq!(folder.listing().into_keys().collect::<Vec<_>>(), ["a", "b", "to-a@"]);
    let mut diff = TurnDiff::new(folder.path());
    assert!(diff.record(&plan).contains("deleted file mode 120000\n"), "{}", diff.text());
    folder.apply("*** Delete File: to-a\n*** Add File: to-a\n+own\n").expect("it fits");
    assert_eq!((folder.read("a"), folder.read("to-a")), ("A\n".to_owned(), "own\n".to_owned()));
    link(&folder, "b", "to-b");
    folder.apply("*** Update File: to-b\n*** Move to: c\n").expect("it fits");
    assert_eq!(folder.listing().into_keys().collect::<Vec<_>>(), ["a", "b", "c", "to-a"]);
}

#[test]
fn a_folder_that_becomes_a_link_after_the_plan_leads_nowhere() {
    let folder = Folder::with(&[("inside/sub/a", "a\n"), ("outside/a", "a\n")]);
    let plan = folder.plan("*** Update File: inside/sub/a\n@@\n-a\n+b\n").expect("it fits");
    fs::rename(folder.path().join("inside/sub"), folder.path().join("inside/away")).expect("renamed");
    link(&folder, "../outside", "inside/sub");
    let before = folder.listing();
    plan.apply().expect_err("it leads elsewhere");
    assert_eq!(folder.listing(), before);
}

#[test]
fn circles_are_an_error() {
    let folder = Folder::with(&[]);
    link(&folder, "b", "a");
    link(&folder, "a", "b");
    let error = folder.plan("*** Add File: a\n+x\n").expect_err("a circle").to_string();
    assert!(error.contains("too many symbolic links"), "{error}");
}
