//! Schemas: types under names that last, in an order that fixes their ids.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use bytemuck::{CheckedBitPattern, NoUninit, Pod, Zeroable};
use convoy_engine::component::ComponentDescription;
use convoy_engine::events::EventCursor;
use convoy_engine::hierarchy::ChildOf;
use convoy_engine::schema::{
    LayoutKind, NumberKind, Scalar, Schema, SchemaBuilder, SchemaError, TypeEntry, TypeLayout,
};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World, WorldConfig};

#[derive(Clone, Copy, PartialEq, Debug, NoUninit, CheckedBitPattern, TypeLayout)]
#[repr(i16)]
enum Mood {
    Calm = -3,
    Angry = 400,
}

#[derive(Clone, Copy, PartialEq, Debug, NoUninit, CheckedBitPattern, TypeLayout)]
#[repr(C)]
struct Pilot {
    leader: Entity,
    letter: char,
    mood: Mood,
    is_awake: bool,
    r#type: u8,
}

#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable, TypeLayout)]
#[repr(C)]
struct Path {
    points: [[f32; 2]; 2],
    costs: (),
    total: f64,
}

#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable, TypeLayout)]
#[repr(transparent)]
struct Speed(f32);

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Alarm(u32);

fn speed() -> TypeEntry<Speed> {
    TypeEntry::new().named("speed", 2).with_layout()
}

fn builder() -> SchemaBuilder {
    Schema::builder()
        .component(TypeEntry::<Pilot>::new().named("pilot", 1).with_layout())
        .toggle(speed())
        .event(TypeEntry::<Alarm>::new().named("alarm", 1))
        .resource(TypeEntry::<u64>::new().named("score", 1).with_layout())
        .component(TypeEntry::<Path>::new().named("path", 7).with_layout())
}

#[test]
fn worlds_of_one_schema_agree_on_ids_whatever_comes_first_in_them() {
    let schema = builder().archetype(&["path", "speed"]).archetype(&["pilot"]).build().unwrap();
    let (mut one, mut other) = (World::with_schema(&schema), World::with_schema(&schema));
    one.spawn((Speed(1.0),));
    one.register::<u8>().unwrap();
    other.send_event(Alarm(1));
    other.register::<u16>().unwrap();
    other.spawn((Speed(2.0), 1_u32));
    for world in [&one, &other] {
        assert_eq!(world.schema(), Some(&schema));
        let ids = ["pilot", "speed", "path"].map(|name| world.component_id_by_name(name).unwrap());
        assert_eq!(ids.map(|id| id.index()), [1, 2, 6], "a toggle takes two ids, events their own");
        assert_eq!(world.component_id::<Path>(), Some(ids[2]));
        let info = world.component_info(ids[1]).unwrap();
        assert_eq!((info.name(), info.version(), info.is_stable()), ("speed", 2, true));
    }
    assert_eq!(one.component_id::<u8>().map(|id| id.index()), Some(7));
    assert!(!one.component_info(one.component_id::<u8>().unwrap()).unwrap().is_stable());
    // In another world the first archetype comes by the first entity.
    let names = |world: &World| -> Vec<Vec<String>> {
        let archetypes = world.archetypes().skip(1).take(2);
        archetypes.map(|each| each.names().map(str::to_owned).collect()).collect()
    };
    assert_eq!(names(&one), names(&other));
    assert_eq!(names(&one)[1], ["pilot"]);
}

#[test]
fn the_fingerprint_tells_whatever_two_processes_have_to_agree_about() {
    let schema = || builder().build().unwrap();
    assert_eq!(schema().fingerprint(), schema().fingerprint());
    assert!(schema() == schema() && schema().is_stable());
    let others = [
        builder().component(TypeEntry::<u32>::new().named("more", 1)),
        builder().archetype(&["pilot"]),
        Schema::builder(),
        Schema::builder().component(speed()),
        Schema::builder().component(speed().named("velocity", 2)),
        Schema::builder().component(speed().named("speed", 3)),
        Schema::builder().component(TypeEntry::<Speed>::new().named("speed", 2)),
        Schema::builder().component(TypeEntry::<f32>::new().named("speed", 2).with_layout()),
        Schema::builder().component(TypeEntry::<u32>::new().named("speed", 2).with_layout()),
        Schema::builder().event(speed()),
        Schema::builder().toggle(speed()),
        Schema::builder().component(TypeEntry::<f64>::new().named("speed", 2)),
        Schema::builder()
            .component(TypeEntry::<f64>::new().named("a", 1))
            .component(TypeEntry::<i64>::new().named("b", 1)),
        Schema::builder()
            .component(TypeEntry::<i64>::new().named("b", 1))
            .component(TypeEntry::<f64>::new().named("a", 1)),
    ];
    let mut found: Vec<_> = others.map(|each| each.build().unwrap().fingerprint()).into();
    found.push(schema().fingerprint());
    let count = found.len();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), count, "all differ");
    let unstable = Schema::builder().component(TypeEntry::<u32>::new()).build().unwrap();
    assert!(!unstable.is_stable());
    // The number itself is the same on every machine and in every build.
    let fixed = Schema::builder()
        .component(TypeEntry::<Speed>::new().named("speed", 2).with_layout())
        .build()
        .unwrap();
    assert_eq!(format!("{:016x}", fixed.fingerprint()), FIXED);
}

const FIXED: &str = "5daf1639ca19af9e";

#[test]
fn what_is_wrong_with_a_schema_is_said_when_it_is_built() {
    let error = |builder: SchemaBuilder| builder.build().unwrap_err();
    let number = || TypeEntry::<u32>::new();
    assert_eq!(
        error(builder().component(number().named("pilot", 1))),
        SchemaError::Name { name: "pilot" }
    );
    assert!(builder().event(number().named("pilot", 1)).build().is_ok(), "an event of that name");
    assert_eq!(
        error(builder().component(speed().named("fast", 1))),
        SchemaError::Type { name: "fast" }
    );
    assert_eq!(error(builder().component(number().named("", 1))), SchemaError::Empty);
    for names in [&["pilots"][..], &["pilot", "pilot"], &["alarm"]] {
        assert!(matches!(error(builder().archetype(names)), SchemaError::Archetype { .. }));
    }
    assert_eq!(error(builder().archetype(&[])), SchemaError::Repeated);
    let twice = builder().archetype(&["path", "pilot"]).archetype(&["pilot", "path"]);
    assert_eq!(error(twice), SchemaError::Repeated);
    let flat = ComponentDescription { name: "flat", size: 0, align: 1 };
    assert!(matches!(error(builder().described(flat, 1)), SchemaError::Register(_)));
    assert!(!error(builder().described(flat, 1)).to_string().is_empty());
}

#[test]
fn layouts_name_fields_offsets_kinds_and_variants() {
    let layout = Pilot::LAYOUT;
    let fields = ["leader", "letter", "mood", "is_awake", "type"];
    let found = fields.map(|name| layout.field(name).unwrap());
    assert_eq!(found.map(|field| field.offset), [0, 8, 12, 14, 15]);
    assert_eq!((layout.size(), layout.align()), (16, 4));
    let LayoutKind::Enum { tag: NumberKind::I16, variants } = found[2].layout.kind() else {
        panic!("an enum of i16")
    };
    let variants: Vec<_> = variants.iter().map(|each| (each.name, each.value)).collect();
    assert_eq!(variants, [("Calm", -3), ("Angry", 400)]);
    let LayoutKind::Array { element, count: 2 } =
        Path::LAYOUT.field("points").unwrap().layout.kind()
    else {
        panic!("an array of two")
    };
    assert!(matches!(element.kind(), LayoutKind::Array { count: 2, .. }));
    assert!(layout.field("missing").is_none() && Mood::LAYOUT.field("Calm").is_none());
}

#[test]
fn values_print_as_rust_prints_them_and_are_read_by_field() {
    let schema = builder().build().unwrap();
    let mut world = World::with_schema(&schema);
    let leader = world.spawn(());
    let pilot = Pilot { leader, letter: 'ß', mood: Mood::Angry, is_awake: true, r#type: 9 };
    let path = Path { points: [[1.0, -0.5], [0.1, f32::MAX]], costs: (), total: 0.1 };
    let entity = world.spawn((pilot, path, Speed(0.1)));
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::for_world(&world));
    let id = |name| world.component_id_by_name(name).unwrap();
    for (name, text) in [
        ("pilot", format!("{pilot:?}")),
        ("path", format!("{path:?}")),
        ("speed", format!("{:?}", Speed(0.1))),
    ] {
        assert_eq!(format!("{:?}", world.value(entity, id(name)).unwrap()), text);
        assert_eq!(format!("{:?}", view.value(entity, id(name)).unwrap()), text);
    }
    let value = world.value(entity, id("pilot")).unwrap();
    let scalar = |name| value.field(name).unwrap().scalar();
    assert_eq!(scalar("leader"), Some(Scalar::Entity(leader)));
    assert_eq!(scalar("letter"), Some(Scalar::Char('ß')));
    assert_eq!(scalar("mood"), Some(Scalar::Variant("Angry")));
    assert_eq!(scalar("is_awake"), Some(Scalar::Bool(true)));
    assert_eq!(scalar("type"), Some(Scalar::Unsigned(9)));
    assert!(value.field("none").is_none() && value.scalar().is_none());
    assert_eq!(value.fields().count(), 5);
    let path = world.value(entity, id("path")).unwrap();
    let points: Vec<_> = path.field("points").unwrap().elements().collect();
    let first: Vec<_> = points[0].elements().map(|each| each.scalar()).collect();
    assert_eq!(first, [Some(Scalar::Float(1.0)), Some(Scalar::Float(-0.5))]);
    // A component without a layout is its bytes, and bytes that are no value are told as such.
    let bare = world.register::<u16>().unwrap();
    world.insert(entity, (258_u16,)).unwrap();
    assert_eq!(format!("{:?}", world.value(entity, bare).unwrap()), "[2, 1]");
    static MOOD: convoy_engine::schema::Layout = Mood::LAYOUT;
    assert_eq!(format!("{:?}", MOOD.value(&[1, 0]).unwrap()), "Mood([1, 0])");
    assert!(MOOD.value(&[1]).is_none());
}

#[test]
fn snapshots_branches_and_replicas_know_the_names() {
    let schema = builder().build().unwrap();
    let config = WorldConfig::default().schema(schema.clone()).chunk_rows_max(4);
    let mut world = World::with_config(config.clone());
    for number in 0..20 {
        world.spawn((Speed(number as f32),));
        world.send_event(Alarm(number));
    }
    world.insert_resource(5_u64).unwrap();
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::for_world(&world));
    let branch = World::branch(&view).unwrap();
    assert_eq!(branch.schema(), Some(&schema));
    // A replica of the same schema, and one that has met the types in another order.
    let mut same = World::with_config(config.clone());
    let mut stranger = World::with_config(config.schema(None));
    stranger.send_event(Alarm(9));
    stranger.spawn((1_u8, Path::zeroed()));
    for replica in [&mut same, &mut stranger] {
        replica.sync_from(&world, ComponentMask::ALL).unwrap();
        assert_eq!(replica.state_hash(), world.state_hash());
    }
    assert_eq!(same.component_id::<Speed>(), world.component_id::<Speed>());
    let mut cursor = EventCursor::<Alarm>::default();
    assert_eq!(same.events(&mut cursor).count(), 20);
}

/// Names that stand for other types elsewhere made two types one.
#[test]
fn worlds_that_call_different_types_by_one_name_are_told() {
    let named = |name| Schema::builder().component(TypeEntry::<u32>::new().named(name, 1)).build();
    let mut source = World::with_schema(&named("health").unwrap());
    source.register_described(ComponentDescription { name: "hp", size: 4, align: 4 }).unwrap();
    let mut replica = World::with_schema(&named("hp").unwrap());
    let entity = replica.spawn((1_u32,));
    let error = replica.sync_from(&source, ComponentMask::ALL).unwrap_err();
    assert!(error.to_string().contains("hp"), "{error}");
    assert_eq!(replica.get::<u32>(entity).unwrap(), &1);
    // A name that is taken stays with its owner.
    let mut own = World::new();
    own.register_described(ComponentDescription { name: "health", size: 4, align: 4 }).unwrap();
    own.register::<u32>().unwrap();
    let named = World::with_schema(&named("health").unwrap());
    own.sync_from(&named, ComponentMask::ALL).unwrap();
    let id = own.component_id::<u32>().unwrap();
    assert_eq!(own.component_info(id).unwrap().name(), "u32");
    World::new().sync_from(&own, ComponentMask::ALL).unwrap();
}

#[test]
fn what_the_engine_owns_is_no_toggle_and_no_component_of_a_schema() {
    let handles = Schema::builder().component(TypeEntry::<Entity>::new().named("x", 1)).build();
    assert_eq!(handles.unwrap_err(), SchemaError::Reserved);
    let handles = Schema::builder().toggle(TypeEntry::<Entity>::new()).build();
    assert_eq!(handles.unwrap_err(), SchemaError::Reserved);
    let links = Schema::builder().toggle(TypeEntry::<ChildOf>::new()).build();
    assert!(matches!(links.unwrap_err(), SchemaError::Register(_)));
    let fine = Schema::builder()
        .component(TypeEntry::<ChildOf>::new().named("child of", 1).with_layout())
        .event(TypeEntry::<Entity>::new());
    let mut world = World::with_schema(&fine.build().unwrap());
    let (parent, child) = (world.spawn(()), world.spawn(()));
    world.set_parent(child, parent).unwrap();
    let id = world.component_id_by_name("child of").unwrap();
    let value = world.value(child, id).unwrap();
    assert_eq!(value.field("parent").unwrap().scalar(), Some(Scalar::Entity(parent)));
}
