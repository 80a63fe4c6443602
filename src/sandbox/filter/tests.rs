//! The filter as the kernel would run it: its steps are carried out here for calls that no test can make.

use super::*;

/// A call as the kernel shows it to a filter.
struct Call {
    number: i64,
    arch: u32,
    args: [u64; 6],
}

#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xC000_00B7;
const I386: u32 = 0x4000_0003;

impl Call {
    fn new(number: i64, args: &[u64]) -> Self {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        Self { number, arch: NATIVE, args: all }
    }

    /// The 32 bits at an offset of `struct seccomp_data` (seccomp(2)).
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number as u32,
            4 => self.arch,
            16.. => {
                let (at, half) = ((offset - 16) / 8, (offset - 16) % 8);
                (self.args[at as usize] >> (half * 8)) as u32
            }
            other => panic!("nothing of interest at {other}"),
        }
    }
}

/// What the filter answers.
fn answer(enforce: &Enforce, call: &Call) -> u32 {
    let program = compile(enforce).expect("compiles");
    let (mut at, mut value) = (0, 0u32);
    loop {
        let step = &program[at];
        at += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { step.jt } else { step.jf });
        match u32::from(step.code) {
            0x20 => value = call.word(step.k),
            0x54 => value &= step.k,
            0x05 => at += step.k as usize,
            0x15 => jump(value == step.k),
            0x25 => jump(value > step.k),
            0x35 => jump(value >= step.k),
            0x06 => return step.k,
            other => panic!("an unknown step {other:#x}"),
        }
    }
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const DENY: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const MISSING: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

fn offline() -> Enforce {
    Enforce { no_network: true, ..Enforce::default() }
}

#[test]
fn sockets_are_unix_ones_unless_the_network_is_allowed() {
    let online = Enforce::default();
    let socket = |family: i32| Call::new(libc::SYS_socket, &[family as u64, 1, 0]);
    for family in [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK] {
        assert_eq!(answer(&offline(), &socket(family)), DENY, "{family}");
        assert_eq!(answer(&online, &socket(family)), ALLOW, "{family}");
    }
    for family in [libc::AF_PACKET, libc::AF_VSOCK, libc::AF_ALG, libc::AF_BLUETOOTH] {
        assert_eq!(answer(&offline(), &socket(family)), DENY, "{family}");
        assert_eq!(answer(&online, &socket(family)), DENY, "{family}");
    }
    assert_eq!(answer(&offline(), &socket(libc::AF_UNIX)), ALLOW);
    assert_eq!(answer(&offline(), &Call::new(libc::SYS_socketpair, &[libc::AF_UNIX as u64])), ALLOW);
    // The kernel looks at 32 bits of the family only, and so does the filter.
    let high = Call::new(libc::SYS_socket, &[1 << 32 | libc::AF_INET as u64]);
    assert_eq!(answer(&offline(), &high), DENY);
}

#[test]
fn every_way_out_is_closed_and_what_programs_need_is_open() {
    for number in ESCAPES {
        assert_eq!(answer(&offline(), &Call::new(*number, &[])), DENY, "{number}");
    }
    let needed = [libc::SYS_openat, libc::SYS_execve, libc::SYS_connect, libc::SYS_kill, libc::SYS_fchmodat];
    for number in needed {
        assert_eq!(answer(&offline(), &Call::new(number, &[])), ALLOW, "{number}");
    }
    let unchangeable = Enforce { no_metadata: true, ..offline() };
    for number in METADATA {
        assert_eq!(answer(&unchangeable, &Call::new(*number, &[])), DENY, "{number}");
    }
}

#[test]
fn processes_and_workers_can_be_made_but_no_namespaces() {
    let fork = libc::SIGCHLD as u64;
    let worker = (libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_THREAD) as u64;
    for flags in [fork, worker] {
        assert_eq!(answer(&offline(), &Call::new(libc::SYS_clone, &[flags])), ALLOW);
    }
    for space in CLONE_NAMESPACES {
        let flags = u64::from(space.unsigned_abs());
        assert_eq!(answer(&offline(), &Call::new(libc::SYS_clone, &[flags | fork])), DENY);
        assert_eq!(answer(&offline(), &Call::new(libc::SYS_unshare, &[flags])), DENY);
    }
    assert_eq!(answer(&offline(), &Call::new(libc::SYS_unshare, &[CLONE_NEWTIME as u64])), DENY);
    assert_eq!(answer(&offline(), &Call::new(libc::SYS_unshare, &[libc::CLONE_FILES as u64])), ALLOW);
}

#[test]
fn terminals_cannot_be_typed_into() {
    let ioctl = |request: u64| Call::new(libc::SYS_ioctl, &[0, request]);
    assert_eq!(answer(&offline(), &ioctl(0x5412)), DENY);
    assert_eq!(answer(&offline(), &ioctl(0x541C)), DENY);
    // The size of the window.
    assert_eq!(answer(&offline(), &ioctl(0x5413)), ALLOW);
}

#[test]
fn other_abis_do_not_get_past_the_rules() {
    assert_eq!(answer(&offline(), &Call::new(libc::SYS_clone3, &[])), MISSING);
    let foreign = Call { arch: I386, ..Call::new(/*number*/ 102, &[]) };
    assert_eq!(answer(&offline(), &foreign), libc::SECCOMP_RET_KILL_PROCESS);
    #[cfg(target_arch = "x86_64")]
    for number in [libc::SYS_socket, libc::SYS_openat, 521] {
        let x32 = Call::new(number | i64::from(X32_BIT), &[libc::AF_INET as u64]);
        assert_eq!(answer(&offline(), &x32), MISSING, "{number}");
    }
}

#[test]
fn the_program_is_short_enough_for_the_kernel() {
    for (no_metadata, no_network) in [(false, false), (false, true), (true, false), (true, true)] {
        let enforce = Enforce { no_metadata, no_network, ..Enforce::default() };
        let steps = compile(&enforce).expect("compiles").len();
        assert!(steps < 1024, "{steps} steps");
    }
}
