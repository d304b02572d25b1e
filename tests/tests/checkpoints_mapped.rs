//! Mapped checkpoints: views and branches of a file, which equal the world that was saved, and files that are damaged.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
#![allow(unsafe_code, reason = "vouches for files that nobody else has")]

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, process, thread};

use convoy_engine::checkpoint::{Checkpoint, CheckpointError, MappedCheckpoint};
use convoy_engine::commands::Commands;
use convoy_engine::events::EventCursor;
use convoy_engine::list::List;
use convoy_engine::query::With;
use convoy_engine::schema::{Schema, TypeEntry};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::{
    CheckpointSeeds, Engine, Mixer, Mode, Order, Place, assert_same, delta_config, mutate,
    try_mapped,
};

const ALL: ComponentMask = ComponentMask::ALL;

/// A file that is removed at the end.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("convoy-{name}-{}.cvy", process::id()));
        _ = fs::remove_file(&path);
        Self(path)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.0);
    }
}

fn map(path: &Path, config: WorldConfig) -> Result<MappedCheckpoint, CheckpointError> {
    // SAFETY: the files of these tests are appended to and replaced, and nothing in them is written over.
    unsafe { Checkpoint::map(path, config) }
}

/// A file of one checkpoint.
fn save(view: &View, name: &str) -> TemporaryFile {
    let file = TemporaryFile::new(name);
    Checkpoint::create(&file.0).unwrap().write(view).unwrap();
    file
}

/// The view of a mapped file reads as the one that was saved, and a branch of either goes on in the same way.
#[test]
fn random_worlds_are_the_same_in_their_files() {
    for seed in 0..48 {
        let rows = [1, 4, 64, usize::MAX][seed as usize % 4];
        let mut world = World::with_config(delta_config(rows));
        let (mut mixer, pool) = (Mixer::new(seed), SnapshotPool::default());
        let mut commands = Commands::new(&mut world);
        (0..20 + 15 * seed).for_each(|_| mutate(&mut world, &mut mixer, &mut commands));
        let saved = world.capture(ALL, &pool);
        let file = save(&saved, &format!("random-{seed}"));
        let mapped = map(&file.0, delta_config(1)).unwrap();
        let places = mapped.view(mapped.mask_of::<(Place,)>()).unwrap();
        assert_eq!(places.query::<&Place>().count(), saved.query::<&Place>().count());
        assert!(places.try_query::<&Mode>().is_err(), "it was not asked for");
        assert!(World::branch(&places).is_err(), "it is not all");
        let all = mapped.verify().unwrap();
        assert_eq!((all.state_hash(), all.tick()), (saved.state_hash(), saved.tick()));
        let lists = |view: &View| {
            let lists = view.query::<(Entity, &List<Order>)>();
            lists.iter().map(|(entity, list)| (entity, list.len())).collect::<Vec<_>>()
        };
        assert_eq!(lists(&all), lists(&saved));
        let mut branches = [&all, &saved].map(|view| World::branch(view).unwrap());
        let [one, other] = &mut branches;
        assert_same(one, other);
        for world in &mut branches {
            let (mut mixer, mut commands) = (Mixer::new(seed + 1_000), Commands::new(world));
            (0..100).for_each(|_| mutate(world, &mut mixer, &mut commands));
        }
        let [one, other] = &mut branches;
        assert_same(one, other);
        // The file is as it was.
        assert_eq!(all.state_hash(), saved.state_hash());
        drop((mapped, all, file));
        one.detach(Duration::MAX).unwrap();
        assert_same(one, other);
    }
}

#[test]
fn a_damaged_column_leaves_the_others() {
    let mut world = World::with_config(delta_config(64));
    (0..1_000_u16).for_each(|number| {
        _ = world.spawn((Place([f32::from(number) + 0.25; 3]), Engine(number), Mode::Busy));
    });
    let view = world.capture(ALL, &SnapshotPool::default());
    let file = save(&view, "damaged");
    let mut bytes = fs::read(&file.0).unwrap();
    let wanted = 500.25_f32.to_le_bytes();
    let at = (8192..bytes.len()).find(|&at| bytes[at..].starts_with(&wanted)).unwrap();
    bytes[at] ^= 1;
    let damaged = TemporaryFile::new("damaged-copy");
    fs::write(&damaged.0, &bytes).unwrap();
    let mapped = map(&damaged.0, delta_config(64)).unwrap();
    for _ in 0..2 {
        let refused = mapped.view(mapped.mask_of::<(Place, Mode)>()).map(drop);
        assert!(matches!(refused, Err(CheckpointError::Damaged { .. })), "{refused:?}");
    }
    let engines = mapped.view(mapped.mask_of::<(Entity, Engine, Mode)>()).unwrap();
    assert_eq!(
        engines.query::<&Engine>().iter().map(|each| u32::from(each.0)).sum::<u32>(),
        499_500
    );
    assert!(matches!(mapped.verify(), Err(CheckpointError::Damaged { .. })));
    bytes[at] ^= 1;
    fs::write(&damaged.0, &bytes).unwrap();
    assert!(map(&damaged.0, delta_config(64)).unwrap().verify().is_ok());
}

#[test]
fn views_outlive_the_mapping_the_file_and_its_next_checkpoints() {
    let (mut world, pool) = (World::with_config(delta_config(64)), SnapshotPool::default());
    let ships: Vec<_> = (0..5_000_u16).map(|number| world.spawn((Engine(number),))).collect();
    let file = TemporaryFile::new("outlives");
    let mut checkpoint = Checkpoint::create(&file.0).unwrap();
    checkpoint.write(&world.capture(ALL, &pool)).unwrap();
    let mapped = map(&file.0, delta_config(64)).unwrap();
    world.query_mut::<&mut Engine>().for_each(|engine| engine.0 += 1);
    checkpoint.write(&world.capture(ALL, &pool)).unwrap();
    let mut branch = World::branch(&mapped.verify().unwrap()).unwrap();
    assert!(checkpoint.compact(Duration::MAX).unwrap().complete);
    let view = mapped.view(mapped.mask_of::<(Entity, Engine)>()).unwrap();
    drop((mapped, checkpoint, file));
    let reader = thread::spawn(move || {
        assert!(view.query::<Entity>().filter::<With<Engine>>().count() == 5_000);
        *view.get::<Engine>(ships[4_999]).unwrap()
    });
    assert_eq!(reader.join().unwrap(), Engine(4_999));
    branch.query_mut::<&mut Engine>().for_each(|engine| engine.0 += 2);
    let sum: u32 = branch.query::<&Engine>().iter().map(|engine| u32::from(engine.0)).sum();
    assert_eq!(sum, 4_999 * 5_000 / 2 + 10_000);
}

/// Timelines of the process that saved were taken for those of this one.
#[test]
fn a_cursor_of_another_world_reads_all_events_of_a_file() {
    let (mut world, pool) = (World::with_config(delta_config(4)), SnapshotPool::default());
    let mut cursor = EventCursor::<Mode>::default();
    (0..5).for_each(|_| world.send_event(Mode::Busy));
    let before = world.capture(ALL, &pool);
    (0..3).for_each(|_| world.send_event(Mode::Idle));
    world.restore(&before).unwrap();
    (0..2).for_each(|_| world.send_event(Mode::Broken));
    assert_eq!(world.events(&mut cursor).count(), 7);
    let file = save(&world.capture(ALL, &pool), "timelines");
    let mapped = map(&file.0, delta_config(4)).unwrap();
    let view = mapped.verify().unwrap();
    assert_eq!(view.events(&mut cursor).count(), 7, "it has read none of this world");
    let mut branch = World::branch(&view).unwrap();
    branch.send_event(Mode::Idle);
    assert_eq!(branch.events(&mut cursor).count(), 1);
}

#[test]
fn types_are_found_by_name_and_others_are_empty() {
    let builder = Schema::builder().component(TypeEntry::<u32>::new().named("hull", 1));
    let mut world = World::with_schema(&builder.clone().build().unwrap());
    let ship = world.spawn((7_u32,));
    let file = save(&world.capture(ALL, &SnapshotPool::default()), "types");
    let newer = Schema::builder()
        .event(TypeEntry::<u64>::new().named("arrival", 1))
        .resource(TypeEntry::<u64>::new().named("clock", 1))
        .list(TypeEntry::<u64>::new().named("path", 1))
        .component(TypeEntry::<f32>::new().named("fuel", 1))
        .component(TypeEntry::<u32>::new().named("hull", 1))
        .archetype(&["fuel", "hull"]);
    let config = WorldConfig::default().schema(newer.build().unwrap());
    let mapped = map(&file.0, config).unwrap();
    let all = mapped.verify().unwrap();
    assert_eq!(all.get::<u32>(ship), Ok(&7));
    let mut branch = World::branch(&all).unwrap();
    branch.insert(ship, (0.5_f32, List::<u64>::new())).unwrap();
    branch.list_mut::<u64>(ship).unwrap().push(3);
    branch.send_event(1_u64);
    branch.insert_resource(2_u64).unwrap();
    assert_eq!(branch.list::<u64>(ship).unwrap(), [3]);
    // SAFETY: this test has just written the file.
    let unverified = unsafe { mapped.view_unverified() };
    assert_eq!(unverified.state_hash(), all.state_hash());
    let other = builder.component(TypeEntry::<u8>::new().named("fuel", 1)).build().unwrap();
    assert!(map(&file.0, WorldConfig::default().schema(other)).is_ok());
    let version = Schema::builder().component(TypeEntry::<u32>::new().named("hull", 2));
    let refused = map(&file.0, WorldConfig::default().schema(version.build().unwrap())).map(drop);
    assert!(matches!(refused, Err(CheckpointError::DifferentType { .. })));
    assert!(matches!(map(Path::new("nowhere.cvy"), delta_config(4)), Err(CheckpointError::Io(_))));
}

#[test]
fn changed_files_are_errors_or_sound() {
    let seeds = CheckpointSeeds::new();
    seeds.files.iter().for_each(|file| try_mapped(file).unwrap());
    let mut mixer = Mixer::new(5);
    let (mut refused, mut sound) = (0, 0);
    for round in 0..600 {
        let mut file = seeds.files[round % 2].clone();
        let at = match mixer.below(2) {
            0 => 8192 + mixer.below(file.len() - 8192),
            _ => file.len() - 1 - mixer.below(2_000),
        };
        file[at] = [0, 1, 255, mixer.below(256) as u8][mixer.below(4)];
        if mixer.below(8) > 0 {
            Checkpoint::mend(&mut file);
        }
        match try_mapped(&file) {
            Ok(()) => sound += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 100 && sound > 50, "{refused} and {sound}");
}
