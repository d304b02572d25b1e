//! A process that saves its world again and again is killed at random moments, and another one goes on from the file:
//! each finds a checkpoint that was complete, and no older one than the last that it was told of.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, process, thread};

use convoy_engine::checkpoint::{Checkpoint, CheckpointError, CheckpointReader};
use convoy_engine::schema::{Schema, TypeEntry};
use convoy_engine::{ComponentMask, SnapshotPool, World, WorldConfig};
use convoy_tests::Mixer;

/// How often a process is killed.
const KILLS: usize = 200;
const ROWS: u64 = 20_000;
/// Each step writes one of so many rows.
const SHARE: u64 = 97;
/// Names the file, in the environment of a process that saves.
const SAVER: &str = "CONVOY_TEST_SAVER";

fn config() -> WorldConfig {
    let schema = Schema::builder().component(TypeEntry::<[u64; 2]>::new().named("row", 1));
    WorldConfig::default().schema(schema.build().unwrap())
}

/// Takes the world, whose tick says how many steps it has made, one step on.
fn step(world: &mut World) {
    world.advance_tick();
    let tick = world.tick();
    world.query_mut::<&mut [u64; 2]>().for_each(|[row, written]| {
        if *row % SHARE == tick % SHARE {
            *written = tick;
        }
    });
}

/// The world of a checkpoint has all steps up to its tick, and no other.
fn check(world: &World) -> u64 {
    let tick = world.tick();
    assert_eq!(world.entity_count() as u64, ROWS);
    for &[row, written] in world.query::<&[u64; 2]>().iter() {
        let since = (tick + SHARE - row % SHARE) % SHARE;
        assert_eq!(written, tick.saturating_sub(since), "row {row} at tick {tick}");
    }
    tick
}

/// Goes on from the file, or begins it, and saves until it is killed. Tells of each checkpoint.
fn save_forever(path: &Path) {
    let (mut world, mut checkpoint) = match CheckpointReader::open(path) {
        Ok(reader) => {
            let world = reader.read(config()).unwrap();
            check(&world);
            (world, Checkpoint::open(path).unwrap())
        }
        // The file may have been made, and no checkpoint completed.
        Err(CheckpointError::Io(_) | CheckpointError::Empty) => {
            let mut world = World::with_config(config());
            world.spawn_batch((0..ROWS).map(|row| ([row, 0],))).unwrap();
            let made = Checkpoint::create(path).or_else(|_| Checkpoint::open(path));
            (world, made.unwrap())
        }
        Err(error) => panic!("{error}"),
    };
    let pool = SnapshotPool::default();
    loop {
        step(&mut world);
        checkpoint.write(&world.capture(ComponentMask::ALL, &pool)).unwrap();
        println!("saved {}", world.tick());
        std::io::stdout().flush().unwrap();
        if world.tick() % 16 == 0 {
            checkpoint.compact(Duration::from_millis(1)).unwrap();
        }
    }
}

fn start(path: &Path) -> Child {
    let mut saver = Command::new(env::current_exe().unwrap());
    saver.args(["--exact", "a_killed_process_goes_on_from_its_file", "--nocapture"]);
    saver.env(SAVER, path).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

#[test]
fn a_killed_process_goes_on_from_its_file() {
    if let Some(path) = env::var_os(SAVER) {
        save_forever(&PathBuf::from(path));
    }
    let path = env::temp_dir().join(format!("convoy-kills-{}.cvy", process::id()));
    _ = fs::remove_file(&path);
    let (mut mixer, mut last) = (Mixer::new(1), 0);
    for kill in 0..KILLS {
        let mut saver = start(&path);
        let told = saver.stdout.take().unwrap();
        let listener = thread::spawn(move || {
            let told = BufReader::new(told).lines().map_while(Result::ok);
            let ticks = told.filter_map(|line| line.strip_prefix("saved ")?.parse::<u64>().ok());
            ticks.last().unwrap_or(0)
        });
        thread::sleep(Duration::from_micros(mixer.below(40_000) as u64));
        saver.kill().unwrap();
        saver.wait().unwrap();
        last = listener.join().unwrap().max(last);
        match Checkpoint::read(&path, config()) {
            Ok(world) => assert!(check(&world) >= last, "kill {kill}: {last} was saved"),
            Err(error) => assert_eq!(last, 0, "kill {kill}: {error}"),
        }
    }
    assert!(last > 0, "some checkpoints were completed");
    for file in [path.clone(), path.with_extension("cvy.compacting")] {
        _ = fs::remove_file(file);
    }
}
