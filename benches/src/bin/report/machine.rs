//! Where the numbers come from: processor, system, compiler and versions.

use std::process::Command;
use std::{fs, io, thread};

/// The packages whose versions the report names.
const PACKAGES: [&str; 6] =
    ["convoy-engine", "hecs", "bevy_ecs", "flecs_ecs", "shipyard", "sparsey"];

/// The machine in one line.
///
/// # Errors
///
/// When the system does not tell its processor.
pub(crate) fn describe() -> io::Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = field(&processors, "model name").unwrap_or("an unnamed processor");
    let threads = thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kibibytes = field(&memory, "MemTotal").and_then(|total| total.split(' ').next());
    let kibibytes: u64 = kibibytes.and_then(|number| number.parse().ok()).unwrap_or(0);
    let gibibytes = kibibytes.div_ceil(1 << 20);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = kernel.trim();
    Ok(format!("{model}, {threads} threads, {gibibytes} GiB, Linux {kernel}, {}", compiler()))
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output().ok();
    let text = version.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "an unknown rustc".to_owned(), |text| text.trim().to_owned())
}

/// Name and version of every subject, from the lock file.
pub(crate) fn versions(lock: &str) -> Vec<(String, String)> {
    let mut versions = Vec::new();
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        let Some(name) = quoted(line, "name = ").filter(|name| PACKAGES.contains(name)) else {
            continue;
        };
        if let Some(version) = lines.next().and_then(|line| quoted(line, "version = ")) {
            versions.push((name.to_owned(), version.to_owned()));
        }
    }
    versions
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix('"')?.strip_suffix('"')
}
