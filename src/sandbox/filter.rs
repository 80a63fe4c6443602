//! The system calls that a confined command may not make. They answer EPERM, as if a privilege were missing;
//! what only a wider ABI could reach answers ENOSYS, so that programs fall back to what is checked.
//!
//! The server compiles it, a child applies it to itself.

use std::collections::BTreeMap;
use std::io;
use std::sync::OnceLock;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

use super::spec::Enforce;

/// Ways around every rule: into other processes, past the file system's checks, into the kernel.
const ESCAPES: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    SYS_OPEN_TREE_ATTR,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];

/// Newer than the `libc` crate's tables; the number is the same on all of Linux's newer architectures.
const SYS_OPEN_TREE_ATTR: i64 = 467;

/// What changes a file without opening it. Landlock has no rule for these.
const METADATA: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    SYS_FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SYS_SETXATTRAT,
    SYS_REMOVEXATTRAT,
    SYS_FILE_SETATTR,
];

const SYS_FCHMODAT2: i64 = 452;
const SYS_SETXATTRAT: i64 = 463;
const SYS_REMOVEXATTRAT: i64 = 466;
const SYS_FILE_SETATTR: i64 = 469;

/// Where the ABI with 32 bit pointers begins on x86_64.
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;

/// The namespaces that `clone` can make; a namespace is where mounting is allowed again.
const CLONE_NAMESPACES: &[i32] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// The filter for this, compiled once in the life of the process.
pub(super) fn compiled(enforce: &Enforce) -> io::Result<&'static BpfProgram> {
    static COMPILED: [OnceLock<BpfProgram>; 4] = [const { OnceLock::new() }; 4];
    let place = &COMPILED[usize::from(enforce.no_metadata) * 2 + usize::from(enforce.no_network)];
    match place.get() {
        Some(program) => Ok(program),
        None => {
            let program = compile(enforce)?;
            Ok(place.get_or_init(|| program))
        }
    }
}

/// Applies a filter to this process and all that it starts. It only makes system calls.
pub(super) fn apply(program: &BpfProgram) -> io::Result<()> {
    seccompiler::apply_filter(program).map_err(|error| match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
        _ => io::ErrorKind::InvalidInput.into(),
    })
}

fn compile(enforce: &Enforce) -> io::Result<BpfProgram> {
    let refused = |error: seccompiler::BackendError| io::Error::other(error);
    let rules = rules(enforce).map_err(refused)?;
    let arch = std::env::consts::ARCH.try_into().map_err(refused)?;
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        arch,
    )
    .map_err(refused)?;
    let checked: BpfProgram = filter.try_into().map_err(refused)?;
    let mut program = unchecked_abi();
    program.extend(checked);
    Ok(program)
}

fn rules(enforce: &Enforce) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let mut rules = BTreeMap::new();
    for call in ESCAPES {
        rules.insert(*call, Vec::new());
    }
    if enforce.no_metadata {
        for call in METADATA {
            rules.insert(*call, Vec::new());
        }
    }
    let argument = |at: u8, operator: SeccompCmpOp, value: i64| {
        SeccompCondition::new(at, SeccompCmpArgLen::Dword, operator, value.unsigned_abs())
    };
    let any_of = |at: u8, flags: &[i32]| -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
        let rule = |flag: &i32| {
            let flag = i64::from(*flag);
            SeccompRule::new(vec![argument(at, SeccompCmpOp::MaskedEq(flag.unsigned_abs()), flag)?])
        };
        flags.iter().map(rule).collect()
    };
    rules.insert(libc::SYS_clone, any_of(/*at*/ 0, CLONE_NAMESPACES)?);
    // This one also knows time namespaces, whose bit is part of a signal's number in `clone`.
    let mut unshare = any_of(/*at*/ 0, CLONE_NAMESPACES)?;
    unshare.extend(any_of(/*at*/ 0, &[CLONE_NEWTIME])?);
    rules.insert(libc::SYS_unshare, unshare);
    // Typing into the terminal in place of its user.
    let typing = [libc::TIOCSTI, libc::TIOCLINUX];
    let typing = typing
        .map(|request| SeccompRule::new(vec![argument(1, SeccompCmpOp::Eq, i64::from(request as u32))?]));
    rules.insert(libc::SYS_ioctl, typing.into_iter().collect::<Result<_, _>>()?);
    // The mark by which a command's processes are known (`sys::lineage`).
    let locks = i64::from(libc::RLIMIT_LOCKS);
    rules.insert(libc::SYS_setrlimit, vec![SeccompRule::new(vec![argument(0, SeccompCmpOp::Eq, locks)?])?]);
    let is_set = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?;
    let locks = argument(1, SeccompCmpOp::Eq, locks)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![locks, is_set])?]);
    // A rule denies where all of its conditions hold: the domain is none of these.
    let networked = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let allowed = if enforce.no_network { &networked[..1] } else { &networked[..] };
    let other = |domain: &i32| argument(0, SeccompCmpOp::Ne, i64::from(*domain));
    let other = allowed.iter().map(other).collect::<Result<Vec<_>, _>>()?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(other.clone())?]);
    rules.insert(libc::SYS_socketpair, vec![SeccompRule::new(other)?]);
    Ok(rules)
}

const CLONE_NEWTIME: i32 = 0x80;

/// Calls whose arguments the rules cannot see: `clone3` keeps its flags in memory, and x32 has numbers of
/// its own. The C library knows `clone3` to be missing on many systems and uses `clone`.
fn unchecked_abi() -> BpfProgram {
    const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let missing = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    let clone3 = u32::try_from(libc::SYS_clone3).unwrap_or(u32::MAX);
    let mut program = vec![step(LOAD_NUMBER, 0, 0, 0)];
    #[cfg(target_arch = "x86_64")]
    {
        const JUMP_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
        program.extend([step(JUMP_AT_LEAST, 0, 1, X32_BIT), step(ANSWER, 0, 0, missing)]);
    }
    program.extend([step(JUMP_EQUAL, 0, 1, clone3), step(ANSWER, 0, 0, missing)]);
    program
}

#[cfg(test)]
mod tests;
