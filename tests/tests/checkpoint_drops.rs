//! Checkpoints with types that a program has no more: kept by their bytes, dropped or refused by a plan.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use bytemuck::{Pod, Zeroable};
use convoy_engine::checkpoint::{
    Checkpoint, CheckpointError, CheckpointPart, CheckpointReader, PlanError, ReadPlan,
    TypeDecision, TypeName, Unknown,
};
use convoy_engine::hierarchy::ChildOf;
use convoy_engine::list::List;
use convoy_engine::schema::{Schema, TypeEntry};
use convoy_engine::{Entity, World, WorldConfig};
use convoy_tests::{
    Engine, Marked, Mode, Order, Place, assert_sound, assert_whole, config_of as config,
    delta_config, read_by_plan as read, saved,
};

fn refused(bytes: &[u8], config: WorldConfig, plan: &ReadPlan) -> CheckpointError {
    read(bytes, config, plan).map(drop).unwrap_err()
}

#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(C)]
struct Tag;

/// A world of the types of deltas, and an event, a resource, lists, a tag and a toggle that few know.
fn strange_world() -> (Vec<u8>, [Entity; 4]) {
    let schema = Schema::builder()
        .component(TypeEntry::<Place>::new().named("place", 1))
        .component(TypeEntry::<u64>::new().named("odd", 1))
        .toggle(TypeEntry::<u16>::new().named("switch", 1))
        .component(TypeEntry::<Tag>::new().named("tag", 1))
        .list(TypeEntry::<u32>::new().named("list", 1))
        .event(TypeEntry::<u32>::new().named("event", 1))
        .resource(TypeEntry::<u32>::new().named("resource", 1));
    let mut world = World::with_config(config(schema));
    let place = Place([1.0; 3]);
    let ships = [
        world.spawn((place, 7_u64)),
        world.spawn((place, 8_u16, Tag)),
        world.spawn((place, List::<u32>::new())),
        world.spawn((place,)),
    ];
    world.disable::<u16>(ships[1]).unwrap();
    world.list_mut::<u32>(ships[2]).unwrap().extend(&[1, 2, 3]);
    world.send_event(4_u32);
    world.insert_resource(5_u32).unwrap();
    (saved(&mut world), ships)
}

#[test]
fn unknown_types_are_kept_dropped_or_refused() {
    let (bytes, ships) = strange_world();
    let few = || config(Schema::builder().component(TypeEntry::<Place>::new().named("place", 1)));
    let unknown = |error: CheckpointError| match error {
        CheckpointError::UnknownType { component } => component,
        error => panic!("{error}"),
    };
    let keep = ReadPlan::new();
    let error = refused(&bytes, few(), &keep);
    assert!(error.to_string().contains("or drop it by a `ReadPlan`"), "{error}");
    // Nothing can stand for these: each needs a decision.
    let mut keep = keep;
    for needed in ["tag", "list", "event", "resource"] {
        assert_eq!(unknown(refused(&bytes, few(), &keep)), needed);
        keep = keep.drop_type(needed);
    }
    let (mut loaded, report) = read(&bytes, few(), &keep).unwrap();
    let kept: Vec<_> = report.types().iter().map(|each| each.decision).collect();
    use TypeDecision::{Dropped, Kept, KeptBytes};
    assert_eq!(kept, [Kept, KeptBytes, KeptBytes, KeptBytes, Dropped, Dropped, Dropped, Dropped]);
    let ids = ["odd", "switch"].map(|name| loaded.component_id_by_name(name).unwrap());
    assert_eq!(loaded.value(ships[0], ids[0]).unwrap().bytes(), 7_u64.to_ne_bytes());
    assert_eq!(loaded.value(ships[1], ids[1]).unwrap().bytes(), 8_u16.to_ne_bytes());
    assert_eq!(report.merged_archetypes(), 1, "with the list, and without");
    assert_whole(&mut loaded, few().memory_limit_bytes(1 << 30));

    assert_eq!(unknown(refused(&bytes, few(), &keep.unknown(Unknown::Refuse))), "odd");
    let drop = ReadPlan::new().unknown(Unknown::Drop);
    let (mut loaded, report) = read(&bytes, few(), &drop).unwrap();
    assert!(loaded.query::<Entity>().iter().eq(ships), "rows in the order of the file");
    assert!(ships.iter().all(|&ship| loaded.get(ship) == Ok(&Place([1.0; 3]))));
    assert_eq!((report.merged_archetypes(), report.dropped().count()), (3, 7));
    assert!(report.has_losses());
    let lines = report.to_string();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[0], "component \"place\": kept, 4 rows, 48 bytes");
    assert_eq!(lines[1], "component \"odd\": dropped, 1 row, 8 bytes");
    assert_eq!(lines[3], "toggle \"switch (toggle)\": dropped, 1 row, 1 byte");
    assert_eq!(lines[5], "component \"list\": dropped, 1 row, 32 bytes");
    assert_eq!(lines[7], "resource \"resource\": dropped, 1 row, 4 bytes");
    assert_eq!(lines[8..], ["3 archetypes became part of others"]);
    assert_whole(&mut loaded, few());
}

#[test]
fn rows_of_archetypes_that_become_one_follow_in_the_order_of_the_file() {
    let mut world = World::with_config(delta_config(4));
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for number in 0..50_u16 {
        let place = Place([f32::from(number); 3]);
        all[0].push(world.spawn((place, Engine(number))));
        all[1].push(world.spawn((place, Marked, Engine(number))));
        all[2].push(world.spawn((place, Mode::Busy, Engine(number), List::<Mode>::new())));
    }
    for ships in &all {
        world.disable::<Engine>(ships[7]).unwrap();
        world.despawn(ships[20]).unwrap();
    }
    for pair in all[2].windows(2) {
        if pair.iter().any(|&each| !world.contains(each)) {
            continue;
        }
        world.set_parent(pair[1], pair[0]).unwrap();
        world.list_mut::<Mode>(pair[0]).unwrap().extend(&[Mode::Broken; 11]);
    }
    let orders = |world: &World| world.query::<Entity>().iter().collect::<Vec<_>>();
    let order = orders(&world);
    let bytes = saved(&mut world);
    let links = ReadPlan::new().drop_type("child of").drop_type("children");
    for rows in [1, 4, 64] {
        let plan = links.clone().drop_type("marked").drop_type(TypeName::component("mode"));
        let (mut loaded, report) =
            read(&bytes, delta_config(rows), &plan.clone().drop_type("modes")).unwrap();
        assert_eq!(orders(&loaded), order, "one table has the rows of the others");
        assert!(report.merged_archetypes() >= 4, "{report}");
        for ships in &all {
            for (number, &ship) in ships.iter().enumerate().filter(|(number, _)| *number != 20) {
                assert_eq!(loaded.get(ship), Ok(&Engine(number as u16)));
                assert_eq!(loaded.get(ship), Ok(&Place([number as f32; 3])));
                assert_eq!(loaded.is_enabled::<Engine>(ship), Ok(number != 7));
                assert_eq!(loaded.parent(ship), Ok(None));
            }
        }
        assert_whole(&mut loaded, delta_config(rows));
        // Lists keep their blocks where their rows move.
        let (mut loaded, _) = read(&bytes, delta_config(rows), &plan).unwrap();
        assert_eq!(loaded.list::<Mode>(all[2][5]).unwrap(), [Mode::Broken; 11]);
        assert_whole(&mut loaded, delta_config(rows));
    }
    for (dropped, kept) in [("child of", "children"), ("children", "child of")] {
        let error = refused(&bytes, delta_config(4), &ReadPlan::new().drop_type(dropped));
        let (name, partner) = (dropped.to_owned(), kept.to_owned());
        let expected = PlanError::Partner { name, partner };
        assert!(matches!(&error, CheckpointError::Plan(found) if *found == expected), "{error}");
    }
    // Without links there is nothing to keep.
    let (mut loaded, _) = read(&bytes, delta_config(4), &links).unwrap();
    assert_eq!(loaded.query::<&ChildOf>().count(), 0);
    assert_sound(&mut loaded);
}

#[test]
fn dropped_rows_are_not_read_and_others_are_checked() {
    let mut world = World::with_config(delta_config(4));
    (0..500).for_each(|number| _ = world.spawn((Place([number as f32; 3]), Engine(0xabcd))));
    let bytes = saved(&mut world);
    let engines = [0xcd, 0xab].repeat(4);
    let at = (8192..bytes.len()).find(|&at| bytes[at..].starts_with(&engines)).unwrap();
    let mut damaged = bytes.clone();
    damaged[at] ^= 1;
    let error = refused(&damaged, delta_config(4), &ReadPlan::new());
    assert!(
        matches!(error, CheckpointError::Damaged { part: CheckpointPart::Tables, .. }),
        "{error}"
    );
    let plan = ReadPlan::new().drop_type("engine");
    let (mut loaded, _) = read(&damaged, delta_config(4), &plan).unwrap();
    assert_eq!(loaded.query::<&Place>().count(), 500);
    assert_sound(&mut loaded);
    assert!(read(&damaged, delta_config(4), &ReadPlan::new().drop_type("place")).is_err());
}

/// Rows that tables of 20 rows lack, and past those of any table with 20 rows before.
const FORGED: [u32; 4] = [20, 39, u32::MAX - 19, u32::MAX];

#[test]
fn slots_that_name_no_row_of_their_own_table_are_refused() {
    let mut world = World::with_config(delta_config(64));
    let place = Place([1.0; 3]);
    (0..20).for_each(|_| _ = world.spawn((place, Marked)));
    (0..20).for_each(|_| _ = world.spawn((place,)));
    let file = saved(&mut world);
    let plan = ReadPlan::new().drop_type(TypeName::component("marked"));
    assert_eq!(read(&file, delta_config(64), &plan).unwrap().0.entity_count(), 40);
    // The slots of rows 18 and 19 of both tables, with generation and table before.
    let slots = |table: u32| [1, table, 18, 1, table, 19].map(u32::to_ne_bytes);
    let found = (0..9).flat_map(|table| {
        let slots = slots(table);
        (8192..file.len()).find(|&at| file[at..].starts_with(slots.as_flattened()))
    });
    let rows: Vec<usize> = found.map(|at| at + 20).collect();
    assert_eq!(rows.len(), 2);
    for (row, forged) in rows.into_iter().flat_map(|row| FORGED.map(|forged| (row, forged))) {
        let mut file = file.clone();
        file[row..row + 4].copy_from_slice(&forged.to_ne_bytes());
        Checkpoint::mend(&mut file);
        let error = refused(&file, delta_config(64), &plan);
        assert!(
            matches!(error, CheckpointError::Malformed { part: CheckpointPart::Index }),
            "{error}"
        );
    }
}

/// A file of version 1, of the golden world in `checkpoints.rs`.
const GOLDEN_1: &[u8] = include_bytes!("../data/checkpoint-1.cvy");

#[test]
fn golden_files_are_read_by_plans() {
    let plan = ReadPlan::new()
        .unknown(Unknown::Drop)
        .alias("place", "spot")
        .migrate("spot", 1, |place: &Place| place.0.map(f64::from))
        .migrate("orders", 1, |order: &Order| order.target);
    let schema = || {
        config(
            Schema::builder()
                .component(TypeEntry::<[f64; 3]>::new().named("spot", 2))
                .list(TypeEntry::<Entity>::new().named("orders", 2)),
        )
    };
    let reader = CheckpointReader::new(GOLDEN_1.to_vec()).unwrap();
    let (mut loaded, report) = reader.read_with(schema(), &plan).unwrap();
    assert_eq!((loaded.entity_count(), loaded.tick()), (1_004, 5));
    let sum: f64 = loaded.query::<&[f64; 3]>().iter().map(|spot| spot[0]).sum();
    assert_eq!(sum, 166_833.0 + 166_167.0 + 166_500.0 + 1.0);
    let ship =
        loaded.query::<(Entity, &List<Entity>)>().iter().map(|(ship, _)| ship).next().unwrap();
    let crew = loaded.list::<Entity>(ship).unwrap().to_vec();
    assert!(loaded.children(ship).unwrap().eq(crew));
    assert_eq!(
        report.to_string().lines().filter(|line| !line.contains(" 0 rows")).collect::<Vec<_>>(),
        [
            "component \"place\" as \"spot\": migrated from version 1 to 2, 1001 rows, 12012 bytes",
            "component \"mode\": dropped, 1003 rows, 1003 bytes",
            "component \"engine\": dropped, 1 row, 2 bytes",
            "toggle \"engine (toggle)\": dropped, 1 row, 1 byte",
            "component \"marked\": dropped, 1 row, 0 bytes",
            "component \"child of\" as \"convoy_engine::hierarchy::ChildOf\": kept, 3 rows, 72 bytes",
            "component \"children\" as \"convoy_engine::hierarchy::Children\": kept, 1 row, 20 bytes",
            "component \"orders\": migrated from version 1 to 2, 1 row, 80 bytes",
            "component \"modes\": dropped, 3 rows, 64 bytes",
            "event \"ordered\": dropped, 20 rows, 320 bytes",
            "event \"changed\": dropped, 1 row, 1 byte",
            "resource \"mode\": dropped, 1 row, 1 byte",
            "1 archetype became part of another",
        ]
    );
    assert_whole(&mut loaded, schema());
}
