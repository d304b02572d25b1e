//! The promises: for every workload its baseline, and the targets of Convoy's subjects.
//!
//! A new benchmark needs one line here. The order is that of the report.

mod rollback;

use std::sync::LazyLock;

/// One workload of one group.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    /// Criterion's group: the verb.
    pub(crate) group: &'static str,
    /// The object of the verb.
    pub(crate) name: &'static str,
    /// In words.
    pub(crate) title: &'static str,
    /// The subject that all others are divided by.
    pub(crate) baseline: &'static str,
    /// The promises, by subject.
    pub(crate) targets: &'static [Target],
}

/// The most that a subject may take, as a multiple of a baseline.
pub(crate) struct Target {
    pub(crate) subject: &'static str,
    /// The baseline, if it is not the workload's own.
    pub(crate) baseline: Option<&'static str>,
    pub(crate) ratio: f64,
}

pub(crate) const fn at_most(subject: &'static str, ratio: f64) -> Target {
    Target { subject, baseline: None, ratio }
}

const fn at_most_of(subject: &'static str, baseline: &'static str, ratio: f64) -> Target {
    Target { subject, baseline: Some(baseline), ratio }
}

pub(crate) const fn workload(
    (group, name): (&'static str, &'static str),
    title: &'static str,
    baseline: &'static str,
    targets: &'static [Target],
) -> Workload {
    Workload { group, name, title, baseline, targets }
}

const ITERATE: &[Target] = &[
    at_most("convoy", 1.05),
    at_most("convoy iterator", 1.15),
    at_most_of("convoy runs", "raw flat", 1.05),
];
const RESOLVE: &[Target] = &[at_most("convoy", 2.0), at_most("convoy view", 2.0)];
const INSERT_SMALL: &[Target] =
    &[at_most("convoy", 3.5), at_most("convoy toggle", 1.0), at_most("convoy batch", 1.5)];

/// Everything that is measured but rollback as a whole.
const SINGLE: &[Workload] = &[
    workload(
        ("convoy_sync", "10%_written"),
        "a period of five modules, 10 % of the chunks written: time beyond the writes alone",
        "individual extra",
        &[at_most("convoy extra", 0.10)],
    ),
    workload(
        ("convoy_sync", "10%_written_20_modules"),
        "a period of twenty modules, 10 % of the chunks written: time beyond the writes alone",
        "individual extra",
        &[at_most("convoy extra", 0.03)],
    ),
    workload(
        ("convoy_sync", "100%_written"),
        "a period of five modules, all chunks written: time beyond the writes alone",
        "individual extra",
        &[at_most("convoy extra", 0.30)],
    ),
    workload(
        ("convoy_memory", "10%_written"),
        "five modules at 10 Hz, 10 % of the chunks written: bytes kept for their views",
        "individual",
        &[at_most("convoy", 0.05)],
    ),
    workload(
        ("convoy_memory", "10%_written_20_modules"),
        "twenty modules at 10 Hz, 10 % of the chunks written: bytes kept for their views",
        "individual",
        &[at_most("convoy", 0.02)],
    ),
    workload(
        ("convoy_memory", "100%_written"),
        "five modules at 10 Hz, all chunks written: bytes kept for their views",
        "individual",
        &[at_most("convoy", 0.20)],
    ),
    workload(
        ("convoy_memory_second", "10%_written"),
        "a second of ten such periods, five modules, 10 % of the chunks written: time of all",
        "individual",
        &[],
    ),
    workload(
        ("convoy_memory_second", "10%_written_20_modules"),
        "a second of ten such periods, twenty modules, 10 % of the chunks written: time of all",
        "individual",
        &[],
    ),
    workload(
        ("convoy_memory_second", "100%_written"),
        "a second of ten such periods, five modules, all chunks written: time of all",
        "individual",
        &[],
    ),
    workload(
        ("diff", "1%_written"),
        "the differences between two views of a million entities of 96 bytes, 1 % of the chunks \
         written",
        "compare all rows",
        &[at_most("convoy", 0.05)],
    ),
    workload(
        ("state_hash", "1%_written"),
        "a hash of a million entities of 96 bytes, 1 % of the chunks written since the last",
        "hash all rows",
        &[at_most("convoy", 0.05)],
    ),
    workload(
        ("restore", "1%_written"),
        "take a million entities of 96 bytes back to a view, 1 % of the chunks written since",
        "copy back",
        &[at_most("convoy", 0.02)],
    ),
    workload(
        ("restore", "100%_written"),
        "the same, all chunks written since",
        "copy back",
        &[at_most("convoy", 0.2)],
    ),
    workload(
        ("capture", "1m"),
        "capture a million entities of 96 bytes",
        "memcpy",
        &[at_most("convoy", 0.0005)],
    ),
    workload(("capture", "10k"), "capture 10 thousand entities of 96 bytes", "memcpy", &[]),
    workload(("capture", "100k"), "capture 100 thousand entities of 96 bytes", "memcpy", &[]),
    workload(
        ("snapshot_pass", "all_columns"),
        "write all columns of a million entities of 96 bytes, every chunk shared",
        "memcpy",
        &[at_most("shared", 1.05)],
    ),
    workload(
        ("snapshot_pass", "capture_and_all_columns"),
        "a capture and the pass that follows",
        "memcpy+unshared",
        &[at_most("capture+shared", 1.0)],
    ),
    workload(
        ("snapshot_pass", "every_tenth_chunk"),
        "write every tenth chunk of a column through its entities, every chunk shared",
        "unshared",
        &[at_most("shared", 2.2)],
    ),
    workload(
        ("snapshot_pass", "one_column"),
        "pos += vel on one of four columns, every chunk shared",
        "unshared",
        &[at_most("shared", 1.4)],
    ),
    workload(
        ("neighbours", "everything_copied"),
        "pos += vel after everything was copied on write, again and again",
        "fresh",
        &[at_most("convoy", 1.05)],
    ),
    workload(
        ("neighbours", "scattered_writes"),
        "pos += vel after 1,000 frames that wrote 10 % of the chunks anywhere, 8 snapshots held",
        "fresh",
        &[
            at_most("convoy", 1.6),
            at_most("convoy compacted", 1.15),
            at_most("convoy compacted later", 1.05),
        ],
    ),
    workload(
        ("rollback_frame", "0.1%_of_rows"),
        "0.1 % of 100 thousand rows written anywhere, 8 snapshots held: time beyond the writes alone",
        "memcpy",
        &[at_most("convoy extra", 0.08)],
    ),
    workload(
        ("rollback_kept", "0.1%_of_rows"),
        "the same: bytes kept for the snapshots",
        "rows",
        &[at_most("convoy", 1.2)],
    ),
    workload(
        ("limit", "tables_of_all_sizes"),
        "a limit of memory, and what is given out at the first refusal, after a million operations",
        "given out",
        &[at_most("limit", 1.0526)],
    ),
    workload(
        ("convoy_tax", "60_frames_5_modules"),
        "60 frames that write 12 of 96 bytes of every row, five modules at 10 Hz",
        "plain",
        &[at_most("convoy", 1.10)],
    ),
    workload(("view", "iterate_1m"), "iterate over a view", "world", &[at_most("view", 1.02)]),
    workload(
        ("join_leave", "1_threads"),
        "join and leave a published snapshot, one thread",
        "40 ns",
        &[at_most("convoy", 1.0)],
    ),
    workload(("join_leave", "2_threads"), "the same on two threads at once", "40 ns", &[]),
    workload(("join_leave", "8_threads"), "the same on eight threads at once", "40 ns", &[]),
    workload(("iterate", "pos_vel_10k"), "pos += vel, 10 thousand rows", "raw", ITERATE),
    workload(("iterate", "pos_vel_1m"), "pos += vel, a million rows", "raw", ITERATE),
    workload(
        ("iterate", "pos_vel_7_components_1m"),
        "pos += vel in a table of 7 components, a million rows",
        "raw",
        &[at_most("convoy", 1.05)],
    ),
    workload(
        ("iterate", "26_archetypes_x_20"),
        "26 archetypes of 20 rows",
        "raw",
        &[at_most("convoy prepared", 1.4), at_most("convoy", 2.0)],
    ),
    workload(
        ("spawn", "single_10k"),
        "spawn 10 thousand entities of 4 components, one by one, memory warm",
        "raw+map",
        &[at_most("convoy", 1.5)],
    ),
    workload(
        ("spawn_batch", "columns_10k"),
        "columns of 10 thousand entities into a cleared, warm world",
        "raw",
        &[at_most("convoy", 1.2)],
    ),
    workload(
        ("spawn_batch", "columns_1m"),
        "columns of a million entities into a cleared, warm world",
        "raw",
        &[at_most("convoy", 1.2)],
    ),
    workload(
        ("spawn_batch", "iterator_10k"),
        "an iterator over 10 thousand entities into a cleared, warm world",
        "raw",
        &[at_most("convoy", 2.0)],
    ),
    workload(
        ("spawn_batch", "iterator_1m"),
        "an iterator over a million entities into a cleared, warm world",
        "raw",
        &[at_most("convoy", 2.0)],
    ),
    workload(
        ("insert_remove", "4_byte_rows_10k"),
        "insert, then remove a 4-byte component, 10 thousand rows of 4 bytes",
        "raw",
        INSERT_SMALL,
    ),
    workload(
        ("insert_remove", "100_byte_rows_10k"),
        "insert, then remove a 4-byte component, 10 thousand rows of 100 bytes",
        "raw",
        &[at_most("convoy", 3.0)],
    ),
    workload(
        ("events", "send_1000"),
        "send a thousand events of 16 bytes",
        "5 ns",
        &[at_most("convoy", 1.0), at_most("convoy send_events", 1.0)],
    ),
    workload(("events", "read_1000"), "read them", "raw", &[]),
    workload(
        ("texts", "resolve_1k"),
        "resolve a thousand texts of 20 bytes in random order",
        "slice",
        RESOLVE,
    ),
    workload(("texts", "resolve_100k"), "resolve 100 thousand", "slice", RESOLVE),
    workload(("texts", "ask_1k"), "ask a world for a thousand texts that it keeps", "map", &[]),
    workload(("texts", "ask_100k"), "ask for 100 thousand", "map", &[]),
    workload(
        ("lists", "iterate_fresh"),
        "sum the elements of 100 thousand lists of eight",
        "array",
        &[at_most("convoy", 1.3)],
    ),
    workload(
        ("lists", "iterate_churned"),
        "sum them after half of the entities came anew, and half of the lists grew",
        "array",
        &[at_most("convoy", 1.6)],
    ),
    workload(
        ("lists", "push_warm"),
        "push eight elements to each of 100 thousand lists that had as many",
        "vec",
        &[at_most("convoy", 2.0)],
    ),
    workload(
        ("lists", "push_new"),
        "push eight elements to each of 100 thousand new lists",
        "vec",
        &[at_most("convoy", 2.0)],
    ),
    workload(
        ("deltas", "1%_of_chunks"),
        "the delta of a million entities with 1 % of the chunks changed, against a copy of what is compared",
        "memcpy",
        &[at_most("convoy", 2.0)],
    ),
    workload(
        ("deltas", "apply_1%_of_chunks"),
        "apply it, against `get_mut` on its rows",
        "convoy writes",
        &[at_most("convoy", 2.0)],
    ),
    workload(
        ("deltas", "whole_1m"),
        "a whole world of a million entities as bytes",
        "memcpy",
        &[at_most("convoy", 2.0)],
    ),
    workload(
        ("checkpoints", "write_1m"),
        "a checkpoint of a million entities of 96 bytes, into the page cache",
        "pwrite + hash",
        &[at_most("convoy", 1.1)],
    ),
    workload(
        ("checkpoints", "read_1m"),
        "a world of it",
        "pread + hash",
        &[at_most("convoy", 1.3), at_most_of("convoy", "pread + hash, new memory", 1.3)],
    ),
    workload(
        ("checkpoints", "map_one_column_of_1m"),
        "map it, and go over one column of 12 bytes",
        "hash",
        &[],
    ),
    workload(
        ("checkpoints", "map_1m"),
        "map it, and verify everything",
        "hash",
        &[at_most("convoy", 1.2)],
    ),
    workload(
        ("checkpoints", "iterate_mapped_1m"),
        "go over a column of a mapped view that was read before",
        "live view",
        &[at_most("convoy", 1.05)],
    ),
    workload(
        ("host", "20_idle_modules"),
        "a frame of a host with 20 modules that are not due",
        "2 us",
        &[at_most("convoy", 1.0)],
    ),
    workload(
        ("host", "dispatch"),
        "from the call of a frame to the first instruction of a run on another thread",
        "20 us",
        &[at_most("convoy", 1.0), at_most_of("convoy", "wake-up", 1.2)],
    ),
    workload(
        ("host", "p99_of_frames"),
        "the 99th of 100 frames beside a module that holds its view for 100 ms",
        "alone",
        &[at_most("sleeps", 1.1)],
    ),
    workload(
        ("get", "100k_of_1m"),
        "get 100 thousand random components of a million",
        "raw",
        &[
            at_most("convoy", 2.0),
            at_most("convoy prepared", 1.3),
            at_most_of("convoy view", "convoy", 1.1),
        ],
    ),
    workload(
        ("despawn", "10k_of_100k"),
        "despawn 10 thousand random entities of 100 thousand",
        "raw",
        &[at_most("convoy", 1.5)],
    ),
    workload(
        ("respawn", "10k_of_100k"),
        "spawn 10 thousand entities in their place",
        "raw",
        &[at_most("convoy", 1.5)],
    ),
    workload(
        ("parallel", "compute_100k"),
        "100 thousand rows of computation, on two threads against one: 1 / 1.9",
        "convoy for_each",
        &[at_most("convoy par_for_each", 0.526)],
    ),
    workload(
        ("parallel", "compute_shared_100k"),
        "the same over shared chunks",
        "convoy for_each",
        &[],
    ),
    workload(
        ("parallel", "pos_vel_1m"),
        "pos += vel on two threads, a million rows",
        "convoy for_each",
        &[],
    ),
    workload(
        ("parallel", "pos_vel_shared_1m"),
        "the same, every chunk shared",
        "convoy for_each",
        &[],
    ),
    workload(
        ("parallel", "pos_vel_1k"),
        "pos += vel on two threads, a thousand rows",
        "convoy for_each",
        &[],
    ),
    workload(
        ("memory", "10k_archetypes_x_20"),
        "memory of 10 thousand archetypes with 20 rows of 5 components",
        "rows",
        &[at_most("convoy", 2.2)],
    ),
];

/// Everything that is measured.
pub(crate) fn workloads() -> &'static [Workload] {
    static ALL: LazyLock<Vec<Workload>> = LazyLock::new(|| [SINGLE, rollback::WORKLOADS].concat());
    &ALL
}
