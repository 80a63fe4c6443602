//! What the operating system says of this process.

use super::Page;

/// Adds memory, processor time, descriptors and OS threads, under the names that Prometheus' client libraries
/// use. What the system does not tell is left out.
pub(super) fn add(page: &mut Page) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| -> Option<f64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    if let Some(kib) = field("VmRSS:") {
        page.gauge("process_resident_memory_bytes", "Resident memory.", kib * 1024.0);
    }
    if let Some(count) = field("Threads:") {
        page.gauge("process_os_threads", "OS threads.", count);
    }
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = used.tv_sec as f64 + used.tv_nsec as f64 / 1e9;
    page.family("process_cpu_seconds_total", "Processor time used.", super::Kind::Counter).add(&[], seconds);
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        // One of them is this listing's own.
        let count = entries.count().saturating_sub(1);
        page.gauge("process_open_fds", "Open file descriptors.", count as f64);
    }
}
