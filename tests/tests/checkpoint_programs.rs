//! Random programs that save their world again and again, to a disk that loses power: each image that is left reads
//! as the last checkpoint that was completed, or as the one that was under way.
//!
//! `CONVOY_OPERATIONS=1000000 cargo test -p convoy-tests --test checkpoint_programs` takes longer.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::time::Duration;
use std::{env, io};

use convoy_engine::checkpoint::{Checkpoint, CheckpointError, CheckpointReader, CheckpointReport};
use convoy_engine::commands::Commands;
use convoy_engine::{ComponentMask, SnapshotPool, View, World};
use convoy_tests::{CrashDisk, Mixer, assert_same, delta_config, mutate};

const ALL: ComponentMask = ComponentMask::ALL;

/// Operations in all programs together, unless told otherwise.
const OPERATIONS: usize = 50_000;
const OPERATIONS_PER_PROGRAM: usize = 500;
/// Images that are read for each checkpoint.
const IMAGES: usize = 7;
/// Views that are kept.
const KEPT: usize = 4;

/// A checkpoint: the view that was saved, its number, and the most rows that a chunk has in its world.
struct Saved {
    view: View,
    commit: u64,
    rows: usize,
}

/// A world that is saved, restored and replaced by branches.
struct Program {
    world: World,
    rows: usize,
    commands: Commands,
    pool: SnapshotPool,
    mixer: Mixer,
    disk: CrashDisk,
    checkpoint: Checkpoint<CrashDisk>,
    kept: Vec<View>,
    last: Option<Saved>,
    images: usize,
}

/// A disk on which a checkpoint was begun.
fn new_disk() -> (CrashDisk, Checkpoint<CrashDisk>) {
    let disk = CrashDisk::default();
    let checkpoint = Checkpoint::on(disk.clone()).unwrap();
    disk.settle();
    (disk, checkpoint)
}

impl Program {
    fn new(seed: u64) -> Self {
        let rows = [1, 4, 64, usize::MAX][seed as usize % 4];
        let mut world = World::with_config(delta_config(rows));
        let (disk, checkpoint) = new_disk();
        Self {
            commands: Commands::new(&mut world),
            world,
            rows,
            pool: SnapshotPool::default(),
            mixer: Mixer::new(seed),
            checkpoint,
            disk,
            kept: Vec::new(),
            last: None,
            images: 0,
        }
    }

    fn run(&mut self, operations: usize) {
        for _ in 0..operations {
            match self.mixer.below(40) {
                0 => self.restore(),
                1 => self.branch(),
                2 => self.keep(),
                3 | 4 => self.save(),
                5 => self.fail_to_save(),
                6 => self.load(),
                7 => self.compact(),
                8 if self.mixer.below(4) == 0 => self.forget_texts(),
                9 => self.fail_to_compact(),
                _ => mutate(&mut self.world, &mut self.mixer, &mut self.commands),
            }
        }
        self.save();
    }

    /// Saves the world, or a view that was kept.
    fn save(&mut self) {
        let view = match self.pick().filter(|_| self.mixer.below(8) == 0) {
            Some(pick) => self.kept[pick].clone(),
            None => self.world.capture(ALL, &self.pool),
        };
        let report = self.checkpoint.write(&view).unwrap();
        assert!(report.chunks_written <= report.chunks);
        let saved = Saved { view, commit: report.commit, rows: self.rows };
        let calls = self.disk.calls();
        for _ in 0..IMAGES {
            let done = self.mixer.below(calls + 1);
            let image = self.disk.image(done, &mut self.mixer);
            self.check_image(image, &saved, done == calls);
        }
        self.disk.settle();
        self.last = Some(saved);
    }

    /// Reads what a crash has left before `saved` was complete, or after.
    fn check_image(&mut self, image: Vec<u8>, saved: &Saved, is_done: bool) {
        self.images += 1;
        let reader = match CheckpointReader::new(image.clone()) {
            Ok(reader) => reader,
            // There is nothing else than what was being written, and the next one goes on from there.
            Err(CheckpointError::Empty) if self.last.is_none() && !is_done => {
                assert!(Checkpoint::on(image.clone()).is_ok());
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let before = self.last.as_ref().filter(|_| !is_done);
        let mut known = before.into_iter().chain([saved]);
        let found = known.find(|known| known.commit == reader.commit()).unwrap();
        let mut loaded = reader.read(delta_config(found.rows)).unwrap();
        assert_eq!(loaded.state_hash(), found.view.state_hash());
        assert_eq!(loaded.tick(), found.view.tick());
    }

    /// A call of the disk fails. The disk reads as ever after that, and the next try succeeds or is refused.
    fn fail_to_save(&mut self) {
        let view = self.world.capture(ALL, &self.pool);
        self.disk.fail_after(self.mixer.below(12), io::ErrorKind::StorageFull);
        let saved = self.checkpoint.write(&view);
        self.disk.settle();
        let saved = match saved {
            Err(CheckpointError::DiskFull(_)) => {
                let commit = self.checkpoint.commits() + 1;
                let saved = Saved { view: view.clone(), commit, rows: self.rows };
                self.check_image(self.disk.bytes(), &saved, false);
                self.checkpoint.write(&view)
            }
            saved => saved,
        };
        match saved {
            Ok(CheckpointReport { commit, .. }) => {
                self.last = Some(Saved { view, commit, rows: self.rows });
            }
            Err(CheckpointError::Broken) => {
                // Nobody knows what the disk holds: begin anew.
                (self.disk, self.checkpoint) = new_disk();
                self.last = None;
            }
            Err(error) => panic!("{error}"),
        }
        self.disk.settle();
    }

    /// Copies blocks for a while, and reads what there is then.
    fn compact(&mut self) {
        let Some(last) = self.last.take() else { return };
        let budgets = [Duration::ZERO, Duration::from_micros(100), Duration::MAX];
        let report = self.checkpoint.compact(budgets[self.mixer.below(3)]).unwrap();
        assert_eq!(report.complete, report.blocks_left == 0);
        self.check_image(self.disk.bytes(), &last, true);
        self.last = Some(last);
    }

    /// A call of the new disk fails.
    fn fail_to_compact(&mut self) {
        let Some(last) = self.last.take() else { return };
        self.disk.fail_after(self.mixer.below(30), io::ErrorKind::Other);
        let compacted = self.checkpoint.compact(Duration::MAX);
        self.disk.settle();
        self.check_image(self.disk.bytes(), &last, true);
        match compacted {
            Ok(_) | Err(CheckpointError::Io(_)) => {}
            Err(error) => panic!("{error}"),
        }
        let view = self.world.capture(ALL, &self.pool);
        match self.checkpoint.write(&view) {
            Err(CheckpointError::Broken) => {
                self.checkpoint = Checkpoint::on(self.disk.clone()).unwrap();
                self.last = Some(last);
            }
            Ok(CheckpointReport { commit, .. }) => {
                self.last = Some(Saved { view, commit, rows: self.rows });
            }
            Err(error) => panic!("{error}"),
        }
        self.disk.settle();
    }

    /// Texts that nothing holds are dropped.
    fn forget_texts(&mut self) {
        let held = self.world.held_texts().unwrap();
        self.world.retain_texts(held);
    }

    /// The world goes on from the last checkpoint, maybe with chunks of another size.
    fn load(&mut self) {
        let Some(Saved { view, rows: saved_rows, .. }) = &self.last else { return };
        let rows = [*saved_rows, *saved_rows, 1, 64][self.mixer.below(4)];
        let mut loaded = Checkpoint::read_from(&self.disk, delta_config(rows)).unwrap();
        let mut expected = World::branch(view).unwrap();
        if rows != *saved_rows {
            // Hashes follow the chunks.
            let mut twin = World::with_config(delta_config(rows));
            twin.sync_from(&expected, ALL).unwrap();
            expected = twin;
        }
        assert_same(&mut loaded, &mut expected);
        (self.world, self.rows) = (loaded, rows);
        self.commands = Commands::new(&mut self.world);
        self.kept.clear();
        if self.mixer.below(2) == 0 {
            self.checkpoint = Checkpoint::on(self.disk.clone()).unwrap();
            self.disk.settle();
        }
    }

    fn pick(&mut self) -> Option<usize> {
        (!self.kept.is_empty()).then(|| self.mixer.below(self.kept.len()))
    }

    fn keep(&mut self) {
        if self.kept.len() == KEPT {
            let dropped = self.mixer.below(KEPT);
            self.kept.swap_remove(dropped);
        }
        self.kept.push(self.world.capture(ALL, &self.pool));
    }

    fn restore(&mut self) {
        let Some(pick) = self.pick() else { return };
        if self.kept[pick].is_of(&self.world) {
            self.world.restore(&self.kept[pick]).unwrap();
        }
    }

    fn branch(&mut self) {
        let Some(pick) = self.pick() else { return };
        self.world = World::branch(&self.kept[pick]).unwrap();
        self.commands = Commands::new(&mut self.world);
    }
}

#[test]
fn every_crash_leaves_the_last_checkpoint_or_the_one_before() {
    let told = env::var("CONVOY_OPERATIONS").ok().and_then(|told| told.parse().ok());
    let operations: usize = told.unwrap_or(OPERATIONS);
    let mut images = 0;
    for program in 0..operations.div_ceil(OPERATIONS_PER_PROGRAM) {
        let mut program = Program::new(program as u64);
        program.run(OPERATIONS_PER_PROGRAM);
        images += program.images;
    }
    assert!(images >= operations / 5, "{images} images of crashes");
}
