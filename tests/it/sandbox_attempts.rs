//! What a command might try to get out of its sandbox. Run confined, as a process of its own: this test
//! binary once more.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal};

/// Where a process finds the playground, and that it is meant to try.
pub(crate) const BASE: &str = "SANDBOX_ATTEMPTS";

/// How the name of an abstract socket begins; who listens and the playground follow.
pub(crate) const ABSTRACT: &str = "app-server-it-sandbox-";

/// The places and processes that the attempts are about; written by the matrix into `BASE/targets`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Targets {
    pub(crate) tcp: u16,
    pub(crate) udp: u16,
    /// The test, which listens.
    pub(crate) listener: i32,
    /// A process that nobody confines.
    pub(crate) victim: i32,
    /// An address inside of it.
    pub(crate) address: usize,
}

impl Targets {
    pub(crate) fn write(self, base: &Path) {
        let Self { tcp, udp, listener, victim, address } = self;
        let line = format!("{tcp} {udp} {listener} {victim} {address}");
        fs::write(base.join("targets"), line).expect("written");
    }

    fn read(base: &Path) -> Self {
        let line = fs::read_to_string(base.join("targets")).expect("the matrix has written it");
        let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
        Self {
            tcp: numbers[0] as u16,
            udp: numbers[1] as u16,
            listener: numbers[2] as i32,
            victim: numbers[3] as i32,
            address: numbers[4] as usize,
        }
    }
}

/// The file in `BASE` with the names of what is not to be tried: nobody would stop it.
pub(crate) const LEFT_OUT: &str = "left-out";

type Attempt = (&'static str, fn(&Path, Targets) -> io::Result<()>);

fn outside(base: &Path, name: &str) -> PathBuf {
    base.join("outside").join(name)
}

fn work(base: &Path, name: &str) -> PathBuf {
    base.join("work").join(name)
}

fn create(path: impl AsRef<Path>) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(b"x")
}

fn overwrite(path: impl AsRef<Path>) -> io::Result<()> {
    OpenOptions::new().append(true).open(path)?.write_all(b"x")
}

fn pid(number: i32) -> Pid {
    Pid::from_raw(number).expect("a process id")
}

const ATTEMPTS: &[Attempt] = &[
    ("read outside", |base, _| fs::read(outside(base, "file")).map(drop)),
    ("list outside", |base, _| fs::read_dir(base.join("outside")).map(drop)),
    ("create at the top", |base, _| create(work(base, "new"))),
    ("make a folder at the top", |base, _| {
        fs::create_dir(work(base, "folder")).and_then(|()| create(work(base, "folder/new")))
    }),
    ("overwrite inside", |base, _| overwrite(work(base, "file"))),
    ("rename inside", |base, _| fs::rename(work(base, "movable"), work(base, "moved"))),
    ("chmod inside", |base, _| fs::set_permissions(work(base, "file"), fs::Permissions::from_mode(0o600))),
    ("write to /dev/null", |_, _| overwrite("/dev/null")),
    ("create outside", |base, _| create(outside(base, "new"))),
    ("make a folder outside", |base, _| fs::create_dir(outside(base, "folder"))),
    ("overwrite outside", |base, _| overwrite(outside(base, "file"))),
    ("cut outside", |base, _| Ok(nix::unistd::truncate(&outside(base, "file"), /*len*/ 1)?)),
    ("remove outside", |base, _| fs::remove_file(outside(base, "removable"))),
    ("chmod outside", |base, _| {
        fs::set_permissions(outside(base, "file"), fs::Permissions::from_mode(0o600))
    }),
    ("write .git", |base, _| create(work(base, ".git/hooks/pre-commit"))),
    ("overwrite .git", |base, _| overwrite(work(base, ".git/config"))),
    ("rename .git", |base, _| {
        let away = work(base, ".git2");
        // Put back, so that the other attempts find it.
        fs::rename(work(base, ".git"), &away).and_then(|()| fs::rename(away, work(base, ".git")))
    }),
    ("write .codex", |base, _| create(work(base, ".codex/config.toml"))),
    ("out by a symbolic link", |base, _| create(work(base, "link/by-link"))),
    ("out by a new symbolic link", |base, _| {
        let link = work(base, "own-link");
        // One that exists already, if it may not be made here.
        let link = std::os::unix::fs::symlink(base.join("outside"), &link)
            .map_or_else(|_| work(base, "link"), |()| link);
        create(link.join("by-own-link"))
    }),
    ("out by ..", |base, _| create(work(base, "../outside/by-dots"))),
    ("out by the working directory's ..", |_, _| create("../outside/by-relative-dots")),
    ("out by a hard link", |base, _| {
        fs::hard_link(outside(base, "file"), work(base, "hard"))?;
        overwrite(work(base, "hard"))
    }),
    ("rename to the outside", |base, _| fs::rename(work(base, "file2"), outside(base, "renamed"))),
    ("rename from the outside", |base, _| fs::rename(outside(base, "file2"), work(base, "stolen"))),
    ("out by /proc/self/root", |base, _| {
        let path = outside(base, "by-root");
        create(Path::new("/proc/self/root").join(path.strip_prefix("/").expect("absolute")))
    }),
    ("out by /proc/self/cwd", |_, _| create("/proc/self/cwd/../outside/by-cwd")),
    ("out by a reopened descriptor", |base, _| {
        let read = File::open(outside(base, "file"))?;
        overwrite(format!("/proc/self/fd/{}", read.as_raw_fd()))
    }),
    ("out by a folder's descriptor", |base, _| {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let folder = OpenOptions::new().read(true).custom_flags(flags).open(base.join("outside"))?;
        create(format!("/proc/self/fd/{}/by-fd", folder.as_raw_fd()))
    }),
    ("write to /proc/sys", |_, _| overwrite("/proc/sys/kernel/domainname")),
    ("read another's environment", |_, targets| {
        fs::read(format!("/proc/{}/environ", targets.victim)).map(drop)
    }),
    ("write another's memory", |_, targets| {
        OpenOptions::new().write(true).open(format!("/proc/{}/mem", targets.victim)).map(drop)
    }),
    ("connect by TCP", |_, targets| TcpStream::connect(("127.0.0.1", targets.tcp)).map(drop)),
    ("send by UDP", |_, targets| {
        UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", ("127.0.0.1", targets.udp)).map(drop)
    }),
    ("listen by TCP", |_, _| std::net::TcpListener::bind("127.0.0.1:0").map(drop)),
    ("a raw socket", |_, _| {
        let packet = rustix::net::AddressFamily::PACKET;
        Ok(rustix::net::socket(packet, rustix::net::SocketType::RAW, None).map(drop)?)
    }),
    ("connect to a unix socket", |base, _| UnixStream::connect(base.join("outside/socket")).map(drop)),
    ("make a socket pair", |_, _| UnixDatagram::pair().map(drop)),
    ("connect to an abstract socket", |base, targets| {
        let name = format!("{ABSTRACT}{}-{}", targets.listener, base.display());
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?).map(drop)
    }),
    ("signal another process", |_, targets| {
        Ok(rustix::process::kill_process(pid(targets.victim), Signal::CONT)?)
    }),
    ("signal an own child", |_, _| {
        let mut child = std::process::Command::new("sleep").arg("60").spawn()?;
        child.kill()?;
        child.wait().map(drop)
    }),
    ("trace another process", |_, targets| {
        let victim = nix::unistd::Pid::from_raw(targets.victim);
        nix::sys::ptrace::seize(victim, nix::sys::ptrace::Options::empty())?;
        // It has to stop before it can be let go; the end of this process does that.
        Ok(())
    }),
    ("read another's memory", |_, targets| {
        let mut byte = [0];
        let from = RemoteIoVec { base: targets.address, len: 1 };
        let victim = nix::unistd::Pid::from_raw(targets.listener);
        process_vm_readv(victim, &mut [io::IoSliceMut::new(&mut byte)], &[from])?;
        Ok(())
    }),
    ("take another's descriptor", |_, targets| {
        let victim = rustix::process::pidfd_open(pid(targets.victim), PidfdFlags::empty())?;
        Ok(rustix::process::pidfd_getfd(victim, 0, PidfdGetfdFlags::empty()).map(drop)?)
    }),
    ("wipe off the command's mark", |_, _| {
        use rustix::process::{Resource, getrlimit, setrlimit};
        Ok(setrlimit(Resource::Locks, getrlimit(Resource::Locks))?)
    }),
    ("mount", |base, _| {
        let flags = rustix::mount::MountFlags::empty();
        Ok(rustix::mount::mount("none", work(base, ""), "tmpfs", flags, None)?)
    }),
    ("unmount", |base, _| {
        Ok(rustix::mount::unmount(work(base, ".git"), rustix::mount::UnmountFlags::DETACH)?)
    }),
    ("remount writable", |base, _| {
        let flags = rustix::mount::MountFlags::BIND;
        Ok(rustix::mount::mount_remount(work(base, ".git"), flags, c"")?)
    }),
    ("change the root", |base, _| std::os::unix::fs::chroot(work(base, ""))),
    ("enter another's namespace", |_, targets| {
        let space = File::open(format!("/proc/{}/ns/mnt", targets.victim))?;
        let kind = Some(rustix::thread::LinkNameSpaceType::Mount);
        Ok(rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&space), kind)?)
    }),
];

/// Tries everything and says what came of it.
#[test]
#[ignore = "run by the matrix, as the confined command"]
fn try_everything() {
    let Some(base) = std::env::var_os(BASE).map(PathBuf::from) else { return };
    let targets = Targets::read(&base);
    let mut out = io::stdout();
    let left_out = fs::read_to_string(base.join(LEFT_OUT)).unwrap_or_default();
    for (name, attempt) in ATTEMPTS.iter().filter(|(name, _)| !left_out.lines().any(|out| out == *name)) {
        let _ = match attempt(&base, targets) {
            Ok(()) => writeln!(out, "\nTRIED {name}: done"),
            Err(error) => writeln!(out, "\nTRIED {name}: {error}"),
        };
    }
    let _ = writeln!(out, "\nTRIED ALL");
}
