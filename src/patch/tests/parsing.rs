//! What is a patch and what is none; errors name the line.

use super::*;
use crate::limits::{PATCH_BYTES_MAX, PATCH_FILES_MAX, PATCH_HUNKS_MAX};

fn error(text: &str) -> String {
    Patch::parse(text).expect_err("no patch").to_string()
}

#[test]
fn errors_name_the_line_and_what_was_expected() {
    let begin = "*** Begin Patch\n";
    let cases = [
        (String::new(), "line 1: the first line has to be `*** Begin Patch`"),
        ("\n\nrubbish\n*** End Patch".to_owned(), "line 3: the first line has to be `*** Begin Patch`"),
        (begin.to_owned(), "line 1: the last line has to be `*** End Patch`"),
        (format!("{begin}*** Add File: a\n+x"), "line 3: the last line has to be `*** End Patch`"),
        (patch(""), "line 2: no file is named"),
        (patch("rubbish\n"), "line 2: `rubbish` opens no file"),
        (patch("*** Add File: \n+x\n"), "line 2: the path is missing"),
        (patch("*** Add File: a\0b\n+x\n"), "line 2: a path cannot contain a NUL"),
        (patch("*** Add File: a\n+x\ny\n"), "line 4: each line of a new file has to begin with `+`"),
        (patch("*** Update File: a\n"), "line 2: the update changes nothing"),
        (patch("*** Update File: a\n*** Move to:\n"), "line 3: the path is missing"),
        (patch("*** Update File: a\n@@ x\n"), "line 3: the hunk is empty"),
        (patch("*** Update File: a\n@@\n-x\nrubbish\n"), "line 5: `rubbish` is no line of a hunk"),
        (patch("*** Delete File: a\n+x\n"), "line 3: `+x` opens no file"),
    ];
    for (text, expected) in cases {
        let error = error(&text);
        assert!(error.starts_with("invalid patch, ") && error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn all_kinds_are_read() {
    let text = patch(
        "*** Add File: a/b.txt\n+one\n+\n+three\n\n*** Delete File: c\n*** Update File: d\n*** Move to: e f\n\
         @@ class A\n@@ def g\n keep\n-old\n+new\n@@ -1,2 +3 @@\n+more\n*** End of File\n\n*** Add File: z\n",
    );
    let hunks = vec![
        Hunk {
            line: 10,
            contexts: vec!["class A".to_owned(), "def g".to_owned()],
            lines: vec![
                HunkLine::Keep("keep".to_owned()),
                HunkLine::Remove("old".to_owned()),
                HunkLine::Add("new".to_owned()),
            ],
            end_of_file: false,
            final_newline: None,
        },
        Hunk {
            line: 15,
            lines: vec![HunkLine::Add("more".to_owned())],
            end_of_file: true,
            ..Hunk::default()
        },
    ];
    let files = vec![
        FilePatch::Add { path: "a/b.txt".to_owned(), content: "one\n\nthree\n".to_owned() },
        FilePatch::Delete { path: "c".to_owned() },
        FilePatch::Update { path: "d".to_owned(), move_to: Some("e f".to_owned()), hunks },
        FilePatch::Add { path: "z".to_owned(), content: String::new() },
    ];
    assert_eq!(Patch::parse(&text).expect("a patch").files, files);
    let crlf = text.replace('\n', "\r\n");
    assert_eq!(Patch::parse(&crlf).expect("a patch with CRLF").files, files);
    let wrapped = format!("\n <<'EOF'\n{text}EOF\n\n");
    let FilePatch::Update { path, move_to, mut hunks } = files[2].clone() else { panic!("an update") };
    hunks.iter_mut().for_each(|hunk| hunk.line += 2);
    let moved = FilePatch::Update { path, move_to, hunks };
    let moved = [files[0].clone(), files[1].clone(), moved, files[3].clone()];
    assert_eq!(Patch::parse(&wrapped).expect("a patch in a here-document").files, moved);
}

#[test]
fn what_is_too_large_is_refused_with_the_number() {
    let many = |count: usize, text: &str| text.repeat(count);
    let long = patch(&format!("*** Add File: a\n+{}\n", many(PATCH_BYTES_MAX, "x")));
    let files = patch(&many(PATCH_FILES_MAX + 1, "*** Delete File: a\n"));
    let hunks = patch(&format!("*** Update File: a\n{}", many(PATCH_HUNKS_MAX + 1, "@@\n-a\n")));
    for (text, number) in [(long, PATCH_BYTES_MAX), (files, PATCH_FILES_MAX), (hunks, PATCH_HUNKS_MAX)] {
        let error = error(&text);
        assert!(error.starts_with("patch too large: ") && error.contains(&number.to_string()), "{error}");
    }
    let files = patch(&many(PATCH_FILES_MAX, "*** Delete File: a\n"));
    assert_eq!(Patch::parse(&files).expect("as many as are accepted").files.len(), PATCH_FILES_MAX);
}
