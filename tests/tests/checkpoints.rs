//! Checkpoints: worlds in files, what is written of them, and files that are damaged, of other programs, or of nobody.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs, process, thread};

use bytemuck::{CheckedBitPattern, NoUninit, Pod, Zeroable};
use convoy_engine::checkpoint::{
    Checkpoint, CheckpointError, CheckpointPart, CheckpointReader, TypeDifference,
};
use convoy_engine::commands::Commands;
use convoy_engine::component::RegisterError;
use convoy_engine::events::EventCursor;
use convoy_engine::hierarchy::{ChildOf, Children};
use convoy_engine::list::List;
use convoy_engine::schema::{Schema, SchemaBuilder, TypeEntry, TypeLayout};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World, WorldConfig};
use convoy_tests::{
    CheckpointSeeds, CrashDisk, Engine, Marked, Mixer, Mode, Order, Place, assert_same,
    assert_sound, delta_config, delta_schema, feed_checkpoint, mutate, try_checkpoint,
};

const ALL: ComponentMask = ComponentMask::ALL;

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("convoy-{name}-{}", process::id()));
        _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// A world after so many random operations.
fn random_world(operations: usize) -> World {
    let mut world = World::with_config(delta_config(4));
    let (mut mixer, mut commands) = (Mixer::new(3), Commands::new(&mut world));
    (0..operations).for_each(|_| mutate(&mut world, &mut mixer, &mut commands));
    world
}

/// The file of one checkpoint of a world.
fn saved(world: &mut World) -> Vec<u8> {
    let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    checkpoint.write(&world.capture(ALL, &SnapshotPool::default())).unwrap();
    checkpoint.into_medium()
}

fn read(bytes: &Vec<u8>, config: WorldConfig) -> Result<World, CheckpointError> {
    Checkpoint::read_from(bytes, config)
}

#[test]
fn files_are_made_opened_locked_and_read_while_they_are_written() {
    let folder = Folder::new("files");
    let (path, pool) = (folder.file("world.cvy"), SnapshotPool::default());
    let mut world = random_world(300);
    let missing = Checkpoint::read(&path, delta_config(4)).map(drop);
    assert!(
        matches!(missing, Err(CheckpointError::Io(error)) if error.kind() == io::ErrorKind::NotFound)
    );
    let mut checkpoint = Checkpoint::create(&path).unwrap();
    assert!(matches!(Checkpoint::create(&path), Err(CheckpointError::Exists(_))));
    assert!(matches!(Checkpoint::open(&path), Err(CheckpointError::Locked)));
    assert!(matches!(CheckpointReader::open(&path), Err(CheckpointError::Empty)));
    assert!(matches!(checkpoint.compact(Duration::MAX), Err(CheckpointError::Empty)));
    checkpoint.write(&world.capture(ALL, &pool)).unwrap();
    let reader = CheckpointReader::open(&path).unwrap();
    let mut first = World::branch(&world.capture(ALL, &pool)).unwrap();
    world.spawn((Place([1.0; 3]),));
    assert_eq!(checkpoint.write(&world.capture(ALL, &pool)).unwrap().commit, 2);
    // A reader has what there was when it came.
    assert_eq!(reader.commit(), 1);
    assert_same(&mut reader.read(delta_config(4)).unwrap(), &mut first);
    assert_same(&mut Checkpoint::read(&path, delta_config(4)).unwrap(), &mut world);
    assert!(checkpoint.compact(Duration::MAX).unwrap().complete);
    assert_same(&mut reader.read(delta_config(4)).unwrap(), &mut first);
    assert!(matches!(Checkpoint::open(&path), Err(CheckpointError::Locked)), "the new file is");
    assert_same(&mut Checkpoint::read(&path, delta_config(4)).unwrap(), &mut world);
    drop(checkpoint);
    let mut checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!((checkpoint.commits(), checkpoint.path()), (2, &*fs::canonicalize(&path).unwrap()));
    let report = checkpoint.write(&world.capture(ALL, &pool)).unwrap();
    assert_eq!((report.commit, report.chunks_written > 0), (3, true));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
    assert_eq!(report.file_bytes, fs::metadata(&path).unwrap().len());
}

/// A compaction renamed its file over whatever the path named by then.
#[cfg(unix)]
#[test]
fn a_compaction_does_not_replace_another_file() {
    let folder = Folder::new("moved");
    let (path, pool) = (folder.file("world.cvy"), SnapshotPool::default());
    let mut world = random_world(50);
    let mut checkpoint = Checkpoint::create(&path).unwrap();
    checkpoint.write(&world.capture(ALL, &pool)).unwrap();
    fs::rename(&path, folder.file("kept.cvy")).unwrap();
    fs::write(&path, "another file").unwrap();
    assert!(matches!(checkpoint.compact(Duration::MAX), Err(CheckpointError::Moved)));
    assert_eq!(fs::read_to_string(&path).unwrap(), "another file");
    checkpoint.write(&world.capture(ALL, &pool)).unwrap();
    assert_eq!(CheckpointReader::open(folder.file("kept.cvy")).unwrap().commit(), 2);
    // A link to the file is followed.
    let link = folder.file("link.cvy");
    std::os::unix::fs::symlink(folder.file("kept.cvy"), &link).unwrap();
    drop(checkpoint);
    let mut checkpoint = Checkpoint::open(&link).unwrap();
    checkpoint.write(&world.capture(ALL, &pool)).unwrap();
    assert!(checkpoint.compact(Duration::MAX).unwrap().complete);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_same(&mut Checkpoint::read(&link, delta_config(4)).unwrap(), &mut world);
}

/// Counters of headers at their extremes led to overflows later, and an end beyond the file to writes over headers.
#[test]
fn headers_at_their_extremes_are_refused() {
    let bytes = saved(&mut random_world(50));
    for word in 0..8 {
        for value in [u64::MAX, u64::MAX - 4000, u64::MAX / 2, i64::MAX as u64, 1 << 40] {
            let mut changed = bytes.clone();
            for copy in 2..4 {
                let at = copy * 2048 + 16 + 8 * word;
                changed[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
            Checkpoint::mend(&mut changed);
            let reader = read(&changed, delta_config(4));
            let opened = Checkpoint::on(changed);
            if let (Ok(mut world), Ok(mut checkpoint)) = (reader, opened) {
                world.advance_tick();
                let view = world.capture(ALL, &SnapshotPool::default());
                assert!(checkpoint.write(&view).unwrap().commit > 1);
                read(&checkpoint.into_medium(), delta_config(4)).unwrap();
            }
        }
    }
}

#[test]
fn other_files_are_refused_and_stay_as_they_are() {
    let folder = Folder::new("others");
    let path = folder.file("letter.txt");
    fs::write(&path, "Dear all, this is no checkpoint, and longer than eight bytes.").unwrap();
    assert!(matches!(Checkpoint::open(&path), Err(CheckpointError::NotCheckpoint)));
    assert!(matches!(CheckpointReader::open(&path), Err(CheckpointError::NotCheckpoint)));
    assert!(fs::read_to_string(&path).unwrap().starts_with("Dear all"));
    assert!(Checkpoint::create(folder.file("missing/world.cvy")).is_err());
    // An older or a newer format says so, although its hash is another one.
    let mut bytes = saved(&mut random_world(10));
    for copy in 0..4 {
        bytes[copy * 2048 + 8] = 9;
    }
    Checkpoint::mend(&mut bytes);
    assert!(matches!(read(&bytes, delta_config(4)), Err(CheckpointError::Version { found: 9 })));
}

#[test]
fn only_chunks_that_were_written_are_written() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    let ships: Vec<_> = (0..100_000_u32).map(|number| world.spawn((number, [number; 3]))).collect();
    let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    let first = checkpoint.write(&world.capture(ALL, &pool)).unwrap();
    assert_eq!(first.chunks_written, first.chunks);
    let again = checkpoint.write(&world.capture(ALL, &pool)).unwrap();
    assert_eq!((again.commit, again.chunks_written), (2, 0));
    *world.get_mut::<u32>(ships[50_000]).unwrap() += 1;
    let held = world.capture(ALL, &pool);
    let one = checkpoint.write(&held).unwrap();
    assert_eq!(one.chunks_written, 1);
    assert!(one.bytes_written < first.bytes_written / 50, "{one:?} of {first:?}");
    // An older view, and one of another world, have nothing that is known.
    world.query_mut::<&mut u32>().for_each(|number| *number += 1);
    let newer = checkpoint.write(&world.capture(ALL, &pool)).unwrap();
    assert!(newer.chunks_written > 10);
    let older = checkpoint.write(&held).unwrap();
    assert_eq!(older.chunks_written, older.chunks);
    let mut branch = World::branch(&held).unwrap();
    let other = checkpoint.write(&branch.capture(ALL, &pool)).unwrap();
    assert_eq!(other.chunks_written, other.chunks);
    assert_eq!(checkpoint.write(&branch.capture(ALL, &pool)).unwrap().chunks_written, 0);
    let loaded = read(&checkpoint.into_medium(), WorldConfig::default()).unwrap();
    assert_eq!(loaded.entity_count(), 100_000);
}

#[test]
fn ten_thousand_small_tables_take_little_room() {
    let (mut world, mut mixer) = (World::with_config(delta_config(64)), Mixer::new(1));
    let described: Vec<_> = (0..14)
        .map(|number| {
            let name = format!("flag {number}");
            let description =
                convoy_engine::component::ComponentDescription { name: &name, size: 1, align: 1 };
            world.register_described(description).unwrap()
        })
        .collect();
    for set in 0..1_u32 << 13 {
        let entity = world.spawn((Place([mixer.next_number() as u8 as f32; 3]),));
        for (bit, &id) in described.iter().enumerate() {
            if set >> bit & 1 == 1 {
                world.insert_described(entity, &[(id, &[1])]).unwrap();
            }
        }
    }
    let mut bytes = saved(&mut world);
    assert!(bytes.len() < 12 << 20, "{} bytes for 8,192 tables of up to 15 columns", bytes.len());
    assert_same(&mut read(&bytes, delta_config(64)).unwrap(), &mut world);
    bytes.truncate(bytes.len() - 1);
    assert!(matches!(
        read(&bytes, delta_config(64)),
        Err(CheckpointError::Damaged { part: CheckpointPart::Manifest, .. })
    ));
}

#[test]
fn every_changed_byte_is_told_or_changes_nothing() {
    let mut world = random_world(60);
    let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    let pool = SnapshotPool::default();
    checkpoint.write(&world.capture(ALL, &pool)).unwrap();
    world.spawn((Place([7.0; 3]), Mode::Busy));
    checkpoint.write(&world.capture(ALL, &pool)).unwrap();
    let (bytes, hash) = (checkpoint.into_medium(), world.state_hash());
    let mut told = 0;
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let Ok(reader) = CheckpointReader::new(changed) else {
            told += 1;
            continue;
        };
        // Of a header there are two copies.
        assert_eq!(reader.damaged_headers(), u32::from(at < 8192), "byte {at}");
        assert_eq!(reader.commit(), 2);
        match reader.read(delta_config(4)) {
            Ok(mut loaded) => assert_eq!(loaded.state_hash(), hash, "byte {at}"),
            Err(CheckpointError::Damaged { .. }) => told += 1,
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(told > 1_000, "{told} of {}", bytes.len());
    // A slot that is lost whole is told as well.
    for slot in [0..4096, 4096..8192] {
        let mut changed = bytes.clone();
        changed[slot].fill(0);
        assert_eq!(CheckpointReader::new(changed).unwrap().damaged_headers(), 2);
    }
    for length in (0..bytes.len()).step_by(7) {
        let cut = bytes[..length].to_vec();
        assert!(read(&cut, delta_config(4)).is_err(), "{length} bytes");
    }
}

#[test]
fn changed_files_with_hashes_put_right_are_errors_or_sound_worlds() {
    let seeds = CheckpointSeeds::new();
    for file in &seeds.files {
        let mut same = file.clone();
        Checkpoint::mend(&mut same);
        assert!(same == *file, "nothing was to be mended");
        try_checkpoint(file).unwrap();
    }
    let mut mixer = Mixer::new(11);
    let (mut refused, mut read) = (0, 0);
    for round in 0..3_000 {
        let mut bytes = vec![round as u8 % 3];
        for _ in 0..1 + mixer.below(3) {
            bytes.extend((mixer.below(3_000) as u16).to_le_bytes());
            // Mostly single bytes near the end, where the manifest is.
            bytes.extend([[1, 3, 5][mixer.below(3)], mixer.below(256) as u8]);
        }
        feed_checkpoint(&seeds, &bytes);
        // Rows and slots, in the blocks.
        let mut file = seeds.files[round % 2].clone();
        let at = 8192 + mixer.below(file.len() - 8192);
        file[at] = [0, 1, 255, mixer.below(256) as u8][mixer.below(4)];
        Checkpoint::mend(&mut file);
        match try_checkpoint(&file) {
            Ok(()) => read += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 300 && read > 300, "{refused} and {read}");
}

#[test]
fn a_write_can_be_cancelled_at_every_block() {
    let (mut world, pool) = (random_world(200), SnapshotPool::default());
    let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    let view = world.capture(ALL, &pool);
    let mut blocks = 0;
    loop {
        let result = checkpoint.write_with(&view, &[], |progress| match progress.chunks_done {
            done if done > blocks => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        match result {
            Err(CheckpointError::Cancelled) => assert_eq!(checkpoint.commits(), 0),
            result => {
                assert_eq!(result.unwrap().commit, 1);
                break;
            }
        }
        blocks += 1;
    }
    assert!(blocks > 20);
    let loaded = read(&checkpoint.into_medium(), delta_config(4)).unwrap();
    assert_eq!(loaded.entity_count(), world.entity_count());
}

#[test]
fn a_failed_flush_ends_a_file_and_a_failed_write_does_not() {
    let (mut world, pool, disk) = (random_world(50), SnapshotPool::default(), CrashDisk::default());
    let mut checkpoint = Checkpoint::on(disk.clone()).unwrap();
    let view = world.capture(ALL, &pool);
    disk.fail_after(0, io::ErrorKind::StorageFull);
    assert!(matches!(checkpoint.write(&view), Err(CheckpointError::DiskFull(_))));
    disk.fail_after(0, io::ErrorKind::PermissionDenied);
    assert!(matches!(checkpoint.write(&view), Err(CheckpointError::Denied(_))));
    disk.settle();
    checkpoint.write(&view).unwrap();
    // Later and later calls fail, until it is the flush after the data.
    for calls in 0.. {
        world.spawn((Mode::Busy,));
        let newer = world.capture(ALL, &pool);
        disk.fail_after(calls, io::ErrorKind::Other);
        assert!(matches!(checkpoint.write(&newer), Err(CheckpointError::Io(_))));
        disk.settle();
        if let Err(error) = checkpoint.write(&newer) {
            assert!(calls > 1 && matches!(error, CheckpointError::Broken), "{calls}: {error}");
            break;
        }
    }
    assert!(matches!(checkpoint.compact(Duration::MAX), Err(CheckpointError::Broken)));
    let reader = CheckpointReader::new(disk.bytes()).unwrap();
    assert_eq!(reader.commit(), checkpoint.commits());
}

#[test]
fn a_view_without_a_type_is_refused() {
    let (mut world, pool) = (random_world(50), SnapshotPool::default());
    let mask = world.mask_of::<(Place,)>().unwrap();
    let view = world.capture(mask, &pool);
    let narrow = world.capture(ALL, &pool).narrow(ComponentMask::NONE);
    let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    for view in [view, narrow] {
        let refused = checkpoint.write(&view);
        assert!(matches!(refused, Err(CheckpointError::NotCaptured { .. })), "{refused:?}");
    }
    assert_eq!(checkpoint.commits(), 0);
}

/// As [`Place`], with another name of its field.
#[derive(Clone, Copy, Pod, Zeroable, TypeLayout)]
#[repr(C)]
struct Spot {
    at: [f32; 3],
}

#[derive(Clone, Copy, PartialEq, Debug, NoUninit, CheckedBitPattern)]
#[repr(u8)]
enum Narrow {
    One = 77,
}

#[test]
fn types_that_differ_are_named_with_the_difference() {
    let builder = Schema::builder()
        .component(TypeEntry::<Place>::new().named("place", 1).with_layout())
        .toggle(TypeEntry::<Engine>::new().named("engine", 1));
    let mut world = World::with_schema(&builder.build().unwrap());
    world.spawn((Place([1.0; 3]), Engine(3)));
    let bytes = saved(&mut world);
    let refused = |builder: SchemaBuilder| {
        let config = WorldConfig::default().schema(builder.build().unwrap());
        match read(&bytes, config) {
            Err(CheckpointError::DifferentType { component, difference }) => {
                (component, difference)
            }
            other => panic!("{other:?}"),
        }
    };
    let place = |difference| ("place".to_owned(), difference);
    let version = Schema::builder().component(TypeEntry::<Place>::new().named("place", 2));
    assert_eq!(refused(version), place(TypeDifference::Version { file: 1, schema: 2 }));
    let size = Schema::builder().component(TypeEntry::<[f32; 2]>::new().named("place", 1));
    assert_eq!(refused(size), place(TypeDifference::Size { file: 12, schema: 8 }));
    let align = Schema::builder().component(TypeEntry::<[u8; 12]>::new().named("place", 1));
    assert_eq!(refused(align), place(TypeDifference::Align { file: 4, schema: 1 }));
    let layout =
        Schema::builder().component(TypeEntry::<Spot>::new().named("place", 1).with_layout());
    assert_eq!(refused(layout), place(TypeDifference::Layout));
    let list = Schema::builder().list(TypeEntry::<[f32; 3]>::new().named("place", 1));
    assert_eq!(refused(list), place(TypeDifference::List));
    let toggle = Schema::builder().toggle(TypeEntry::<Place>::new().named("place", 1));
    assert_eq!(refused(toggle), place(TypeDifference::Toggle));
    let plain = Schema::builder()
        .component(TypeEntry::<Engine>::new().named("engine", 1))
        .archetype(&["engine"]);
    assert_eq!(refused(plain), ("engine".to_owned(), TypeDifference::Toggle));
    // A type without a layout says nothing of fields.
    let silent = delta_schema();
    assert!(read(&bytes, WorldConfig::default().schema(silent)).is_ok());
}

#[test]
fn components_that_are_not_known_are_kept_by_their_bytes() {
    let mut world = World::new();
    let ship = world.spawn((7_u32, [1.0_f32; 3], Narrow::One));
    let crew = world.spawn((3_u8,));
    world.set_parent(crew, ship).unwrap();
    let bytes = saved(&mut world);
    let mut loaded = read(&bytes, WorldConfig::default()).unwrap();
    assert!(loaded.get::<u32>(ship).is_err(), "its type is not known yet");
    assert!(loaded.component_id_by_name("u32").is_some());
    loaded.register::<u32>().unwrap();
    loaded.register::<[f32; 3]>().unwrap();
    assert_eq!((loaded.get(ship), loaded.get(ship)), (Ok(&7_u32), Ok(&[1.0_f32; 3])));
    // The engine's own types need nobody.
    assert!(loaded.children(ship).unwrap().eq([crew]));
    // Bytes that are no value are found when the type comes.
    let mut odd = bytes.clone();
    let at = (8192..odd.len())
        .find(|&at| odd[at] == 77 && odd[at + 1..at + 128].iter().all(|&byte| byte == 0));
    odd[at.unwrap()] = 9;
    Checkpoint::mend(&mut odd);
    let mut loaded = read(&odd, WorldConfig::default()).unwrap();
    let refused = loaded.register::<Narrow>();
    assert!(matches!(refused, Err(RegisterError::Values { .. })), "{refused:?}");
    let schema = Schema::builder().component(TypeEntry::<Narrow>::new()).build().unwrap();
    let refused = read(&odd, WorldConfig::default().schema(schema));
    assert!(matches!(refused, Err(CheckpointError::Value { .. })), "{:?}", refused.map(drop));
}

#[test]
fn events_resources_lists_and_tags_need_their_types() {
    #[derive(Clone, Copy, Pod, Zeroable)]
    #[repr(C)]
    struct Tag;
    let changes: [fn(&mut World); 4] = [
        |world| world.send_event(1_u32),
        |world| _ = world.insert_resource(1_u32),
        |world| _ = world.spawn((List::<u32>::new(),)),
        |world| _ = world.spawn((Tag,)),
    ];
    for change in changes {
        let mut world = World::new();
        change(&mut world);
        let bytes = saved(&mut world);
        let refused = read(&bytes, WorldConfig::default());
        assert!(
            matches!(refused, Err(CheckpointError::UnknownType { .. })),
            "{:?}",
            refused.map(drop)
        );
        let schema = Schema::builder()
            .event(TypeEntry::<u32>::new())
            .resource(TypeEntry::<u32>::new())
            .list(TypeEntry::<u32>::new())
            .component(TypeEntry::<Tag>::new());
        let config = WorldConfig::default().schema(schema.build().unwrap());
        let mut loaded = read(&bytes, config).unwrap();
        assert_eq!(loaded.state_hash(), world.state_hash());
        let mut cursor = EventCursor::<u32>::default();
        assert_eq!(
            loaded.events(&mut cursor).count(),
            world.events(&mut EventCursor::<u32>::default()).count()
        );
    }
}

#[test]
fn types_and_links_are_found_by_name_in_a_schema_of_another_order() {
    let mut world = random_world(200);
    let ship = world.spawn((Place([5.0; 3]), Engine(9)));
    let crew = world.spawn((Mode::Busy,));
    world.set_parent(crew, ship).unwrap();
    world.disable::<Engine>(ship).unwrap();
    let bytes = saved(&mut world);
    let builder = Schema::builder()
        .resource(TypeEntry::<u64>::new().named("of this version", 1))
        .component(TypeEntry::<Children>::new().named("kids", 4))
        .component(TypeEntry::<ChildOf>::new().named("folks", 4))
        .toggle(TypeEntry::<Engine>::new().named("engine", 1))
        .component(TypeEntry::<Mode>::new().named("mode", 1));
    let all = delta_schema();
    let refused = read(&bytes, WorldConfig::default().schema(builder.build().unwrap()));
    assert!(matches!(refused, Err(CheckpointError::UnknownType { .. })), "it has lists");
    let mut loaded = read(&bytes, WorldConfig::default().schema(all).chunk_rows_max(4)).unwrap();
    assert_same(&mut loaded, &mut world);
    assert!(loaded.children(ship).unwrap().eq([crew]));
    assert!(!loaded.is_enabled::<Engine>(ship).unwrap());
}

/// A file of version 1, of [`golden_world`]. `CONVOY_GOLDEN=FILE` writes one of the present version.
const GOLDEN_1: &[u8] = include_bytes!("../data/checkpoint-1.cvy");

/// The entities of [`golden_world`].
struct Golden {
    ship: Entity,
    crew: [Entity; 3],
    stale: Entity,
}

/// A world with something of every kind.
fn golden_world() -> (World, Golden) {
    let mut world = World::with_config(delta_config(64));
    (0..1_000_u16).for_each(|number| {
        let place = Place([f32::from(number), 0.5, -1.0]);
        world.spawn((place, [Mode::Idle, Mode::Busy, Mode::Broken][usize::from(number) % 3]));
    });
    let words = world.text("to the end of the world");
    let ship = world.spawn((Place([1.0, 2.0, 3.0]), Engine(7), List::<Order>::new(), Marked));
    let crew = [(); 3].map(|()| world.spawn((Mode::Busy, List::<Mode>::new())));
    crew.iter().for_each(|&each| world.set_parent(each, ship).unwrap());
    world.disable::<Engine>(ship).unwrap();
    let orders = crew.map(|target| Order { target, words });
    world.list_mut::<Order>(ship).unwrap().extend(&orders);
    world.list_mut::<Mode>(crew[1]).unwrap().extend(&[Mode::Broken; 20]);
    let stale = world.spawn(());
    world.despawn(stale).unwrap();
    _ = world.reserve_entity();
    (0..20).for_each(|_| world.send_event(orders[0]));
    world.send_event(Mode::Broken);
    world.insert_resource(Mode::Busy).unwrap();
    (0..5).for_each(|_| world.advance_tick());
    (world, Golden { ship, crew, stale })
}

#[test]
fn files_of_all_versions_are_read() {
    let (mut world, Golden { ship, crew, stale }) = golden_world();
    if let Ok(path) = env::var("CONVOY_GOLDEN") {
        fs::write(path, saved(&mut world)).unwrap();
    }
    let reader = CheckpointReader::new(GOLDEN_1.to_vec()).unwrap();
    assert_eq!((reader.commit(), reader.tick(), reader.damaged_headers()), (1, 5, 0));
    let loaded = reader.read(delta_config(64)).unwrap();
    assert_eq!(loaded.entity_count(), 1_004);
    let sum = |mode| {
        let places = loaded.query::<(&Place, &Mode)>().iter().filter(|(_, each)| **each == mode);
        places.map(|(place, _)| place.0[0]).sum::<f32>()
    };
    assert_eq!(
        [sum(Mode::Idle), sum(Mode::Busy), sum(Mode::Broken)],
        [166_833.0, 166_167.0, 166_500.0]
    );
    assert_eq!(loaded.get::<Place>(ship), Ok(&Place([1.0, 2.0, 3.0])));
    assert!(loaded.get::<Marked>(ship).is_ok() && !loaded.is_enabled::<Engine>(ship).unwrap());
    assert!(loaded.children(ship).unwrap().eq(crew));
    let orders = loaded.list::<Order>(ship).unwrap();
    assert!(orders.iter().map(|order| order.target).eq(crew));
    assert_eq!(loaded.resolve(&orders[0].words), Ok("to the end of the world"));
    assert_eq!(loaded.list::<Mode>(crew[1]).unwrap(), [Mode::Broken; 20]);
    assert!(!loaded.contains(stale));
    let mut cursor = EventCursor::<Order>::default();
    assert!(loaded.events(&mut cursor).last().is_some_and(|order| order.target == crew[0]));
    assert_eq!(cursor.next_sequence(), 20);
    assert_eq!(loaded.resource::<Mode>(), Ok(&Mode::Busy));
    assert_sound(&mut reader.read(delta_config(4)).unwrap());
}

#[test]
fn a_cursor_goes_on_in_a_loaded_world() {
    let mut world = World::with_config(delta_config(4));
    let mut cursor = EventCursor::<Mode>::default();
    (0..5).for_each(|_| world.send_event(Mode::Busy));
    assert_eq!(world.events(&mut cursor).count(), 5);
    world.send_event(Mode::Idle);
    let mut loaded = read(&saved(&mut world), delta_config(4)).unwrap();
    let mut later = EventCursor::<Mode>::starting_at(cursor.next_sequence());
    assert!(loaded.events(&mut later).eq([Mode::Idle]));
    loaded.send_event(Mode::Broken);
    assert!(loaded.events(&mut later).eq([Mode::Broken]));
    assert_eq!((later.lost(), later.taken_back()), (0, 0));
    // One that was never there reads all, from the oldest on.
    assert_eq!(loaded.events(&mut EventCursor::<Mode>::default()).count(), 7);
}

#[test]
fn memory_limits_are_errors() {
    let bytes = saved(&mut random_world(300));
    for limit in (0..1 << 20).step_by(4096) {
        match read(&bytes, delta_config(4).memory_limit_bytes(limit)) {
            Ok(_) => return assert!(limit > 0),
            Err(CheckpointError::Memory(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("there was never enough");
}

#[test]
fn a_world_goes_on_while_another_thread_saves_it() {
    let folder = Folder::new("thread");
    let (path, pool) = (folder.file("world.cvy"), SnapshotPool::default());
    let mut world = World::new();
    world.spawn_batch((0..50_000_u32).map(|number| (number, [number; 4]))).unwrap();
    let mut checkpoint = Checkpoint::create(&path).unwrap();
    for _ in 0..5 {
        let view = world.capture(ALL, &pool);
        let hash = view.state_hash();
        let writer = thread::spawn(move || {
            checkpoint.write(&view).unwrap();
            checkpoint
        });
        while !writer.is_finished() {
            world.query_mut::<&mut u32>().for_each(|number| *number += 1);
            world.advance_tick();
        }
        checkpoint = writer.join().unwrap();
        let mut loaded = Checkpoint::read(&path, WorldConfig::default()).unwrap();
        assert_eq!(loaded.state_hash(), hash);
    }
}

/// They belong to one checkpoint, stay with it over a compaction, and are damaged as all else is.
#[test]
fn bytes_of_any_kind_go_with_one_checkpoint() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    let large: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
    let mut write = |checkpoint: &mut Checkpoint<Vec<u8>>, attachments: &[(&str, &[u8])]| {
        world.spawn((1_u32,));
        let view = world.capture(ComponentMask::ALL, &pool);
        checkpoint.write_attached(&view, attachments).unwrap();
    };
    write(&mut checkpoint, &[("host", &large), ("", &[]), ("host", &[9])]);
    checkpoint.compact(Duration::MAX).unwrap();
    let reader = CheckpointReader::new(checkpoint.into_medium()).unwrap();
    assert_eq!(reader.attachment("host"), Some(&large[..]), "the first one");
    assert_eq!((reader.attachment(""), reader.attachment("else")), (Some(&[][..]), None));
    assert!(reader.attachments().map(|(name, _)| name).eq(["host", "", "host"]));
    assert_eq!(reader.read(WorldConfig::default()).unwrap().entity_count(), 1);

    let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    write(&mut checkpoint, &[("host", &[1, 2, 3, 4, 5, 6, 7])]);
    let whole = checkpoint.into_medium();
    let at = whole.windows(7).position(|bytes| bytes == [1, 2, 3, 4, 5, 6, 7]).unwrap();
    let mut damaged = whole.clone();
    damaged[at + 3] ^= 1;
    let part = CheckpointPart::Manifest;
    let error = CheckpointReader::new(damaged).unwrap_err();
    assert!(matches!(error, CheckpointError::Damaged { part: found, .. } if found == part));

    let mut checkpoint = Checkpoint::on(whole).unwrap();
    write(&mut checkpoint, &[]);
    let reader = CheckpointReader::new(checkpoint.into_medium()).unwrap();
    assert_eq!((reader.commit(), reader.attachments().len()), (2, 0));
}
