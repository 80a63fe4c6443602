//! The names of first-party functions. A call that could not be resolved is only worth a word if its name
//! could be one of ours: what no first-party crate declares, no first-party crate can be called by.

use std::collections::HashSet;

use ra_ap_hir::{AssocItem, Crate, EditionedFileId, ModuleDef, Semantics};
use ra_ap_ide_db::RootDatabase;
use ra_ap_syntax::{AstNode, SyntaxKind, SyntaxNode, ast};

/// Every name that a first-party function can be called by, including those that macros declare and those
/// that an import renames.
pub fn callable(sema: &Semantics<'_, RootDatabase>, crates: &[Crate]) -> HashSet<String> {
    let db = sema.db;
    let mut names = HashSet::new();
    for module in crates.iter().flat_map(|krate| krate.modules(db)) {
        if let Some(file) = module.as_source_file_id(db) {
            written_in(&source(sema, file), &mut names);
        }
        let of_impls = module.impl_defs(db).into_iter().flat_map(|implementation| implementation.items(db));
        let of_traits = module.declarations(db).into_iter().flat_map(|declaration| match declaration {
            ModuleDef::Trait(declared) => declared.items(db),
            ModuleDef::Function(function) => vec![AssocItem::Function(function)],
            _ => Vec::new(),
        });
        let functions = of_impls.chain(of_traits).filter_map(AssocItem::as_function);
        names.extend(functions.map(|function| function.name(db).as_str().to_owned()));
    }
    names
}

fn source(sema: &Semantics<'_, RootDatabase>, file: EditionedFileId) -> SyntaxNode {
    sema.parse(file).syntax().clone()
}

/// `fn name` anywhere, also within function bodies and macro definitions, and `use path as name`.
fn written_in(file: &SyntaxNode, names: &mut HashSet<String>) {
    let tokens = file.descendants_with_tokens().filter_map(|element| element.into_token());
    let mut after_fn = false;
    for token in tokens.filter(|token| !token.kind().is_trivia()) {
        if after_fn && token.kind() == SyntaxKind::IDENT {
            names.insert(token.text().trim_start_matches("r#").to_owned());
        }
        after_fn = token.kind() == SyntaxKind::FN_KW;
    }
    let renames = file.descendants().filter_map(ast::Rename::cast);
    let new_names = renames.filter_map(|rename| ast::HasName::name(&rename));
    names.extend(new_names.map(|name| name.text().to_string()));
}
