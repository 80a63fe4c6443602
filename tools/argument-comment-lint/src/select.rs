//! Which packages and targets are checked, by cargo's own rules. Knows cargo's view of the workspace and
//! nothing of the code in it.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use ra_ap_paths::{AbsPath, AbsPathBuf};
use ra_ap_project_model::{CargoWorkspace, Package, TargetData, TargetKind};

/// `--workspace`, `--package`, `--no-deps`.
#[derive(Debug, Default)]
pub struct PackageFlags {
    pub workspace: bool,
    pub named: Vec<String>,
    pub no_deps: bool,
}

/// Cargo's target flags. Empty means the default.
#[derive(Debug, Default)]
pub struct TargetFlags {
    /// The plain flags, without their dashes.
    kinds: BTreeSet<String>,
    /// `--bin NAME` and its like: flag and name.
    named: Vec<(String, String)>,
}

impl TargetFlags {
    pub fn knows(flag: &str) -> bool {
        Self::takes_name(flag)
            || matches!(flag, "all-targets" | "lib" | "bins" | "tests" | "benches" | "examples")
    }

    pub fn takes_name(flag: &str) -> bool {
        matches!(flag, "bin" | "test" | "bench" | "example")
    }

    /// `name` is only looked at for flags that take one.
    pub fn add(&mut self, flag: &str, name: String) {
        if Self::takes_name(flag) {
            self.named.push((flag.to_owned(), name));
        } else {
            self.kinds.insert(flag.to_owned());
        }
    }

    /// All targets by default. `--fix` rewrites files, so there the default is cargo's own smaller one:
    /// nobody gets more rewritten than was asked for.
    pub fn with_default(mut self, fix: bool) -> TargetFlags {
        if self.kinds.is_empty() && self.named.is_empty() {
            let default: &[&str] = if fix { &["lib", "bins"] } else { &["all-targets"] };
            self.kinds.extend(default.iter().map(|&flag| flag.to_owned()));
        }
        self
    }

    /// Whether cargo would compile with `cfg(test)`.
    pub fn with_tests(&self) -> bool {
        self.has("all-targets")
            || self.has("tests")
            || self.has("benches")
            || self.named.iter().any(|(flag, _)| flag == "test" || flag == "bench")
    }

    fn has(&self, flag: &str) -> bool {
        self.kinds.contains(flag)
    }

    /// `--tests` and `--benches` stand for everything that has such code, which the lib and bins do.
    fn takes(&self, target: &TargetData) -> bool {
        let own_flag = match target.kind {
            // Cargo builds and runs the build script whatever is selected.
            TargetKind::BuildScript => return true,
            TargetKind::Other => return false,
            TargetKind::Lib { .. } => "lib",
            TargetKind::Bin => "bins",
            TargetKind::Test => "tests",
            TargetKind::Bench => "benches",
            TargetKind::Example => "examples",
        };
        let tested = matches!(target.kind, TargetKind::Lib { .. } | TargetKind::Bin);
        self.has("all-targets")
            || self.has(own_flag)
            || (tested && (self.has("tests") || self.has("benches")))
            || self.named.iter().any(|(flag, name)| names(flag, name, target))
    }
}

fn names(flag: &str, name: &str, target: &TargetData) -> bool {
    let kind = match flag {
        "bin" => TargetKind::Bin,
        "test" => TargetKind::Test,
        "bench" => TargetKind::Bench,
        _ => TargetKind::Example,
    };
    target.kind == kind && target.name == name
}

/// The root files of the targets to check. `explicit_manifest` is what `--manifest-path` gave.
pub fn roots(
    cargo: &CargoWorkspace,
    explicit_manifest: Option<&AbsPath>,
    packages: &PackageFlags,
    targets: &TargetFlags,
) -> Result<BTreeSet<AbsPathBuf>> {
    let selected = select_packages(cargo, explicit_manifest, packages)?;
    for (flag, name) in &targets.named {
        let mut candidates = selected
            .iter()
            .flat_map(|&package| cargo[package].targets.iter().map(move |&target| (package, &cargo[target])));
        let Some((package, target)) = candidates.find(|(_, target)| names(flag, name, target)) else {
            bail!("no {flag} target named `{name}` in the selected packages");
        };
        if !has_features(cargo, package, target) {
            bail!("{flag} target `{name}` requires the features {}", target.required_features.join(", "));
        }
    }

    let own = selected.iter().flat_map(|&package| {
        let built = move |target: &&TargetData| targets.takes(target) && has_features(cargo, package, target);
        cargo[package].targets.iter().map(|&target| &cargo[target]).filter(built)
    });
    let mut roots: BTreeSet<_> = own.map(|target| target.root.clone()).collect();
    if !packages.no_deps {
        roots.extend(path_dependencies(cargo, &selected));
    }
    Ok(roots)
}

/// Cargo builds a target with `required-features` only if they are on.
fn has_features(cargo: &CargoWorkspace, package: Package, target: &TargetData) -> bool {
    let active = &cargo[package].active_features;
    target.required_features.iter().all(|needed| active.contains(needed))
}

fn select_packages(
    cargo: &CargoWorkspace,
    explicit_manifest: Option<&AbsPath>,
    flags: &PackageFlags,
) -> Result<BTreeSet<Package>> {
    let members: Vec<Package> = cargo.packages().filter(|&package| cargo[package].is_member).collect();
    if !flags.workspace && !flags.named.is_empty() {
        return flags.named.iter().map(|spec| find_package(cargo, &members, spec)).collect();
    }
    // The manifest of one package, given by hand, means that package; that of a virtual workspace all of it.
    let by_manifest = explicit_manifest.filter(|_| !flags.workspace).and_then(|manifest| {
        members.iter().find(|&&package| AsRef::<AbsPath>::as_ref(&cargo[package].manifest) == manifest)
    });
    Ok(match by_manifest {
        Some(&package) => BTreeSet::from([package]),
        None => members.into_iter().collect(),
    })
}

/// `name`, `name@version` or `name:version`.
fn find_package(cargo: &CargoWorkspace, members: &[Package], spec: &str) -> Result<Package> {
    let (name, version) = match spec.split_once(['@', ':']) {
        Some((name, version)) => (name, Some(version)),
        None => (spec, None),
    };
    let fits = |package: &&Package| {
        let data = &cargo[**package];
        data.name == name && version.is_none_or(|version| data.version.to_string() == version)
    };
    match members.iter().find(fits) {
        Some(&package) => Ok(package),
        None => bail!("no package `{spec}` in this workspace"),
    }
}

/// Libraries that lie beside the selected packages and are built for them.
fn path_dependencies(cargo: &CargoWorkspace, selected: &BTreeSet<Package>) -> BTreeSet<AbsPathBuf> {
    let mut reached = selected.clone();
    let mut queue: Vec<Package> = selected.iter().copied().collect();
    let mut roots = BTreeSet::new();
    while let Some(package) = queue.pop() {
        for dependency in &cargo[package].dependencies {
            if !cargo[dependency.pkg].is_local || !reached.insert(dependency.pkg) {
                continue;
            }
            queue.push(dependency.pkg);
            let targets = cargo[dependency.pkg].targets.iter().map(|&target| &cargo[target]);
            let libs = targets.filter(|target| matches!(target.kind, TargetKind::Lib { .. }));
            roots.extend(libs.map(|target| target.root.clone()));
        }
    }
    roots
}
