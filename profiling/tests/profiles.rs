//! Profiles under dhat: one at a time, also where a stretch asks for another.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::panic::catch_unwind;

use convoy_profiling::{Allocator, Profile, SteadyState, dhat};

#[global_allocator]
static ALLOCATOR: Allocator<dhat::Alloc> = Allocator::DHAT;

fn profile(name: &str) -> Profile {
    let folder = std::env::temp_dir();
    Profile::new(name).file(folder.join(format!("dhat-{name}-{}.json", std::process::id())))
}

#[inline(never)]
fn makes_a_box(number: u64) -> u64 {
    *std::hint::black_box(Box::new(number))
}

fn main() {
    a_stretch_inside_of_another_panics_and_the_next_one_is_profiled();
    a_stretch_without_allocations_has_no_call_sites();
    memory_that_is_mapped_is_told_without_a_world();
    a_steady_state_is_tested_as_under_the_allocator_of_the_system();
}

fn a_stretch_inside_of_another_panics_and_the_next_one_is_profiled() {
    let inner = || profile("outer").run(|| profile("inner").run(|| ()));
    let message = catch_unwind(inner).unwrap_err();
    let message = message.downcast_ref::<&str>().unwrap();
    assert!(message.contains("there is one inside of it"), "{message}");
    let (sum, profile) = profile("next").run(|| (0..100).map(makes_a_box).sum::<u64>());
    assert_eq!((sum, profile.heap().total_blocks), (4_950, 100));
    let site = &profile.heaviest().unwrap()[0];
    assert!(site.site().contains("makes_a_box"), "{site:?}");
    assert_eq!((site.blocks, site.bytes), (100, 800));
    // The functions of the stretch, and not those of the kit below it.
    let printed = profile.to_string();
    let (_, sites) =
        printed.split_once("the heaviest call sites:\n    800 bytes in 100 blocks\n").unwrap();
    assert!(sites.contains("makes_a_box"), "{printed}");
    assert!(!sites.contains("run") && !sites.contains("profile.rs"), "{printed}");
}

fn a_stretch_without_allocations_has_no_call_sites() {
    let ((), profile) = profile("nothing").run(|| ());
    assert_eq!(profile.heaviest(), Ok(&[][..]));
    assert!(profile.to_string().ends_with("\n  no call sites: nothing was allocated"), "{profile}");
}

fn memory_that_is_mapped_is_told_without_a_world() {
    const BYTES: usize = 64 << 20;
    let (map, profile) = profile("mapped").run(|| {
        let mut map = memmap2::MmapMut::map_anon(BYTES).unwrap();
        map.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        map
    });
    assert_eq!(map[0], 1);
    #[cfg(not(target_os = "linux"))]
    if profile.process().is_none() {
        return;
    }
    let process = profile.process().expect("the system tells");
    assert!(process.mapped_bytes >= BYTES as i64, "{profile}");
    assert!(process.resident_bytes >= BYTES as i64, "{profile}");
    assert!(profile.to_string().contains("bytes mapped, +"), "{profile}");
}

fn a_steady_state_is_tested_as_under_the_allocator_of_the_system() {
    SteadyState::new("nothing").run(|_| ()).assert();
    let report = SteadyState::new("boxes").frames(10).run(|number| _ = makes_a_box(number));
    assert_eq!((report.heap().allocations, report.heap().frees), (10, 10));
}
