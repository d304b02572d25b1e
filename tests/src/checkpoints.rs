//! Checkpoints that nobody wrote: files whose bytes were changed, with hashes that are right.
#![allow(unsafe_code, reason = "vouches for files that nobody else has")]

use std::env::temp_dir;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, process};

use convoy_engine::checkpoint::{Checkpoint, CheckpointError};
use convoy_engine::commands::Commands;
use convoy_engine::delta::{Delta, DeltaError};
use convoy_engine::hierarchy::ChildOf;
use convoy_engine::list::List;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World};

use crate::deltas::{Mode, Place, assert_same, assert_sound, delta_config, fill_lists, mutate};
use crate::values::Mixer;

/// Files that [`feed_checkpoint`] changes: always the same ones.
pub struct CheckpointSeeds {
    /// Of a world of several commits, of one commit, and of one without entities.
    pub files: Vec<Vec<u8>>,
}

impl Default for CheckpointSeeds {
    fn default() -> Self {
        Self::new()
    }
}

impl CheckpointSeeds {
    /// Makes them.
    ///
    /// # Panics
    ///
    /// When a file can't be made.
    pub fn new() -> Self {
        let files = [(2, 120), (1, 200), (1, 0)].map(|(commits, operations)| {
            let mut world = World::with_config(delta_config(4));
            let (pool, mut mixer) = (SnapshotPool::default(), Mixer::new(7));
            let mut commands = Commands::new(&mut world);
            let checkpoint = Checkpoint::on(Vec::new());
            let mut checkpoint = checkpoint.unwrap_or_else(|error| panic!("{error}"));
            for _ in 0..commits {
                (0..operations).for_each(|_| mutate(&mut world, &mut mixer, &mut commands));
                fill_lists(&mut world, &mut mixer);
                let saved = checkpoint.write(&world.capture(ComponentMask::ALL, &pool));
                saved.unwrap_or_else(|error| panic!("{error}"));
            }
            checkpoint.into_medium()
        });
        Self { files: files.into() }
    }

    /// A file that is changed as bytes say, with hashes that are right.
    ///
    /// The first byte picks the file; each change is a place, in two bytes, what is done there, and a value. Places
    /// count from the end in changes with an odd operation, as the manifest is there. After a 255 come the bytes of a
    /// whole file.
    pub fn changed_file(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (&first, changes) = bytes.split_first()?;
        if first == 255 {
            let mut whole = changes.to_vec();
            Checkpoint::mend(&mut whole);
            return Some(whole);
        }
        let mut file = self.files[usize::from(first) % self.files.len()].clone();
        for change in changes.chunks_exact(4) {
            let (what, value) = (change[2], change[3]);
            let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % file.len().max(1);
            let at = if what % 2 == 0 { at } else { file.len().saturating_sub(at + 1) };
            let Some(byte) = file.get_mut(at) else { continue };
            match what / 2 % 6 {
                0 => *byte = value,
                1 => *byte = byte.wrapping_add(1),
                2 => *byte = byte.wrapping_sub(1),
                3 => file.insert(at, value),
                4 => _ = file.remove(at),
                _ => {
                    let end = file.len().min(at + usize::from(value));
                    let piece = file[at..end].to_vec();
                    file.splice(at..at, piece);
                }
            }
        }
        Checkpoint::mend(&mut file);
        Some(file)
    }
}

/// Reads bytes as a checkpoint: an error, or a sound world. Tells which it was.
///
/// # Panics
///
/// When it is neither.
pub fn try_checkpoint(bytes: &Vec<u8>) -> Result<(), CheckpointError> {
    let mut world = Checkpoint::read_from(bytes, delta_config(4))?;
    let (pool, mut again) = (SnapshotPool::default(), Vec::new());
    let view = world.capture(ComponentMask::ALL, &pool);
    Delta::encode(None, &view, &mut again).unwrap_or_else(|error| panic!("{error}"));
    let delta = Delta::parse(&again).unwrap_or_else(|error| panic!("{error}"));
    match World::with_config(delta_config(4)).apply(&delta) {
        // It has types of other names as well.
        Err(DeltaError::Schema { .. }) => assert_eq!(world.state_hash(), view.state_hash()),
        applied => {
            applied.unwrap_or_else(|error| panic!("{error}"));
            assert_sound(&mut world);
        }
    }
    Ok(())
}

/// Maps bytes as a checkpoint, by way of a file: columns that are verified one after the other, and a branch of all,
/// are sound, or an error.
///
/// # Panics
///
/// When they are neither.
pub fn try_mapped(bytes: &[u8]) -> Result<(), CheckpointError> {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let path = temp_dir().join(format!("convoy-mapped-{}-{number}.cvy", process::id()));
    fs::write(&path, bytes).unwrap_or_else(|error| panic!("{error}"));
    // SAFETY: nobody else has the file.
    let mapped = unsafe { Checkpoint::map(&path, delta_config(4)) };
    fs::remove_file(&path).unwrap_or_else(|error| panic!("{error}"));
    let mapped = mapped?;
    let lone = [
        mapped.mask_of::<(Place,)>(),
        mapped.mask_of::<(Mode,)>(),
        mapped.mask_of::<(Entity,)>(),
        mapped.mask_of::<(ChildOf,)>(),
        mapped.mask_of::<(List<Mode>,)>(),
    ];
    let mut is_sound = true;
    for (number, mask) in lone.into_iter().enumerate() {
        let Ok(view) = mapped.view(mask) else {
            is_sound = false;
            continue;
        };
        match number {
            0 => _ = view.query::<&Place>().count(),
            1 => assert!(view.query::<&Mode>().iter().all(|&mode| black_box(mode as u8) <= 2)),
            2 => view.query::<Entity>().iter().for_each(|entity| assert!(view.contains(entity))),
            3 => _ = view.query::<&ChildOf>().count(),
            _ => view.query::<&List<Mode>>().iter().for_each(|list| {
                assert!(list.iter().all(|&mode| black_box(mode as u8) <= 2));
            }),
        }
    }
    let all = mapped.verify()?;
    assert!(is_sound, "all of it is");
    let mut world = World::branch(&all).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(world.state_hash(), all.state_hash());
    let known = Checkpoint::read_from(&bytes.to_vec(), delta_config(4));
    let mut known = known.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(world.entity_count(), known.entity_count());
    assert_eq!(known.state_hash(), world.state_hash());
    // Types of other names may have no layout.
    if known.held_texts().is_ok() {
        assert_same(&mut known, &mut world);
    }
    Ok(())
}

/// Changes a file as bytes say, by [`CheckpointSeeds::changed_file`], and reads it: for a fuzzer.
///
/// # Panics
///
/// When a file that can be read makes no sound world.
pub fn feed_checkpoint(seeds: &CheckpointSeeds, bytes: &[u8]) {
    if let Some(file) = seeds.changed_file(bytes) {
        _ = try_checkpoint(&file);
        _ = try_mapped(&file);
    }
}
