//! Walks the files of the selected targets and compares each call with what it leads to. Knows nothing of
//! levels and output: it reports every finding of both lints.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ra_ap_hir::{CfgExpr, Crate, EditionedFileId, Semantics};
use ra_ap_ide_db::{FileId, RootDatabase};
use ra_ap_syntax::ast::{self, HasArgList, HasAttrs};
use ra_ap_syntax::{AstNode, SyntaxKind, SyntaxNode, TextRange, TextSize};

use crate::callee::{self, Callee, Signature};
use crate::comment::{self, ArgumentComment};
use crate::level::Lint;
use crate::{literal, names};

/// One argument that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub lint: Lint,
    pub file: FileId,
    /// What the caret points at: the wrong comment, or the literal.
    pub range: TextRange,
    pub function: String,
    pub parameter: String,
    /// The name in the wrong comment.
    pub found: Option<String>,
}

/// Something in a file that is worth a line of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: FileId,
    pub offset: TextSize,
    pub name: String,
}

#[derive(Debug, Default)]
pub struct Outcome {
    pub findings: Vec<Finding>,
    /// Calls with a literal or commented argument that rust-analyzer could not resolve, and that could be ours.
    pub unresolved: Vec<Place>,
    /// Macro calls with something like a literal in them that rust-analyzer could not expand, or not wholly.
    pub unexpanded: Vec<Place>,
    pub files: usize,
    /// First-party calls that were compared.
    pub compared: usize,
}

/// Checks every module of `targets`. `first_party` are all crates whose functions have to be named.
pub fn check(db: &RootDatabase, targets: &[Crate], first_party: &[Crate]) -> Outcome {
    let sema = Semantics::new(db);
    let mut outcome = Outcome::default();
    let modules =
        targets.iter().flat_map(|krate| krate.modules(db).into_iter().map(move |module| (module, *krate)));
    let mut seen = HashSet::new();
    for (module, krate) in modules {
        // Two targets may share a module; what is said once is enough.
        let Some(file) = module.as_source_file_id(db).filter(|file| seen.insert(file.file_id(db))) else {
            continue;
        };
        let root = sema.parse(file).syntax().clone();
        let mut checker = Checker { sema: &sema, krate, file, root: root.clone(), seen: Seen::default() };
        checker.walk(&root, &mut outcome);
        outcome.unresolved.extend(checker.still_unresolved());
        outcome.files += 1;
    }
    outcome.unexpanded.sort();
    outcome.unexpanded.dedup();
    if !outcome.unresolved.is_empty() {
        let names = names::callable(&sema, first_party);
        outcome.unresolved.retain(|place| names.contains(&place.name));
    }
    outcome
}

/// A macro may use its argument twice, so that one call of the file is two in the expansion.
#[derive(Default)]
struct Seen {
    resolved: BTreeSet<(TextSize, TextSize)>,
    unresolved: BTreeMap<(TextSize, TextSize), Place>,
}

struct Checker<'a> {
    sema: &'a Semantics<'a, RootDatabase>,
    krate: Crate,
    file: EditionedFileId,
    root: SyntaxNode,
    seen: Seen,
}

/// An argument as it stands in the file.
struct Argument {
    range: TextRange,
    anonymous: bool,
    comment: Option<ArgumentComment>,
}

impl Checker<'_> {
    /// `node` lies in the file, or in the expansion of a macro that is called there.
    fn walk(&mut self, node: &SyntaxNode, outcome: &mut Outcome) {
        for node in node.descendants() {
            if let Some(call) = ast::CallableExpr::cast(node.clone()) {
                self.check_call(&call, outcome);
            } else if let Some(call) = ast::MacroCall::cast(node) {
                self.enter_macro(&call, outcome);
            }
        }
    }

    /// What the user wrote within a macro call, and what comes out of it as written, is as much the user's
    /// as anything else: most calls of tests stand inside of `assert_eq!`.
    fn enter_macro(&mut self, call: &ast::MacroCall, outcome: &mut Outcome) {
        let holds_literal = call.token_tree().is_some_and(|tokens| may_hold_finding(tokens.syntax()));
        if !holds_literal || self.is_inactive(call.syntax()) {
            return;
        }
        let expansion = self.sema.to_def(call).map(|id| self.sema.expand(id));
        if let Some(range) = self.in_file(call.syntax())
            && expansion.as_ref().is_none_or(|expansion| expansion.err.is_some())
        {
            let name = call.path().map(|path| path.to_string()).unwrap_or_default();
            outcome.unexpanded.push(self.place(range, name));
        }
        if let Some(expansion) = expansion {
            self.walk(&expansion.value, outcome);
        }
    }

    fn check_call(&mut self, call: &ast::CallableExpr, outcome: &mut Outcome) {
        let Some(range) = self.in_file(call.syntax()) else { return };
        let key = (range.start(), range.end());
        let Some(list) = call.arg_list().filter(|_| !self.seen.resolved.contains(&key)) else { return };

        let arguments: Vec<_> = list.args().map(|argument| self.argument(&argument)).collect();
        let worth = |argument: &Argument| argument.anonymous || argument.comment.is_some();
        if !arguments.iter().flatten().any(worth) || self.is_inactive(call.syntax()) {
            return;
        }
        match callee::resolve(self.sema, call) {
            Callee::NotOurs => {}
            Callee::Unresolved { name } => {
                let place = self.place(range, name);
                self.seen.unresolved.insert(key, place);
                return;
            }
            Callee::Ours(signature) => {
                outcome.compared += 1;
                let file = self.file.file_id(self.sema.db);
                let pairs = arguments.iter().zip(&signature.parameters);
                for (argument, parameter) in pairs.filter_map(|(a, p)| a.as_ref().zip(p.as_ref())) {
                    outcome.findings.extend(compare(argument, parameter, &signature, file));
                }
            }
        }
        self.seen.resolved.insert(key);
    }

    /// `None` if the argument comes out of a macro's definition.
    fn argument(&self, expr: &ast::Expr) -> Option<Argument> {
        let range = self.in_file(expr.syntax())?;
        let comment = comment::before(&self.root, range.start());
        Some(Argument { range, anonymous: literal::is_anonymous(self.sema, expr), comment })
    }

    /// Where `node` stands in the file, if it was written there from its first to its last token.
    fn in_file(&self, node: &SyntaxNode) -> Option<TextRange> {
        let original = self.sema.original_range_opt(node)?;
        (original.file_id == self.file).then_some(original.range)
    }

    /// Whether a `#[cfg]` around `node` takes it out of this build.
    fn is_inactive(&self, node: &SyntaxNode) -> bool {
        let options = self.krate.cfg(self.sema.db);
        let around = self.sema.ancestors_with_macros(node.clone());
        let attributes =
            around.filter_map(ast::AnyHasAttrs::cast).flat_map(|owner| owner.attrs().collect::<Vec<_>>());
        let conditions = attributes.filter_map(|attribute| match attribute.meta()? {
            ast::Meta::CfgMeta(meta) => Some(CfgExpr::parse_from_ast(meta.cfg_predicate()?)),
            _ => None,
        });
        conditions.into_iter().any(|condition| options.check(&condition) == Some(false))
    }

    fn place(&self, range: TextRange, name: String) -> Place {
        Place { file: self.file.file_id(self.sema.db), offset: range.start(), name }
    }

    fn still_unresolved(self) -> impl Iterator<Item = Place> {
        let Seen { resolved, unresolved } = self.seen;
        unresolved.into_iter().filter(move |(key, _)| !resolved.contains(key)).map(|(_, place)| place)
    }
}

fn compare(argument: &Argument, parameter: &str, signature: &Signature, file: FileId) -> Option<Finding> {
    let (lint, range, found) = match &argument.comment {
        Some(comment) if comment.name == parameter => return None,
        Some(comment) => (Lint::Mismatch, comment.range, Some(comment.name.clone())),
        None if argument.anonymous && !signature.named_by_method => (Lint::Uncommented, argument.range, None),
        None => return None,
    };
    let (function, parameter) = (signature.function.clone(), parameter.to_owned());
    Some(Finding { lint, file, range, function, parameter, found })
}

/// Whether the tokens of a macro call hold anything that a finding could be about. Most calls of `format!`
/// do not, and need not be expanded.
fn may_hold_finding(tokens: &SyntaxNode) -> bool {
    let mut tokens = tokens.descendants_with_tokens().filter_map(|element| element.into_token());
    tokens.any(|token| match token.kind() {
        SyntaxKind::INT_NUMBER
        | SyntaxKind::FLOAT_NUMBER
        | SyntaxKind::BYTE
        | SyntaxKind::TRUE_KW
        | SyntaxKind::FALSE_KW => true,
        SyntaxKind::COMMENT => token.text().starts_with("/*"),
        SyntaxKind::IDENT => token.text() == "None",
        _ => false,
    })
}
