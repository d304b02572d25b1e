//! Checkpoints of programs whose types were others: renamed or migrated by a plan; and plans that are for no file.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use bytemuck::{CheckedBitPattern, NoUninit, Pod, Zeroable};
use convoy_engine::checkpoint::{
    Checkpoint, CheckpointError, CheckpointPart, PlanError, ReadPlan, ReadReport, TypeDecision,
    TypeDifference, TypeKind, TypeName, TypeReport, Unknown,
};
use convoy_engine::events::EventCursor;
use convoy_engine::list::List;
use convoy_engine::schema::{Schema, SchemaBuilder, TypeEntry, TypeLayout};
use convoy_engine::{Component, Entity, World, WorldConfig};
use convoy_tests::{assert_whole, config_of as config, delta_config, read_by_plan as read, saved};

fn refused(bytes: &[u8], config: WorldConfig, plan: &ReadPlan) -> CheckpointError {
    read(bytes, config, plan).map(drop).unwrap_err()
}

fn about<'r>(report: &'r ReadReport, kind: TypeKind, name: &str) -> &'r TypeReport {
    let mut types = report.types().iter();
    types.find(|each| (each.kind, each.name.as_str()) == (kind, name)).unwrap()
}

/// All records of an event.
fn records<T: Component>(world: &World) -> (Vec<T>, u64) {
    let mut cursor = EventCursor::<T>::default();
    let records = world.events(&mut cursor).collect();
    (records, cursor.next_sequence())
}

/// Hit points as they were, and as they are.
#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable, TypeLayout)]
#[repr(C)]
struct OldHull(u16);

#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable, TypeLayout)]
#[repr(C)]
struct Hull {
    left: f32,
    of: f32,
}

impl Hull {
    fn of(old: &OldHull) -> Self {
        Self { left: f32::from(old.0), of: 1000.0 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, NoUninit, CheckedBitPattern)]
#[repr(u8)]
enum Alarm {
    Low = 3,
    High = 7,
}

#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(C)]
struct Tag;

fn old_hull() -> SchemaBuilder {
    Schema::builder()
        .toggle(TypeEntry::<OldHull>::new().named("hull", 1).with_layout())
        .list(TypeEntry::<OldHull>::new().named("hulls", 1).with_layout())
        .event(TypeEntry::<OldHull>::new().named("hull", 1).with_layout())
        .resource(TypeEntry::<OldHull>::new().named("hull", 1).with_layout())
}

fn new_hull() -> SchemaBuilder {
    Schema::builder()
        .resource(TypeEntry::<Hull>::new().named("hull", 3).with_layout())
        .event(TypeEntry::<Hull>::new().named("hull", 3).with_layout())
        .list(TypeEntry::<Hull>::new().named("hulls", 3).with_layout())
        .toggle(TypeEntry::<Hull>::new().named("hull", 3).with_layout())
}

/// A file with hulls of every kind, and the ships in it, every third one switched off.
fn old_fleet() -> (Vec<u8>, Vec<Entity>) {
    let mut world = World::with_config(config(old_hull()).chunk_rows_max(16));
    let ships: Vec<_> =
        (0..100_u16).map(|n| world.spawn((OldHull(n), List::<OldHull>::new()))).collect();
    for (number, &ship) in ships.iter().enumerate() {
        let many = (0..number as u16).map(OldHull);
        world.list_mut::<OldHull>(ship).unwrap().extend(many);
        if number % 3 == 0 {
            world.disable::<OldHull>(ship).unwrap();
        }
        world.send_event(OldHull(number as u16));
    }
    world.insert_resource(OldHull(77)).unwrap();
    (saved(&mut world), ships)
}

#[test]
fn components_events_resources_and_elements_are_migrated() {
    let (bytes, ships) = old_fleet();
    let error = refused(&bytes, config(new_hull()), &ReadPlan::new());
    let difference = TypeDifference::Version { file: 1, schema: 3 };
    assert!(
        matches!(&error, CheckpointError::DifferentType { difference: found, .. } if *found == difference),
        "{error}"
    );
    for rows in [1, 16, 64] {
        let plan = ReadPlan::new().migrate("hull", 1, Hull::of).migrate("hulls", 1, Hull::of);
        let config = || config(new_hull()).chunk_rows_max(rows);
        let (mut loaded, report) = read(&bytes, config(), &plan).unwrap();
        for (number, &ship) in ships.iter().enumerate() {
            let hulls = loaded.list::<Hull>(ship).unwrap();
            assert_eq!(hulls.len(), number);
            assert!((0..).zip(hulls).all(|(n, hull)| *hull == Hull::of(&OldHull(n))));
            assert_eq!(loaded.get(ship), Ok(&Hull::of(&OldHull(number as u16))));
            assert_eq!(loaded.is_enabled::<Hull>(ship), Ok(number % 3 > 0));
        }
        let (events, next) = records::<Hull>(&loaded);
        assert!(next == 100 && events.last() == Some(&Hull::of(&OldHull(99))), "{next}");
        assert_eq!(loaded.resource::<Hull>(), Ok(&Hull::of(&OldHull(77))));
        let migrated = TypeDecision::Migrated { from: 1, to: 3 };
        let found: Vec<_> =
            report.types().iter().map(|each| (each.kind, each.decision, each.rows)).collect();
        assert_eq!(
            found,
            [
                (TypeKind::Component, migrated, 100),
                (TypeKind::Toggle, TypeDecision::Kept, 100),
                (TypeKind::Component, migrated, 100),
                (TypeKind::Event, migrated, events.len() as u64),
                (TypeKind::Resource, migrated, 1),
            ]
        );
        assert!(!report.has_losses() && report.types().iter().all(|each| each.renamed.is_none()));
        assert_whole(&mut loaded, config());
    }
}

#[test]
fn elements_of_any_size_find_blocks() {
    #[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
    #[repr(C)]
    struct Wide([u8; 128]);
    fn old<T: Component>() -> SchemaBuilder {
        Schema::builder().list(TypeEntry::<T>::new().named("stock", 1))
    }
    fn pass<A: Component, B: Component + PartialEq>(old_of: fn(u8) -> A, new_of: fn(&A) -> B) {
        let mut world = World::with_config(config(old::<A>()));
        let chests: Vec<_> = (0..60).map(|_| world.spawn((List::<A>::new(),))).collect();
        for (number, &chest) in chests.iter().enumerate() {
            world.list_mut::<A>(chest).unwrap().extend((0..number as u8).map(old_of));
        }
        // Blocks that no list has any more.
        chests.iter().step_by(4).for_each(|&chest| world.despawn(chest).unwrap());
        chests.iter().skip(1).step_by(4).for_each(|&chest| {
            world.list_mut::<A>(chest).unwrap().clear();
        });
        let new = || config(Schema::builder().list(TypeEntry::<B>::new().named("stock", 2)));
        let plan = ReadPlan::new().migrate("stock", 1, new_of);
        let (mut loaded, _) = read(&saved(&mut world), new(), &plan).unwrap();
        for (number, &chest) in chests.iter().enumerate().filter(|(number, _)| number % 4 != 0) {
            let count = if number % 4 == 1 { 0 } else { number as u8 };
            let expected = (0..count).map(|n| new_of(&old_of(n)));
            assert!(loaded.list::<B>(chest).unwrap().iter().copied().eq(expected));
        }
        loaded.query_mut::<&mut List<B>>().for_each(|mut list| list.push(new_of(&old_of(9))));
        assert_whole(&mut loaded, new());
    }
    pass::<u8, u64>(|n| n, |n| u64::from(*n) << 9);
    pass::<Wide, u8>(|n| Wide([n; 128]), |wide| wide.0[77]);
    pass::<u16, Wide>(u16::from, |n| Wide([*n as u8; 128]));
    pass::<u8, Alarm>(|n| n, |n| if *n < 30 { Alarm::Low } else { Alarm::High });
}

#[test]
fn bytes_are_migrated_and_the_result_is_checked() {
    let (bytes, ships) = old_fleet();
    let of_bytes = |name: &str| {
        ReadPlan::new().migrate("hull", 1, Hull::of).migrate_bytes(name, 1, 2, |old, new| {
            assert!(new.iter().all(|byte| *byte == 0), "it is written over zeros");
            new[..4].copy_from_slice(&f32::from(old[0]).to_le_bytes());
            Ok(())
        })
    };
    let (loaded, _) = read(&bytes, config(new_hull()), &of_bytes("hulls")).unwrap();
    assert_eq!(loaded.list::<Hull>(ships[50]).unwrap()[49], Hull { left: 49.0, of: 0.0 });
    let alarms = || {
        Schema::builder()
            .component(TypeEntry::<Alarm>::new().named("one", 2))
            .list(TypeEntry::<Alarm>::new().named("some", 2))
    };
    let old = Schema::builder()
        .component(TypeEntry::<u32>::new().named("one", 1))
        .list(TypeEntry::<u32>::new().named("some", 1));
    let mut world = World::with_config(config(old));
    let ship = world.spawn((7_u32, List::<u32>::new()));
    world.list_mut::<u32>(ship).unwrap().extend(&[3, 7, 9]);
    let bytes = saved(&mut world);
    let plan = |limit: u8, name: &str| {
        let plan = ReadPlan::new();
        [TypeName::component("one"), TypeName::component("some")].into_iter().fold(
            plan.drop_type(name),
            |plan, of| {
                plan.migrate_bytes(of, 1, 4, move |old, new| {
                    new[0] = old[0];
                    if old[0] < limit {
                        Ok(())
                    } else {
                        Err(format!("{} is too much", old[0]).into())
                    }
                })
            },
        )
    };
    let (loaded, _) = read(&bytes, config(alarms()), &plan(255, "some")).unwrap();
    assert_eq!(loaded.get(ship), Ok(&Alarm::High));
    let error = refused(&bytes, config(alarms()), &plan(255, ""));
    assert!(matches!(error, CheckpointError::Value { component: "some" }), "{error}");
    let error = refused(&bytes, config(alarms()), &plan(9, ""));
    assert_eq!(error.to_string(), "no value of some can be made: 9 is too much");
    assert!(std::error::Error::source(&error).is_some());
    let error = refused(&bytes, config(alarms()), &plan(7, "some"));
    assert!(matches!(error, CheckpointError::Migration { component: "one", .. }), "{error}");
}

#[test]
fn a_migration_takes_the_size_and_the_values_of_the_file() {
    let (bytes, _) = old_fleet();
    let plan = ReadPlan::new().migrate("hull", 1, |_: &u64| Hull { left: 1.0, of: 1.0 });
    let error = refused(&bytes, config(new_hull()), &plan);
    assert_eq!(error.to_string(), "hull has 2 bytes in the file, and its migration takes 8");
    let of_lists = |plan: ReadPlan| plan.migrate("hulls", 1, |_: &[u8; 3]| Hull::of(&OldHull(0)));
    let error = refused(&bytes, config(new_hull()), &of_lists(ReadPlan::new().drop_type("hull")));
    assert!(
        matches!(error, CheckpointError::MigrationSize { file: 2, migration: 3, .. }),
        "{error}"
    );
    // Of an older type not all bytes are values either.
    let mut world = World::with_config(config(
        Schema::builder().component(TypeEntry::<u8>::new().named("alarm", 1)),
    ));
    [3_u8, 7, 8].iter().for_each(|byte| _ = world.spawn((*byte,)));
    let new = || config(Schema::builder().component(TypeEntry::<u32>::new().named("alarm", 2)));
    let plan = ReadPlan::new().migrate("alarm", 1, |alarm: &Alarm| *alarm as u32);
    let error = refused(&saved(&mut world), new(), &plan);
    assert!(
        matches!(error, CheckpointError::Value { component } if component.ends_with("Alarm")),
        "{error}"
    );
    world.query_mut::<&mut u8>().for_each(|byte| *byte = (*byte).min(7));
    let (loaded, _) = read(&saved(&mut world), new(), &plan).unwrap();
    assert_eq!(loaded.query::<&u32>().iter().sum::<u32>(), 17);
    // Lists and single values never become each other.
    let list = || config(Schema::builder().list(TypeEntry::<u32>::new().named("alarm", 2)));
    let error = refused(&saved(&mut world), list(), &plan);
    assert!(
        matches!(error, CheckpointError::DifferentType { difference: TypeDifference::List, .. }),
        "{error}"
    );
}

/// As [`OldHull`] under the same version, with another name of its field and other units.
#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable, TypeLayout)]
#[repr(C)]
struct Tenths {
    tenths: u16,
}

#[test]
fn a_layout_of_the_same_version_is_migrated_once() {
    let old =
        Schema::builder().component(TypeEntry::<OldHull>::new().named("hull", 1).with_layout());
    let new = || {
        config(
            Schema::builder().component(TypeEntry::<Tenths>::new().named("hull", 1).with_layout()),
        )
    };
    let mut world = World::with_config(config(old));
    let ship = world.spawn((OldHull(7),));
    let bytes = saved(&mut world);
    let error = refused(&bytes, new(), &ReadPlan::new());
    assert!(
        matches!(error, CheckpointError::DifferentType { difference: TypeDifference::Layout, .. }),
        "{error}"
    );
    let plan = ReadPlan::new().migrate("hull", 1, |old: &OldHull| Tenths { tenths: old.0 * 10 });
    let (mut loaded, report) = read(&bytes, new(), &plan).unwrap();
    assert_eq!(loaded.get(ship), Ok(&Tenths { tenths: 70 }));
    let migrated = TypeDecision::Migrated { from: 1, to: 1 };
    assert_eq!(about(&report, TypeKind::Component, "hull").decision, migrated);
    let (again, report) = read(&saved(&mut loaded), new(), &plan).unwrap();
    assert_eq!(again.get(ship), Ok(&Tenths { tenths: 70 }));
    assert_eq!(about(&report, TypeKind::Component, "hull").decision, TypeDecision::Kept);
}

#[test]
fn values_without_bytes_become_values_and_the_other_way_round() {
    let old = || {
        Schema::builder()
            .component(TypeEntry::<Tag>::new().named("tag", 1))
            .component(TypeEntry::<u32>::new().named("number", 1))
            .event(TypeEntry::<Tag>::new().named("tag", 1))
    };
    let mut world = World::with_config(config(old()));
    let ships: Vec<_> = (0..1000_u32).map(|number| world.spawn((Tag, number))).collect();
    (0..10).for_each(|_| world.send_event(Tag));
    let bytes = saved(&mut world);
    let new = || {
        config(
            Schema::builder()
                .component(TypeEntry::<[u64; 2]>::new().named("tag", 2))
                .component(TypeEntry::<Tag>::new().named("number", 2))
                .event(TypeEntry::<[u64; 2]>::new().named("tag", 2)),
        )
    };
    let plan =
        ReadPlan::new().migrate("tag", 1, |_: &Tag| [1_u64, 2]).migrate("number", 1, |_: &u32| Tag);
    let (mut loaded, report) = read(&bytes, new(), &plan).unwrap();
    assert!(ships.iter().all(|&ship| loaded.get(ship) == Ok(&[1_u64, 2])));
    assert!(ships.iter().all(|&ship| loaded.get(ship) == Ok(&Tag)));
    let (tags, next) = records::<Tag>(&world);
    assert_eq!(records(&loaded), (vec![[1_u64, 2]; tags.len()], next));
    let number = about(&report, TypeKind::Component, "number");
    assert_eq!((number.rows, number.bytes), (1000, 4000));
    assert_whole(&mut loaded, new());
    // Records without bytes take no room in a file, so that a forged one could have any number of them.
    (0..200_000).for_each(|_| world.send_event(Tag));
    let error = refused(&saved(&mut world), new(), &plan);
    assert!(matches!(error, CheckpointError::Migration { component: "tag", .. }), "{error}");
}

#[test]
fn aliases_lead_to_names_of_the_schema() {
    let (bytes, ships) = old_fleet();
    let new = || {
        Schema::builder()
            .toggle(TypeEntry::<OldHull>::new().named("body", 1).with_layout())
            .list(TypeEntry::<Hull>::new().named("bodies", 2).with_layout())
            .event(TypeEntry::<OldHull>::new().named("struck", 1).with_layout())
            .resource(TypeEntry::<OldHull>::new().named("body", 1).with_layout())
    };
    let plan = ReadPlan::new()
        .unknown(Unknown::Refuse)
        .alias(TypeName::component("hull"), "body")
        .alias(TypeName::event("hull"), "struck")
        .alias(TypeName::resource("hull"), "body")
        .alias("hulls", "bodies")
        .migrate("bodies", 1, Hull::of);
    let (loaded, report) = read(&bytes, config(new()), &plan).unwrap();
    assert_eq!(loaded.get(ships[5]), Ok(&OldHull(5)));
    assert_eq!(loaded.is_enabled::<OldHull>(ships[6]), Ok(false));
    assert_eq!(loaded.list::<Hull>(ships[5]).unwrap().len(), 5);
    assert_eq!(records::<OldHull>(&loaded).1, 100);
    let renamed: Vec<_> =
        report.types().iter().map(|each| (each.name.as_str(), each.renamed.unwrap())).collect();
    let toggles = ("hull (toggle)", "body (toggle)");
    assert_eq!(
        renamed,
        [("hull", "body"), toggles, ("hulls", "bodies"), ("hull", "struck"), ("hull", "body")]
    );
    // A name without a kind stands for the kinds in which the schema has the new one.
    let plan = ReadPlan::new().alias("hull", "body").drop_type("hulls");
    let error = refused(&bytes, config(new()), &plan);
    assert!(
        matches!(&error, CheckpointError::UnknownType { component } if component == "hull"),
        "the event: {error}"
    );
    let (loaded, _) = read(&bytes, config(new()), &plan.unknown(Unknown::Drop)).unwrap();
    assert_eq!(loaded.resource::<OldHull>(), Ok(&OldHull(77)));
    // Two types can't become one.
    let both = Schema::builder()
        .component(TypeEntry::<u32>::new().named("one", 1))
        .component(TypeEntry::<i32>::new().named("other", 1));
    let mut world = World::with_config(config(both));
    world.spawn((1_u32, 2_i32));
    let one = Schema::builder().component(TypeEntry::<u32>::new().named("one", 1));
    let error = refused(&saved(&mut world), config(one), &ReadPlan::new().alias("other", "one"));
    assert!(
        matches!(error, CheckpointError::DifferentType { difference: TypeDifference::Name, .. }),
        "{error}"
    );
}

#[test]
fn plans_that_are_for_no_file_are_refused() {
    let (bytes, _) = old_fleet();
    let entity = "convoy_engine::Entity";
    let links = || delta_config(4);
    let hull = |_: &u8| Hull { left: 1.0, of: 1.0 };
    let plan = ReadPlan::new;
    let repeated = |name: &str| PlanError::Repeated { name: name.to_owned() };
    let reserved = |name: &str| PlanError::Reserved { name: name.to_owned() };
    let unknown = |name: &str| PlanError::UnknownName { name: name.to_owned() };
    let made = |name: &str, made| PlanError::MigrationType { name: name.to_owned(), made };
    let new = || config(new_hull());
    let described = || {
        let hull =
            convoy_engine::component::ComponentDescription { name: "hull", size: 3, align: 1 };
        config(Schema::builder().described(hull, 2))
    };
    let component = TypeName::component("hull");
    let cases = [
        (plan().migrate("hull", 1, hull).migrate("hull", 1, hull), new(), repeated("hull")),
        (plan().migrate("hull", 1, hull).migrate(component, 1, hull), new(), repeated("hull")),
        (plan().alias("body", "hull").alias("body", "hulls"), new(), repeated("body")),
        (
            plan().alias("body", "hull").drop_type(TypeName::event("body")),
            new(),
            PlanError::Conflict { name: "body".to_owned() },
        ),
        (plan().alias("body", "heart"), new(), unknown("heart")),
        (plan().alias(TypeName::event("bodies"), "hulls"), new(), unknown("hulls")),
        (plan().migrate("body", 1, hull), new(), unknown("body")),
        (plan().migrate(TypeName::event("hulls"), 1, hull), new(), unknown("hulls")),
        (plan().drop_type(entity), new(), reserved(entity)),
        (plan().alias(entity, "hull"), new(), reserved(entity)),
        (plan().alias("hull", entity), new(), reserved(entity)),
        (plan().alias("parents", "child of"), links(), reserved("child of")),
        (plan().migrate_bytes("children", 1, 4, |_, _| Ok(())), links(), reserved("children")),
        (plan().migrate("hull", 1, |byte: &u8| *byte), new(), made("hull", "u8")),
        (plan().migrate("hulls", 1, |byte: &u8| *byte), new(), made("hulls", "u8")),
        (plan().migrate("hull", 1, |byte: &u8| *byte), described(), made("hull", "u8")),
    ];
    for (plan, config, expected) in cases {
        match refused(&bytes, config, &plan) {
            CheckpointError::Plan(error) => assert_eq!(error, expected, "{plan:?}"),
            error => panic!("{plan:?}: {error}"),
        }
    }
    // A drop is no contradiction of itself, and a plan may be for files of other ages.
    let plan = plan()
        .drop_type("hull")
        .drop_type("hull")
        .drop_type("hulls")
        .drop_type("long forgotten")
        .alias("corpus", "hull")
        .alias("body", "hull")
        .migrate("hull", 1, hull)
        .migrate("hull", 2, hull);
    assert!(read(&bytes, new(), &plan).unwrap().1.has_losses());
}

#[test]
fn memory_limits_are_errors() {
    let (bytes, _) = old_fleet();
    let plan = ReadPlan::new().migrate("hull", 1, Hull::of).migrate("hulls", 1, Hull::of);
    for limit in (0..1 << 22).step_by(8192) {
        match read(&bytes, config(new_hull()).memory_limit_bytes(limit), &plan) {
            Ok(_) => return assert!(limit > 0),
            Err(CheckpointError::Memory(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("there was never enough");
}

/// Places in a file where bytes are, from `from` on.
fn places(file: &[u8], bytes: &[u8]) -> Vec<usize> {
    (8192..file.len()).filter(|&at| file[at..].starts_with(bytes)).collect()
}

#[test]
fn a_block_that_many_lists_name_is_read_once() {
    let old = || Schema::builder().list(TypeEntry::<u8>::new().named("bytes", 1));
    let mut world = World::with_config(config(old()));
    // Handles of bytes that are nowhere else in the file.
    (0..777).for_each(|_| _ = world.spawn(()));
    let [first, second] = [0x5a, 0x77].map(|byte| {
        let entity = world.spawn((List::<u8>::new(),));
        world.list_mut::<u8>(entity).unwrap().extend(&[byte; 999]);
        entity
    });
    let mut file = saved(&mut world);
    let new = || config(Schema::builder().list(TypeEntry::<u16>::new().named("bytes", 2)));
    let plan = ReadPlan::new().migrate("bytes", 1, |byte: &u8| u16::from(*byte));
    assert_eq!(read(&file, new(), &plan).unwrap().0.list::<u16>(second).unwrap(), [0x77; 999]);
    // Both rows have the handles of the first entity and of its list, else each would have a copy of the block.
    let handle = |entity: Entity| [entity.index(), entity.generation()].map(u32::to_ne_bytes);
    let rows = places(&file, [handle(first), handle(second)].concat().as_flattened());
    assert_eq!(rows.len(), 2, "the rows, and the owners of blocks");
    let lists: Vec<_> = places(&file, &999_u32.to_ne_bytes()).into_iter().take(2).collect();
    assert_eq!(lists[0] + 8, lists[1]);
    file.copy_within(rows[0]..rows[0] + 8, rows[0] + 8);
    file.copy_within(lists[0]..lists[0] + 8, lists[1]);
    Checkpoint::mend(&mut file);
    let error = refused(&file, new(), &plan);
    assert!(matches!(error, CheckpointError::Malformed { part: CheckpointPart::Lists }), "{error}");
    assert!(read(&file, config(old()), &ReadPlan::new()).is_err());
}
