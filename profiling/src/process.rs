//! [`ProcessCounts`]: what the system counts for the process, where it does.

use std::fs::File;
use std::io::Read;

use memmap2::MmapMut;

use crate::threads::uncounted;

/// The system's counts of the process between two moments. Other threads have their part in them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ProcessCounts {
    /// Bytes of address space mapped, less those unmapped.
    pub mapped_bytes: i64,
    /// Growth of the anonymous memory that is resident: touched for the first time, and not given back.
    pub resident_bytes: i64,
    /// Page faults that needed no input: pages touched for the first time, or copied.
    pub minor_faults: u64,
    /// Page faults that read from a disk.
    pub major_faults: u64,
}

/// What the system says at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessReading {
    mapped_kib: u64,
    anonymous_kib: u64,
    minor_faults: u64,
    major_faults: u64,
}

impl ProcessReading {
    /// Reads the counts; `None` where there are none. Allocates nothing.
    ///
    /// The system counts resident pages for each processor and adds them up now and then. An `exact` count
    /// asks for the pages themselves, which takes milliseconds.
    pub(crate) fn take(exact: bool) -> Option<Self> {
        let mut buffer = [0; 4096];
        let status = read("/proc/self/status", &mut buffer)?;
        let mapped_kib = field(status, "VmSize:")?;
        let rss_kib = field(status, "RssAnon:")?;
        let mut exact_kib = || field(read("/proc/self/smaps_rollup", &mut buffer)?, "Anonymous:");
        let anonymous_kib = if exact { exact_kib().unwrap_or(rss_kib) } else { rss_kib };
        let text = read("/proc/self/stat", &mut buffer)?;
        // After the name of the program, which may hold anything, in parentheses.
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let minor_faults = fields.nth(7)?.parse().ok()?;
        let major_faults = fields.nth(1)?.parse().ok()?;
        Some(Self { mapped_kib, anonymous_kib, minor_faults, major_faults })
    }

    /// The counts since `before`.
    pub(crate) fn since(self, before: Self) -> ProcessCounts {
        let bytes = |now: u64, then: u64| (now as i64 - then as i64) * 1024;
        ProcessCounts {
            mapped_bytes: bytes(self.mapped_kib, before.mapped_kib),
            resident_bytes: bytes(self.anonymous_kib, before.anonymous_kib),
            minor_faults: self.minor_faults.saturating_sub(before.minor_faults),
            major_faults: self.major_faults.saturating_sub(before.major_faults),
        }
    }
}

/// Whether the system's counts notice a mapping and the first touch of its pages.
pub(crate) fn notices_mappings() -> bool {
    const BYTES: usize = 1 << 20;
    uncounted(|| {
        let Some(before) = ProcessReading::take(true) else { return false };
        let Ok(mut map) = MmapMut::map_anon(BYTES) else { return false };
        map.iter_mut().step_by(1024).for_each(|byte| *byte = 1);
        std::hint::black_box(&mut map);
        let Some(after) = ProcessReading::take(true) else { return false };
        let counts = after.since(before);
        counts.mapped_bytes >= BYTES as i64 && counts.resident_bytes >= BYTES as i64
    })
}

fn read<'b>(path: &str, buffer: &'b mut [u8]) -> Option<&'b str> {
    let mut file = File::open(path).ok()?;
    let mut filled = 0;
    loop {
        match file.read(&mut buffer[filled..]).ok()? {
            0 => return std::str::from_utf8(&buffer[..filled]).ok(),
            bytes => filled += bytes,
        }
    }
}

/// The number after `name` in lines such as `VmSize:   12 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let text = "Name:\tx\nVmSize:\t    1234 kB\nRssAnon:\t 5 kB\n";
        assert_eq!((field(text, "VmSize:"), field(text, "RssAnon:")), (Some(1234), Some(5)));
        assert_eq!(field(text, "VmPeak:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_mapping_is_noticed() {
        assert!((0..100).any(|_| notices_mappings()), "other tests unmap memory now and then");
    }
}
