//! The contents of checkpoint files, told without their types.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use bytemuck::{CheckedBitPattern, NoUninit, Pod, Zeroable};
use convoy_engine::checkpoint::{
    Checkpoint, CheckpointContents, CheckpointError, CheckpointPart, CheckpointReader, StoredType,
    TypeKind,
};
use convoy_engine::component::ComponentDescription;
use convoy_engine::list::List;
use convoy_engine::schema::{LayoutKind, Schema, TypeEntry, TypeLayout};
use convoy_engine::text::Text;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World, WorldConfig};

#[derive(Clone, Copy, NoUninit, CheckedBitPattern, TypeLayout)]
#[repr(u8)]
enum Gear {
    Up,
    Down = 5,
}

#[derive(Clone, Copy, NoUninit, CheckedBitPattern, TypeLayout)]
#[repr(C)]
struct Plane {
    target: Entity,
    spots: [[u16; 2]; 3],
    gear: Gear,
    is_armed: bool,
    spare: [u8; 2],
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Marked;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Beep(u32);

/// A type without a name that was chosen.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Unnamed(u64);

fn schema() -> Schema {
    let builder = Schema::builder()
        .component(TypeEntry::<Plane>::new().named("plane", 3).with_layout())
        .toggle(TypeEntry::<f32>::new().named("fuel", 1))
        .component(TypeEntry::<Marked>::new().named("marked", 1))
        .list(TypeEntry::<[f32; 2]>::new().named("way", 2).with_layout())
        .described(ComponentDescription { name: "blob", size: 12, align: 4 }, 7)
        .event(TypeEntry::<Beep>::new().named("beep", 1))
        .event(TypeEntry::<Marked>::new().named("silence", 1))
        .resource(TypeEntry::<u64>::new().named("score", 1).with_layout())
        .resource(TypeEntry::<u16>::new().named("unset", 1))
        .component(TypeEntry::<Text>::new().named("name", 1).with_layout());
    builder.build().unwrap()
}

/// Ten planes: the last one has all components, and one is despawned.
fn world() -> World {
    let mut world = World::with_config(WorldConfig::default().schema(schema()).chunk_rows_max(4));
    let plane = Plane {
        target: Entity::NONE,
        spots: [[1, 2], [3, 4], [5, 6]],
        gear: Gear::Down,
        is_armed: true,
        spare: [0; 2],
    };
    let planes: Vec<_> = (0..10).map(|_| world.spawn((plane,))).collect();
    let name = world.text("a name of many bytes");
    world.insert(planes[9], (1.5_f32, Marked, List::<[f32; 2]>::new(), name, Unnamed(9))).unwrap();
    world.list_mut::<[f32; 2]>(planes[9]).unwrap().extend(&[[0.5; 2]; 3]);
    world.despawn(planes[0]).unwrap();
    (0..6).for_each(|number| world.send_event(Beep(number)));
    (0..2).for_each(|_| world.send_event(Marked));
    world.insert_resource(77_u64).unwrap();
    world
}

fn checkpoint_of(world: &mut World) -> Checkpoint<Vec<u8>> {
    let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
    checkpoint.write(&world.capture(ComponentMask::ALL, &SnapshotPool::default())).unwrap();
    checkpoint
}

fn contents_of(file: Vec<u8>) -> CheckpointContents {
    CheckpointReader::new(file).unwrap().contents().unwrap()
}

fn of<'c>(contents: &'c CheckpointContents, name: &str) -> (usize, &'c StoredType) {
    let mut types = contents.types.iter().enumerate();
    types.find(|(_, each)| each.name == name).unwrap()
}

#[test]
fn types_are_told_in_the_order_of_their_ids() {
    let contents = contents_of(checkpoint_of(&mut world()).into_medium());
    let told = contents.types.iter().map(|each| {
        let StoredType { name, is_name_chosen, kind, version, size, align, .. } = each;
        let name = if *is_name_chosen { name } else { name.rsplit("::").next().unwrap() };
        format!("{kind} {name} {is_name_chosen} {version} {size} {align}")
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "component Entity false 0 8 4",
            "component plane true 3 24 4",
            "component fuel true 1 4 4",
            "toggle fuel (toggle) true 1 1 1",
            "component marked true 1 0 1",
            "component way true 2 8 4",
            "component blob true 7 12 4",
            "event beep true 1 4 4",
            "event silence true 1 0 1",
            "resource score true 1 8 8",
            "resource unset true 1 2 2",
            "component name true 1 8 8",
            "component Unnamed false 0 8 8",
        ]
    );
    let toggle = contents.types.iter().find(|each| each.kind == TypeKind::Toggle).unwrap();
    assert_eq!(toggle.toggle_of, Some(of(&contents, "fuel").0));
    let way = of(&contents, "way").1.list.unwrap();
    assert_eq!((way.size, way.align), (8, 4));
    assert!(contents.types.iter().filter(|each| each.list.is_some()).count() == 1);
}

#[test]
fn links_of_the_hierarchy_are_told_from_others() {
    let mut world = World::new();
    let (convoy, truck) = (world.spawn((1_u32,)), world.spawn((2_u32,)));
    world.set_parent(truck, convoy).unwrap();
    let contents = contents_of(checkpoint_of(&mut world).into_medium());
    let links = contents.types.iter().filter(|each| each.is_link).map(|each| each.name.as_str());
    let expected = ["convoy_engine::hierarchy::ChildOf", "convoy_engine::hierarchy::Children"];
    assert_eq!(links.collect::<Vec<_>>(), expected);
}

#[test]
fn layouts_are_those_of_the_types_without_names_inside() {
    let contents = contents_of(checkpoint_of(&mut world()).into_medium());
    let plane = of(&contents, "plane").1.layout.unwrap();
    assert_eq!((plane.name(), plane.size(), plane.align()), ("plane", 24, 4));
    let LayoutKind::Struct(fields) = plane.kind() else { panic!("{plane:?}") };
    let LayoutKind::Struct(own) = Plane::LAYOUT.kind() else { unreachable!() };
    assert_eq!(fields.len(), own.len());
    for (field, own) in fields.iter().zip(own) {
        assert_eq!((field.name, field.offset), (own.name, own.offset));
        let is_enum = field.name == "gear";
        assert_eq!(field.layout.name(), if is_enum { "enum" } else { own.layout.name() });
        assert_eq!(field.layout.kind(), own.layout.kind());
    }
    let bytes = [&[0; 8][..], &[1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0], &[5, 1, 9, 9]].concat();
    assert_eq!(
        format!("{:?}", plane.value(&bytes).unwrap()),
        "plane { target: 0v0, spots: [[1, 2], [3, 4], [5, 6]], gear: Down, is_armed: true, spare: [9, 9] }"
    );
    assert_eq!(of(&contents, "way").1.layout.unwrap().kind(), <[f32; 2]>::LAYOUT.kind());
    assert!(["blob", "beep", "fuel"].iter().all(|name| of(&contents, name).1.layout.is_none()));
}

#[test]
fn rows_and_bytes_are_those_of_the_world() {
    let mut world = world();
    let contents = contents_of(checkpoint_of(&mut world).into_medium());
    assert_eq!((contents.entities, contents.slots), (9, 10));
    assert_eq!(contents.chunk_rows_max, 4);
    let with_rows: Vec<_> = contents.tables.iter().filter(|table| table.rows > 0).collect();
    let names = |components: &[usize]| -> Vec<&str> {
        let names = components.iter().map(|&of| contents.types[of].name.as_str());
        names.map(|name| name.rsplit("::").next().unwrap()).collect()
    };
    assert_eq!(with_rows.len(), 2);
    assert_eq!(names(&with_rows[0].components), ["Entity", "plane"]);
    assert_eq!((with_rows[0].rows, with_rows[0].bytes), (8, 8 * (8 + 24)));
    let all = ["Entity", "plane", "fuel", "fuel (toggle)", "marked", "way", "name", "Unnamed"];
    assert_eq!(names(&with_rows[1].components), all);
    assert_eq!((with_rows[1].rows, with_rows[1].bytes), (1, 8 + 24 + 4 + 1 + 8 + 8 + 8));

    let events = contents
        .events
        .iter()
        .map(|log| (contents.types[log.of].name.as_str(), log.first, log.records, log.bytes));
    assert_eq!(events.collect::<Vec<_>>(), [("beep", 0, 6, 24), ("silence", 0, 2, 0)]);
    let resources = contents
        .resources
        .iter()
        .map(|each| (contents.types[each.of].name.as_str(), each.is_set, each.bytes));
    assert_eq!(resources.collect::<Vec<_>>(), [("score", true, 8), ("unset", false, 0)]);
    let lists = &contents.lists;
    assert_eq!((lists.len(), lists[0].of, lists[0].blocks), (1, of(&contents, "way").0, 1));
    assert!(lists[0].bytes >= 3 * 8 + 8, "three elements and an owner");
    let content = "a name of many bytes".len() as u64;
    assert_eq!((contents.texts.blocks, contents.texts.bytes), (1, content + 1));
}

#[test]
fn sizes_tell_how_much_a_compaction_would_drop() {
    let mut world = world();
    let mut checkpoint = checkpoint_of(&mut world);
    let pool = SnapshotPool::default();
    for number in 0..20 {
        world.query_mut::<&mut Plane>().for_each(|plane| plane.spots[0][0] = number);
        checkpoint.write(&world.capture(ComponentMask::ALL, &pool)).unwrap();
    }
    let file = checkpoint.into_medium();
    let grown = contents_of(file.clone());
    assert_eq!(grown.file_bytes, file.len() as u64);
    let tables: u64 = grown.tables.iter().map(|table| table.bytes).sum();
    let others = grown.events.iter().map(|each| each.bytes).sum::<u64>()
        + grown.resources.iter().map(|each| each.bytes).sum::<u64>()
        + grown.lists.iter().map(|each| each.bytes).sum::<u64>();
    let slots = u64::from(grown.slots) * 12;
    assert_eq!(grown.block_bytes, tables + others + slots);
    let blocks_at_least = grown.tables.iter().map(|table| {
        let columns = table.components.iter().filter(|&&of| grown.types[of].size > 0).count();
        table.rows.div_ceil(4) * columns as u64
    });
    assert!(grown.blocks > blocks_at_least.sum(), "and those of slots, events and others");

    let mut checkpoint = Checkpoint::on(file).unwrap();
    checkpoint.compact(std::time::Duration::MAX).unwrap();
    let compact = contents_of(checkpoint.into_medium());
    assert!(compact.needed_bytes <= compact.file_bytes);
    assert!(compact.file_bytes < grown.file_bytes / 2, "{grown:?}");
    let mut same = compact.clone();
    same.file_bytes = grown.file_bytes;
    assert_eq!(same, grown, "nothing else has changed");
}

#[test]
fn layout_with_a_field_outside_is_an_error() {
    let mut file = checkpoint_of(&mut world()).into_medium();
    let name = file.windows(8).rposition(|bytes| bytes == b"is_armed").unwrap();
    assert_eq!(file[name + 8..name + 16], 21_u64.to_le_bytes());
    file[name + 8] = 24;
    Checkpoint::mend(&mut file);
    let error = CheckpointReader::new(file).unwrap().contents().unwrap_err();
    assert!(matches!(error, CheckpointError::Malformed { part: CheckpointPart::Types }), "{error}");
}

/// Every byte of a manifest is changed, with hashes that are right: the contents are an error or of this file.
#[test]
fn changed_bytes_are_an_error_or_contents_within_the_file() {
    let file = checkpoint_of(&mut world()).into_medium();
    let sound = contents_of(file.clone());
    let start = file.len() - (sound.needed_bytes - sound.block_bytes - sound.texts.bytes) as usize;
    let (mut errors, mut others) = (0, 0);
    for at in start.max(8192)..file.len() {
        for change in [1, 0x7f, 0x80] {
            let mut changed = file.clone();
            changed[at] ^= change;
            Checkpoint::mend(&mut changed);
            let read = CheckpointReader::new(changed).and_then(|reader| reader.contents());
            let Ok(contents) = read else {
                errors += 1;
                continue;
            };
            let events: u64 = contents.events.iter().map(|log| log.bytes).sum();
            let tables: u64 = contents.tables.iter().map(|table| table.bytes).sum();
            assert!(tables + events <= contents.block_bytes, "byte {at}");
            assert!(contents.block_bytes + contents.texts.bytes <= contents.needed_bytes);
            assert!(contents.block_bytes <= contents.file_bytes, "byte {at}");
            others += u32::from(contents != sound);
        }
    }
    assert!(errors > 500 && others > 100, "{errors} errors, {others} other contents");
}
