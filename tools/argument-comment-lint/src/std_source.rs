//! Where the sources of the standard library come from. Types flow through `Option`, `Vec` and `Arc`, so
//! without them half of the method calls of a program cannot be resolved.
//!
//! The toolchain has them if its `rust-src` component is installed. If not, its documentation (`rust-docs`,
//! in rustup's default profile) shows every source file of `core`, `alloc` and `std`: these pages are
//! turned back into files and kept in the user's cache, so that nothing has to be installed or fetched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

#[cfg(test)]
mod tests;

/// The toolchain as `rustc` describes itself.
pub struct Toolchain {
    pub sysroot: PathBuf,
    /// The commit that rustc was built from, or its version where it does not say.
    identity: String,
}

impl Toolchain {
    /// Asks the `rustc` that is used in `folder`, where a `rust-toolchain.toml` may choose it.
    pub fn of(folder: &Path) -> Result<Toolchain> {
        let sysroot = rustc(folder, &["--print", "sysroot"])?;
        let version = rustc(folder, &["-vV"])?;
        let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
        let release = version.lines().find_map(|line| line.strip_prefix("release: "));
        let identity =
            commit.filter(|&hash| hash != "unknown").or(release).context("rustc -vV says no release")?;
        Ok(Toolchain { sysroot: sysroot.trim().into(), identity: identity.to_owned() })
    }
}

fn rustc(folder: &Path, args: &[&str]) -> Result<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(program).args(args).current_dir(folder).output().context("cannot run rustc")?;
    ensure!(output.status.success(), "rustc {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The folder with `core/src`, `alloc/src` and `std/src`. `None`: this toolchain has no sources at all.
pub fn find(toolchain: &Toolchain) -> Result<Option<PathBuf>> {
    let component = toolchain.sysroot.join("lib/rustlib/src/rust/library");
    if component.join("core/src/lib.rs").is_file() {
        return Ok(Some(component));
    }
    let pages = toolchain.sysroot.join("share/doc/rust/html/src");
    if !pages.join("core/lib.rs.html").is_file() {
        return Ok(None);
    }
    let kept = cache_folder()?.join(format!("std-source-{}", toolchain.identity));
    if !kept.is_dir() {
        rebuild(&pages, &kept)
            .context("cannot rebuild the standard library's sources from its documentation")?;
    }
    Ok(Some(kept))
}

fn cache_folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set")?.join("app-server-ci"))
}

/// Writes into a folder beside `kept` and renames it, so that two runs at once never see a half of it.
fn rebuild(pages: &Path, kept: &Path) -> Result<()> {
    let draft = kept.with_extension(format!("draft-{}", std::process::id()));
    for krate in ["core", "alloc", "std", "std_detect", "proc_macro", "test"] {
        let from = pages.join(krate);
        if from.is_dir() {
            rebuild_folder(&from, &draft.join(krate).join("src"))?;
        }
    }
    if fs::rename(&draft, kept).is_err() {
        fs::remove_dir_all(&draft)?;
        ensure!(kept.is_dir(), "cannot create {}", kept.display());
    }
    Ok(())
}

fn rebuild_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if path.is_dir() {
            rebuild_folder(&path, &to.join(name))?;
        } else if let Some(file) = name.strip_suffix(".html") {
            let page = fs::read_to_string(&path)?;
            let source = source_of_page(&page).with_context(|| format!("no source in {}", path.display()))?;
            fs::write(to.join(file), source)?;
        }
    }
    Ok(())
}

/// The text of a rustdoc source page: what stands in its `<code>`, without tags and without line numbers.
fn source_of_page(page: &str) -> Option<String> {
    let (_, code) = page.split_once("<pre class=\"rust\"><code>")?;
    let (code, _) = code.rsplit_once("</code></pre>")?;
    let mut source = String::with_capacity(code.len());
    let mut rest = code;
    while let Some((text, tagged)) = rest.split_once('<') {
        source.push_str(text);
        let (tag, after) = tagged.split_once('>')?;
        // Line numbers are links that rustdoc itself marks as no part of the text.
        rest = if tag.contains("data-nosnippet") { after.split_once("</a>")?.1 } else { after };
    }
    source.push_str(rest);
    Some(
        source
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&"),
    )
}
