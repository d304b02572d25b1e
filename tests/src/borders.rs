//! Bytes at every border: data from files, sockets and scripts goes into a world by id and
//! bytes, under handles from anywhere. Any bytes are taken as a value or refused, and a refusal changes
//! nothing.

use bytemuck::{CheckedBitPattern, NoUninit};
use convoy_engine::component::{ComponentDescription, ComponentId};
use convoy_engine::events::EventCursor;
use convoy_engine::schema::{Layout, Schema, TypeEntry, TypeLayout};
use convoy_engine::snapshot::first_difference;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};

use crate::values::Byte;

#[derive(Clone, Copy, PartialEq, Eq, Debug, NoUninit, CheckedBitPattern, TypeLayout)]
#[repr(u16)]
enum Mode {
    Idle = 2,
    Busy = 300,
}

#[derive(Clone, Copy, PartialEq, Debug, NoUninit, CheckedBitPattern, TypeLayout)]
#[repr(C)]
struct Machine {
    part_of: Entity,
    letter: char,
    mode: Mode,
    is_on: bool,
    rest: u8,
}

static MACHINE: Layout = Machine::LAYOUT;

/// Takes the next `count` bytes, or fewer at the end.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    taken
}

fn number(bytes: &mut &[u8]) -> u8 {
    take(bytes, 1).first().copied().unwrap_or(0)
}

/// A handle that is often near those that there are.
fn handle(bytes: &mut &[u8]) -> Entity {
    let (near, far) = (number(bytes), number(bytes));
    let index = u64::from(near) % 40 + if far == 255 { u64::from(near) << 12 } else { 0 };
    Entity::from_bits(u64::from(far % 4) << 32 | index)
}

/// Reads every typed value: an enum, a `bool` or a `char` that is none would not survive it.
fn read_all(world: &World, view: Option<&View>) -> usize {
    let is_whole = |machine: &Machine| {
        assert!(matches!(machine.mode, Mode::Idle | Mode::Busy));
        assert!(u32::from(machine.letter) <= u32::from(char::MAX));
        usize::from(machine.is_on)
    };
    let mut on: usize = world.query::<&Machine>().iter().map(is_whole).sum();
    on += world.query::<(&bool, Option<&Byte>)>().iter().filter(|(on, _)| **on).count();
    if let Some(view) = view {
        on += view.query::<&Machine>().iter().count();
    }
    let mut cursor = EventCursor::default();
    let events = world.events::<Mode>(&mut cursor).map(|mode| mode as usize);
    on + events.sum::<usize>() + world.resource::<Byte>().map_or(0, |byte| *byte as usize)
}

/// Feeds a world with bytes until there are none left.
///
/// # Panics
///
/// When a value is none, or when something that was refused has changed the world.
pub fn feed(mut bytes: &[u8]) {
    let schema = Schema::builder()
        .component(TypeEntry::<Machine>::new().named("machine", 1).with_layout())
        .component(TypeEntry::<bool>::new().named("flag", 1).with_layout())
        .toggle(TypeEntry::<Byte>::new().named("byte", 1))
        .event(TypeEntry::<Mode>::new().named("mode", 1).with_layout())
        .resource(TypeEntry::<Byte>::new().named("byte", 1))
        .component(TypeEntry::<u32>::new().named("number", 1).with_layout());
    let schema = schema.build().unwrap_or_else(|error| panic!("{error}"));
    let config =
        WorldConfig::default().schema(schema).chunk_rows_max(4).memory_limit_bytes(1 << 20);
    let mut world = World::with_config(config);
    let pool = SnapshotPool::for_world(&world);
    let mut view = None;
    while !bytes.is_empty() {
        let (step, entity) = (number(&mut bytes) % 12, handle(&mut bytes));
        let id = ids(&world, number(&mut bytes));
        let len = world.component_info(id).map_or(3, |info| info.size());
        let len = if number(&mut bytes) == 0 { 5 } else { len };
        let value = take(&mut bytes, len);
        let hash = world.state_hash();
        let is_taken = match step {
            0 => world.spawn_described(&[(id, value)]).is_ok(),
            1 => world.insert_described(entity, &[(id, value)]).is_ok(),
            2 => world.set_bytes(entity, id, value).is_ok(),
            3 => world.send_event_bytes(id, value).is_ok(),
            4 => world.set_resource_bytes(id, value).is_ok(),
            5 => world.spawn_at(entity, (true,)).is_ok(),
            6 => world.despawn(entity).is_ok(),
            7 => world.remove_described(entity, &[id]).is_ok(),
            8 => describe(&mut world, value),
            9 => {
                view = Some(world.capture(ComponentMask::ALL, &pool));
                true
            }
            10 => view.as_ref().is_some_and(|view| world.restore(view).is_ok()),
            _ => {
                print(&world, entity, value);
                continue;
            }
        };
        assert!(is_taken || world.state_hash() == hash, "what was refused changes nothing");
        read_all(&world, view.as_ref());
    }
    let mut replica = World::new();
    replica.sync_from(&world, ComponentMask::ALL).unwrap_or_else(|error| panic!("{error}"));
    assert!(first_difference(&world, &replica).is_none());
    assert_eq!(read_all(&replica, None), read_all(&world, None));
}

/// An id of the world's, now and then an unknown one.
fn ids(world: &World, number: u8) -> ComponentId {
    let known = ComponentMask::ALL.iter().take_while(|&id| world.component_info(id).is_some());
    let count = known.count() + 1;
    let mut ids = ComponentMask::ALL.iter();
    ids.nth(usize::from(number) % count).unwrap_or_else(|| unreachable!("fewer are known"))
}

/// Describes a component whose name and shape are bytes.
fn describe(world: &mut World, bytes: &[u8]) -> bool {
    let name = String::from_utf8_lossy(bytes);
    let size = bytes.first().map_or(0, |&size| usize::from(size));
    let align = bytes.last().map_or(0, |&align| usize::from(align));
    let known = world.component_id_by_name(&name).is_some();
    world.register_described(ComponentDescription { name: &name, size, align }).is_ok() && !known
}

/// Prints whatever there is.
fn print(world: &World, entity: Entity, bytes: &[u8]) {
    if let Some(value) = MACHINE.value(bytes) {
        assert!(!format!("{value:?} {:?}", value.field("letter")).is_empty());
    }
    for id in ComponentMask::ALL.iter().take(12) {
        if let Ok(value) = world.value(entity, id) {
            assert!(!format!("{value:?} {:?}", value.scalar()).is_empty());
        }
    }
}
