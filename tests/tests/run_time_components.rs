//! Components that are described at run time, and typed ones by their ids.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;

use bytemuck::{bytes_of, cast_slice, pod_read_unaligned};
use convoy_engine::component::{COMPONENTS_MAX, ComponentDescription, ComponentId, RegisterError};
use convoy_engine::query::{QueryError, ReadError};
use convoy_engine::world::{ComponentError, SpawnError};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World, WorldConfig};
use convoy_tests::Mixer;

fn described(name: &str, size: usize, align: usize) -> ComponentDescription<'_> {
    ComponentDescription { name, size, align }
}

fn small_chunks() -> World {
    let config = WorldConfig::default().chunk_rows_max(8);
    World::with_config(config)
}

/// An id that the world under test does not know.
fn foreign_id() -> ComponentId {
    let mut other = World::new();
    let ids = (0..50).map(|n| other.register_described(described(&format!("foreign{n}"), 1, 1)));
    ids.last().unwrap().unwrap()
}

/// All rows of some components, by entity.
fn rows(tables: &impl Described, ids: &[ComponentId]) -> BTreeMap<Entity, Vec<Vec<u8>>> {
    tables.rows_of(ids)
}

trait Described {
    fn rows_of(&self, ids: &[ComponentId]) -> BTreeMap<Entity, Vec<Vec<u8>>>;
}

macro_rules! described_rows {
    ($($name:ty)+) => { $(
        impl Described for $name {
            fn rows_of(&self, ids: &[ComponentId]) -> BTreeMap<Entity, Vec<Vec<u8>>> {
                let query = self.query_described(ids, &[]).unwrap();
                let mut rows = BTreeMap::new();
                for run in &query {
                    for (row, &entity) in run.entities().unwrap().iter().enumerate() {
                        let values = run.columns().map(|column| {
                            let size = column.len() / run.len();
                            column[row * size..][..size].to_vec()
                        });
                        assert!(rows.insert(entity, values.collect()).is_none());
                    }
                }
                assert_eq!(query.count(), rows.len());
                rows
            }
        }
    )+ };
}

described_rows!(World convoy_engine::View);

#[test]
fn bad_descriptions_are_errors_that_name_the_component() {
    let mut world = World::new();
    let mut register = |size, align| world.register_described(described("bad", size, align));
    let component = "bad";
    assert_eq!(register(0, 1), Err(RegisterError::ZeroSize { component }));
    assert_eq!(register(0, 0), Err(RegisterError::ZeroSize { component }));
    assert_eq!(register(4, 0), Err(RegisterError::NotPowerOfTwo { component, align: 0 }));
    assert_eq!(register(12, 3), Err(RegisterError::NotPowerOfTwo { component, align: 3 }));
    assert_eq!(register(6, 4), Err(RegisterError::Stride { component, bytes: 6, align: 4 }));
    let align = 1 << 20;
    assert_eq!(register(align, align), Err(RegisterError::Alignment { component, align }));
    let (bytes, limit_bytes) = (1 << 45, convoy_pool::SizeClass::MAX.bytes());
    assert_eq!(register(bytes, 1), Err(RegisterError::TooLarge { component, bytes, limit_bytes }));
    let id = register(8, 4).unwrap();
    assert_eq!(register(8, 4), Ok(id), "the same description again");
    assert_eq!(register(8, 8), Err(RegisterError::Shape { component }));
    assert_eq!(register(12, 4), Err(RegisterError::Shape { component }));
    assert_eq!(world.component_id_by_name("bad"), Some(id));
    assert_eq!(world.component_id_by_name("worse"), None);
    let info = world.component_info(id).unwrap();
    assert_eq!((info.name(), info.size(), info.align()), ("bad", 8, 4));
}

#[test]
fn more_components_than_a_mask_holds_are_an_error() {
    let mut world = World::new();
    let mut ids = Vec::new();
    let error = loop {
        let name = format!("number {}", ids.len());
        match world.register_described(described(&name, 4, 4)) {
            Ok(id) => ids.push(id),
            Err(error) => break error,
        }
    };
    assert!(ids.len() <= COMPONENTS_MAX && ids.len() > COMPONENTS_MAX - 8);
    assert!(
        matches!(error, RegisterError::TooManyTypes { component } if component.starts_with("number "))
    );
    let bytes = 7_u32.to_ne_bytes();
    let all: Vec<_> = ids.iter().map(|&id| (id, &bytes[..])).collect();
    let entity = world.spawn_described(&all).unwrap();
    assert_eq!(world.get_bytes(entity, *ids.last().unwrap()).unwrap(), bytes);
    world.remove_described(entity, &ids[1..]).unwrap();
    assert_eq!(world.get_bytes(entity, ids[0]).unwrap(), bytes);
}

#[test]
fn typed_and_run_time_access_agree_on_one_column() {
    let mut world = World::new();
    let number = world.register::<u32>().unwrap();
    assert_eq!(world.component_id::<u32>(), Some(number));
    assert_eq!(world.component_id_by_name("u32"), Some(number));
    assert_eq!(world.register_described(described("u32", 4, 4)), Ok(number));
    let entity = world.spawn_described(&[(number, &5_u32.to_ne_bytes())]).unwrap();
    assert_eq!(*world.get::<u32>(entity).unwrap(), 5);
    *world.get_mut::<u32>(entity).unwrap() = 6;
    assert_eq!(world.get_bytes(entity, number).unwrap(), 6_u32.to_ne_bytes());
    world.set_bytes(entity, number, &7_u32.to_ne_bytes()).unwrap();
    assert_eq!(world.query::<&u32>().single(), Some(&7));
    assert_eq!(world.remove::<(u32,)>(entity).unwrap(), (7,));
}

#[test]
fn type_takes_over_the_column_that_was_described_for_it() {
    let mut world = World::new();
    let id = world.register_described(described("f64", 8, 8)).unwrap();
    assert!(world.component_info(id).unwrap().is_described());
    let entity = world.spawn_described(&[(id, bytes_of(&2.5_f64))]).unwrap();
    assert!(world.get::<f64>(entity).is_err(), "nobody said that f64 is the type");
    let pool = SnapshotPool::default();
    let view = world.capture(ComponentMask::ALL, &pool);
    assert_eq!(world.register::<f64>(), Ok(id));
    assert!(!world.component_info(id).unwrap().is_described());
    assert_eq!(*world.get::<f64>(entity).unwrap(), 2.5);
    assert_eq!(view.get_bytes(entity, id).unwrap(), bytes_of(&2.5_f64));
    world.register_described(described("i16", 4, 4)).unwrap();
    assert_eq!(world.register::<i16>(), Err(RegisterError::Shape { component: "i16" }));
    assert!(matches!(
        world.try_spawn((1_i16,)),
        Err(SpawnError::Register(RegisterError::Shape { component: "i16" }))
    ));
}

#[test]
fn zero_sized_types_have_no_bytes() {
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C)]
    struct Tag;
    let mut world = World::new();
    let (tag, number) = (world.register::<Tag>().unwrap(), world.register::<u16>().unwrap());
    let entity = world.spawn_described(&[(number, &[1, 2]), (tag, &[])]).unwrap();
    assert!(world.get::<Tag>(entity).is_ok());
    assert_eq!(world.get_bytes(entity, tag).unwrap(), [0_u8; 0]);
    world.set_bytes(entity, tag, &[]).unwrap();
    let tags = [tag];
    let run = world.query_described(&tags, &[]).unwrap().iter().next().unwrap();
    assert_eq!((run.len(), run.column(0)), (1, &[][..]));
    assert_eq!(rows(&world, &[tag, number])[&entity], [vec![], vec![1, 2]]);
}

#[test]
fn bad_arguments_are_errors_and_change_nothing() {
    let mut world = World::new();
    let wind = world.register_described(described("wind", 2, 2)).unwrap();
    let rain = world.register_described(described("rain", 1, 1)).unwrap();
    let foreign = foreign_id();
    let event = world.register_event::<u64>().unwrap();
    let entity = world.spawn_described(&[(wind, &[1, 2])]).unwrap();
    let stale = world.spawn(());
    world.despawn(stale).unwrap();

    for id in [foreign, event] {
        let unknown = world.spawn_described(&[(id, &[0; 8])]);
        assert!(matches!(unknown, Err(SpawnError::Unknown { id: found }) if found == id));
        let result = world.insert_described(entity, &[(rain, &[1]), (id, &[1])]);
        assert!(matches!(result, Err(ComponentError::Unknown { .. })));
        let result = world.remove_described(entity, &[wind, id]);
        assert!(matches!(result, Err(ComponentError::Unknown { .. })));
        assert!(matches!(world.get_bytes(entity, id), Err(ReadError::Unknown { .. })));
        let result = world.set_bytes(entity, id, &[0; 8]);
        assert!(matches!(result, Err(ComponentError::Unknown { .. })));
        assert_eq!(world.query_described(&[id], &[]).err(), Some(QueryError::Unknown { id }));
        assert_eq!(world.query_described(&[], &[id]).err(), Some(QueryError::Unknown { id }));
    }
    let (component, expected, found) = ("wind", 2, 3);
    let lengths = SpawnError::Bytes { component, expected, found }.to_string();
    let error = world.spawn_described(&[(rain, &[1]), (wind, &[1, 2, 3])]).unwrap_err();
    assert_eq!(error.to_string(), lengths);
    let error = world.insert_described(entity, &[(rain, &[1]), (wind, &[1, 2, 3])]).unwrap_err();
    assert_eq!(error.to_string(), lengths);
    assert_eq!(world.set_bytes(entity, wind, &[1, 2, 3]).unwrap_err().to_string(), lengths);
    let twice = [(wind, &[1, 2][..]), (wind, &[3, 4][..])];
    let result = world.spawn_described(&twice);
    assert!(matches!(result, Err(SpawnError::Duplicate { component: "wind" })));
    let result = world.insert_described(entity, &twice);
    assert!(matches!(result, Err(ComponentError::Bundle(SpawnError::Duplicate { .. }))));
    let result = world.remove_described(entity, &[wind, wind]);
    assert!(matches!(result, Err(ComponentError::Bundle(SpawnError::Duplicate { .. }))));
    let handles = [(ComponentId::ENTITY, &[0; 8][..])];
    assert!(matches!(world.spawn_described(&handles), Err(SpawnError::Reserved)));
    let result = world.set_bytes(entity, ComponentId::ENTITY, &[0; 8]);
    assert!(matches!(result, Err(ComponentError::Bundle(SpawnError::Reserved))));
    assert_eq!(world.get_bytes(entity, ComponentId::ENTITY).unwrap(), bytes_of(&entity));
    for result in [
        world.insert_described(stale, &[(rain, &[1])]),
        world.remove_described(stale, &[wind]),
        world.set_bytes(stale, wind, &[1, 2]),
        world.get_bytes(stale, wind).map(|_| ()).map_err(ComponentError::from),
    ] {
        assert!(matches!(result, Err(ComponentError::NotAlive { entity }) if entity == stale));
    }
    for result in [
        world.remove_described(entity, &[wind, rain]),
        world.set_bytes(entity, rain, &[1]),
        world.get_bytes(entity, rain).map(|_| ()).map_err(ComponentError::from),
    ] {
        assert!(matches!(result, Err(ComponentError::Missing { component: "rain", .. })));
    }
    assert_eq!(world.entity_count(), 1);
    assert_eq!(rows(&world, &[wind]), BTreeMap::from([(entity, vec![vec![1, 2]])]));
    assert_eq!(world.query_described(&[wind], &[rain]).unwrap().count(), 1);
}

#[test]
fn values_are_aligned_as_described() {
    let mut world = small_chunks();
    let id = world.register_described(described("wide", 64, 64)).unwrap();
    world.spawn((1_u8,));
    for _ in 0..100 {
        world.spawn_described(&[(id, &[9; 64])]).unwrap();
    }
    for run in &world.query_described(&[id], &[]).unwrap() {
        assert!(run.column(0).as_ptr().addr().is_multiple_of(64));
    }
}

#[test]
fn view_without_handles_reads_bytes_and_no_entities() {
    let mut world = small_chunks();
    let wind = world.register_described(described("wind", 2, 2)).unwrap();
    let rain = world.register_described(described("rain", 1, 1)).unwrap();
    let entity = world.spawn_described(&[(wind, &[1, 2]), (rain, &[3])]).unwrap();
    let pool = SnapshotPool::default();
    let view = world.capture(ComponentMask::from_iter([wind]), &pool);
    let ids = [wind];
    let run = view.query_described(&ids, &[]).unwrap().iter().next().unwrap();
    assert_eq!((run.entities(), run.column(0)), (None, &[1, 2][..]));
    let error = QueryError::NotReadable { component: "rain" };
    assert_eq!(view.query_described(&[rain], &[]).err(), Some(error));
    assert_eq!(view.query_described(&ids, &[rain]).unwrap().count(), 0, "filters need no bit");
    assert!(matches!(view.get_bytes(entity, wind), Err(ReadError::NotReadable { .. })));

    let view = world.capture(ComponentMask::from_iter([wind, ComponentId::ENTITY]), &pool);
    assert_eq!(view.get_bytes(entity, wind), Ok(&[1, 2][..]));
    let not_captured = ReadError::NotReadable { component: "rain" };
    assert_eq!(view.get_bytes(entity, rain), Err(not_captured));
    let late = world.register_described(described("late", 1, 1)).unwrap();
    assert_eq!(view.get_bytes(entity, late), Err(ReadError::Unknown { id: late }));
    let plain = world.spawn(());
    let view = world.capture(ComponentMask::ALL, &pool);
    assert!(matches!(view.get_bytes(plain, wind), Err(ReadError::Missing { .. })));
}

#[test]
fn replica_holds_described_components() {
    let mut source = small_chunks();
    let id = source.register_described(described("wind", 4, 4)).unwrap();
    let entity = source.spawn_described(&[(id, &[1; 4])]).unwrap();
    let mut replica = small_chunks();
    replica.register_described(described("wind", 4, 4)).unwrap();
    replica.sync_from(&source, ComponentMask::ALL).unwrap();
    assert_eq!(replica.get_bytes(entity, id).unwrap(), [1; 4]);
    let mut other = small_chunks();
    other.register_described(described("wind", 4, 2)).unwrap();
    assert!(other.sync_from(&source, ComponentMask::ALL).is_err(), "another shape");
    let only_handles = ComponentMask::from_iter([ComponentId::ENTITY]);
    replica.sync_from(&source, only_handles).unwrap();
    let result = replica.get_bytes(entity, id);
    assert!(matches!(result, Err(ReadError::NotReadable { component: "wind" })));
    assert!(replica.query_described(&[id], &[]).is_err());
    assert!(matches!(replica.spawn_described(&[]), Err(SpawnError::PartialReplica)));
    let result = replica.insert_described(entity, &[]);
    assert!(matches!(result, Err(ComponentError::PartialReplica)));
}

/// Sizes of the components of the random program; the last one is a typed `u32`.
const SIZES: [usize; 5] = [1, 12, 40, 2, 4];

#[derive(Default)]
struct Model {
    entities: BTreeMap<Entity, BTreeMap<usize, Vec<u8>>>,
    stale: Vec<Entity>,
}

impl Model {
    fn rows(&self, required: &[usize]) -> BTreeMap<Entity, Vec<Vec<u8>>> {
        let found = self.entities.iter().filter_map(|(&entity, row)| {
            let values: Option<Vec<_>> =
                required.iter().map(|kind| row.get(kind).cloned()).collect();
            Some((entity, values?))
        });
        found.collect()
    }

    fn some_entity(&self, mixer: &mut Mixer) -> Option<Entity> {
        self.entities.keys().nth(mixer.below(self.entities.len().max(1))).copied()
    }
}

fn some_values(mixer: &mut Mixer) -> BTreeMap<usize, Vec<u8>> {
    let kinds = mixer.below(1 << SIZES.len());
    let wanted = (0..SIZES.len()).filter(|kind| kinds >> kind & 1 == 1);
    wanted.map(|kind| (kind, (0..SIZES[kind]).map(|_| mixer.below(256) as u8).collect())).collect()
}

fn check(world: &World, view: Option<&convoy_engine::View>, model: &Model, ids: &[ComponentId]) {
    for required in [&[0_usize][..], &[1, 4], &[3, 2, 0], &[4]] {
        let wanted: Vec<_> = required.iter().map(|&kind| ids[kind]).collect();
        let found = match view {
            Some(view) => rows(view, &wanted),
            None => rows(world, &wanted),
        };
        assert_eq!(found, model.rows(required));
    }
}

#[test]
fn random_program_of_described_operations_equals_a_model() {
    let (mut world, mut model, mut mixer) = (small_chunks(), Model::default(), Mixer::new(11));
    let mut ids: Vec<_> = (0..SIZES.len() - 1)
        .map(|kind| world.register_described(described(&format!("kind {kind}"), SIZES[kind], 1)))
        .map(Result::unwrap)
        .collect();
    ids.push(world.register::<u32>().unwrap());
    let pool = SnapshotPool::default();
    let mut views = Vec::new();
    for step in 0..6_000 {
        let values = some_values(&mut mixer);
        let listed: Vec<_> = values.iter().map(|(&kind, bytes)| (ids[kind], &bytes[..])).collect();
        let target = model.some_entity(&mut mixer);
        match (mixer.below(10), target) {
            (0..=2, _) | (_, None) => {
                model.entities.insert(world.spawn_described(&listed).unwrap(), values);
            }
            (3..=4, Some(entity)) => {
                world.insert_described(entity, &listed).unwrap();
                model.entities.get_mut(&entity).unwrap().extend(values);
            }
            (5..=6, Some(entity)) => {
                let row = model.entities.get_mut(&entity).unwrap();
                let removed: Vec<_> = values.keys().map(|&kind| ids[kind]).collect();
                let held = values.keys().all(|kind| row.contains_key(kind));
                assert_eq!(world.remove_described(entity, &removed).is_ok(), held);
                row.retain(|kind, _| !held || !values.contains_key(kind));
            }
            (7..=8, Some(entity)) => {
                let row = model.entities.get_mut(&entity).unwrap();
                for (kind, bytes) in values {
                    let held = row.contains_key(&kind);
                    assert_eq!(world.set_bytes(entity, ids[kind], &bytes).is_ok(), held);
                    row.entry(kind).and_modify(|value| value.clone_from(&bytes));
                }
                if let Some(value) = row.get(&4) {
                    let value = pod_read_unaligned::<u32>(value);
                    assert_eq!(*world.get::<u32>(entity).unwrap(), value);
                }
            }
            (_, Some(entity)) => {
                world.despawn(entity).unwrap();
                model.entities.remove(&entity);
                model.stale.push(entity);
            }
        }
        if step % 97 == 0 {
            check(&world, None, &model, &ids);
        }
        if step % 203 == 0 {
            let view = world.capture(ComponentMask::ALL, &pool);
            let entities = model.entities.clone();
            views.push((view, Model { entities, stale: Vec::new() }));
            if views.len() > 4 {
                let (view, model) = views.remove(mixer.below(4));
                check(&world, Some(&view), &model, &ids);
            }
        }
    }
    let typed: u64 = world.query::<&u32>().iter().map(|&value| u64::from(value)).sum();
    let bytes = model.rows(&[4]).into_values().map(|row| pod_read_unaligned::<u32>(&row[0]));
    assert_eq!(typed, bytes.map(u64::from).sum::<u64>());
    assert!(model.stale.iter().all(|&entity| world.get_bytes(entity, ids[0]).is_err()));
    assert!(world.archetypes().len() > 20);
}

#[test]
fn columns_of_a_run_can_be_cast() {
    let mut world = World::new();
    let id = world.register::<[f32; 3]>().unwrap();
    for number in 0..10_000 {
        world.spawn(([number as f32; 3],));
    }
    let ids = [id];
    let runs = world.query_described(&ids, &[]).unwrap();
    let sum: f32 = runs.iter().map(|run| cast_slice::<u8, f32>(run.column(0))[0]).sum();
    assert!(sum > 0.0);
}
