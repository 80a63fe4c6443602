//! File changes and turn diffs as the reference sends them: its recorded patches, done again.

use super::*;
use crate::proto::PatchChangeKind;

const ZERO: &str = "0000000000000000000000000000000000000000";

#[test]
fn the_recorded_changes_and_diffs() {
    let folder = Folder::with(&[("a.txt", "one\nTWO\nthree\n"), ("del.txt", "bye\n")]);
    let plan = folder
        .apply(
            "*** Update File: a.txt\n*** Move to: b.txt\n@@\n-TWO\n+two again\n*** Delete File: del.txt\n\
             *** Add File: sub/dir/n.txt\n+n\n",
        )
        .expect("it fits");
    let full = |name: &str| folder.path().join(name).display().to_string();
    let changes: Vec<_> =
        plan.changes().iter().map(|change| (&change.path, &change.kind, &change.diff)).collect();
    let moved = format!("@@ -1,3 +1,3 @@\n one\n-TWO\n+two again\n three\n\n\nMoved to: {}", full("b.txt"));
    assert_eq!(
        changes,
        [
            (&full("a.txt"), &PatchChangeKind::Update { move_path: Some(full("b.txt")) }, &moved),
            (&full("del.txt"), &PatchChangeKind::Delete, &"bye\n".to_owned()),
            (&full("sub/dir/n.txt"), &PatchChangeKind::Add, &"n\n".to_owned()),
        ]
    );
    assert_eq!(
        plan.summary(),
        "Success. Updated the following files:\nA sub/dir/n.txt\nM b.txt\nD del.txt\n"
    );
    let mut diff = TurnDiff::new(folder.path());
    assert!(diff.is_untouched());
    let expected = format!(
        "diff --git a/a.txt b/b.txt\n\
         index ddc897f039f57aa91e16efa6dfde386c4255206f..8894a841c04d115a32ec383f5d7ac33f81dc344c\n\
         --- a/a.txt\n+++ b/b.txt\n@@ -1,3 +1,3 @@\n one\n-TWO\n+two again\n three\n\
         diff --git a/del.txt b/del.txt\ndeleted file mode 100644\n\
         index b023018cabc396e7692c70bbf5784a93d3f738ab..{ZERO}\n\
         --- a/del.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-bye\n\
         diff --git a/sub/dir/n.txt b/sub/dir/n.txt\nnew file mode 100644\n\
         index {ZERO}..8ba3a16384aacc37d01564b28401755ce8053f51\n\
         --- /dev/null\n+++ b/sub/dir/n.txt\n@@ -0,0 +1 @@\n+n\n"
    );
    assert_eq!(diff.record(&plan), expected);
}

#[test]
fn a_turns_diff_is_cumulative_and_empty_when_changes_cancel_out() {
    let folder = Folder::with(&[("keep", "1\n2\n3\n")]);
    let mut diff = TurnDiff::new(folder.path());
    let mut record = |body: &str| diff.record(&folder.apply(body).expect("it fits")).to_owned();
    let added = |id: &str, line: &str| {
        format!(
            "diff --git a/c1.txt b/c1.txt\nnew file mode 100644\nindex {ZERO}..{id}\n\
             --- /dev/null\n+++ b/c1.txt\n@@ -0,0 +1 @@\n+{line}\n"
        )
    };
    let one = added("d00491fd7e5bb6fa28c517a0bb32b8b506539d4d", "1");
    let two = added("0cfbf08886fca9a91cb753ec8734c84fcbe52c9f", "2");
    assert_eq!(record("*** Add File: c1.txt\n+1\n"), one);
    assert_eq!(record("*** Update File: c1.txt\n@@\n-1\n+2\n"), two);
    assert!(
        record("*** Update File: keep\n*** Move to: moved\n").contains(
            "diff --git a/keep b/moved\nsimilarity index 100%\nrename from keep\nrename to moved\n"
        )
    );
    assert_eq!(record("*** Update File: moved\n*** Move to: keep\n"), two);
    assert_eq!(record("*** Delete File: c1.txt\n"), "");
    assert!(!diff.is_untouched());
}

#[test]
fn moves_over_several_patches_are_one_move() {
    let folder = Folder::with(&[("a", "1\n2\n3\n")]);
    let mut diff = TurnDiff::new(folder.path());
    for body in [
        "*** Update File: a\n*** Move to: b\n@@\n-2\n+two\n",
        "*** Update File: b\n*** Move to: c\n@@\n-3\n+three\n",
    ] {
        diff.record(&folder.apply(body).expect("it fits"));
    }
    assert!(diff.text().starts_with("diff --git a/a b/c\nindex "), "{}", diff.text());
    assert!(diff.text().ends_with("--- a/a\n+++ b/c\n@@ -1,3 +1,3 @@\n 1\n-2\n-3\n+two\n+three\n"));
    let plan = folder.apply("*** Add File: a\n+new\n").expect("it fits");
    let text = diff.record(&plan);
    assert!(text.contains("diff --git a/a b/a\nindex ") && text.contains("new file mode 100644\n"), "{text}");
}

#[test]
fn odd_contents_and_paths() {
    let folder = Folder::with(&[("in/here", "x"), ("q\"uote", "x\n"), ("out", "x\n")]);
    fs::write(folder.path().join("in/binary"), b"\0").expect("written");
    let cwd = folder.path().join("in");
    let quoted = folder.path().join("q\"uote").display().to_string();
    let body = format!(
        "*** Update File: here\n@@\n-x\n+y\n*** Delete File: binary\n*** Add File: ../o\n+o\n\
         *** Add File: empty\n*** Delete File: {quoted}\n"
    );
    let plan = Plan::new(&Patch::parse(&patch(&body)).expect("a patch"), &cwd).expect("it fits");
    let mut diff = TurnDiff::new(&cwd);
    let text = diff.record(&plan);
    let above = folder.path().display();
    for part in [
        "@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+y\n\\ No newline at end of file\n".to_owned(),
        "Binary files a/binary and /dev/null differ\n".to_owned(),
        format!("diff --git a/{above}/o b/{above}/o\nnew file mode 100644\n"),
        format!("diff --git \"a/{above}/q\\\"uote\" \"b/{above}/q\\\"uote\"\n"),
        format!("new file mode 100644\nindex {ZERO}..e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\ndiff"),
    ] {
        assert!(text.contains(&part), "{part}\nin\n{text}");
    }
}

#[test]
fn what_is_too_much_to_keep_is_named_without_lines() {
    let large = "x\n".repeat(500);
    let folder = Folder::with(&[("large", &large), ("small", "1\n")]);
    let mut diff = TurnDiff::bounded(folder.path(), /*bytes_max*/ 600);
    let mut record = |body: &str| diff.record(&folder.apply(body).expect("it fits")).to_owned();
    let first = record("*** Update File: small\n@@\n-1\n+2\n");
    let both = record("*** Update File: large\n@@\n-x\n+y\n");
    assert!(both.contains("Binary files a/large and b/large differ\n"), "{both}");
    assert!(both.contains("-1\n+2\n"), "{both}");
    assert_eq!(record("*** Update File: large\n@@\n-y\n+x\n"), first, "cancelling out is still seen");
}
