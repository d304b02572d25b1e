//! [`Profile`]: a heap profile by dhat of a stretch of a program, with the mapped memory beside it.

use std::cell::Cell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "engine")]
use convoy_engine::memory::{MemoryUse, WorldMemory};
#[cfg(feature = "engine")]
use convoy_engine::{SnapshotPool, World};
use dhat::HeapStats;
use serde_json::Value;

use crate::counts::plural;
use crate::offender::kit_folder;
use crate::process::{ProcessCounts, ProcessReading};
use crate::threads::uncounted;

/// Call sites that are printed.
const SITES: usize = 5;
/// Functions of a call site that are printed.
const FUNCTIONS: usize = 6;

/// One profiler at a time: dhat has one for the process.
static PROFILER: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this thread is in a stretch that is profiled.
    static IS_PROFILING: Cell<bool> = const { Cell::new(false) };
}

/// Profiles the heap in `stretch`, writes `dhat-heap.json` for dhat's viewer, and prints the totals and the
/// five heaviest call sites on standard output. Returns the result of `stretch`.
///
/// ```no_run
/// use convoy_profiling::{Allocator, profile};
///
/// #[global_allocator]
/// static ALLOCATOR: Allocator<convoy_profiling::dhat::Alloc> = Allocator::DHAT;
///
/// let lists: Vec<Vec<u8>> = profile("lists", || (0..10).map(|size| vec![0; size]).collect());
/// ```
///
/// # Panics
///
/// When the global allocator is not dhat's inside of an [`Allocator`](crate::Allocator), when a stretch that
/// is profiled calls it, and when `stretch` panics.
pub fn profile<R>(name: &str, stretch: impl FnOnce() -> R) -> R {
    let (result, profile) = Profile::new(name).run(stretch);
    println!("{profile}");
    result
}

/// A heap profile of a stretch of a program.
///
/// dhat profiles the whole process: what other threads allocate meanwhile is in the profile, too. Stretches of
/// several threads wait for each other.
///
/// ```
/// use convoy_engine::World;
/// use convoy_profiling::{Allocator, Profile};
///
/// #[global_allocator]
/// static ALLOCATOR: Allocator<convoy_profiling::dhat::Alloc> = Allocator::DHAT;
///
/// # let folder = std::env::temp_dir();
/// let mut world = World::new();
/// let profile = Profile::new("filling").file(folder.join("dhat-filling.json"));
/// let ((), profile) = profile.run_world(&mut world, |world| world, |world| {
///     world.spawn_batch((0..100_000_u32).map(|number| (number,))).unwrap();
/// });
/// assert!(profile.heap().total_blocks < 1_000);
/// assert!(profile.memory_use().unwrap().columns_bytes >= 100_000 * (4 + 8));
/// assert!(profile.to_string().contains("columns"));
/// ```
#[derive(Debug)]
#[must_use = "a profile does nothing before it is run"]
pub struct Profile {
    name: String,
    file: PathBuf,
    #[cfg(feature = "engine")]
    pool: Option<SnapshotPool>,
}

/// A profile that was written.
#[derive(Debug)]
pub struct HeapProfile {
    name: String,
    file: PathBuf,
    heap: HeapStats,
    sites: Result<Vec<HeapSite>, String>,
    process: Option<ProcessCounts>,
    #[cfg(feature = "engine")]
    world: Option<(WorldMemory, MemoryUse)>,
    #[cfg(feature = "engine")]
    cells_bytes: Option<usize>,
}

/// A call site of a profile.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct HeapSite {
    /// Bytes that were allocated there.
    pub bytes: u64,
    /// Blocks that were allocated there.
    pub blocks: u64,
    /// The functions that led there, the innermost first.
    pub stack: Vec<String>,
}

impl HeapSite {
    /// The function that allocated: the innermost that is not of the standard library.
    pub fn site(&self) -> &str {
        let own = self.stack.iter().find(|function| !is_of_library(function));
        own.or(self.stack.first()).map_or("an unknown function", String::as_str)
    }
}

impl Profile {
    /// A profile. Its printout begins with the name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            file: PathBuf::from("dhat-heap.json"),
            #[cfg(feature = "engine")]
            pool: None,
        }
    }

    /// Where the profile is written, in place of `dhat-heap.json`. A relative path begins at the current folder,
    /// which is that of the package in tests.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = path.into();
        self
    }

    /// Reports the memory of this pool's idle cells as well.
    #[cfg(feature = "engine")]
    pub fn pool(mut self, pool: &SnapshotPool) -> Self {
        self.pool = Some(pool.clone());
        self
    }

    /// Runs `stretch`, and returns its result and the profile, which was written. A stretch that panics
    /// writes what it had done.
    ///
    /// # Panics
    ///
    /// When the global allocator is not dhat's inside of an [`Allocator`](crate::Allocator), when a stretch
    /// that is profiled calls it, and when `stretch` panics.
    pub fn run<R>(self, stretch: impl FnOnce() -> R) -> (R, HeapProfile) {
        assert!(!IS_PROFILING.get(), "a stretch is profiled, and there is one inside of it");
        let _one = PROFILER.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            uncounted(is_installed),
            "dhat sees no allocation: the program's allocator has to be `#[global_allocator] static \
             ALLOCATOR: convoy_profiling::Allocator<convoy_profiling::dhat::Alloc> = \
             convoy_profiling::Allocator::DHAT;`"
        );
        let profiler = uncounted(|| dhat::Profiler::builder().file_name(&self.file).build());
        let before = uncounted(|| ProcessReading::take(true));
        let result = {
            let _inside = Inside::begin();
            stretch()
        };
        let after = uncounted(|| ProcessReading::take(true));
        let heap = HeapStats::get();
        uncounted(|| drop(profiler));
        let sites = uncounted(|| heaviest(&self.file));
        let profile = HeapProfile {
            heap,
            sites,
            process: before.zip(after).map(|(before, after)| after.since(before)),
            #[cfg(feature = "engine")]
            world: None,
            #[cfg(feature = "engine")]
            cells_bytes: self.pool.map(|pool| pool.statistics().idle_retained_bytes),
            name: self.name,
            file: self.file,
        };
        (result, profile)
    }

    /// As [`Profile::run`], and reports the memory that a world of `state` has mapped after the stretch, which
    /// dhat does not see.
    ///
    /// # Panics
    ///
    /// As [`Profile::run`].
    #[cfg(feature = "engine")]
    pub fn run_world<S, R>(
        self,
        state: &mut S,
        world: impl FnOnce(&S) -> &World,
        stretch: impl FnOnce(&mut S) -> R,
    ) -> (R, HeapProfile) {
        let (result, mut profile) = self.run(|| stretch(state));
        let world = world(state);
        profile.world = Some((world.memory(), world.memory_use()));
        (result, profile)
    }
}

impl HeapProfile {
    /// The file that was written.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Blocks and bytes of the heap in the stretch, and at its end.
    pub fn heap(&self) -> &HeapStats {
        &self.heap
    }

    /// What the process mapped and touched in the stretch: heap and mapped memory of all threads. `None` where the
    /// system does not tell.
    pub fn process(&self) -> Option<ProcessCounts> {
        self.process
    }

    /// The five call sites that allocated the most bytes, the heaviest first.
    ///
    /// # Errors
    ///
    /// When the profile could not be written or read back: the reason.
    pub fn heaviest(&self) -> Result<&[HeapSite], &str> {
        self.sites.as_deref().map_err(String::as_str)
    }

    /// The use of the world's memory, where one was given.
    #[cfg(feature = "engine")]
    pub fn memory_use(&self) -> Option<MemoryUse> {
        self.world.map(|(_, used)| used)
    }
}

/// Says that this thread is in a profiled stretch, for as long as it lives.
struct Inside;

impl Inside {
    fn begin() -> Self {
        IS_PROFILING.set(true);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        IS_PROFILING.set(false);
    }
}

/// Whether dhat sees allocations. Leaves no trace in a later profile.
fn is_installed() -> bool {
    let _profiler = dhat::Profiler::builder().testing().build();
    std::hint::black_box(Box::new(0_u8));
    HeapStats::get().total_blocks > 0
}

/// The ends of the paths of dhat and of the standard library's collections: dhat keeps three parts of a path.
const LIBRARY: [&str; 15] = [
    "alloc/src/",
    "core/src/",
    "std/src/",
    "dhat-",
    "hashbrown-",
    "src/raw_vec/",
    "src/vec/",
    "src/boxed",
    "src/collections/",
    "src/iter/",
    "src/ops/function.rs",
    "src/slice.rs",
    "src/string.rs",
    "iter/adapters/",
    "iter/traits/",
];

/// The name of a function of a profile, such as `grow (alloc/src/raw_vec.rs:7:9)`, and the end of its path.
fn parts_of(function: &str) -> (&str, &str) {
    let (name, file) = function.rsplit_once(" (").unwrap_or((function, ""));
    // Without debug information there is only the name.
    (name.trim_start_matches(['<', '&', '*']), file)
}

/// Whether a function of a profile is of the allocator, or of the standard library.
fn is_of_library(function: &str) -> bool {
    let (name, file) = parts_of(function);
    let is_named = ["alloc::", "core::", "std::", "hashbrown::", "dhat::"];
    LIBRARY.iter().any(|folder| file.starts_with(folder))
        || is_of_kit(function, "allocator")
        || name.contains("__rust")
        || is_named.iter().any(|start| name.starts_with(start))
}

/// Whether a function of a profile is of this module of the kit, in a checkout or in a registry's folder.
fn is_of_kit(function: &str, module: &str) -> bool {
    let (name, file) = parts_of(function);
    let in_file = file.strip_prefix(kit_folder()).and_then(|file| file.strip_prefix("/src/"));
    let in_path = name.strip_prefix("convoy_profiling::");
    in_file.or(in_path).and_then(|rest| rest.strip_prefix(module)).is_some_and(|rest| {
        // The end of the module's name.
        rest.starts_with(".rs") || rest.starts_with("::")
    })
}

/// The heaviest call sites of a profile that was written.
fn heaviest(file: &Path) -> Result<Vec<HeapSite>, String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let profile: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    sites_of(&profile).ok_or_else(|| format!("{} is no profile of dhat's", file.display()))
}

/// The heaviest call sites of a profile: `pps` are its sites, and their `fs` the numbers of functions in
/// `ftbl`.
fn sites_of(profile: &Value) -> Option<Vec<HeapSite>> {
    let functions = profile.get("ftbl")?.as_array()?;
    let mut sites: Vec<&Value> = profile.get("pps")?.as_array()?.iter().collect();
    let number = |site: &Value, field| site.get(field).and_then(Value::as_u64).unwrap_or(0);
    sites.sort_by_key(|site| std::cmp::Reverse(number(site, "tb")));
    let sites = sites.into_iter().take(SITES).map(|site| {
        let numbers = site.get("fs").and_then(Value::as_array).into_iter().flatten();
        let names = numbers.filter_map(|at| functions.get(at.as_u64()? as usize)?.as_str());
        // `0x55d0: function (file:line)`: the address is of no use to a reader.
        let names =
            names.map(|name| name.split_once(": ").map_or(name, |(_, name)| name).to_owned());
        HeapSite { bytes: number(site, "tb"), blocks: number(site, "tbk"), stack: names.collect() }
    });
    Some(sites.collect())
}

impl fmt::Display for HeapProfile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, file, heap, sites, .. } = self;
        writeln!(formatter, "heap profile {name:?} in {}, for dhat's viewer", file.display())?;
        writeln!(
            formatter,
            "  heap: {} with {} in all, at most {} at one time, {} at the end",
            plural(heap.total_blocks, "block"),
            plural(heap.total_bytes, "byte"),
            plural(heap.max_bytes as u64, "byte"),
            plural(heap.curr_bytes as u64, "byte")
        )?;
        if let Some(process) = &self.process {
            writeln!(
                formatter,
                "  process, heap included: {:+} bytes mapped, {:+} bytes resident",
                process.mapped_bytes, process.resident_bytes
            )?;
        }
        #[cfg(feature = "engine")]
        if let Some((memory, used)) = &self.world {
            writeln!(
                formatter,
                "  mapped: {} bytes: {} live, {} retained by snapshots, {} free",
                memory.mapped_bytes, memory.live_bytes, memory.retained_bytes, memory.free_bytes
            )?;
            writeln!(
                formatter,
                "    columns {}, index {}, logs of events {}, resources {}, snapshots {}; on the heap, scratch \
                 lists {}",
                used.columns_bytes,
                used.index_bytes,
                used.events_bytes,
                used.resources_bytes,
                used.snapshots_bytes,
                used.scratch_bytes
            )?;
        }
        #[cfg(feature = "engine")]
        if let Some(bytes) = self.cells_bytes {
            writeln!(formatter, "    idle cells of snapshots {bytes}, on the heap")?;
        }
        let sites = match sites {
            Ok(sites) => sites,
            Err(error) => return write!(formatter, "  no call sites: {error}"),
        };
        if sites.is_empty() {
            return write!(formatter, "  no call sites: nothing was allocated");
        }
        write!(formatter, "  the heaviest call sites:")?;
        for HeapSite { bytes, blocks, stack } in sites {
            let (bytes, blocks) = (plural(*bytes, "byte"), plural(*blocks, "block"));
            write!(formatter, "\n    {bytes} in {blocks}")?;
            let own = stack.iter().position(|function| !is_of_library(function)).unwrap_or(0);
            // Down to the function that the kit called.
            let called = stack.iter().skip(own).take_while(|each| !is_of_kit(each, "profile"));
            for function in called.take(FUNCTIONS).filter(|each| !is_of_library(each)) {
                write!(formatter, "\n      {function}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_read_and_sorted() {
        let text = r#"{"ftbl": ["[root]", "0x1: with (alloc/src/vec.rs:1)", "0x2: game::step (g.rs:7)"],
            "pps": [{"tb": 8, "tbk": 1, "fs": [1, 2]}, {"tb": 90, "tbk": 3, "fs": [2]}]}"#;
        let sites =
            sites_of(&serde_json::from_str(text).expect("it is JSON")).expect("it is a profile");
        assert_eq!((sites[0].bytes, sites[0].blocks), (90, 3));
        assert_eq!(sites[1].stack, ["with (alloc/src/vec.rs:1)", "game::step (g.rs:7)"]);
        assert_eq!(sites_of(&Value::Null), None);
        assert_eq!(sites[1].site(), "game::step (g.rs:7)");
        assert!(is_of_library("<alloc::raw_vec::RawVecInner>::try_allocate_in (???:0:0)"));
        assert!(is_of_library("<dhat::Alloc as core::alloc::GlobalAlloc>::alloc (???:0:0)"));
        assert!(!is_of_library("<game::World as core::fmt::Debug>::fmt (???:0:0)"));
    }

    #[test]
    fn functions_of_the_kit_are_known_by_file_and_by_name() {
        let folder = kit_folder();
        assert!(is_of_library(&format!("alloc<dhat::Alloc> ({folder}/src/allocator.rs:62:18)")));
        assert!(is_of_library("<convoy_profiling::allocator::Allocator<A> as T>::alloc (???:0:0)"));
        assert!(is_of_kit(&format!("run<(), F> ({folder}/src/profile.rs:161:13)"), "profile"));
        assert!(is_of_kit("convoy_profiling::profile::profile (???:0:0)", "profile"));
        assert!(!is_of_kit(&format!("run ({folder}/src/profiles.rs:1:1)"), "profile"));
        assert!(!is_of_kit("game::profile::run (src/game/profile.rs:1:1)", "profile"));
    }
}
