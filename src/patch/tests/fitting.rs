//! Where hunks land, what the files look like afterwards, and what happens to patches that do not fit.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::limits::{PATCH_FILE_BYTES_MAX, PATCH_PLAN_BYTES_MAX};

/// The text after a patch with these hunks.
fn updated(text: &str, hunks: &str) -> Result<String, String> {
    let folder = Folder::with(&[("f", text)]);
    folder.apply(&format!("*** Update File: f\n{hunks}")).map_err(|error| error.to_string())?;
    let names: Vec<String> = folder.listing().into_keys().collect();
    assert_eq!(names, ["f"], "nothing is left beside it");
    Ok(folder.read("f"))
}

#[test]
fn hunks_land_where_they_belong() {
    let text = "def a\n  x\n  end\ndef b\n  x\n  end\n";
    let cases = [
        ("the first place", "@@\n-  x\n+  y\n", "def a\n  y\n  end\ndef b\n  x\n  end\n"),
        ("below its context", "@@ def b\n-  x\n+  y\n", "def a\n  x\n  end\ndef b\n  y\n  end\n"),
        ("two in order", "@@\n-  x\n+  y\n@@\n-  x\n+  z\n", "def a\n  y\n  end\ndef b\n  z\n  end\n"),
        ("nested contexts", "@@ def a\n@@   end\n@@ def b\n-  x\n", "def a\n  x\n  end\ndef b\n  end\n"),
        ("the end", "@@\n   x\n-  end\n+  ok\n*** End of File\n", "def a\n  x\n  end\ndef b\n  x\n  ok\n"),
        ("added below a context", "@@ def b\n+  w\n", "def a\n  x\n  end\ndef b\n  w\n  x\n  end\n"),
        ("added at the end", "@@\n+fin\n", "def a\n  x\n  end\ndef b\n  x\n  end\nfin\n"),
        ("without a mark", "-def b\n+def c\n", "def a\n  x\n  end\ndef c\n  x\n  end\n"),
        (
            "a blank line too many",
            "@@ def b\n   x\n-  end\n+  ok\n\n",
            "def a\n  x\n  end\ndef b\n  x\n  ok\n",
        ),
        ("all of it", "-def a\n-  x\n-  end\n-def b\n-  x\n-  end\n", ""),
    ];
    for (name, hunks, expected) in cases {
        assert_eq!(updated(text, hunks).as_deref(), Ok(expected), "{name}");
    }
}

#[test]
fn lines_that_stay_keep_their_bytes() {
    let text = "a  \n\u{201c}b\u{201d}\t\n  c\nd\n";
    let hunks = "@@\n a\n \"b\"\n c\n-d\n+e\n";
    assert_eq!(updated(text, hunks).as_deref(), Ok("a  \n\u{201c}b\u{201d}\t\n  c\ne\n"));
}

#[test]
fn line_ends_stay_what_they_are() {
    let cases = [
        ("CRLF", "a\r\nb\r\n", "@@\n a\n-b\n+c\n+d\n", "a\r\nc\r\nd\r\n"),
        ("CRLF in the patch too", "a\r\nb\r\n", "@@\n a\r\n-b\r\n+c\r\n", "a\r\nc\r\n"),
        ("mixed", "a\r\nb\nc\n", "@@\n-c\n+d\n", "a\r\nb\nd\n"),
        ("none at the end", "a\nb", "@@\n-b\n+c\n", "a\nc"),
        ("none at the end, appended", "a\nb", "@@\n b\n+c\n", "a\nb\nc"),
        ("none at the end, removed", "a\nb", "@@\n a\n-b\n", "a"),
        ("none at the end, CRLF", "a\r\nb", "@@\n b\n+c\n", "a\r\nb\r\nc"),
        ("given at the end", "a\nb", "@@\n-b\n\\ No newline at end of file\n+b\n", "a\nb\n"),
        ("taken from the end", "a\nb\n", "@@\n-b\n+c\n\\ No newline at end of file\n", "a\nc"),
        ("not said of the end", "a\nb\n", "@@\n-a\n+c\n\\ No newline at end of file\n", "c\nb\n"),
        ("empty before", "", "@@\n+a\n", "a\n"),
    ];
    for (name, text, hunks, expected) in cases {
        assert_eq!(updated(text, hunks).as_deref(), Ok(expected), "{name}");
    }
}

#[test]
fn what_does_not_fit_is_said_with_its_place() {
    let text = "one\ntwo\nthree\n";
    let cases = [
        ("@@\n-four\n+five\n", "the lines of the hunk at line 3 of the patch were not found"),
        ("@@ four\n-one\n", "the context of the hunk at line 3 of the patch were not found"),
        ("@@\n-three\n@@\n-one\n", "They are at line 1 of the file, above the place of an earlier hunk"),
        ("@@\n one\n", "it leaves every file as it is"),
    ];
    for (hunks, expected) in cases {
        let error = updated(text, hunks).expect_err("does not fit");
        assert!(error.contains(expected), "{hunks:?}: {error}");
    }
    let folder = Folder::with(&[("here", "x\n"), ("there", "y\n"), ("folder/x", "")]);
    fs::write(folder.path().join("binary"), b"\xff\xfe").expect("written");
    let cases = [
        ("*** Update File: missing\n@@\n-x\n", "missing: the file to update does not exist"),
        ("*** Delete File: missing\n", "missing: the file to delete does not exist"),
        ("*** Delete File: folder\n", "folder: it is no regular file"),
        ("*** Update File: binary\n@@\n+x\n", "binary: it is not UTF-8 text"),
        ("*** Update File: here\n*** Move to: there\n", "there: "),
        ("*** Add File: .\n+x\n", "it is no regular file"),
    ];
    for (body, expected) in cases {
        let error = folder.apply(body).expect_err("does not fit").to_string();
        assert!(error.contains(expected), "{body:?}: {error}");
    }
}

#[test]
fn one_file_that_does_not_fit_keeps_all_as_they_are() {
    let folder = Folder::with(&[("a", "a\n"), ("b", "b\n"), ("file", "")]);
    let before = folder.listing();
    for last in [
        "*** Update File: b\n@@\n-nothing like this\n",
        "*** Delete File: c\n",
        "*** Update File: a\n*** Move to: file\n",
        // Seen only when it is written: what would have to be a folder is a file.
        "*** Add File: file/x\n+x\n",
    ] {
        let body =
            format!("*** Update File: a\n@@\n-a\n+A\n*** Add File: new/n\n+n\n*** Delete File: b\n{last}");
        folder.apply(&body).expect_err("it does not fit");
        assert_eq!(folder.listing(), before, "{last}");
    }
}

#[test]
fn several_kinds_in_one_patch() {
    let folder = Folder::with(&[("a", "a\n"), ("b", "b\n"), ("d/e", "e\n")]);
    let mode =
        |name: &str| fs::metadata(folder.path().join(name)).expect("there").permissions().mode() & 0o7777;
    let executable = |name: &str| {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o751)).expect("set");
    };
    executable("a");
    executable("d/e");
    let plan = folder
        .apply(
            "*** Update File: a\n@@\n-a\n+A\n*** Update File: a\n@@\n A\n+more\n*** Delete File: b\n\
             *** Update File: d/e\n*** Move to: x/y/e\n@@\n-e\n+E\n*** Add File: n\n+n\n",
        )
        .expect("it fits");
    assert_eq!((folder.read("a"), mode("a")), ("A\nmore\n".to_owned(), 0o751));
    assert_eq!((folder.read("x/y/e"), mode("x/y/e")), ("E\n".to_owned(), 0o751));
    assert_eq!(folder.read("n"), "n\n");
    let names: Vec<String> = folder.listing().into_keys().collect();
    assert_eq!(names, ["a", "d/", "n", "x/", "x/y/", "x/y/e"]);
    let touched: Vec<PathBuf> =
        ["a", "b", "d/e", "n", "x/y/e"].iter().map(|name| folder.path().join(name)).collect();
    assert_eq!(plan.touched(), touched);
    assert_eq!(plan.summary(), "Success. Updated the following files:\nA n\nM a\nM x/y/e\nD b\n");
}

#[test]
fn a_patch_works_on_what_it_made_itself() {
    let folder = Folder::with(&[("a", "a\n"), ("b", "b\n")]);
    folder
        .apply(
            "*** Add File: n\n+1\n*** Update File: n\n*** Move to: m\n@@\n-1\n+2\n\
             *** Delete File: b\n*** Update File: a\n*** Move to: b\n",
        )
        .expect("it fits");
    assert_eq!((folder.read("m"), folder.read("b")), ("2\n".to_owned(), "a\n".to_owned()));
    assert_eq!(folder.listing().into_keys().collect::<Vec<_>>(), ["b", "m"]);
    let error = folder.plan("*** Add File: x\n+1\n*** Delete File: x\n").expect_err("it cancels out");
    assert!(error.to_string().contains("leaves every file as it is"), "{error}");
}

#[test]
fn an_added_file_replaces_one_that_is_there() {
    let folder = Folder::with(&[("a", "old\n")]);
    let plan = folder.apply("*** Add File: a\n+new\n").expect("it fits");
    assert_eq!(folder.read("a"), "new\n");
    assert_eq!(plan.changes()[0].diff, "@@ -1 +1 @@\n-old\n+new\n", "what is lost is shown");
}

#[test]
fn a_file_that_changed_after_the_plan_is_not_overwritten() {
    let folder = Folder::with(&[("a", "a\n"), ("b", "b\n")]);
    let body = "*** Update File: a\n@@\n-a\n+A\n*** Update File: b\n@@\n-b\n+B\n*** Add File: c\n+c\n";
    let plan = folder.plan(body).expect("it fits");
    let refused = |change: &dyn Fn(), undo: &dyn Fn()| {
        change();
        let before = folder.listing();
        let error = plan.apply().expect_err("it changed").to_string();
        assert!(error.contains("changed after the patch was checked"), "{error}");
        assert_eq!(folder.listing(), before);
        undo();
    };
    refused(&|| folder.write("b", "other\n"), &|| folder.write("b", "b\n"));
    refused(&|| folder.write("c", "made by another\n"), &|| {
        fs::remove_file(folder.path().join("c")).expect("removed");
    });
    plan.apply().expect("all is as it was");
    assert_eq!(folder.read("c"), "c\n");
}

#[test]
fn files_above_the_limits_are_refused() {
    let folder = Folder::with(&[]);
    let large = "x".repeat(PATCH_FILE_BYTES_MAX);
    let count = PATCH_PLAN_BYTES_MAX / PATCH_FILE_BYTES_MAX;
    let mut body = String::new();
    for number in 0..=count {
        folder.write(&number.to_string(), &large);
        body.push_str(&format!("*** Delete File: {number}\n"));
    }
    let error = folder.plan(&body).expect_err("too much in all").to_string();
    assert!(error.contains(&PATCH_PLAN_BYTES_MAX.to_string()), "{error}");
    folder.plan("*** Delete File: 0\n").expect("as large as is accepted");
    folder.write("larger", &(large + "x"));
    let error = folder.plan("*** Delete File: larger\n").expect_err("too large").to_string();
    assert!(error.contains(&PATCH_FILE_BYTES_MAX.to_string()), "{error}");
}
