//! Types whose bytes are not all values: every way in and every way back.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use bytemuck::{CheckedBitPattern, NoUninit};
use convoy_engine::commands::Commands;
use convoy_engine::component::{ComponentDescription, ComponentId, RegisterError};
use convoy_engine::events::EventCursor;
use convoy_engine::replication::SyncError;
use convoy_engine::snapshot::{RestoreError, diff};
use convoy_engine::world::{ComponentError, SpawnError};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::Mixer;

const ALL: ComponentMask = ComponentMask::ALL;

#[derive(Clone, Copy, PartialEq, Eq, Debug, NoUninit, CheckedBitPattern)]
#[repr(u8)]
enum Mode {
    Idle = 3,
    Firing = 7,
}

#[derive(Clone, Copy, PartialEq, Debug, NoUninit, CheckedBitPattern)]
#[repr(C)]
struct Turret {
    target: Entity,
    letter: char,
    mode: Mode,
    is_manned: bool,
    rounds: u16,
}

fn turret(number: u32) -> Turret {
    Turret {
        target: Entity::NONE,
        letter: char::from_u32('a' as u32 + number % 26).unwrap(),
        mode: if number.is_multiple_of(2) { Mode::Idle } else { Mode::Firing },
        is_manned: number.is_multiple_of(3),
        rounds: number as u16,
    }
}

/// Small chunks, of memory that was full of ones before.
fn soiled() -> World {
    let config = WorldConfig::default().chunk_rows_max(8);
    let mut world = World::with_config(config);
    let dirt = (0..500_u32).map(|_| ([u8::MAX; 1], [u8::MAX; 2], [u8::MAX; 4], [u8::MAX; 16]));
    world.spawn_batch(dirt).unwrap();
    world.clear().unwrap();
    world
}

#[test]
fn typed_values_come_back_from_wherever_they_were_put() {
    let mut world = soiled();
    let pool = SnapshotPool::for_world(&world);
    let bundle = |number: u32| (turret(number), number.is_multiple_of(2), Mode::Firing, 'x');
    let mut entities: Vec<Entity> = (0..40).map(|number| world.spawn(bundle(number))).collect();
    entities.extend(world.spawn_batch((40..100).map(bundle)).unwrap());
    let turrets: Vec<_> = (100..150).map(turret).collect();
    let flags: Vec<_> = (100..150_u32).map(|number| number.is_multiple_of(2)).collect();
    entities.extend(world.spawn_columns((&turrets[..], &flags[..])).unwrap());
    let check = |world: &World, view: Option<&View>| {
        for (number, &entity) in (0..).zip(&entities) {
            assert_eq!(*world.get::<Turret>(entity).unwrap(), turret(number));
            assert_eq!(*world.get::<bool>(entity).unwrap(), number.is_multiple_of(2));
            if let Some(view) = view {
                assert_eq!(*view.get::<Turret>(entity).unwrap(), turret(number));
            }
        }
        assert_eq!(world.query::<(&Turret, &bool)>().count(), 150);
    };
    check(&world, None);
    let view = world.capture(ALL, &pool);
    world.query_mut::<(&mut bool, &mut Turret)>().for_each(|(flag, turret)| {
        *flag = !*flag;
        turret.mode = Mode::Idle;
    });
    let newer = world.capture(ALL, &pool);
    let differences = diff(&view, &newer).unwrap();
    assert_eq!(differences.changed::<bool>().unwrap().count(), 150);
    world.restore(&view).unwrap();
    check(&world, Some(&view));
    let mut replica = World::new();
    replica.sync_from(&world, ALL).unwrap();
    check(&replica, None);
    check(&World::branch(&view).unwrap(), None);
    // Rows come, move and go.
    let mode = |world: &World, entity| *world.get::<Mode>(entity).unwrap();
    world.insert_many(&entities, (Mode::Idle, 'y')).unwrap();
    assert!(entities.iter().all(|&entity| mode(&world, entity) == Mode::Idle));
    world.query_mut::<&bool>().insert((Mode::Firing,)).unwrap();
    assert!(entities.iter().all(|&entity| mode(&world, entity) == Mode::Firing));
    assert_eq!(world.remove::<(Turret, bool)>(entities[7]).unwrap(), (turret(7), false));
    world.despawn(entities[8]).unwrap();
    assert_eq!(*world.get::<char>(entities[149]).unwrap(), 'y');

    world.send_event(turret(5));
    world.insert_resource(Mode::Firing).unwrap();
    let mut commands = Commands::new(&mut world);
    let spawned = commands.spawn((true, turret(9)));
    commands.insert(spawned, (Mode::Idle, 'z'));
    commands.send_event(turret(6));
    world.play_back(&mut commands);
    assert_eq!(*world.get::<Turret>(spawned).unwrap(), turret(9));
    assert_eq!(*world.resource::<Mode>().unwrap(), Mode::Firing);
    let mut cursor = EventCursor::default();
    assert!(world.events::<Turret>(&mut cursor).eq([turret(5), turret(6)]));
}

#[test]
fn bytes_that_are_no_value_are_refused_by_name_and_change_nothing() {
    let mut world = soiled();
    let (mode, flag, letter) = (
        world.register::<Mode>().unwrap(),
        world.register::<bool>().unwrap(),
        world.register::<char>().unwrap(),
    );
    let entity = world.spawn((Mode::Idle, 1_u32));
    let hash = world.state_hash();
    let refused: [(ComponentId, &[u8]); 4] =
        [(mode, &[4]), (flag, &[2]), (letter, &[0, 0xd8, 0, 0]), (letter, &[255; 4])];
    for (id, bytes) in refused {
        let error = world.set_bytes(entity, id, bytes).unwrap_err();
        assert!(
            matches!(&error, ComponentError::Bundle(SpawnError::Value { entity: Some(of), value, .. })
            if *of == entity && value.bytes() == bytes)
        );
        let text = error.to_string();
        let name = world.component_info(id).unwrap().name();
        assert!(text.contains(name) && text.contains(&entity.to_string()), "{text}");
        let error = world.insert_described(entity, &[(flag, &[1]), (id, bytes)]);
        assert!(error.is_err());
        let error = world.spawn_described(&[(id, bytes)]).unwrap_err();
        assert!(matches!(error, SpawnError::Value { entity: None, .. }), "{error}");
    }
    assert_eq!(world.state_hash(), hash);
    assert_eq!(*world.get::<Mode>(entity).unwrap(), Mode::Idle);
    world.set_bytes(entity, mode, &[7]).unwrap();
    assert_eq!(*world.get::<Mode>(entity).unwrap(), Mode::Firing);
    let info = world.component_info(mode).unwrap();
    assert!(!info.accepts_any_bytes() && info.is_value(&[3]) && !info.is_value(&[3, 3]));
    let number = world.component_info(world.component_id::<u32>().unwrap()).unwrap();
    assert!(number.accepts_any_bytes() && number.is_value(&[255; 4]));
}

/// Describes `Mode` before the type is known.
fn described(world: &mut World) -> ComponentId {
    let name = std::any::type_name::<Mode>();
    world.register_described(ComponentDescription { name, size: 1, align: 1 }).unwrap()
}

#[test]
fn a_type_takes_over_only_what_it_has_looked_at() {
    let mut world = soiled();
    let pool = SnapshotPool::for_world(&world);
    let id = described(&mut world);
    let good = world.spawn_described(&[(id, &[7])]).unwrap();
    let clean = world.capture(ALL, &pool);
    let bad = world.spawn_described(&[(id, &[0])]).unwrap();
    let soiled = world.capture(ALL, &pool);
    let hash = world.state_hash();
    let is_refused = |error: &RegisterError| matches!(error, RegisterError::Values { .. });
    let error = world.register::<Mode>().unwrap_err();
    assert!(is_refused(&error) && error.to_string().contains("Mode"), "{error}");
    assert!(world.mask_of::<(Mode,)>().is_err());
    let error = world.try_spawn((Mode::Idle,)).unwrap_err();
    assert!(matches!(&error, SpawnError::Register(error) if is_refused(error)), "{error}");
    assert!(world.insert(good, (Mode::Idle,)).is_err() && world.get::<Mode>(good).is_err());
    assert_eq!(world.query::<&Mode>().count(), 0, "the world knows no such type");
    assert_eq!((world.state_hash(), world.entity_count()), (hash, 2));
    let error = World::branch(&soiled).unwrap().register::<Mode>().unwrap_err();
    assert!(is_refused(&error));

    world.set_bytes(bad, id, &[3]).unwrap();
    assert_eq!(world.register::<Mode>(), Ok(id));
    assert_eq!(*world.get::<Mode>(good).unwrap(), Mode::Firing);
    assert!(world.set_bytes(good, id, &[0]).is_err(), "checked from now on");
    // Views from before have bytes and no type.
    assert!(soiled.get::<Mode>(bad).is_err());
    assert_eq!(soiled.query::<&Mode>().count(), 0);
    assert_eq!(soiled.get_bytes(bad, id).unwrap(), [0]);
    let error = world.restore(&soiled).unwrap_err();
    assert!(matches!(error, RestoreError::Values { .. }) && error.to_string().contains("Mode"));
    assert_eq!(*world.get::<Mode>(bad).unwrap(), Mode::Idle, "nothing changed");
    world.restore(&clean).unwrap();
    assert_eq!(*world.get::<Mode>(good).unwrap(), Mode::Firing);
}

#[test]
fn a_sync_checks_what_one_world_knows_by_its_description() {
    let (mut source, mut replica) = (soiled(), soiled());
    let id = described(&mut source);
    let entity = source.spawn_described(&[(id, &[7])]).unwrap();
    replica.spawn((Mode::Idle, 5_u8));
    replica.sync_from(&source, ALL).unwrap();
    assert_eq!(*replica.get::<Mode>(entity).unwrap(), Mode::Firing);
    source.set_bytes(entity, id, &[200]).unwrap();
    let hash = replica.state_hash();
    let error = replica.sync_from(&source, ALL).unwrap_err();
    assert!(matches!(error, SyncError::Register(RegisterError::Values { .. })), "{error}");
    assert_eq!(replica.state_hash(), hash);
    assert_eq!(*replica.get::<Mode>(entity).unwrap(), Mode::Firing);
    // The other way around: the replica's own rows are looked at before the source's type comes.
    let mut typed = World::new();
    typed.spawn((Mode::Firing,));
    let mut bytes = World::new();
    let own = described(&mut bytes);
    bytes.spawn_described(&[(own, &[99])]).unwrap();
    let error = bytes.sync_from(&typed, ALL).unwrap_err();
    assert!(matches!(error, SyncError::Register(RegisterError::Values { .. })), "{error}");
    assert!(bytes.get::<Mode>(Entity::NONE).is_err() && bytes.entity_count() == 1);
    bytes.clear().unwrap();
    bytes.sync_from(&typed, ALL).unwrap();
    assert_eq!(bytes.query::<&Mode>().count(), 1);
}

/// Any bytes, at every border.
#[test]
fn random_bytes_are_values_or_refused() {
    let mut world = soiled();
    let id = world.register::<Turret>().unwrap();
    let entity = world.spawn((turret(1),));
    let mut mixer = Mixer::new(11);
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut bytes = [0; 16];
        bytes.fill_with(|| mixer.next_number() as u8 % 8);
        let is_value = bytemuck::checked::try_from_bytes::<Turret>(&bytes).is_ok();
        assert_eq!(world.component_info(id).unwrap().is_value(&bytes), is_value);
        assert_eq!(world.set_bytes(entity, id, &bytes).is_ok(), is_value);
        taken += usize::from(is_value);
        let turret = *world.get::<Turret>(entity).unwrap();
        assert!(matches!(turret.mode, Mode::Idle | Mode::Firing));
    }
    assert!(taken > 100, "{taken}");
}

/// The fuzz target, on bytes that nothing guides.
#[test]
fn random_bytes_at_every_border_are_values_or_refused() {
    let mut mixer = Mixer::new(5);
    for _ in 0..3_000 {
        let len = mixer.below(600);
        // Small numbers are values more often.
        let bound = [8, 32, 256][mixer.below(3)];
        let bytes: Vec<u8> = (0..len).map(|_| mixer.below(bound) as u8).collect();
        convoy_tests::feed(&bytes);
    }
}

/// The check looked for rows that a replica does not have.
#[test]
fn replicas_of_some_columns_learn_types_all_the_same() {
    let mut source = soiled();
    let id = described(&mut source);
    source.spawn_described(&[(id, &[7])]).unwrap();
    let mask = source.mask_of::<(Entity, u8)>().unwrap();
    let mut partial = World::new();
    partial.sync_from(&source, mask).unwrap();
    assert!(partial.register::<Mode>().is_ok());
    let mut again = World::new();
    again.sync_from(&source, mask).unwrap();
    let mut typed = World::new();
    typed.register::<Mode>().unwrap();
    typed.sync_from(&again, ALL).unwrap();
    partial.sync_from(&source, ALL).unwrap();
    assert!(partial.query::<&Mode>().iter().eq([&Mode::Firing]));
}

/// Rows that were described have no column for a toggle.
#[test]
fn what_entities_have_by_its_description_can_become_no_toggle() {
    let mut world = World::new();
    let id = described(&mut world);
    let entity = world.spawn_described(&[(id, &[7])]).unwrap();
    let error = world.register_toggle::<Mode>().unwrap_err();
    assert!(matches!(error, RegisterError::InUse { .. }), "{error}");
    world.register::<Mode>().unwrap();
    assert_eq!(*world.get::<Mode>(entity).unwrap(), Mode::Firing);
}

/// An operation that fails leaves described components as they were, for any bytes.
#[test]
fn a_type_that_took_over_in_vain_is_forgotten() {
    let config = WorldConfig::default().memory_limit_bytes(64 * 1024);
    let mut world = World::with_config(config);
    let id = described(&mut world);
    let entity = world.spawn_described(&[(id, &[7])]).unwrap();
    while world.try_spawn(([0_u8; 1024],)).is_ok() {}
    while world.try_spawn(([0_u8; 4096],)).is_ok() {}
    assert!(world.try_spawn((Mode::Idle, [0_u64; 2048])).is_err());
    assert!(world.component_info(id).unwrap().is_described());
    world.set_bytes(entity, id, &[200]).unwrap();
    assert!(world.get::<Mode>(entity).is_err());
}
