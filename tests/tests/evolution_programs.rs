//! Random worlds that are read by random plans, and files that nobody wrote.
//!
//! `CONVOY_OPERATIONS=1000000 cargo test -p convoy-tests --test evolution_programs` takes longer.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::env;

use convoy_engine::World;
use convoy_engine::checkpoint::Checkpoint;
use convoy_engine::commands::Commands;
use convoy_tests::{
    CheckpointSeeds, Decisions, Mixer, assert_whole, config_of, delta_config, feed_evolution,
    mutate, read_by_plan, saved, try_evolution,
};

/// Operations in all programs together, unless told otherwise.
const OPERATIONS: usize = 50_000;
/// Operations between two files.
const OPERATIONS_PER_FILE: usize = 50;
/// Files of one program.
const FILES: usize = 10;

#[test]
fn plans_do_what_is_done_by_hand() {
    let told = env::var("CONVOY_OPERATIONS").ok().and_then(|told| told.parse().ok());
    let programs = told.unwrap_or(OPERATIONS).div_ceil(OPERATIONS_PER_FILE * FILES);
    let (mut losses, mut merged) = (0, 0);
    for seed in 0..programs as u64 {
        let mut mixer = Mixer::new(seed);
        let rows = |mixer: &mut Mixer| [1, 4, 64, usize::MAX][mixer.below(4)];
        let mut world = World::with_config(delta_config(rows(&mut mixer)));
        let mut commands = Commands::new(&mut world);
        for _ in 0..FILES {
            (0..OPERATIONS_PER_FILE).for_each(|_| mutate(&mut world, &mut mixer, &mut commands));
            let bytes = saved(&mut world);
            let (decisions, rows) = (Decisions::new(&mut mixer), rows(&mut mixer));
            let config = delta_config(rows);
            let (mut loaded, report) =
                read_by_plan(&bytes, config.clone(), &decisions.plan()).unwrap();
            decisions.check_dropped(&mut world, &mut loaded);
            assert_whole(&mut loaded, config);
            losses += usize::from(report.has_losses());
            merged += report.merged_archetypes();
            let config = config_of(Decisions::new_schema()).chunk_rows_max(rows).event_retention(6);
            let (mut loaded, again) =
                read_by_plan(&bytes, config.clone(), &decisions.new_plan()).unwrap();
            decisions.check_migrated(&world, &loaded);
            assert_whole(&mut loaded, config);
            assert_eq!(again.merged_archetypes(), report.merged_archetypes());
            assert!(again.dropped().eq(report.dropped()), "{again}");
        }
    }
    assert!(losses > programs && merged > programs, "{losses} and {merged} of {programs}");
}

#[test]
fn changed_files_are_errors_or_sound_worlds_under_every_plan() {
    let (seeds, mut mixer) = (CheckpointSeeds::new(), Mixer::new(5));
    let (mut refused, mut read) = (0, 0);
    let mut count = |is_read: bool| *(if is_read { &mut read } else { &mut refused }) += 1;
    for round in 0..3_000 {
        let mut bytes = vec![round as u8 % 3];
        for _ in 0..1 + mixer.below(3) {
            bytes.extend((mixer.below(3_000) as u16).to_le_bytes());
            // Mostly single bytes near the end, where the manifest is.
            bytes.extend([[1, 3, 5][mixer.below(3)], mixer.below(256) as u8]);
        }
        count(feed_evolution(&seeds, &bytes));
        // Rows and slots, in the blocks.
        let mut file = seeds.files[round % 2].clone();
        let at = 8192 + mixer.below(file.len() - 8192);
        file[at] = [0, 1, 255, mixer.below(256) as u8][mixer.below(4)];
        Checkpoint::mend(&mut file);
        count(try_evolution(&file, &mut mixer).is_ok());
    }
    assert!(refused > 300 && read > 300, "{refused} and {read}");
}
