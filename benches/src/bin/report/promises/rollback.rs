//! Rollback as a whole: each pattern of writes at each size, its time, the simulation below it, and memory.

use super::{Target, Workload, at_most, workload};

const TENTH: &[Target] = &[at_most("convoy extra", 0.1)];
const EQUAL: &[Target] = &[at_most("convoy extra", 1.0)];

/// The workloads of a number of entities, by its name and in words.
macro_rules! sizes {
    ($($size:literal $entities:literal,)+) => {
        &[$(
            patterns!(time $size $entities "one_column" "one 12-byte column of four, all rows" TENTH),
            patterns!(time $size $entities "1%_anywhere" "1 % of the rows anywhere, 12 bytes" TENTH),
            patterns!(time $size $entities "1%_neighbours" "1 % of the rows, neighbours, 12 bytes" TENTH),
            patterns!(time $size $entities "0.1%_wide" "0.1 % of the rows anywhere, 64 bytes" &[]),
            patterns!(time $size $entities "everything" "everything" EQUAL),
            patterns!(floor $size $entities "one_column" "one 12-byte column of four, all rows"),
            patterns!(floor $size $entities "1%_anywhere" "1 % of the rows anywhere, 12 bytes"),
            patterns!(floor $size $entities "1%_neighbours" "1 % of the rows, neighbours, 12 bytes"),
            patterns!(floor $size $entities "0.1%_wide" "0.1 % of the rows anywhere, 64 bytes"),
            patterns!(floor $size $entities "everything" "everything"),
            patterns!(kept $size $entities "one_column" "one 12-byte column of four, all rows"),
            patterns!(kept $size $entities "1%_anywhere" "1 % of the rows anywhere, 12 bytes"),
            patterns!(kept $size $entities "1%_neighbours" "1 % of the rows, neighbours, 12 bytes"),
            patterns!(kept $size $entities "0.1%_wide" "0.1 % of the rows anywhere, 64 bytes"),
            patterns!(kept $size $entities "everything" "everything"),
        )+]
    };
}

macro_rules! patterns {
    (time $size:literal $entities:literal $pattern:literal $writes:literal $targets:expr) => {
        workload(
            ("rollback", concat!($pattern, "_of_", $size)),
            concat!(
                "roll back by 1 to 8 frames every third, ", $entities, " entities, a frame writes ", $writes,
                ": time beyond the simulation"
            ),
            "memcpy extra",
            $targets,
        )
    };
    (floor $size:literal $entities:literal $pattern:literal $writes:literal) => {
        workload(
            ("rollback_floor", concat!($pattern, "_of_", $size)),
            concat!(
                "the simulation alone, with its churn by commands in Convoy and by single calls elsewhere, ",
                $entities, " entities, a frame writes ", $writes
            ),
            "memcpy",
            &[],
        )
    };
    (kept $size:literal $entities:literal $pattern:literal $writes:literal) => {
        workload(
            ("rollback_memory", concat!($pattern, "_of_", $size)),
            concat!("the same, ", $entities, " entities, a frame writes ", $writes, ": bytes kept"),
            "memcpy",
            &[],
        )
    };
}

pub(crate) const WORKLOADS: &[Workload] =
    sizes! { "2k" "2 thousand", "100k" "100 thousand", "1m" "a million", };
