//! What a run was measured on.

use std::fs;
use std::process::Command;
use std::thread;

use super::record::Machine;
use crate::process::root;

/// The machine that this program runs on; what the system does not tell is left empty.
pub fn machine(threads: usize) -> Machine {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = information.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_string()).unwrap_or_default()
    };
    let flags = field("flags");
    let matters = |flag: &&str| ["avx", "fma", "amx", "f16c"].iter().any(|start| flag.starts_with(start));
    let number =
        |name: &str| format!("family {} model {} stepping {}", field("cpu family"), field(name), field("stepping"));
    let (caches, private) = caches();
    let total = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = total.lines().find(|line| line.starts_with("MemTotal:"));
    let kilobytes = kilobytes.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(0.0);
    Machine {
        processor: format!("{} ({})", field("model name"), number("model")),
        features: flags.split_whitespace().filter(matters).map(str::to_string).collect(),
        caches,
        private_cache_mb: private * threads as f64 / 1e6,
        cores: thread::available_parallelism().map_or(0, |cores| cores.get()),
        memory_gb: kilobytes * 1024.0 / 1e9,
    }
}

/// The caches of the first core in words, and the bytes of the largest that is its own.
fn caches() -> (Vec<String>, f64) {
    let (mut lines, mut private) = (Vec::new(), 0.0);
    for index in 0..8 {
        let read = |name: &str| {
            let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}");
            fs::read_to_string(path).ok().map(|text| text.trim().to_string())
        };
        let (Some(level), Some(kind), Some(size)) = (read("level"), read("type"), read("size")) else { break };
        if kind == "Instruction" {
            continue;
        }
        lines.push(format!("level {level} {size}"));
        let kilobytes = size.trim_end_matches('K').parse::<f64>();
        if let (Ok(kilobytes), true) = (kilobytes, level == "1" || level == "2") {
            private = kilobytes * 1024.0;
        }
    }
    (lines, private)
}

/// What a program prints, or nothing.
fn told(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).current_dir(root()).output();
    ran.ok().map(|ran| String::from_utf8_lossy(&ran.stdout).trim().to_string()).unwrap_or_default()
}

/// The commit, and whether files that it knows have changed.
pub fn commit() -> (String, bool) {
    let changes = told("git", &["status", "--porcelain", "--untracked-files=no", "--", ".", ":!BENCHMARKS.md"]);
    (told("git", &["rev-parse", "--short=12", "HEAD"]), !changes.is_empty())
}

/// Now, as UTC.
pub fn date() -> String {
    told("date", &["-u", "+%Y-%m-%d %H:%M UTC"])
}

/// The compiler's version.
pub fn rustc() -> String {
    told("rustc", &["--version"])
}
