//! From the command line to a loaded rust-analyzer database. The only module that knows how rust-analyzer
//! is started; everything after it sees a database and the files to check.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use ra_ap_ide_db::RootDatabase;
use ra_ap_load_cargo::{LoadCargoConfig, ProcMacroServerChoice, load_workspace};
use ra_ap_paths::AbsPathBuf;
use ra_ap_project_model::{
    CargoConfig, CargoFeatures, CargoWorkspace, ProjectManifest, ProjectWorkspace, ProjectWorkspaceKind,
    RustLibSource,
};
use ra_ap_vfs::Vfs;

use crate::cli::{Cli, FeatureFlags};
use crate::select;
use crate::std_source::{self, Toolchain};

/// A workspace in memory.
pub struct Loaded {
    pub db: RootDatabase,
    pub vfs: Vfs,
    /// Root files of the targets to check.
    pub roots: BTreeSet<AbsPathBuf>,
    /// Whether the standard library's sources were found; without them fewer calls can be resolved.
    pub has_std: bool,
}

pub fn load(cli: &Cli) -> Result<Loaded> {
    let folder = std::env::current_dir().context("no current folder")?;
    let manifest = match &cli.manifest_path {
        Some(path) => absolute(&folder.join(path))
            .with_context(|| format!("--manifest-path {}: no such file", path.display()))?,
        None => nearest_manifest(&folder)?,
    };

    let toolchain = Toolchain::of(manifest.parent().map_or(folder.as_path(), |parent| parent.as_ref()))?;
    let std_source = match &cli.std_source {
        Some(path) => Some(path.clone()),
        None => std_source::find(&toolchain)?,
    };
    let config = cargo_config(cli, &toolchain, std_source.as_deref())?;
    let workspace =
        ProjectWorkspace::load(ProjectManifest::from_manifest_file(manifest.clone())?, &config, &|_| {})?;

    let cargo = cargo_view(&workspace)?;
    let explicit = cli.manifest_path.is_some().then_some(manifest.as_path());
    let roots = select::roots(cargo, explicit, &cli.packages, &cli.targets)?;

    // Build scripts and procedural macros would mean to compile and run the dependencies of the server. What
    // they generate is serde's and thiserror's code, which no call by name leads into.
    let how = LoadCargoConfig {
        load_out_dirs_from_check: false,
        with_proc_macro_server: ProcMacroServerChoice::None,
        prefill_caches: false,
        num_worker_threads: 1,
        proc_macro_processes: 0,
    };
    let (db, vfs, _) = load_workspace(workspace, &config.extra_env, &how)?;
    Ok(Loaded { db, vfs, roots, has_std: std_source.is_some() })
}

fn cargo_config(cli: &Cli, toolchain: &Toolchain, std_source: Option<&Path>) -> Result<CargoConfig> {
    // rust-analyzer's own discovery would run `rustup component add`: a lint does not install anything.
    let sysroot = Some(RustLibSource::Path(absolute(&toolchain.sysroot)?));
    Ok(CargoConfig {
        all_targets: true,
        features: features(&cli.features),
        target: cli.target_triple.clone(),
        sysroot,
        sysroot_src: std_source.map(absolute).transpose()?,
        metadata_extra_args: cli.lock_flags.clone(),
        set_test: cli.targets.with_tests(),
        ..CargoConfig::default()
    })
}

fn features(flags: &FeatureFlags) -> CargoFeatures {
    if flags.all {
        return CargoFeatures::All;
    }
    CargoFeatures::Selected { features: flags.named.clone(), no_default_features: flags.no_default }
}

fn cargo_view(workspace: &ProjectWorkspace) -> Result<&CargoWorkspace> {
    match &workspace.kind {
        // rust-analyzer goes on without the dependencies here; a lint that silently sees less must not.
        ProjectWorkspaceKind::Cargo { error: Some(error), .. } => Err(anyhow!("{error:#}")),
        ProjectWorkspaceKind::Cargo { cargo, error: None, .. } => Ok(cargo),
        _ => bail!("not a cargo workspace"),
    }
}

fn nearest_manifest(folder: &Path) -> Result<AbsPathBuf> {
    let mut candidates = folder.ancestors().map(|folder| folder.join("Cargo.toml"));
    let found = candidates.find(|candidate| candidate.is_file());
    absolute(&found.with_context(|| format!("no Cargo.toml in {} or above it", folder.display()))?)
}

/// Cargo speaks of real paths, so links are followed before paths are compared.
fn absolute(path: &Path) -> Result<AbsPathBuf> {
    let path: PathBuf = path.canonicalize().with_context(|| format!("{}", path.display()))?;
    let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    AbsPathBuf::try_from(path).map_err(|path| anyhow!("{path} is not absolute"))
}
