//! What this system can enforce, found out by trying once, and what follows from it for a policy.

use std::io;
use std::path::{Path, PathBuf};

use super::report::{Held, Report};
use super::spawn::Confinement;
use super::spec::{Enforce, Found, Mounts};
use super::{SandboxError, enforce, plan};
use crate::proto::{NetworkAccess, SandboxPolicy};

/// The landlock version from which files cannot be cut to length behind the rules' back.
const LANDLOCK_ABI_FOR_FILES: u8 = 3;

/// What the sandbox has to know of the server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's home, which stays read-only inside writable folders.
    pub home: PathBuf,
    /// The server's `$TMPDIR`. Not a client's: it is writable by default.
    pub temp_dir: Option<PathBuf>,
    /// Whether the operator accepts less than a policy asks for.
    pub best_effort: bool,
}

/// What can be enforced here. Made once; shared by all who start commands.
#[derive(Debug)]
pub struct Sandbox {
    settings: Settings,
    found: Found,
    /// Why nothing could be found out.
    failure: Option<String>,
}

impl Sandbox {
    /// Tries out what a child can do to itself, and logs that. Blocks for a millisecond.
    #[must_use]
    pub fn probe(settings: Settings) -> Self {
        Self::of(settings, enforce::probe())
    }

    /// Where nothing can be enforced.
    #[cfg(test)]
    pub(super) fn hopeless(settings: Settings) -> Self {
        Self::of(settings, Err(io::ErrorKind::Unsupported.into()))
    }

    fn of(settings: Settings, probed: io::Result<Found>) -> Self {
        let (found, failure) = match probed {
            Ok(found) => (found, None),
            Err(error) => (Found::default(), Some(format!("it could not be tried out: {error}"))),
        };
        let sandbox = Self { settings, found, failure };
        let report = sandbox.report();
        tracing::info!(
            mounts = ?sandbox.found.mounts,
            landlock_abi = sandbox.found.landlock_abi,
            filter = sandbox.found.filter,
            best_effort = sandbox.settings.best_effort,
            missing = ?report.missing,
            "the sandbox was probed"
        );
        sandbox
    }

    /// What it takes to hold `policy` for a command in `cwd`, which is absolute.
    ///
    /// # Errors
    /// The policy cannot be enforced here, and the configuration does not accept less.
    pub fn confine(&self, policy: &SandboxPolicy, cwd: &Path) -> Result<Confinement, SandboxError> {
        let mut enforce = self.wanted(policy, cwd);
        let missing = self.missing(&enforce);
        if !missing.is_empty() && !self.settings.best_effort {
            return Err(SandboxError { policy: name(policy), missing });
        }
        enforce.landlock = enforce.files && self.found.landlock_abi > 0;
        enforce.mounts = if enforce.files { self.found.mounts } else { Mounts::None };
        // Read-only mounts hold these too, more finely.
        enforce.no_metadata &= self.found.mounts == Mounts::None;
        if !self.found.filter {
            enforce.no_network = false;
        }
        enforce.filter = self.found.filter && (enforce.files || enforce.no_network);
        Ok(Confinement { cwd: cwd.to_owned(), enforce })
    }

    /// Whether `policy` can be enforced here, as far as that does not depend on what is in the folders: it
    /// looks at no file, so it is for the processor.
    ///
    /// # Errors
    /// As of [`Self::confine`].
    pub fn check(&self, policy: &SandboxPolicy) -> Result<(), SandboxError> {
        let missing = self.missing(&asked(policy));
        if missing.is_empty() || self.settings.best_effort {
            return Ok(());
        }
        Err(SandboxError { policy: name(policy), missing })
    }

    /// What a policy asks for in this folder, whatever the system can do.
    fn wanted(&self, policy: &SandboxPolicy, cwd: &Path) -> Enforce {
        let mut enforce = asked(policy);
        if let SandboxPolicy::WorkspaceWrite {
            writable_roots,
            exclude_tmpdir_env_var,
            exclude_slash_tmp,
            ..
        } = policy
        {
            let mut writable = vec![cwd.to_owned()];
            writable.extend(writable_roots.iter().map(PathBuf::from));
            writable.extend(self.settings.temp_dir.clone().filter(|_| !exclude_tmpdir_env_var));
            writable.extend((!exclude_slash_tmp).then(|| PathBuf::from("/tmp")));
            // From where a relative one should count is not known; it would be a guess.
            writable.retain(|path| path.is_absolute());
            enforce.layers = plan::layers(&writable, &self.settings.home);
        }
        enforce
    }

    /// What of `enforce` would not hold here.
    fn missing(&self, enforce: &Enforce) -> Vec<String> {
        let mut missing = Vec::new();
        let because = |what: &str, otherwise: String| match &self.failure {
            Some(failure) => format!("{what} ({failure})"),
            None => format!("{what} ({otherwise})"),
        };
        if enforce.files && !self.holds_files() {
            let abi = self.found.landlock_abi;
            let reason = format!(
                "landlock has version {abi} and {LANDLOCK_ABI_FOR_FILES} is needed; {}",
                self.no_mounts()
            );
            missing.push(because("files outside the writable places cannot be protected", reason));
        } else if self.found.mounts == Mounts::None {
            let covered = enforce.layers.iter().filter(|layer| !layer.writable);
            let covered: Vec<_> = covered.map(|layer| layer.path.display().to_string()).collect();
            if !covered.is_empty() {
                let what =
                    format!("{} cannot be kept read-only inside a writable folder", covered.join(", "));
                missing.push(because(&what, self.no_mounts()));
            }
        }
        if !enforce.is_nothing() && !self.found.filter {
            missing.push(because("system calls cannot be filtered", "seccomp is refused".to_owned()));
        }
        missing
    }

    fn holds_files(&self) -> bool {
        self.found.mounts != Mounts::None || self.found.landlock_abi >= LANDLOCK_ABI_FOR_FILES
    }

    fn no_mounts(&self) -> String {
        let error = io::Error::from_raw_os_error(self.found.mounts_errno);
        format!("mount namespaces are refused: {error}")
    }

    /// What holds here, for people and for `server/diagnostics`.
    #[must_use]
    pub fn report(&self) -> Report {
        let found = &self.found;
        let mounts = found.mounts != Mounts::None;
        let full = Enforce { files: true, no_network: true, ..Enforce::default() };
        let mut missing = self.missing(&full);
        if self.holds_files() && !mounts {
            let what = "`.git`, `.codex` and the server's home inside a writable folder, \
                        modes and owners of files outside, \
                        and a unix socket of the server's own";
            missing.push(format!("{what} ({})", self.no_mounts()));
        }
        if !found.signals {
            missing
                .push("signals and abstract unix sockets to the outside (landlock 6 is needed)".to_owned());
        }
        Report {
            platform: std::env::consts::OS,
            landlock_abi: found.landlock_abi,
            mounts: found.mounts,
            held: Held {
                files: self.holds_files(),
                protected_paths: mounts,
                file_metadata: mounts,
                network: found.filter,
                signals: found.signals,
                abstract_sockets: found.signals,
            },
            best_effort: self.settings.best_effort,
            policies: super::report::policies(self.holds_files() && found.filter, mounts, found.filter),
            missing,
        }
    }
}

/// What a policy asks for, but for the places.
fn asked(policy: &SandboxPolicy) -> Enforce {
    let confined =
        |network_access: bool| Enforce { files: true, no_network: !network_access, ..Enforce::default() };
    match policy {
        SandboxPolicy::DangerFullAccess => Enforce::default(),
        SandboxPolicy::ExternalSandbox { network_access } => {
            Enforce { no_network: *network_access == NetworkAccess::Restricted, ..Enforce::default() }
        }
        SandboxPolicy::ReadOnly { network_access } => {
            Enforce { no_metadata: true, ..confined(*network_access) }
        }
        SandboxPolicy::WorkspaceWrite { network_access, .. } => confined(*network_access),
    }
}

/// The policy's name on the wire.
fn name(policy: &SandboxPolicy) -> &'static str {
    match policy {
        SandboxPolicy::DangerFullAccess => "dangerFullAccess",
        SandboxPolicy::ReadOnly { .. } => "readOnly",
        SandboxPolicy::ExternalSandbox { .. } => "externalSandbox",
        SandboxPolicy::WorkspaceWrite { .. } => "workspaceWrite",
    }
}
