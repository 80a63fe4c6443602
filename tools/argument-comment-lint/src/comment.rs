//! The comment in front of an argument: `/*name*/`, exactly so.

use ra_ap_syntax::{SyntaxKind, SyntaxNode, TextRange, TextSize};

/// An argument comment as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentComment {
    pub name: String,
    pub range: TextRange,
}

/// The comment directly before `argument`, only blanks and line ends between them. `file` is the whole file:
/// inside of a macro call the comments are no longer in the expansion, but they are in the file.
pub fn before(file: &SyntaxNode, argument: TextSize) -> Option<ArgumentComment> {
    let first = file.token_at_offset(argument).right_biased()?;
    let mut before = first.prev_token()?;
    while before.kind() == SyntaxKind::WHITESPACE {
        before = before.prev_token()?;
    }
    let name = name_in(before.text())?.to_owned();
    Some(ArgumentComment { name, range: before.text_range() })
}

/// The name in `/*name*/`: an ASCII identifier without blanks around it.
fn name_in(text: &str) -> Option<&str> {
    let name = text.strip_prefix("/*")?.strip_suffix("*/")?;
    let mut letters = name.chars();
    let first = letters.next()?;
    let good = (first == '_' || first.is_ascii_alphabetic())
        && letters.all(|letter| letter == '_' || letter.is_ascii_alphanumeric());
    good.then_some(name)
}

#[cfg(test)]
mod tests {
    use ra_ap_syntax::{AstNode, Edition, SourceFile, TextSize};

    use super::{before, name_in};

    #[test]
    fn only_a_bare_identifier_is_a_name() {
        for (text, name) in [("/*a*/", "a"), ("/*base_url*/", "base_url"), ("/*_x1*/", "_x1"), ("/*T*/", "T")]
        {
            assert_eq!(name_in(text), Some(name), "{text}");
        }
        for text in [
            "/* a */", "/*a */", "/*a=*/", "/*a: */", "/**/", "/***/", "/**a*/", "/*!a*/", "/*1a*/",
            "/*a b*/",
        ] {
            assert_eq!(name_in(text), None, "{text}");
        }
        for text in ["/*ü*/", "/*r#type*/", "/*a/*b*/*/", "// a", "a", "/*"] {
            assert_eq!(name_in(text), None, "{text}");
        }
    }

    /// The name found before the first `1` of a call.
    fn found(call: &str) -> Option<String> {
        let text = format!("fn main() {{ {call}; }}");
        let offset = TextSize::try_from(text.find('1').unwrap()).unwrap();
        let file = SourceFile::parse(&text, Edition::CURRENT).tree();
        before(file.syntax(), offset).map(|comment| comment.name)
    }

    #[test]
    fn the_last_comment_directly_before_counts() {
        assert_eq!(found("f(/*a*/1)").as_deref(), Some("a"));
        assert_eq!(found("f(/*a*/ 1)").as_deref(), Some("a"));
        assert_eq!(found("f(\n  /*a*/\n\n  1)").as_deref(), Some("a"));
        assert_eq!(found("f(/*a*/ /*b*/ 1)").as_deref(), Some("b"));
        assert_eq!(found("f(x, /*a*/ 1)").as_deref(), Some("a"));
        assert_eq!(found("m!(f(x, /*a*/ 1))").as_deref(), Some("a"));
    }

    #[test]
    fn a_comment_elsewhere_does_not_count() {
        assert_eq!(found("f(/*a*/ x, 1)"), None);
        assert_eq!(found("f(x /*a*/, 1)"), None);
        assert_eq!(found("f(/*a*/ /* why */ 1)"), None);
        assert_eq!(found("f(/*a*/ // why\n 1)"), None);
        assert_eq!(found("f( // /*a*/\n 1)"), None);
        assert_eq!(found("/*a*/ f(1)"), None);
        assert_eq!(found("f(\"/*a*/\", 1)"), None);
    }
}
