//! From a call to the parameters that its arguments fill. Knows the database, not the comments.

use ra_ap_hir::{AsAssocItem, AssocItem, AssocItemContainer, Function, ModuleDef, PathResolution, Semantics};
use ra_ap_ide_db::RootDatabase;
use ra_ap_syntax::ast;

/// What a call leads to.
pub enum Callee {
    /// A function or associated function of a first-party crate.
    Ours(Signature),
    /// Something that is not ours to name: other crates, constructors, closures, function pointers.
    NotOurs,
    /// rust-analyzer does not know. `name` is the name that was called.
    Unresolved { name: String },
}

pub struct Signature {
    pub function: String,
    /// One entry per argument of the call. `None`: the receiver, a pattern, or a name that starts with `_`.
    pub parameters: Vec<Option<String>>,
    /// The method says it all: `.enabled(true)` for `fn enabled(self, enabled: bool)`.
    pub named_by_method: bool,
}

pub fn resolve(sema: &Semantics<'_, RootDatabase>, call: &ast::CallableExpr) -> Callee {
    match call {
        ast::CallableExpr::Call(call) => of_path_call(sema, call),
        ast::CallableExpr::MethodCall(call) => of_method_call(sema, call),
    }
}

fn of_path_call(sema: &Semantics<'_, RootDatabase>, call: &ast::CallExpr) -> Callee {
    let mut callee = call.expr();
    while let Some(ast::Expr::ParenExpr(parentheses)) = callee {
        callee = parentheses.expr();
    }
    // Anything but a path is a value that happens to be callable: its parameters have no names.
    let Some(ast::Expr::PathExpr(callee)) = callee else { return Callee::NotOurs };
    let Some(path) = callee.path() else { return Callee::NotOurs };
    match sema.resolve_path(&path) {
        Some(PathResolution::Def(ModuleDef::Function(function))) => {
            let (function, ours) = declaration(sema.db, function);
            if !ours {
                return Callee::NotOurs;
            }
            // `Type::method(&value, 1)`: here the receiver is the first argument.
            let receiver = function.has_self_param(sema.db).then_some(None);
            Callee::Ours(signature(sema.db, function, receiver))
        }
        Some(_) => Callee::NotOurs,
        None => unresolved(path.segment().and_then(|segment| segment.name_ref())),
    }
}

fn of_method_call(sema: &Semantics<'_, RootDatabase>, call: &ast::MethodCallExpr) -> Callee {
    match sema.resolve_method_call(call) {
        Some(function) => match declaration(sema.db, function) {
            (function, true) => Callee::Ours(signature(sema.db, function, None)),
            (_, false) => Callee::NotOurs,
        },
        None => unresolved(call.name_ref()),
    }
}

fn unresolved(name: Option<ast::NameRef>) -> Callee {
    Callee::Unresolved { name: name.map(|name| name.text().to_string()).unwrap_or_default() }
}

/// The function whose parameter names are the contract, and whether that is first-party. For a method of a
/// trait this is the trait's declaration, whatever the implementation calls its parameters: the caller of
/// `T::run` sees no other, and rustc resolves it so too.
fn declaration(db: &RootDatabase, function: Function) -> (Function, bool) {
    let container = function.as_assoc_item(db).map(|item: AssocItem| item.container(db));
    let declared = match container {
        Some(AssocItemContainer::Impl(implementation)) => {
            implementation.trait_(db).and_then(|declaring| declaring.function(db, function.name(db)))
        }
        Some(AssocItemContainer::Trait(_)) | None => None,
    };
    let function = declared.unwrap_or(function);
    let ours = function.module(db).krate(db).origin(db).is_local();
    (function, ours)
}

fn signature(db: &RootDatabase, function: Function, receiver: Option<Option<String>>) -> Signature {
    let name = function.name(db).as_str().to_owned();
    let own: Vec<_> = function.params_without_self(db).iter().map(|parameter| parameter.name(db)).collect();
    let own = own.into_iter().map(|name| name.map(|name| name.as_str().to_owned()));
    let own: Vec<Option<String>> = own.map(|name| name.filter(|name| !name.starts_with('_'))).collect();

    let named_by_method = function.has_self_param(db) && own.len() == 1 && own[0].as_deref() == Some(&name);
    Signature { function: name, parameters: receiver.into_iter().chain(own).collect(), named_by_method }
}
