//! Looking around: what entities and archetypes are made of, in worlds, branches, replicas and views.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use convoy_engine::component::ComponentDescription;
use convoy_engine::query::ReadError;
use convoy_engine::world::{ArchetypeStatistics, Components};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World};

mod left {
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C)]
    pub(crate) struct Point(pub(crate) f32);
}

mod right {
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C)]
    pub(crate) struct Point(pub(crate) u64);
}

fn names(components: Components<'_>) -> Vec<&'static str> {
    components.map(|(_, info)| info.name()).collect()
}

/// A world with a toggle, a described component and a hierarchy, and an entity that has them all.
fn world() -> (World, Entity) {
    let mut world = World::new();
    world.register_toggle::<u8>().unwrap();
    world.register_event::<u64>().unwrap();
    let wind = ComponentDescription { name: "wind", size: 4, align: 4 };
    let wind = world.register_described(wind).unwrap();
    let ship = world.spawn((0.5_f32, 7_u8));
    world.insert_described(ship, &[(wind, &[1; 4])]).unwrap();
    (world, ship)
}

#[test]
fn components_of_an_entity_are_those_that_it_has_in_worlds_and_views() {
    let (mut world, ship) = world();
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    let branch = World::branch(&view).unwrap();
    let mut replica = World::new();
    replica.register::<u16>().unwrap();
    replica.sync_from(&world, ComponentMask::ALL).unwrap();
    for world in [&world, &branch, &replica] {
        let components = world.components_of(ship).unwrap();
        assert_eq!(format!("{components:?}"), format!("{:?}", names(components.clone())));
        for (id, info) in components.clone() {
            assert_eq!(world.get_bytes(ship, id).unwrap().len(), info.size());
        }
        let mut names = names(components);
        names.sort_unstable();
        assert_eq!(names, ["f32", "u8", "wind"], "neither handles nor toggles");
    }
    let child = world.spawn(());
    assert_eq!(world.components_of(child).unwrap().count(), 0);
    world.set_parent(child, ship).unwrap();
    assert_eq!(names(world.components_of(child).unwrap()), ["convoy_engine::hierarchy::ChildOf"]);
    world.remove::<(f32,)>(ship).unwrap();
    assert_eq!(names(view.components_of(ship).unwrap()), ["u8", "wind", "f32"]);
}

#[test]
fn components_of_no_entity_are_an_error() {
    let (mut world, ship) = world();
    let mask = world.mask_of::<(Entity, u8)>().unwrap();
    let before = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    world.despawn(ship).unwrap();
    let error = world.components_of(ship).unwrap_err();
    assert!(matches!(error, ReadError::NotAlive { entity } if entity == ship));
    let after = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    assert_eq!(after.components_of(ship).unwrap_err(), ReadError::NotAlive { entity: ship });
    let narrow = before.clone().narrow(mask);
    assert_eq!(narrow.components_of(ship).unwrap().count(), 3, "also what it may not read");
    let handles = world.component_id_by_name("convoy_engine::Entity").unwrap();
    let mut columns = mask;
    columns.remove(handles);
    let error = before.narrow(columns).components_of(ship).unwrap_err();
    assert_eq!(error, ReadError::NotReadable { component: "convoy_engine::Entity" });
    let other = world.spawn((1_u8,));
    let mut replica = World::new();
    replica.sync_from(&world, columns).unwrap();
    let error = replica.components_of(other).unwrap_err();
    assert!(matches!(error, ReadError::NotReadable { component: "convoy_engine::Entity" }));
}

/// What is the same for a world and a view that was captured of it just now.
fn facts(archetypes: &[ArchetypeStatistics<'_>]) -> Vec<(Vec<&'static str>, usize, usize)> {
    archetypes.iter().map(|each| (each.names().collect(), each.rows, each.bytes_used)).collect()
}

#[test]
fn archetypes_of_a_view_are_those_of_its_world_at_the_capture() {
    let (mut world, ship) = world();
    world.spawn_batch((0..5000_u32).map(|number| (number, 0.5_f32))).unwrap();
    let pool = SnapshotPool::default();
    let view = world.capture(ComponentMask::ALL, &pool);
    let then = facts(&world.archetypes().collect::<Vec<_>>());
    let mut world = world;
    world.despawn(ship).unwrap();
    world.spawn((1_u64,));
    world.clear().unwrap();
    let archetypes: Vec<_> = view.archetypes().collect();
    assert_eq!(facts(&archetypes), then);
    let largest = archetypes.last().unwrap();
    assert_eq!((largest.rows, largest.bytes_used), (5000, 5000 * (8 + 4 + 4)));
    assert!(largest.bytes_reserved >= largest.bytes_used && largest.chunks >= 6);
    let used: usize = archetypes.iter().map(|each| each.bytes_used).sum();
    assert_eq!(used, view.row_bytes(&ComponentMask::ALL));
    let numbers = world.mask_of::<(u32,)>().unwrap();
    let narrow = view.narrow(numbers);
    let largest = narrow.archetypes().last().unwrap();
    assert_eq!((largest.bytes_used, largest.names().count()), (5000 * 4, 2));
}

#[test]
fn view_prints_its_archetypes_as_its_world_does() {
    let (mut world, _) = world();
    let view: View = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    world.advance_tick();
    let (table, of_world) = (format!("{view:#?}"), format!("{world:#?}"));
    let (head, rest) = table.split_once('\n').unwrap();
    assert_eq!(head, "View of tick 0 with 1 entities, one of 1 readers");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let row =
        |text: &str| words(text.lines().find(|line| line.ends_with("  u8, wind, f32")).unwrap());
    assert_eq!(row(rest), row(&of_world));
    assert!(format!("{view:?}").starts_with("View { tick: 0, entities: 1, readers: 1"));
}

/// Two points were printed as one component.
#[test]
fn types_of_one_short_name_are_told_apart() {
    let mut world = World::new();
    world.spawn((left::Point(0.5), 1_u32));
    assert!(format!("{world:#?}").contains("  Point, u32\n"), "a lone one is short");
    world.spawn((right::Point(7),));
    let table = format!("{world:#?}");
    for path in ["left::Point, u32\n", "right::Point\n"] {
        assert!(table.contains(&format!("{}::{path}", module_path!())), "{table}");
    }
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    assert!(format!("{view:#?}").contains("left::Point, u32\n"));
}

/// Types in two blocks of one function have one name, for all that the compiler tells.
#[test]
fn types_of_one_full_name_are_told_apart_by_their_ids() {
    let mut world = World::new();
    {
        #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        struct Local(f32);
        world.spawn((Local(0.5),));
    }
    {
        #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
        #[repr(C)]
        struct Local(u8);
        world.spawn((Local(1),));
    }
    let table = format!("{world:#?}");
    let rows: Vec<_> = table.lines().filter(|line| line.contains("Local")).collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert!(rows[0].ends_with("Local (id 1)") && rows[1].ends_with("Local (id 2)"), "{table}");
}
