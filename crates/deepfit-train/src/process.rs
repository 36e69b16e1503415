//! The age of this process, and its memory as the operating system tells it.

use std::fs;
use std::sync::OnceLock;
use std::time::Instant;

/// Seconds since this was first called, which a program does when it starts.
///
/// The system's own record of a process's start is not used: where one program becomes another, as `cargo run` does, it
/// tells when the first one started.
pub fn process_seconds() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

fn status(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Bytes of memory that the process occupies now; 0 where the system does not tell.
pub fn resident_bytes() -> u64 {
    status("VmRSS:").unwrap_or(0)
}

/// Bytes of memory that the system can give without swapping, where it tells.
pub fn available_bytes() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find(|l| l.starts_with("MemAvailable:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Most bytes of memory that the process has occupied; 0 where the system does not tell.
pub fn peak_bytes() -> u64 {
    status("VmHWM:").unwrap_or(0)
}

/// Makes [`peak_bytes`] begin again with what is occupied now; tells whether the system could.
pub(crate) fn reset_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Seconds that processors worked for this process, all of its threads together; 0 where the system does not tell.
pub fn cpu_seconds() -> f64 {
    #[cfg(unix)]
    {
        use rustix::time::{ClockId, clock_gettime};
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    }
    #[cfg(not(unix))]
    0.0
}
