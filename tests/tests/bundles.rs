//! Derived bundles, and bundles inside bundles: the entity has the components that the same tuple
//! would have given it, whatever the nesting.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use bytemuck::{CheckedBitPattern, NoUninit, Pod, Zeroable};
use convoy_engine::commands::Commands;
use convoy_engine::world::{ComponentError, SpawnError};
use convoy_engine::{Bundle, Component, ComponentMask, Entity, SnapshotPool, World};

#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(transparent)]
struct Position([f32; 3]);

#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(transparent)]
struct Velocity([f32; 3]);

#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(transparent)]
struct Fuel(f32);

#[derive(Clone, Copy, PartialEq, Debug, NoUninit, CheckedBitPattern)]
#[repr(u8)]
enum Order {
    Hold,
    Follow,
}

#[derive(Bundle, PartialEq, Debug)]
struct Motion {
    position: Position,
    velocity: Velocity,
}

#[derive(Bundle, PartialEq, Debug)]
struct Ship(Motion, Fuel, Order);

/// A tuple as a field, a tuple in that, and a field whose name is a keyword.
#[derive(Bundle, PartialEq, Debug)]
struct Convoy {
    escort: (Ship, (u32, [u8; 5])),
    r#type: u64,
}

#[derive(Bundle, PartialEq, Debug)]
struct Pair<A, B: Copy>
where
    B: PartialEq,
{
    first: A,
    second: [B; 2],
}

#[derive(Bundle, PartialEq, Debug)]
struct Nothing;

/// Neither `Copy` nor `Clone`: only components need be.
#[derive(Bundle)]
struct Heavy {
    big: Big,
    small: u8,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Big([u64; 512]);

fn ship(number: u16) -> Ship {
    let number = f32::from(number);
    let motion = Motion { position: Position([number; 3]), velocity: Velocity([1.0; 3]) };
    Ship(motion, Fuel(number + 0.5), Order::Follow)
}

fn convoy(number: u16) -> Convoy {
    Convoy { escort: (ship(number), (number.into(), *b"bytes")), r#type: u64::from(number) << 32 }
}

#[track_caller]
fn assert_ship(world: &World, entity: Entity, number: u16) {
    let Ship(motion, fuel, order) = ship(number);
    assert_eq!(*world.get::<Position>(entity).unwrap(), motion.position);
    assert_eq!(*world.get::<Velocity>(entity).unwrap(), motion.velocity);
    assert_eq!(*world.get::<Fuel>(entity).unwrap(), fuel);
    assert_eq!(*world.get::<Order>(entity).unwrap(), order);
}

#[track_caller]
fn assert_convoy(world: &World, entity: Entity, number: u16) {
    assert_ship(world, entity, number);
    assert_eq!(*world.get::<u32>(entity).unwrap(), number.into());
    assert_eq!(*world.get::<[u8; 5]>(entity).unwrap(), *b"bytes");
    assert_eq!(*world.get::<u64>(entity).unwrap(), u64::from(number) << 32);
}

fn mask<B: Bundle>(world: &mut World) -> ComponentMask {
    world.mask_of::<B>().unwrap()
}

#[test]
fn derived_bundle_is_the_tuple_of_its_components() {
    let mut world = World::new();
    // Registered in another order than they stand in the bundle.
    type Tuple = (u64, Order, [u8; 5], Velocity, u32, Position, Fuel);
    assert_eq!(mask::<Tuple>(&mut world), mask::<Convoy>(&mut world));
    let entity = world.spawn(convoy(7));
    assert_convoy(&world, entity, 7);
    let tuple = world.spawn((
        3_u64,
        Order::Hold,
        [0_u8; 5],
        Velocity([0.0; 3]),
        4_u32,
        Position([0.0; 3]),
        Fuel(1.0),
    ));
    let spawned = world.archetypes().filter(|archetype| archetype.rows > 0).count();
    assert_eq!(spawned, 1, "one archetype for both");
    assert_eq!(world.remove::<Convoy>(entity).unwrap(), convoy(7));
    assert_eq!(world.remove::<Convoy>(tuple).unwrap().r#type, 3);
}

#[test]
fn derived_bundles_are_members_of_tuples() {
    let mut world = World::new();
    let entity = world.spawn((9_u16, ship(3), (1.5_f64)));
    assert_ship(&world, entity, 3);
    assert_eq!(*world.get::<u16>(entity).unwrap(), 9);
    assert_eq!(*world.get::<f64>(entity).unwrap(), 1.5);
    let (fuel, motion, count) = world.remove::<(Fuel, Motion, u16)>(entity).unwrap();
    assert_eq!((fuel, motion, count), (Fuel(3.5), ship(3).0, 9));
    assert_eq!(*world.get::<f64>(entity).unwrap(), 1.5);
    assert!(!world.has::<Fuel>(entity));
}

trait HasComponent {
    fn has<T: Component>(&self, entity: Entity) -> bool;
}

impl HasComponent for World {
    fn has<T: Component>(&self, entity: Entity) -> bool {
        self.get::<T>(entity).is_ok()
    }
}

#[test]
fn every_way_to_write_a_bundle_takes_derived_ones() {
    let mut world = World::new();
    let spawned: Vec<_> = world.spawn_batch((0..1_000).map(convoy)).unwrap().collect();
    for (number, &entity) in spawned.iter().enumerate() {
        assert_convoy(&world, entity, number as u16);
    }
    let bare: Vec<_> = world.spawn_batch((0..100_u8).map(|n| (n,))).unwrap().collect();
    world.insert_many(&bare, ship(5)).unwrap();
    bare.iter().for_each(|&entity| assert_ship(&world, entity, 5));
    // Rows that stay where they are.
    world.insert_many(&bare[10..20], ship(6)).unwrap();
    bare[10..20].iter().for_each(|&entity| assert_ship(&world, entity, 6));
    world.insert(bare[0], ship(8)).unwrap();
    assert_ship(&world, bare[0], 8);
    assert_ship(&world, bare[1], 5);
    let taken = world.exchange::<Motion, _>(bare[1], (2.5_f64, Nothing)).unwrap();
    assert_eq!(taken, ship(5).0);
    assert_eq!(*world.get::<f64>(bare[1]).unwrap(), 2.5);
    assert_eq!(world.remove_many::<Ship>(&bare).unwrap().changed, 99);
    assert_eq!(world.query_mut::<&u8>().insert(ship(2)).unwrap(), 100);
    bare.iter().for_each(|&entity| assert_ship(&world, entity, 2));
    assert_eq!(world.query_mut::<&u8>().remove::<(Motion, Fuel)>().unwrap(), 100);
    assert_eq!(world.despawn_many(&spawned).unwrap().changed, 1_000);
}

#[test]
fn commands_record_derived_bundles() {
    let mut world = World::new();
    let mut commands = Commands::new(&mut world);
    let entity = commands.spawn(convoy(11));
    let other = commands.spawn(Nothing);
    commands.insert(other, (ship(12), 1_u8));
    commands.remove::<Motion>(entity);
    assert_eq!(world.play_back(&mut commands).applied, 4);
    assert_ship(&world, other, 12);
    assert_eq!(*world.get::<Fuel>(entity).unwrap(), ship(11).1);
    assert!(!world.has::<Position>(entity) && !world.has::<Velocity>(entity));
    let parent = world.reserve_entity();
    world.spawn_at(parent, ship(13)).unwrap();
    assert_ship(&world, parent, 13);
}

#[test]
fn generic_bundles_are_as_many_types_as_their_arguments_make() {
    let mut world = World::new();
    let first = world.spawn(Pair { first: Fuel(1.0), second: [1_u8, 2] });
    let second = world.spawn(Pair { first: ship(1), second: [7_i64; 2] });
    assert_eq!(*world.get::<[u8; 2]>(first).unwrap(), [1, 2]);
    assert_ship(&world, second, 1);
    let removed = world.remove::<Pair<Fuel, u8>>(first).unwrap();
    assert_eq!(removed, Pair { first: Fuel(1.0), second: [1, 2] });
}

#[test]
fn empty_bundle_adds_nothing() {
    let mut world = World::new();
    let entity = world.spawn(Nothing);
    world.insert(entity, Nothing).unwrap();
    assert_eq!(world.remove::<Nothing>(entity).unwrap(), Nothing);
    assert_eq!(mask::<(Motion, Nothing)>(&mut world).len(), 2);
}

#[test]
fn component_twice_in_nested_bundles_is_refused_by_name() {
    let mut world = World::new();
    let twice = world.try_spawn((ship(1), Fuel(2.0)));
    let Err(SpawnError::Duplicate { component }) = twice else { panic!("{twice:?}") };
    assert!(component.ends_with("Fuel"));
    let entity = world.spawn(());
    let twice =
        world.insert(entity, (Motion { ..ship(1).0 }, Pair { first: ship(2), second: [0_u8; 2] }));
    let Err(ComponentError::Bundle(SpawnError::Duplicate { component })) = twice else {
        panic!("{twice:?}")
    };
    assert!(component.ends_with("Position"));
    let twice = world.try_spawn(Pair { first: Fuel(1.0), second: [Fuel(1.0); 2] });
    assert!(twice.is_ok(), "an array of a type is another type");
    assert!(world.component_id::<Order>().is_none(), "a refused bundle teaches the world nothing");
}

#[test]
fn bundle_need_not_be_copy_and_may_be_large() {
    let mut world = World::new();
    let heavy = |small| Heavy { big: Big([u64::from(small); 512]), small };
    let spawned: Vec<_> = world.spawn_batch((0..40).map(heavy)).unwrap().collect();
    let pool = SnapshotPool::for_world(&world);
    let view = world.capture(ComponentMask::ALL, &pool);
    world.insert_many(&spawned, heavy(99)).unwrap();
    for (number, &entity) in spawned.iter().enumerate() {
        assert_eq!(world.get::<Big>(entity).unwrap().0, [99; 512]);
        assert_eq!(view.get::<Big>(entity).unwrap().0, [number as u64; 512]);
    }
}

#[test]
fn sixteen_components_fit_however_they_are_nested() {
    #[derive(Bundle)]
    struct Eight([u8; 1], [u8; 2], [u8; 3], [u8; 4], ([u8; 5], [u8; 6]), [u8; 7], [u8; 8]);
    #[derive(Bundle)]
    struct More([u16; 1], [u16; 2], [u16; 3], [u16; 4], [u16; 5], [u16; 6], [u16; 7], [u16; 8]);
    let mut world = World::new();
    let eight = Eight([1; 1], [2; 2], [3; 3], [4; 4], ([5; 5], [6; 6]), [7; 7], [8; 8]);
    let more = More([1; 1], [2; 2], [3; 3], [4; 4], [5; 5], [6; 6], [7; 7], [8; 8]);
    let entity = world.spawn((eight, more));
    assert_eq!(*world.get::<[u8; 6]>(entity).unwrap(), [6; 6]);
    assert_eq!(*world.get::<[u16; 8]>(entity).unwrap(), [8; 8]);
    assert_eq!(mask::<(More, Eight)>(&mut world).len(), 16);
}
