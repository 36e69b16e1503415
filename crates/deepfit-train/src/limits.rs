//! Limits of memory that the system sets this process, compared with what a run will take.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, TrainError};
use crate::forecast::Description;
use crate::learner::Learner;
use crate::process::{available_bytes, resident_bytes};

/// What a run will take.
#[derive(Debug, Clone, Copy)]
pub struct Planned {
    /// Bytes of the process in all, as they occupy memory.
    total: u64,
    /// Bytes of these that are not even reserved yet.
    unreserved: u64,
}

impl Planned {
    /// As far as it is known when the network has been compiled: its arena and its parameters are reserved by then.
    pub fn resident(base_bytes: u64, learner: &Learner) -> Planned {
        let (arena, parameters) = learner.planned_bytes();
        Planned { total: base_bytes + arena + parameters, unreserved: learner.parameters() as u64 * 4 }
    }

    /// The whole plan, told when arena and parameters have been touched.
    pub fn of(description: &Description) -> Planned {
        let total = description.planned_memory_bytes;
        Planned { total, unreserved: total.saturating_sub(resident_bytes()) }
    }
}

/// Refuses a run that a limit would end half-way.
///
/// # Errors
/// If `planned` does not fit into the limits of address space, of data, or of the control group.
pub fn require(planned: Planned, images: bool) -> Result<()> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let reserved = |field| field_bytes(&status, field).unwrap_or(0) + planned.unreserved;
    let checks = [
        (process_limit(&limits, "Max address space"), reserved("VmSize:"), "the limit of address space (ulimit -v)"),
        (process_limit(&limits, "Max data size"), reserved("VmData:"), "the limit of data (ulimit -d)"),
        (group_limit(), planned.total, "the control group (container)"),
    ];
    for (limit, needed, name) in checks {
        if let Some(limit) = limit.filter(|limit| needed > *limit) {
            // Rounded up and down, lest the two numbers look equal.
            let needed_mb = needed.div_ceil(1_000_000);
            return Err(TrainError::MemoryLimit {
                needed_mb,
                limit: name.to_string(),
                limit_mb: limit / 1_000_000,
                images,
            });
        }
    }
    Ok(())
}

/// A warning where a run takes more than the system can give without swapping.
pub fn warn(planned: u64, images: bool) -> Option<String> {
    let missing = planned.saturating_sub(resident_bytes());
    let available = available_bytes()?;
    let lower = if images { "`batch` or `image_size`" } else { "`batch`" };
    (missing > available).then(|| {
        format!(
            "the run takes {} MB of memory more than now, and {} MB are available: it may be slow or be ended by the \
             system; a lower {lower} takes less",
            missing.div_ceil(1_000_000),
            available / 1_000_000
        )
    })
}

/// Bytes of a field of `/proc/self/status`.
fn field_bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// The soft limit of this name in `/proc/self/limits`; `None` if there is none.
fn process_limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The smallest limit of the control groups that this process is in.
fn group_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit_files(&groups).iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

/// The files in which the limits stand: of version 2 of control groups that of the group and of those around it, of
/// version 1 those of the controller of memory.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|c| c == "memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        // In a container, the path may be that of the world outside; its own group is then the root.
        let group = Path::new(root).join(group.trim_start_matches('/'));
        files.extend(group.ancestors().take_while(|path| path.starts_with(root)).map(|path| path.join(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_system_writes_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max data size             unlimited            unlimited            bytes\n\
                      Max address space         1073741824           unlimited            bytes\n";
        assert_eq!(process_limit(limits, "Max address space"), Some(1 << 30));
        assert_eq!(process_limit(limits, "Max data size"), None);
        assert_eq!(field_bytes("VmPeak:\t 9 kB\nVmSize:\t    2048 kB\n", "VmSize:"), Some(2 << 20));
    }

    #[test]
    fn groups_around_a_group_limit_it_too() {
        let files = limit_files("0::/user/me\n");
        let expected = ["/sys/fs/cgroup/user/me", "/sys/fs/cgroup/user", "/sys/fs/cgroup"];
        assert_eq!(files, expected.map(|group| Path::new(group).join("memory.max")));
        let files = limit_files("5:cpu,cpuacct:/a\n4:memory:/a\n");
        assert_eq!(files[0], Path::new("/sys/fs/cgroup/memory/a/memory.limit_in_bytes"));
        assert_eq!(files.len(), 2);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_to_lower() {
        let fits = Planned { total: 1 << 20, unreserved: 0 };
        assert!(require(fits, true).is_ok());
        let error = TrainError::MemoryLimit { needed_mb: 900, limit: "x".into(), limit_mb: 500, images: true };
        assert!(error.to_string().contains("`batch` or `image_size`"), "{error}");
        assert!(warn(u64::MAX, true).unwrap().contains("`image_size`"));
        assert_eq!(warn(0, true), None);
    }
}
