//! Resources: `Pod` ones are captured, shared, copied on write and synced like components; local
//! ones of any type stay with the world.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoy_engine::component::RegisterError;
use convoy_engine::host::{ModuleHost, ModuleSpec};
use convoy_engine::memory::ArenaConfig;
use convoy_engine::query::ReadError;
use convoy_engine::world::ResourceError;
use convoy_engine::{ComponentMask, SnapshotPool, World, WorldConfig};
use convoy_tests::{Tag, Value, Wide};

type Gravity = [f32; 3];

const EARTH: Gravity = [0.0, 0.0, -9.81];
const MOON: Gravity = [0.0, 0.0, -1.62];

#[test]
fn resource_is_inserted_read_written_and_removed() {
    let mut world = World::new();
    assert!(!world.contains_resource::<Gravity>());
    assert_eq!(world.insert_resource(EARTH).unwrap(), None);
    assert_eq!(world.insert_resource(MOON).unwrap(), Some(EARTH));
    world.resource_mut::<Gravity>().unwrap()[0] = 1.0;
    assert_eq!(*world.resource::<Gravity>().unwrap(), [1.0, 0.0, -1.62]);
    assert_eq!(world.remove_resource::<Gravity>().unwrap()[0], 1.0);
    assert!(matches!(world.resource::<Gravity>(), Err(ReadError::NoResource { .. })));
    assert!(matches!(world.resource_mut::<Gravity>(), Err(ResourceError::Missing { .. })));
    assert!(matches!(world.remove_resource::<Gravity>(), Err(ResourceError::Missing { .. })));
}

#[test]
fn one_type_is_component_event_and_resource_at_once() {
    let mut world = World::new();
    let entity = world.spawn((1_u32,));
    world.send_event(2_u32);
    world.insert_resource(3_u32).unwrap();
    assert_eq!((*world.get::<u32>(entity).unwrap(), *world.resource::<u32>().unwrap()), (1, 3));
    let ids = [
        world.register::<u32>().unwrap(),
        world.register_event::<u32>().unwrap(),
        world.register_resource::<u32>().unwrap(),
    ];
    assert_eq!(ComponentMask::from_iter(ids).len(), 3);
    assert_eq!(world.query::<&u32>().count(), 1, "a resource is no row");
}

#[test]
fn resource_without_bytes_is_there_or_not() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    world.insert_resource(Tag).unwrap();
    let view = world.capture(ComponentMask::ALL, &pool);
    world.remove_resource::<Tag>().unwrap();
    assert!(view.resource::<Tag>().is_ok() && world.resource::<Tag>().is_err());
}

#[test]
fn snapshot_keeps_the_value_whatever_the_world_does() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    let before = world.capture(ComponentMask::ALL, &pool);
    world.insert_resource(Wide::from_seed(1)).unwrap();
    let first = world.capture(ComponentMask::ALL, &pool);
    world.insert_resource(Wide::from_seed(2)).unwrap();
    let second = world.capture(ComponentMask::ALL, &pool);
    *world.resource_mut::<Wide>().unwrap() = Wide::from_seed(3);
    assert_eq!(world.copy_statistics().chunks_copied, 2, "each capture cost one copy");
    world.remove_resource::<Wide>().unwrap();
    let gone = world.capture(ComponentMask::ALL, &pool);
    world.insert_resource(Wide::from_seed(4)).unwrap();
    world.compact(Duration::MAX);
    let latest = world.capture(ComponentMask::ALL, &pool);
    drop(world);
    let seed = |view: &convoy_engine::View| view.resource::<Wide>().map(Value::seed);
    let missing = ReadError::NoResource { resource: std::any::type_name::<Wide>() };
    assert_eq!((seed(&first), seed(&second), seed(&latest)), (Ok(1), Ok(2), Ok(4)));
    assert_eq!((seed(&before), seed(&gone)), (Err(missing), Err(missing)));
}

/// A value that is taken out stays in its chunk, which a snapshot may share: the next value must
/// not be written over it.
#[test]
fn value_put_back_leaves_the_snapshot_of_the_removed_one_alone() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    world.insert_resource(1_u64).unwrap();
    let view = world.capture(ComponentMask::ALL, &pool);
    world.remove_resource::<u64>().unwrap();
    world.insert_resource(2_u64).unwrap();
    assert_eq!((*view.resource::<u64>().unwrap(), *world.resource::<u64>().unwrap()), (1, 2));
}

#[test]
fn resource_outside_the_mask_is_an_error_and_never_copied() {
    let (mut world, pool) = (World::new(), SnapshotPool::default());
    world.insert_resource(1_u64).unwrap();
    let number = world.register_resource::<u8>().unwrap();
    world.insert_resource(2_u8).unwrap();
    let view = world.capture(ComponentMask::from_iter([number]), &pool);
    *world.resource_mut::<u64>().unwrap() = 5;
    assert_eq!(world.copy_statistics().chunks_copied, 0);
    assert_eq!(view.resource::<u8>(), Ok(&2));
    assert_eq!(view.resource::<u64>(), Err(ReadError::NotReadable { component: "u64" }));
    assert_eq!(view.resource::<i16>(), Err(ReadError::NotReadable { component: "i16" }));
    let narrow = view.narrow(ComponentMask::NONE);
    assert_eq!(narrow.resource::<u8>(), Err(ReadError::NotReadable { component: "u8" }));
}

#[test]
fn resources_survive_clear() {
    let mut world = World::new();
    world.insert_resource(7_u32).unwrap();
    world.insert_local(String::from("seven"));
    world.spawn((1_u8,));
    world.clear().unwrap();
    assert_eq!((world.entity_count(), *world.resource::<u32>().unwrap()), (0, 7));
    assert_eq!(world.local::<String>().unwrap(), "seven");
}

#[test]
fn sync_copies_resources_under_the_mask_and_only_changes() {
    let (mut source, mut replica) = (World::new(), World::new());
    source.insert_resource(1_u64).unwrap();
    source.insert_resource(2_u8).unwrap();
    source.insert_local(3_u16);
    let sync = |replica: &mut World, source: &World| {
        replica.sync_from(source, ComponentMask::ALL).unwrap().chunks_copied
    };
    assert_eq!(sync(&mut replica, &source), 2);
    assert_eq!(sync(&mut replica, &source), 0);
    assert_eq!((*replica.resource::<u64>().unwrap(), replica.local::<u16>()), (1, None));
    *source.resource_mut::<u64>().unwrap() = 5;
    assert_eq!(*replica.resource::<u64>().unwrap(), 1);
    assert_eq!(sync(&mut replica, &source), 1);
    // The replica's own changes are put right.
    replica.insert_resource(77_u64).unwrap();
    replica.remove_resource::<u8>().unwrap();
    assert_eq!(sync(&mut replica, &source), 1);
    assert_eq!((*replica.resource::<u64>().unwrap(), *replica.resource::<u8>().unwrap()), (5, 2));
    source.remove_resource::<u64>().unwrap();
    sync(&mut replica, &source);
    assert!(matches!(replica.resource::<u64>(), Err(ReadError::NoResource { .. })));
    // Compacting either side changes nothing that can be read.
    source.compact(Duration::MAX);
    replica.compact(Duration::MAX);
    source.insert_resource(8_u64).unwrap();
    sync(&mut replica, &source);
    assert_eq!((*replica.resource::<u64>().unwrap(), *replica.resource::<u8>().unwrap()), (8, 2));
}

#[test]
fn replica_of_a_mask_refuses_the_resources_outside() {
    let (mut source, mut replica) = (World::new(), World::new());
    let number = source.register_resource::<u64>().unwrap();
    source.insert_resource(1_u64).unwrap();
    source.insert_resource(2_u8).unwrap();
    replica.sync_from(&source, ComponentMask::ALL).unwrap();
    let mask = ComponentMask::from_iter([number]);
    replica.sync_from(&source, mask).unwrap();
    assert_eq!(*replica.resource::<u64>().unwrap(), 1);
    let not_synced = |error| matches!(error, Some(ResourceError::NotReadable { .. }));
    let not_readable = |error| matches!(error, Some(ReadError::NotReadable { .. }));
    assert!(not_readable(replica.resource::<u8>().err()));
    assert!(not_synced(replica.insert_resource(3_u8).err()));
    assert!(not_synced(replica.remove_resource::<u8>().err()));
    assert!(not_synced(replica.insert_resource(3_i64).err()), "and registers nothing");
    replica.sync_from(&source, mask).unwrap();
    replica.clear().unwrap();
    assert!(matches!(replica.resource::<u8>(), Err(ReadError::NoResource { .. })));
    replica.insert_resource(4_i64).unwrap();
    replica.sync_from(&source, mask).unwrap();
    assert!(not_readable(replica.resource::<i64>().err()), "the source has none");
    replica.sync_from(&source, ComponentMask::ALL).unwrap();
    assert!(matches!(replica.resource::<i64>(), Err(ReadError::NoResource { .. })));
}

#[test]
fn memory_limit_is_an_error_that_changes_nothing() {
    let config = WorldConfig::default()
        .memory(ArenaConfig::default().limit_bytes(4096).first_slab_bytes(4096));
    let (mut world, pool) = (World::with_config(config), SnapshotPool::default());
    world.insert_resource([1_u8; 4096]).unwrap();
    let view = world.capture(ComponentMask::ALL, &pool);
    assert!(matches!(world.resource_mut::<[u8; 4096]>(), Err(ResourceError::Memory(_))));
    assert!(matches!(world.insert_resource([2_u8; 4096]), Err(ResourceError::Memory(_))));
    assert!(matches!(world.insert_resource(1_u8), Err(ResourceError::Memory(_))));
    assert!(!world.contains_resource::<u8>());
    assert_eq!(world.resource::<[u8; 4096]>().unwrap()[0], 1);
    drop(view);
    assert_eq!(world.insert_resource([2_u8; 4096]).unwrap(), Some([1; 4096]));
}

#[test]
fn resource_that_is_too_large_is_refused() {
    let mut world = World::new();
    let error = world.register_resource::<[[[u8; 1024]; 1024]; 512]>().unwrap_err();
    assert!(matches!(error, RegisterError::TooLarge { .. }));
}

#[test]
fn bytes_of_resources_are_accounted_for() {
    let mut world = World::new();
    world.insert_resource([0_u64; 64]).unwrap();
    assert_eq!(world.row_bytes(&ComponentMask::ALL), 512);
    assert!(world.memory().live_bytes >= 512);
    world.remove_resource::<[u64; 64]>().unwrap();
    world.compact(Duration::MAX);
    assert_eq!(world.memory().live_bytes, 0);
}

#[test]
fn local_resources_are_of_any_type() {
    let mut world = World::new();
    let log = Arc::new(Mutex::new(Vec::<u8>::new()));
    assert!(world.insert_local(Arc::clone(&log)).is_none());
    world.local::<Arc<Mutex<Vec<u8>>>>().unwrap().lock().unwrap().push(1);
    assert_eq!(*log.lock().unwrap(), [1]);
    assert!(world.local_mut::<Box<dyn Fn() -> u8 + Send + Sync>>().is_none());
    world.insert_local::<Box<dyn Fn() -> u8 + Send + Sync>>(Box::new(|| 7));
    assert_eq!(world.local::<Box<dyn Fn() -> u8 + Send + Sync>>().unwrap()(), 7);
    drop(world.remove_local::<Arc<Mutex<Vec<u8>>>>().unwrap());
    assert_eq!(Arc::strong_count(&log), 1, "a value taken out is the caller's");
    world.insert_local(Arc::clone(&log));
    drop(world);
    assert_eq!(Arc::strong_count(&log), 1);
}

#[test]
fn module_reads_the_resources_that_it_declares() {
    let mut world = World::new();
    world.insert_resource(5_u32).unwrap();
    world.insert_resource(6_u8).unwrap();
    let mut host = ModuleHost::default();
    let read = Arc::new(Mutex::new(Vec::new()));
    let found = Arc::clone(&read);
    let spec = ModuleSpec::fast("reader").reads_resource::<u32>();
    host.add(spec, move |context| {
        let view = context.view();
        let declared = view.resource::<u32>().copied();
        found.lock().unwrap().push((declared, view.resource::<u8>().copied()));
    })
    .unwrap();
    host.run_frame(&mut world, Duration::from_millis(10)).unwrap();
    let undeclared = Err(ReadError::NotReadable { component: "u8" });
    assert_eq!(read.lock().unwrap()[..], [(Ok(5), undeclared)]);
}
