//! What was tried where a promise is missed, and what each attempt gave.

/// The attempts on one promise.
pub(crate) struct Attempts {
    pub(crate) group: &'static str,
    pub(crate) workload: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) notes: &'static [&'static str],
}

/// All of them. One is printed only while its promise is missed.
pub(crate) const ATTEMPTS: &[Attempts] = &[
    Attempts {
        group: "snapshot_pass",
        workload: "all_columns",
        subject: "shared",
        notes: &[
            "On Zen 4: one pass over each column alone runs at 0.94 of memcpy (64 bytes) and 1.1 (three \
             of 12 bytes); all in one pass at 1.4, so neither copying nor finding memory costs.",
            "Equal chunk shapes for all columns (1,024 rows each), so that no rows are copied \
             around a run: no change.",
            "Chunk addresses staggered by 128 bytes, against streams that share cache sets: no \
             change.",
            "Rows staged in the first-level cache and stored past the caches, in a program of its \
             own: two to four times slower on Zen 4; on the Xeon 0.89 of the time with 128 rows at a \
             time, for memory that the next pass then has to fetch again.",
            "Rows copied in blocks of 64 to 4,096 and then visited in place: 1.1 to 1.25 times slower.",
            "Retired chunks handed out last one first, as it is the warmest: 1.25 times slower.",
        ],
    },
    Attempts {
        group: "neighbours",
        workload: "scattered_writes",
        subject: "convoy compacted",
        notes: &[
            "A frame puts some two hundred chunks elsewhere, and 100 us gather fifty: beneath such \
             writes a compaction is always late. Fifty calls after the last of them it is 0.94.",
            "What had made it slower, 64 KiB chunks anywhere, is gone without it: about 2 to 1.2.",
        ],
    },
    Attempts {
        group: "rollback_frame",
        workload: "0.1%_of_rows",
        subject: "convoy extra",
        notes: &[
            "Chunks of 16 KiB instead of 64: 0.29 to 0.12, and 1.2 times the rows kept instead of 3.5.",
            "Chunks of 8 and of 4 KiB: about 0.09 and 0.06, but a capture of a million rows takes 30 us \
             and more instead of 5.",
            "The chunk freed last, as it is warm, for single copies; so it was before, and the copies \
             run faster than memcpy does over all rows. Seven eighths of the time are spent copying.",
        ],
    },
    Attempts {
        group: "convoy_tax",
        workload: "60_frames_5_modules",
        subject: "convoy",
        notes: &[
            "1.08 to 1.10 from run to run. Ten frames of sixty write 3 MB elsewhere and take 1.6 times as \
             long for it; the other fifty are plain.",
            "Rows copied in blocks and then visited in place: 1.01 to 1.12 times slower.",
            "Retired chunks handed out last one first: 1.02 times slower.",
            "The first 16 lines of both chunks fetched ahead by hand when one is replaced: no change.",
        ],
    },
    Attempts {
        group: "convoy_sync",
        workload: "10%_written",
        subject: "convoy extra",
        notes: &[
            "A period writes 1.28 MB. With all of it shared it takes the time of the plain pass twice.",
            "Rows copied in blocks and then visited in place: 1.3 to 1.45 times slower.",
            "Retired chunks handed out last one first: no change.",
            "Chunk addresses staggered by 128 bytes, as 16 streams share the sets of the first-level \
             cache: 3 % faster, at the cost of 128 bytes a chunk; not kept.",
        ],
    },
    Attempts {
        group: "snapshot_pass",
        workload: "one_column",
        subject: "shared",
        notes: &[
            "Retired chunks go back in reverse order, so that the next pass gets them side by side.",
            "The same world measured in turns without and with a snapshot gives 1.40; the unshared \
             baseline here is a world that was never shared, whose chunks all lie side by side.",
        ],
    },
    Attempts {
        group: "iterate",
        workload: "pos_vel_1m",
        subject: "convoy runs",
        notes: &[
            "Chunks of 64 KiB instead of 16: 2.3 to 1.5.",
            "Extents of neighbouring chunks: 0.85 to 1.5 from run to run, 0.87 in the table of 7 \
             components; the flat loop is limited by memory alone.",
            "The next chunk's first 4 KiB prefetched by hand: no change.",
        ],
    },
    Attempts {
        group: "iterate",
        workload: "26_archetypes_x_20",
        subject: "convoy prepared",
        notes: &[
            "Matches and column positions kept: 260 to 110 instructions an archetype.",
            "Runs started 32 at a time, so that their loads overlap: 102 instructions, 2.4 to 2.0.",
        ],
    },
    Attempts {
        group: "iterate",
        workload: "26_archetypes_x_20",
        subject: "convoy",
        notes: &[
            "The query as it stands resolves types and matches archetypes anew each time, which \
             prepared queries save.",
            "Look-up of columns by a table of positions, placed once an archetype: 260 to 223 \
             instructions.",
        ],
    },
    Attempts {
        group: "spawn",
        workload: "single_10k",
        subject: "convoy",
        notes: &[
            "Bundles written to columns without passing through memory, slots taken and filled in \
             one step: 2.3 to 1.75.",
            "A row's chunks are prepared once a chunk and not once a row. What is left is about 23 \
             instructions for each column's address.",
        ],
    },
    Attempts {
        group: "spawn_batch",
        workload: "columns_10k",
        subject: "convoy",
        notes: &[
            "The free list walked by runs of neighbouring slots: 4.3 to 1.55.",
            "The columns are a copy of memory each; `raw` has no entity map, and `raw+map` is at 1.25.",
        ],
    },
    Attempts {
        group: "spawn_batch",
        workload: "columns_1m",
        subject: "convoy",
        notes: &[
            "The free list walked by runs of neighbouring slots: 1.8 to 1.0 in a program of its own.",
            "Chunks cleared last to first, so that they come out of the arena in ascending order.",
        ],
    },
    Attempts {
        group: "insert_remove",
        workload: "4_byte_rows_10k",
        subject: "convoy",
        notes: &[
            "A row's value and its replacement moved with one look at the column: 225 to 224 \
             million instructions for the pass, 6.5 to 6.3.",
            "Ownership checked for all columns with one load of the epoch and one compare: 5 % \
             fewer instructions.",
            "No bounds checks at all: no change, so they were kept.",
            "One geometry for all columns of a table: 2 % more, see `engine/DESIGN.md`.",
            "A plan of the move kept with the edge, without tags and with one check a column: the \
             same number of instructions, and 0.5 % more in wide rows.",
            "What is left is about 440 instructions a move of which some 80 are in each column; as a \
             batch or as a toggle it is one fifth.",
        ],
    },
    Attempts {
        group: "insert_remove",
        workload: "100_byte_rows_10k",
        subject: "convoy",
        notes: &[
            "One geometry for all columns of a table: 3 to 5 % fewer instructions, but captures four \
             times as long.",
            "A plan of the move kept with the edge: 0.5 % more instructions.",
        ],
    },
    Attempts {
        group: "insert_remove",
        workload: "4_byte_rows_10k",
        subject: "convoy toggle",
        notes: &[
            "Prepared access with two looks at tables fewer for each switch: 2.0 to 1.5.",
            "In a program of its own that does both in turns it is 0.98 to 1.00; criterion times each \
             alone, and then raw is faster.",
        ],
    },
    Attempts {
        group: "get",
        workload: "100k_of_1m",
        subject: "convoy",
        notes: &[
            "An open-addressed table of types with the last id in front: 101 to 68 instructions, a \
             few per cent of the time, which is spent waiting for memory.",
            "Errors told apart in a cold path only.",
            "Slots of 8 bytes instead of 12: no change; slots in one piece of memory: 12 to 8 ns \
             a miss, which extents give in part.",
        ],
    },
    Attempts {
        group: "get",
        workload: "100k_of_1m",
        subject: "convoy prepared",
        notes: &[
            "A reader that resolves the type once and keeps the columns of 64 archetypes: 68 to 36 \
             instructions.",
            "Blocks of 16 entities with prefetches: 35 to 29 ns on a busy machine, not worth a \
             second way to read.",
        ],
    },
    Attempts {
        group: "despawn",
        workload: "10k_of_100k",
        subject: "convoy",
        notes: &[
            "Ownership checked for all columns with one load of the epoch and one compare: 692 to \
             611 instructions for a despawn and a spawn.",
            "The slot freed without looking it up a second time.",
            "What is left is about 55 instructions a column, five columns, each with chunks of a \
             shape of its own.",
        ],
    },
    Attempts {
        group: "respawn",
        workload: "10k_of_100k",
        subject: "convoy",
        notes: &[
            "The slot taken and filled in one step: 1.8 to 1.7.",
            "Bundles written without passing through memory: 311 to 300 instructions.",
        ],
    },
];
