//! Replicas of sources that they did not grow up with: other archetypes, other orders of types,
//! other chunk sizes.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use convoy_engine::component::{ComponentDescription, RegisterError};
use convoy_engine::events::EventCursor;
use convoy_engine::memory::ArenaConfig;
use convoy_engine::query::{PreparedQuery, ReadError};
use convoy_engine::replication::SyncError;
use convoy_engine::snapshot::diff;
use convoy_engine::world::SpawnError;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::Contents;

const ALL: ComponentMask = ComponentMask::ALL;

fn chunks_of(rows: usize, bytes: usize) -> World {
    let config =
        WorldConfig::default().chunk_rows_max(rows).chunk_bytes_max(bytes).event_retention(40);
    World::with_config(config)
}

fn complete(world: &mut World) -> View {
    world.capture(ALL, &SnapshotPool::default())
}

/// Changes a world in every way, differently in each round.
fn use_world(world: &mut World, round: u32) {
    let entities: Vec<Entity> = world.query::<Entity>().iter().collect();
    let batch = (0..40).map(|number| (number * round, u64::from(round)));
    world.spawn_batch(batch).unwrap().for_each(drop);
    for (number, &entity) in entities.iter().enumerate().skip(round as usize % 7).step_by(7) {
        match number % 5 {
            0 => world.despawn(entity).unwrap(),
            1 => world.insert(entity, (round as u8, 0.5_f32)).unwrap(),
            2 => {
                let parent = world.spawn((round,));
                world.set_parent(entity, parent).unwrap();
            }
            3 => world.insert(entity, (u64::from(round), [round as u16; 3])).unwrap(),
            _ => world.query_mut::<&mut u32>().for_each(|number| *number ^= round),
        }
    }
    (0..30).for_each(|number| world.send_event((100 * round + number) as u16));
    world.insert_resource(f64::from(round)).unwrap();
    world.advance_tick();
}

fn orders(world: &World) -> (Vec<Entity>, Vec<u32>) {
    (world.query::<Entity>().iter().collect(), world.query::<&u32>().iter().copied().collect())
}

fn assert_replica(replica: &mut World, source: &mut World) {
    assert_eq!(orders(replica), orders(source), "the same order of archetypes and rows");
    let events =
        |world: &World| world.events::<u16>(&mut EventCursor::default()).collect::<Vec<_>>();
    // A log is cut at chunks of its own.
    let (own, theirs) = (events(replica), events(source));
    assert!(own.ends_with(&theirs), "{own:?} {theirs:?}");
    assert_eq!(replica.resource::<f64>().ok(), source.resource::<f64>().ok());
    assert_eq!(replica.state_hash(), complete(replica).state_hash());
}

/// A client that predicts spawns entities before its server. The first archetype that only the
/// client had made its replica useless: every sync was refused, after a clear as well, although the
/// message advised one. After public reports of clients that spawn ahead.
#[test]
fn replica_that_spawned_something_new_follows_its_source() {
    let (mut source, mut replica) = (World::new(), World::new());
    source.spawn((1_u32,));
    replica.sync_from(&source, ALL).unwrap();
    replica.spawn((2_u32, 0.5_f32));
    replica.spawn((3_i64,));
    replica.sync_from(&source, ALL).unwrap();
    assert_replica(&mut replica, &mut source);
    assert_eq!(replica.state_hash(), source.state_hash());
    for round in 0..8 {
        // Archetypes that the client has, in another order, and some that it has not.
        match round % 4 {
            0 => drop(source.spawn((round as u8, 0.5_f32))),
            1 => drop(source.spawn((round, 0.5_f32))),
            2 => drop(replica.spawn((1_u16, round))),
            _ => replica.clear().unwrap(),
        }
        use_world(&mut source, round);
        use_world(&mut replica, round + 3);
        let view = complete(&mut replica);
        let shown = Contents::of(&view);
        replica.sync_from(&source, ALL).unwrap();
        assert_replica(&mut replica, &mut source);
        assert_eq!(replica.state_hash(), source.state_hash());
        assert_eq!(Contents::of(&view), shown);
        // Later operations of the client go to the right tables.
        let guest = replica.spawn((9_u32, 0.5_f32));
        replica.insert(guest, (1_u8,)).unwrap();
        replica.remove::<(f32,)>(guest).unwrap();
        assert_eq!(
            (*replica.get::<u32>(guest).unwrap(), *replica.get::<u8>(guest).unwrap()),
            (9, 1)
        );
    }
    // Nothing differs after a sync, so the next one copies nothing.
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(replica.sync_from(&source, ALL).unwrap().chunks_copied, 0);
    assert!(replica.component_id::<i64>().is_some() && source.component_id::<i64>().is_none());
}

/// Two worlds whose chunks differ in size could not be synced, with an error about types and
/// archetypes. After a public report of a client with other settings than its server.
#[test]
fn replica_has_chunks_of_other_sizes() {
    let shapes = [(16, 64 << 10), (usize::MAX, 4096), (usize::MAX, 512), (3, 256), (1, 64 << 10)];
    for (number, own) in shapes.into_iter().enumerate() {
        for theirs in shapes.into_iter().skip(number + 1).chain([shapes[0]]) {
            let mut source = chunks_of(theirs.0, theirs.1);
            let (mut replica, mut back) = (chunks_of(own.0, own.1), chunks_of(theirs.0, theirs.1));
            for round in 0..6 {
                use_world(&mut source, round);
                if round == 3 {
                    use_world(&mut replica, round);
                }
                let view = complete(&mut replica);
                let shown = Contents::of(&view);
                replica.sync_from(&source, ALL).unwrap();
                back.sync_from(&replica, ALL).unwrap();
                assert_replica(&mut replica, &mut source);
                assert_replica(&mut back, &mut source);
                assert_eq!(Contents::of(&replica), Contents::of(&source));
                assert_eq!(Contents::of(&view), shown);
            }
            assert_eq!(back.state_hash(), source.state_hash());
        }
    }
}

#[test]
fn sync_between_chunk_sizes_copies_what_changed_only() {
    let (mut source, mut replica) = (chunks_of(16, 64 << 10), chunks_of(64, 64 << 10));
    let entities: Vec<_> =
        source.spawn_batch((0..1024_u32).map(|number| (number,))).unwrap().collect();
    replica.sync_from(&source, ALL).unwrap();
    *source.get_mut::<u32>(entities[100]).unwrap() = 7;
    let report = replica.sync_from(&source, ALL).unwrap();
    assert_eq!((report.chunks_copied, report.bytes_copied), (4, 4 * 64), "the chunk of 64 rows");
    *replica.get_mut::<u32>(entities[900]).unwrap() = 7;
    assert_eq!(replica.sync_from(&source, ALL).unwrap().bytes_copied, 4 * 64);
    assert_eq!(replica.sync_from(&source, ALL).unwrap().chunks_copied, 0);
    assert_replica(&mut replica, &mut source);
}

/// A world that had registered its types in another order than its source could never follow it.
#[test]
fn ids_of_a_replica_stay_whatever_its_source_calls_a_type() {
    let (mut source, mut replica) = (World::new(), World::new());
    let wind = ComponentDescription { name: "wind", size: 8, align: 4 };
    let [first, second] = [source.register::<u32>().unwrap(), source.register::<u64>().unwrap()];
    let blown = source.register_described(wind).unwrap();
    source.register_toggle::<f32>().unwrap();
    source.register_event::<u8>().unwrap();
    let entity = source.spawn((1_u32, 2_u64, 3.0_f32));
    source.disable::<f32>(entity).unwrap();
    source.insert_described(entity, &[(blown, &[7; 8])]).unwrap();

    let own_wind = replica.register_described(wind).unwrap();
    replica.register_toggle::<f32>().unwrap();
    let own = [replica.register::<u64>().unwrap(), replica.register::<u32>().unwrap()];
    let mine = replica.spawn((4_u32, 5_u64));
    let mut prepared = PreparedQuery::<(&u32, &u64)>::new();
    assert_eq!(prepared.query(&replica).single(), Some((&4, &5)));

    replica.sync_from(&source, ALL).unwrap();
    assert!(!replica.contains(mine) || mine == entity);
    assert_eq!([replica.component_id::<u64>(), replica.component_id::<u32>()], own.map(Some));
    assert_eq!(replica.get_bytes(entity, own[0]).unwrap(), 2_u64.to_ne_bytes());
    assert_eq!(replica.get_bytes(entity, own[1]).unwrap(), 1_u32.to_ne_bytes());
    assert_eq!(replica.get_bytes(entity, own_wind).unwrap(), [7; 8]);
    assert_eq!(prepared.query(&replica).single(), Some((&1, &2)));
    assert_eq!(prepared.query(&source).single(), Some((&1, &2)));
    assert!(!replica.is_enabled::<f32>(entity).unwrap());
    assert_eq!(replica.state_hash(), source.state_hash());

    // A mask speaks of the source's ids, and the readable types after that, of the replica's.
    for (id, name) in [(first, "u32"), (second, "u64")] {
        let mask = ComponentMask::from_iter([id, convoy_engine::component::ComponentId::ENTITY]);
        replica.sync_from(&source, mask).unwrap();
        assert_eq!(replica.get::<u32>(entity).is_ok(), name == "u32");
        assert_eq!(replica.get::<u64>(entity).is_ok(), name == "u64");
        assert!(matches!(replica.get::<f32>(entity), Err(ReadError::NotReadable { .. })));
        let view = replica.capture(ALL, &SnapshotPool::default());
        assert_eq!(view.get::<u64>(entity).is_ok(), name == "u64");
        assert!(matches!(replica.try_spawn((1_u32,)), Err(SpawnError::PartialReplica)));
    }
    // The type that a source knows by its description only is one here.
    let named = ComponentDescription { name: std::any::type_name::<i32>(), size: 4, align: 4 };
    let described = source.register_described(named).unwrap();
    source.insert_described(entity, &[(described, &9_i32.to_ne_bytes())]).unwrap();
    replica.register::<i32>().unwrap();
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(*replica.get::<i32>(entity).unwrap(), 9);
    assert_eq!(replica.state_hash(), source.state_hash());
}

/// Tables of a world move where a source has their archetypes in another order. What is of before
/// that finds its own.
#[test]
fn views_restores_and_differences_know_the_order_of_their_time() {
    let (mut source, mut replica) = (World::new(), World::new());
    let row = [replica.spawn((1_u32,)), replica.spawn((2_u32, 0.5_f32)), replica.spawn((3_u8,))];
    let before = complete(&mut replica);
    replica.spawn((4_u32,));
    let longer = complete(&mut replica);
    let shown = [Contents::of(&before), Contents::of(&longer)];

    source.spawn((9_u64,));
    let kept = source.spawn((3_u8,));
    source.spawn((2_u32, 0.5_f32));
    assert_eq!(kept, row[1]);
    replica.sync_from(&source, ALL).unwrap();
    let synced = complete(&mut replica);
    let after = Contents::of(&synced);
    let differences = diff(&before, &synced).unwrap();
    assert!(differences.spawned().chain(differences.despawned()).next().is_none());
    let wide = replica.component_id::<u64>().unwrap();
    assert!(differences.inserted().any(|each| each == (row[0], wide)));
    assert_eq!(differences.inserted().count() + differences.removed().count(), 2 + 3 + 3);
    assert!(diff(&synced, &complete(&mut replica)).unwrap().is_empty());

    for _ in 0..3 {
        replica.restore(&before).unwrap();
        assert_eq!(Contents::of(&replica), shown[0]);
        assert!(diff(&before, &complete(&mut replica)).unwrap().is_empty());
        // Rows that the longer snapshot sees are not written in place.
        replica.spawn((7_u32,));
        replica.insert(row[0], (1_i8,)).unwrap();
        assert_eq!([Contents::of(&before), Contents::of(&longer)], shown);
        replica.restore(&synced).unwrap();
        assert_eq!(Contents::of(&replica), after);
        assert_eq!(orders(&replica), orders(&source));
        replica.restore(&longer).unwrap();
        assert_eq!(Contents::of(&replica), shown[1]);
        assert_eq!(replica.state_hash(), longer.state_hash());
        let branch = World::branch(&before).unwrap();
        assert_eq!(Contents::of(&branch), shown[0]);
    }
    replica.sync_from(&source, ALL).unwrap();
    assert_replica(&mut replica, &mut source);
    drop((before, longer, synced));
    replica.advance_tick();
    assert_eq!(replica.memory().retained_bytes, 0);
}

/// Things that a sync could not take over used to be called "types or archetypes".
#[test]
fn sync_that_is_refused_names_the_type_and_teaches_none() {
    let knows = |world: &World| {
        (world.component_id::<u32>(), world.component_id::<i64>(), world.archetypes().len())
    };
    let (mut source, mut replica) = (World::new(), World::new());
    source.spawn((1_u32, 2_i64));
    let [small, large] = [4, 8].map(|size| ComponentDescription { name: "gust", size, align: 4 });
    source.register_described(small).unwrap();
    replica.spawn((1_u8,));
    replica.register_described(large).unwrap();
    let (before, known) = (Contents::of(&replica), knows(&replica));
    let error = replica.sync_from(&source, ALL).unwrap_err();
    assert!(matches!(error, SyncError::Register(RegisterError::Shape { component: "gust" })));
    assert!(error.to_string().contains("gust"));
    assert_eq!((Contents::of(&replica), knows(&replica)), (before, known));

    let (mut source, mut replica) = (World::new(), World::new());
    source.register_toggle::<u32>().unwrap();
    source.spawn((1_u32, 2_i64));
    replica.spawn((1_u32,));
    let (before, known) = (Contents::of(&replica), knows(&replica));
    for _ in 0..2 {
        let error = replica.sync_from(&source, ALL).unwrap_err();
        assert!(matches!(error, SyncError::Toggle { component: "u32" }), "{error}");
        let error = source.sync_from(&replica, ALL).unwrap_err();
        assert!(matches!(error, SyncError::Toggle { component: "u32" }), "{error}");
    }
    assert_eq!((Contents::of(&replica), knows(&replica)), (before, known));

    // A limit at every page: nothing is learned from a sync that fails.
    let mut source = World::new();
    use_world(&mut source, 1);
    use_world(&mut source, 2);
    for kibibytes in (0..).map(|step| 4 * step) {
        let config = WorldConfig::default().memory_limit_bytes(kibibytes * 1024).chunk_rows_max(16);
        let mut replica = World::with_config(config);
        replica.register::<i64>().unwrap();
        let known = knows(&replica);
        match replica.sync_from(&source, ALL) {
            Err(SyncError::Memory(_)) => {
                assert!(kibibytes < 256 && replica.entity_count() == 0);
                assert_eq!(knows(&replica), known);
                assert_eq!(replica.register::<[u8; 3]>().unwrap().index(), 2);
                assert!(!replica.contains_resource::<f64>());
            }
            result => {
                result.unwrap();
                assert_replica(&mut replica, &mut source);
                assert_eq!(replica.entity_count(), source.entity_count());
                break;
            }
        }
    }
}

/// A bundle that names a component twice was refused, and its component known from then on. So did
/// other operations that were refused for their arguments.
#[test]
fn refused_operations_teach_a_world_nothing() {
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C, align(4096))]
    struct Strict([u8; 4096]);

    let mut world = World::new();
    let entity = world.spawn((1_u32,));
    let stale = world.spawn(());
    world.despawn(stale).unwrap();
    let archetypes = world.archetypes().len();
    assert!(world.try_spawn((1_u8, 2_u8)).is_err());
    assert!(world.try_spawn((1_u8, entity)).is_err());
    assert!(world.try_spawn((1_u8, Strict([0; 4096]))).is_err());
    assert!(world.mask_of::<(u8, Strict)>().is_err());
    assert!(world.insert(entity, (1_u8, 2_u8)).is_err());
    assert!(world.insert(stale, (1_u8,)).is_err());
    assert!(world.remove::<(u8,)>(entity).is_err());
    assert!(world.remove::<(u32, u8)>(entity).is_err());
    assert!(world.exchange::<(u8,), _>(entity, (1_u16,)).is_err());
    assert!(world.exchange::<(u32,), _>(entity, (1_u8, 2_u8)).is_err());
    assert!(world.spawn_batch([(1_u8, 2_u8)]).is_err());
    assert!(world.reserve::<(u8, u8)>(1).is_err());
    assert!(world.insert_many(&[entity], (1_u8, 2_u8)).is_err());
    assert!(world.remove_many::<(u8, u8)>(&[entity]).is_err());
    assert!(world.spawn_at(entity, (1_u8,)).is_err());
    assert!(world.set_parent(entity, entity).is_err());
    assert!(world.query_mut::<&u32>().insert((1_u8, 2_u8)).is_err());
    assert_eq!((world.component_id::<u8>(), world.component_id::<u16>()), (None, None));
    assert_eq!(world.archetypes().len(), archetypes);
}

/// An operation for which memory ran out left its archetype behind, which passes visit in the order
/// of making: so it changed the later course of a simulation.
#[test]
fn operations_that_lack_memory_teach_a_world_nothing() {
    type Operation = fn(&mut World, &[Entity]) -> bool;
    let operations: [Operation; 17] = [
        |world, _| world.try_spawn((1_u8, [0_u64; 9])).is_ok(),
        |world, list| world.insert(list[3], (1_u8, 2_i8)).is_ok(),
        |world, list| world.remove::<(u32,)>(list[3]).is_ok(),
        |world, list| world.exchange::<(u32,), _>(list[3], (1_u8,)).is_ok(),
        |world, list| world.set_parent(list[3], list[4]).is_ok(),
        |world, _| world.spawn_batch((0..900_u16).map(|number| (number, 1_u8))).is_ok(),
        |world, _| world.spawn_columns((&[1_u8; 900][..], &[2_u16; 900][..])).is_ok(),
        |world, _| world.reserve::<(u8, u16)>(900).is_ok(),
        |world, list| world.insert_many(list, (1_u8, [0_u64; 4])).is_ok(),
        |world, list| world.remove_many::<(u64,)>(list).is_ok(),
        |world, _| world.query_mut::<&u32>().insert((1_u8, [0_u64; 4])).is_ok(),
        |world, _| world.query_mut::<&u32>().remove::<(u64,)>().is_ok(),
        |world, _| world.try_send_event([0_u64; 48]).is_ok(),
        |world, _| world.insert_resource([0_u64; 48]).is_ok(),
        |world, list| {
            let id = world.component_id::<i64>().unwrap();
            world.insert_described(list[3], &[(id, &[1; 8])]).is_ok()
        },
        |world, _| {
            let id = world.component_id::<i64>().unwrap();
            world.spawn_described(&[(id, &[1; 8])]).is_ok()
        },
        |world, _| {
            let entity = world.reserve_entity();
            world.spawn_at(entity, (1_u8, [0_u64; 9])).is_ok()
        },
    ];
    let knows = |world: &World| {
        let types = (world.component_id::<u8>(), world.component_id::<[u64; 4]>());
        (world.archetypes().len(), types, world.contains_resource::<[u64; 48]>())
    };
    for (number, operation) in operations.iter().enumerate() {
        let mut failures = 0;
        // Less and less of the memory is taken before.
        for rows in (8..400_u32).rev().step_by(4) {
            let config = WorldConfig::default()
                .memory(
                    ArenaConfig::default()
                        .limit_bytes(16 * 1024)
                        .first_slab_bytes(4096)
                        .slab_bytes_max(4096),
                )
                .chunk_rows_max(16);
            let mut world = World::with_config(config);
            world.register::<i64>().unwrap();
            let batch = (0..rows).map(|number| (number, 1_u64));
            let Ok(spawned) = world.spawn_batch(batch).map(Iterator::collect::<Vec<_>>) else {
                continue;
            };
            let view = complete(&mut world);
            let (shown, known) = (Contents::of(&view), knows(&world));
            if operation(&mut world, &spawned) {
                break;
            }
            failures += 1;
            assert_eq!(knows(&world), known, "operation {number} after {rows} rows");
            if number < 15 {
                assert_eq!(Contents::of(&world), shown);
            }
            // Types and archetypes that come now get the next numbers.
            drop(view);
            world.clear().unwrap();
            world.compact(std::time::Duration::MAX);
            assert_eq!(world.register::<u16>().unwrap().index(), 4);
            let entity = world.spawn((1_u16,));
            world.insert(entity, (2_i8,)).unwrap();
            assert_eq!(*world.get::<u16>(entity).unwrap(), 1);
        }
        assert!(failures > 0, "operation {number} never lacked memory");
    }
}

/// Families kept the archetypes that a despawn at the limit had planned, reserving lists that of its
/// bundle, and a batch those of an iterator that panicked.
#[test]
fn families_lists_and_panics_teach_a_world_nothing() {
    let mut world = World::new();
    world.spawn((1_u32,));
    let known = world.archetypes().len();
    assert!(world.reserve_lists::<(i16,)>(usize::MAX).is_err());
    let panicking =
        (0..2_u64).map(|number| if number == 1 { panic!("on purpose") } else { (number,) });
    let batch = catch_unwind(AssertUnwindSafe(|| drop(world.spawn_batch(panicking))));
    assert!(batch.is_err());
    assert_eq!((world.archetypes().len(), world.component_id::<u64>()), (known, None));

    let mut refused = 0;
    for rows in 0..400_u32 {
        let config = WorldConfig::default()
            .memory(ArenaConfig::default().limit_bytes(64 * 1024).first_slab_bytes(4096))
            .chunk_rows_max(4);
        let mut world = World::with_config(config);
        let (parent, child) = (world.spawn((1_u32,)), world.spawn((2_u64,)));
        world.set_parent(child, parent).unwrap();
        // The parent without children has an archetype of its own.
        world.insert(parent, (3_u16,)).unwrap();
        let _view = complete(&mut world);
        // Large rows first, and small ones into the rest.
        for _ in 0..rows {
            if world.try_spawn(([0_u64; 9],)).is_err() && world.try_spawn((0_u8,)).is_err() {
                break;
            }
        }
        let known = world.archetypes().len();
        if world.despawn_tree(child).is_err() {
            refused += 1;
            assert_eq!(world.archetypes().len(), known, "after {rows} rows");
        }
    }
    assert!(refused > 0, "memory never ran out");
}
