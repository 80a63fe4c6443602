//! What counts as a literal that does not say what it is for.

use ra_ap_hir::{EnumVariant, ModuleDef, PathResolution, Semantics};
use ra_ap_ide_db::RootDatabase;
use ra_ap_syntax::ast::{self, LiteralKind, UnaryOp};

/// `None`, booleans, numbers, bytes, and a minus before a number, also through blocks that do nothing.
/// Strings and characters speak for themselves; calls, paths and macros carry a name.
pub fn is_anonymous(sema: &Semantics<'_, RootDatabase>, argument: &ast::Expr) -> bool {
    match within(argument.clone()) {
        Some(ast::Expr::Literal(literal)) => is_bare(&literal),
        Some(ast::Expr::PrefixExpr(prefix)) => {
            let negated = prefix.expr().and_then(within);
            let number = matches!(negated, Some(ast::Expr::Literal(literal)) if is_bare(&literal));
            prefix.op_kind() == Some(UnaryOp::Neg) && number
        }
        Some(ast::Expr::PathExpr(path)) => path.path().is_some_and(|path| is_none(sema, &path)),
        _ => false,
    }
}

/// The expression inside of parentheses and of blocks that only hold it.
fn within(mut expr: ast::Expr) -> Option<ast::Expr> {
    loop {
        expr = match expr {
            ast::Expr::ParenExpr(parentheses) => parentheses.expr()?,
            ast::Expr::BlockExpr(block) => {
                let plain = block.modifier().is_none();
                let list = block.stmt_list().filter(|list| plain && list.statements().next().is_none())?;
                list.tail_expr()?
            }
            other => return Some(other),
        };
    }
}

fn is_bare(literal: &ast::Literal) -> bool {
    match literal.kind() {
        LiteralKind::Bool(_)
        | LiteralKind::IntNumber(_)
        | LiteralKind::FloatNumber(_)
        | LiteralKind::Byte(_) => true,
        LiteralKind::String(_)
        | LiteralKind::ByteString(_)
        | LiteralKind::CString(_)
        | LiteralKind::Char(_) => false,
    }
}

/// `Option`'s `None`, not a variant of that name of another enum.
fn is_none(sema: &Semantics<'_, RootDatabase>, path: &ast::Path) -> bool {
    let last =
        |path: &ast::Path| path.segment().and_then(|segment| segment.name_ref()).map(|name| name.to_string());
    if last(path).as_deref() != Some("None") {
        return false;
    }
    match sema.resolve_path(path) {
        Some(PathResolution::Def(ModuleDef::EnumVariant(variant))) => is_of_option(sema.db, variant),
        Some(_) => false,
        // Without the standard library's sources only the way it is written is left.
        None => path.qualifier().is_none_or(|qualifier| last(&qualifier).as_deref() == Some("Option")),
    }
}

fn is_of_option(db: &RootDatabase, variant: EnumVariant) -> bool {
    let parent = variant.parent_enum(db);
    parent.name(db).as_str() == "Option" && parent.module(db).krate(db).is_builtin(db)
}
