//! The promises of `airtraffic inspect`: it shows and exports checkpoints of any program, and says in one line why it
//! can't.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use convoy_engine::bytemuck::{self, CheckedBitPattern, NoUninit, Pod, Zeroable};
use convoy_engine::checkpoint::Checkpoint;
use convoy_engine::list::List;
use convoy_engine::schema::{Schema, TypeEntry, TypeLayout};
use convoy_engine::text::Text;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World};
use profiling::input::{
    EMBEDDED_AIRPORTS, FLIGHTS_HEADER, LoadOptions, Source, load_airports, load_flights,
};
use profiling::traffic::{Schedule, Simulation, Timetable};
use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq, Debug, NoUninit, CheckedBitPattern, TypeLayout)]
#[repr(u8)]
enum Gear {
    Up,
    Down = 5,
}

#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable, TypeLayout)]
#[repr(C)]
struct Spot {
    x: f32,
    row: i16,
    level: u16,
}

#[derive(Clone, Copy, NoUninit, CheckedBitPattern, TypeLayout)]
#[repr(C)]
struct Plane {
    wide: u128,
    target: Entity,
    spots: [Spot; 2],
    name: Text,
    gear: Gear,
    is_armed: bool,
    cells: [[u8; 2]; 3],
    mark: char,
    fuel: f32,
}

/// A component whose layout the file lacks.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Blob([u8; 3]);

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Marked;

#[derive(Clone, Copy, Pod, Zeroable, TypeLayout)]
#[repr(C)]
struct Big([[u32; 64]; 512]);

/// A number whose bytes all differ.
const NUMBER: u64 = 0x0102_0304_0506_0708;

/// A folder of one test, which is empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("inspect").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn save(world: &mut World, path: &Path) {
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    Checkpoint::create(path).unwrap().write(&view).unwrap();
}

fn foreign_schema() -> Schema {
    let builder = Schema::builder()
        .component(TypeEntry::<Plane>::new().named("plane", 3).with_layout())
        .toggle(TypeEntry::<f32>::new().named("fuel", 1).with_layout())
        .component(TypeEntry::<Blob>::new().named("blob", 2))
        .component(TypeEntry::<Marked>::new().named("marked", 9))
        .component(TypeEntry::<u64>::new().named("entity", 1).with_layout())
        .component(TypeEntry::<Big>::new().named("big", 1).with_layout())
        .list(TypeEntry::<[f32; 2]>::new().named("way", 2).with_layout())
        .event(TypeEntry::<u16>::new().named("beep", 1))
        .resource(TypeEntry::<u64>::new().named("score", 1).with_layout());
    builder.build().unwrap()
}

/// A file of types that the program does not know, and the entities in it.
fn foreign(folder: &Path) -> (String, [Entity; 4]) {
    let mut world = World::with_schema(&foreign_schema());
    let (short, long) = (world.text("ab\"c,"), world.text("a name\nof many bytes"));
    let spots = [Spot { x: 0.1, row: -2, level: 3 }, Spot { x: 1e30, row: 4, level: 5 }];
    let first = Plane {
        wide: u128::MAX,
        target: Entity::NONE,
        spots,
        name: short,
        gear: Gear::Down,
        is_armed: true,
        cells: [[1, 2], [3, 4], [5, 6]],
        mark: 'ü',
        fuel: f32::NAN,
    };
    let gone = world.spawn((Marked,));
    world.despawn(gone).unwrap();
    let one = world.spawn((first,));
    let plane =
        Plane { wide: 1, target: one, name: long, gear: Gear::Up, is_armed: false, ..first };
    let two = world.spawn((plane, 1.5_f32, Blob([0xab, 0, 1]), Marked));
    let three = world.spawn((2.5_f32, Blob([9; 3]), NUMBER));
    world.disable::<f32>(two).unwrap();
    let four = world.spawn((Marked, List::<[f32; 2]>::new(), Big([[7; 64]; 512])));
    world.list_mut::<[f32; 2]>(four).unwrap().push([1.0, 2.0]);
    world.send_event(7_u16);
    world.insert_resource(NUMBER).unwrap();
    (0..1_234).for_each(|_| world.advance_tick());
    let path = folder.join("foreign.cvy");
    save(&mut world, &path);
    (path.to_str().unwrap().to_owned(), [one, two, three, four])
}

fn inspect(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_airtraffic"));
    command.arg("inspect").args(arguments).output().unwrap()
}

/// Inspects, and expects success without a word on standard error.
fn shown(arguments: &[&str]) -> String {
    let output = inspect(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), error.as_str()), (Some(0), ""), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Inspects, and expects one line on standard error that has `message` in it.
fn refuses(arguments: &[&str], message: &str) {
    let output = inspect(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
    assert!(error.starts_with("error: ") && error.contains(message), "{arguments:?}: {error}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
}

/// Exports a component to a file of this name, and returns its bytes. No other file is left there.
fn exported(file: &str, component: &str, name: &str) -> Vec<u8> {
    let folder = Path::new(file).parent().unwrap().join("exports");
    fs::create_dir_all(&folder).unwrap();
    let to = folder.join(name);
    let printed = shown(&[file, "--export", component, "--to", to.to_str().unwrap()]);
    assert_eq!(printed, "");
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    assert!(files.into_iter().all(|path| !path.to_str().unwrap().ends_with(".part")));
    fs::read(to).unwrap()
}

fn exported_text(file: &str, component: &str) -> String {
    String::from_utf8(exported(file, component, "rows.csv")).unwrap()
}

/// The type of the rows in a file for NumPy, how many there are, and their bytes.
fn numpy(bytes: &[u8]) -> (String, usize, &[u8]) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (header, rows) = bytes[10..].split_at(length);
    assert_eq!((10 + length) % 64, 0);
    let header = std::str::from_utf8(header).unwrap().strip_suffix('\n').unwrap().trim_end();
    let header = header.strip_prefix("{'descr': ").unwrap();
    let (descr, rest) = header.split_once(", 'fortran_order': False, 'shape': (").unwrap();
    let count = rest.strip_suffix(",), }").unwrap();
    (descr.to_owned(), count.parse().unwrap(), rows)
}

#[test]
fn table_shows_types_that_the_program_does_not_know() {
    let (file, _) = foreign(&folder("table"));
    let table = shown(&[&file]);
    let lines: Vec<String> =
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "commit 1 at tick 1,234, 4 entities in 4 slots",
        "type kind version size align layout",
        "convoy_engine::Entity component - 8 4",
        "plane component 3 64 16 {wide: u128, target: Entity, spots: [{x: f32, row: i16, level: u16}; 2], \
         name: Text, gear: u8 enum {Up, Down = 5}, is_armed: bool, cells: [[u8; 2]; 3], mark: char, fuel: f32}",
        "fuel (toggle) toggle 1 1 1",
        "blob component 2 3 1",
        "marked component 9 0 1",
        "entity component 1 8 8 u64",
        "way list 2 8 4 of [f32; 2]",
        "beep event 1 2 2",
        "score resource 1 8 8 u64",
        "event records bytes numbers",
        "beep 1 2 B 0 to 0",
        "resource bytes",
        "score 8 B set",
        "list blocks bytes",
        "texts: 21 B",
    ] {
        assert!(lines.iter().any(|each| each == line), "{line}\n{table}");
    }
    assert!(lines.iter().any(|line| line.ends_with(" 1 72 B convoy_engine::Entity, plane")));
    assert!(table.lines().all(|line| line == line.trim_end()));
}

#[test]
fn json_has_the_same() {
    let (file, _) = foreign(&folder("json"));
    let text = shown(&[&file, "--json"]);
    assert_eq!(text.lines().count(), 1);
    let contents: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&contents["commit"], &contents["tick"]), (&1.into(), &1_234.into()));
    assert_eq!((&contents["entities"], &contents["damaged_headers"]), (&4.into(), &0.into()));
    let file_bytes = fs::metadata(&file).unwrap().len();
    assert_eq!(contents["file_bytes"], file_bytes);
    assert!(contents["needed_bytes"].as_u64().unwrap() <= file_bytes);
    let types = contents["types"].as_array().unwrap();
    let of = |name: &str| types.iter().find(|each| each["name"] == name).unwrap();
    let plane = of("plane");
    assert_eq!((&plane["kind"], &plane["version"]), (&"component".into(), &3.into()));
    assert_eq!((&plane["size"], &plane["align"]), (&64.into(), &16.into()));
    let fields = plane["layout"]["struct"].as_array().unwrap();
    let spot = json!({ "struct": [
        { "name": "x", "offset": 0, "layout": "f32" },
        { "name": "row", "offset": 4, "layout": "i16" },
        { "name": "level", "offset": 6, "layout": "u16" },
    ], "size": 8 });
    let spots = json!({ "array": spot, "count": 2 });
    assert_eq!(fields[2], json!({ "name": "spots", "offset": 24, "layout": spots }));
    let gear = json!({ "tag": "u8", "enum": [
        { "name": "Up", "value": 0 }, { "name": "Down", "value": 5 },
    ] });
    assert_eq!(fields[4]["layout"], gear);
    assert_eq!(of("blob")["layout"], Value::Null);
    assert_eq!(of("fuel (toggle)")["toggle_of"], "fuel");
    assert_eq!(of("way")["list"], json!({ "size": 8, "align": 4 }));
    let tables = contents["tables"].as_array().unwrap();
    let rows = tables.iter().map(|table| table["rows"].as_u64().unwrap());
    assert_eq!(rows.sum::<u64>(), 4);
    let names = json!(["convoy_engine::Entity", "plane"]);
    let table = tables.iter().find(|table| table["components"] == names).unwrap();
    assert_eq!((&table["rows"], &table["bytes"]), (&1.into(), &72.into()));
    let beep = json!([{ "name": "beep", "first": 0, "records": 1, "bytes": 2 }]);
    assert_eq!(contents["events"], beep);
    assert_eq!(contents["resources"], json!([{ "name": "score", "is_set": true, "bytes": 8 }]));
    assert_eq!(contents["lists"][0]["name"], "way");
    assert_eq!(contents["texts"], json!({ "blocks": 1, "bytes": 21 }));
}

#[test]
fn csv_has_a_column_for_each_part() {
    let (file, [one, two, three, four]) = foreign(&folder("csv"));
    let [one, two, three, four] = [one, two, three, four].map(Entity::to_bits);
    let none = Entity::NONE.to_bits();
    let header = "entity,plane.wide,plane.target,plane.spots[0].x,plane.spots[0].row,plane.spots[0].level,\
                  plane.spots[1].x,plane.spots[1].row,plane.spots[1].level,plane.name,plane.gear,\
                  plane.is_armed,plane.cells[0][0],plane.cells[0][1],plane.cells[1][0],plane.cells[1][1],\
                  plane.cells[2][0],plane.cells[2][1],plane.mark,plane.fuel";
    let same = "0.1,-2,3,1e30,4,5";
    let wide = u128::MAX;
    assert_eq!(
        exported_text(&file, "plane"),
        format!(
            "{header}\n\
             {one},{wide},{none},{same},\"ab\"\"c,\",Down,true,1,2,3,4,5,6,ü,NaN\n\
             {two},1,{one},{same},\"a name\nof many bytes\",Up,false,1,2,3,4,5,6,ü,NaN\n"
        )
    );
    // Also the value that is switched off.
    assert_eq!(exported_text(&file, "fuel"), format!("entity,fuel\n{two},1.5\n{three},2.5\n"));
    let blobs = format!("entity,blob\n{two},ab0001\n{three},090909\n");
    assert_eq!(exported_text(&file, "blob"), blobs);
    assert_eq!(exported_text(&file, "marked"), format!("entity\n{two}\n{four}\n"));
    let value = format!("entity,value\n{three},{NUMBER}\n");
    assert_eq!(exported_text(&file, "entity"), value, "no two columns have one name");
    let all = format!("entity\n{one}\n{two}\n{three}\n{four}\n");
    assert_eq!(exported_text(&file, "convoy_engine::Entity"), all);
}

#[test]
fn numpy_file_has_rows_as_they_lie_in_memory() {
    let (file, [one, two, three, four]) = foreign(&folder("numpy"));
    let bits = |entity: Entity| entity.to_bits().to_le_bytes();
    let bytes = exported(&file, "plane", "plane.npy");
    let (descr, count, rows) = numpy(&bytes);
    assert_eq!(
        descr,
        "[('entity', '<u8'), ('plane', [('wide', '|V16'), ('target', '<u8'), \
         ('spots', [('x', '<f4'), ('row', '<i2'), ('level', '<u2')], (2,)), ('name', '<u8'), \
         ('gear', '|u1'), ('is_armed', '|b1'), ('cells', '|u1', (3, 2,)), ('mark', '<U1'), ('fuel', '<f4')])]"
    );
    assert_eq!((count, rows.len()), (2, 2 * (8 + 64)));
    assert_eq!((&rows[..8], &rows[72..80]), (&bits(one)[..], &bits(two)[..]));
    let first: &Plane = &bytemuck::checked::pod_read_unaligned(&rows[8..72]);
    assert_eq!((first.gear, first.mark, first.spots[1].row), (Gear::Down, 'ü', 4));
    let second: &Plane = &bytemuck::checked::pod_read_unaligned(&rows[80..]);
    assert_eq!((second.target, second.wide, second.is_armed), (one, 1, false));

    let bytes = exported(&file, "blob", "blob.npy");
    let (descr, count, rows) = numpy(&bytes);
    assert_eq!((descr.as_str(), count), ("[('entity', '<u8'), ('blob', '|V3')]", 2));
    let expected = [&bits(two)[..], &[0xab, 0, 1], &bits(three), &[9; 3]].concat();
    assert_eq!(rows, expected);
    let bytes = exported(&file, "marked", "marked.npy");
    let expected = [bits(two), bits(four)].concat();
    assert_eq!(numpy(&bytes), ("[('entity', '<u8')]".to_owned(), 2, &expected[..]));
    // Two fields can't have one name.
    let bytes = exported(&file, "entity", "entity.npy");
    let expected = [bits(three), NUMBER.to_le_bytes()].concat();
    let descr = "[('entity', '<u8'), ('value', '<u8')]".to_owned();
    assert_eq!(numpy(&bytes), (descr, 1, &expected[..]));
    let bytes = exported(&file, "big", "big.npy");
    let (descr, count, rows) = numpy(&bytes);
    assert_eq!(descr, "[('entity', '<u8'), ('big', [('0', '<u4', (512, 64,))])]");
    assert_eq!((count, rows.len()), (1, 8 + 512 * 64 * 4));
}

/// A layout may have gaps, though no type of Rust that is a component has any: fields that are left out by hand.
#[test]
fn gaps_between_fields_are_padding() {
    use convoy_engine::schema::{FieldLayout, Layout, LayoutKind};

    #[derive(Clone, Copy, Pod, Zeroable)]
    #[repr(C)]
    struct Gappy([u8; 12]);

    impl TypeLayout for Gappy {
        const LAYOUT: Layout = Layout::of::<Self>(
            "Gappy",
            LayoutKind::Struct(&[
                FieldLayout { name: "late", offset: 7, layout: &u16::LAYOUT },
                FieldLayout { name: "nothing", offset: 3, layout: &<()>::LAYOUT },
                FieldLayout { name: "early", offset: 1, layout: &u8::LAYOUT },
            ]),
        );
    }

    let gappy = TypeEntry::<Gappy>::new().named("gappy", 1).with_layout();
    let mut world = World::with_schema(&Schema::builder().component(gappy).build().unwrap());
    let entity = world.spawn((Gappy([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),)).to_bits();
    let path = folder("gaps").join("gaps.cvy");
    save(&mut world, &path);
    let file = path.to_str().unwrap();
    let csv = format!("entity,gappy.late,gappy.early\n{entity},{},1\n", 7 + (8 << 8));
    assert_eq!(exported_text(file, "gappy"), csv);
    let bytes = exported(file, "gappy", "gappy.npy");
    let (descr, count, rows) = numpy(&bytes);
    assert_eq!(
        descr,
        "[('entity', '<u8'), ('gappy', [('', '|V1'), ('early', '|u1'), ('', '|V5'), ('late', '<u2'), ('', '|V3')])]"
    );
    assert_eq!((count, rows.len(), rows[9], rows[19]), (1, 20, 1, 11));
}

#[test]
fn flights_are_exported_under_the_names_of_their_schema() {
    let options = LoadOptions { strict: true };
    let airports = load_airports(&EMBEDDED_AIRPORTS, options).unwrap().data;
    let text = format!(
        "{FLIGHTS_HEADER}\n2001-01-01T00:01,33,2176,LAS,PHL\n2001-01-01T01:00,0,2176,LAS,PHL\n"
    );
    let source = Source::Bytes { name: "test", bytes: text.as_bytes() };
    let flights = load_flights(&source, &airports, options).unwrap().data;
    let timetable = Arc::new(Timetable::new(&flights, &airports));
    let (mut world, _) = Simulation::start(timetable, 10.0).unwrap();
    let path = folder("flights").join("flights.cvy");
    save(&mut world, &path);
    let file = path.to_str().unwrap();
    let schedules = world.query::<(Entity, &Schedule)>();
    let rows = schedules.iter().map(|(entity, schedule)| {
        format!("{},{},{}\n", entity.to_bits(), schedule.departure_s, schedule.arrival_s)
    });
    let rows: String = rows.collect();
    assert_eq!(rows.lines().count(), 2);
    let header = "entity,schedule.departure_s,schedule.arrival_s\n";
    assert_eq!(exported_text(file, "schedule"), format!("{header}{rows}"));
    let bytes = exported(file, "flight_path", "path.npy");
    let (descr, count, _) = numpy(&bytes);
    assert_eq!(count, 0, "nobody flies yet");
    assert_eq!(
        descr,
        "[('entity', '<u8'), ('flight_path', [('way', [('origin', '<f4', (3,)), ('departure', '<f4', (3,)), \
         ('angle_rad', '<f4')]), ('cruise_ft', '<f4')])]"
    );
    let table = shown(&[file]);
    assert!(table.contains("{origin: u16, destination: u16, distance_nm: f32}"), "{table}");
    assert!(table.contains("{departed: u64, landed: u64}"), "{table}");
}

/// The golden file of the engine's tests has something of every kind, also the links of a hierarchy.
#[test]
fn file_of_an_older_engine_is_shown_and_exported() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/checkpoint-1.cvy");
    let file = folder("golden").join("golden.cvy");
    fs::copy(golden, &file).unwrap();
    let file = file.to_str().unwrap();
    let table = shown(&[file]);
    assert!(table.starts_with("commit 1 at tick 5, 1,004 entities in "), "{table}");
    let contents: Value = serde_json::from_str(&shown(&[file, "--json"])).unwrap();
    let tables = contents["tables"].as_array().unwrap();
    let mut exported_any = 0;
    for each in contents["types"].as_array().unwrap() {
        let name = each["name"].as_str().unwrap();
        if each["kind"] != "component" || !each["list"].is_null() {
            continue;
        }
        let of = |table: &&Value| table["components"].as_array().unwrap().contains(&each["name"]);
        let rows = tables.iter().filter(of).map(|table| table["rows"].as_u64().unwrap());
        let rows = rows.sum::<u64>();
        let bytes = exported(file, name, "rows.npy");
        assert_eq!(numpy(&bytes).1 as u64, rows, "{name}");
        assert_eq!(exported_text(file, name).lines().count() as u64, 1 + rows, "{name}");
        exported_any += u32::from(rows > 0);
    }
    assert!(exported_any >= 6, "{exported_any} components have rows");
}

#[test]
fn exports_that_cannot_be_meant_are_refused() {
    let folder = folder("refused");
    let (file, _) = foreign(&folder);
    let to = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (csv, npy) = (to("rows.csv"), to("rows.npy"));
    let export = |component: &str, to: &str, message: &str| {
        refuses(&[&file, "--export", component, "--to", to], message);
    };
    export("engine", &csv, "the checkpoint has no component \"engine\"");
    export("", &csv, "the checkpoint has no component \"\"");
    export("beep", &csv, "\"beep\" is of kind event");
    export("score", &npy, "\"score\" is of kind resource");
    export("fuel (toggle)", &npy, "is of kind toggle");
    export("way", &csv, "\"way\" is a list");
    export("big", &csv, "\"big\" would have 32768 columns of at most 16384: export it as `.npy`");
    for name in ["rows.txt", "rows", "rows.CSV", ".csv"] {
        export("plane", &to(name), "ends in `.csv` or `.npy`");
    }
    export("plane", &to("no/such/folder/rows.csv"), "can't be written");
    fs::create_dir(to("taken.csv")).unwrap();
    export("plane", &to("taken.csv"), "taken.csv can't be written");
    let same = to("checkpoint.npy");
    fs::copy(&file, &same).unwrap();
    refuses(&[&same, "--export", "plane", "--to", &same], "it is the checkpoint");
    assert_eq!(fs::read(&same).unwrap(), fs::read(&file).unwrap());
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["checkpoint.npy", "foreign.cvy", "taken.csv"], "nothing is left");
    // Usage errors are those of the command line, which have several lines.
    for usage in [&["--export", "plane"][..], &["--to", "rows.csv"], &["--frames", "7"]] {
        let arguments = [&[file.as_str()], usage].concat();
        assert_eq!(inspect(&arguments).status.code(), Some(2), "{usage:?}");
    }
}

#[test]
fn files_that_cannot_be_read_are_refused_and_exports_stay() {
    let folder = folder("damaged");
    let (file, _) = foreign(&folder);
    refuses(&["/no/such/file.cvy"], "/no/such/file.cvy: the file could not be used");
    let text = folder.join("text.cvy");
    fs::write(&text, "no checkpoint".repeat(1_000)).unwrap();
    refuses(&[text.to_str().unwrap()], "the file is no checkpoint");
    let mut bytes = fs::read(&file).unwrap();
    // A byte of `Big`, which only its export reads.
    let big = 7_u32.to_le_bytes().repeat(64);
    let at = bytes.windows(big.len()).position(|window| window == big).unwrap();
    bytes[at] ^= 1;
    let damaged = folder.join("damaged.cvy");
    fs::write(&damaged, &bytes).unwrap();
    let damaged = damaged.to_str().unwrap();
    let kept = folder.join("kept.npy");
    fs::write(&kept, "an export").unwrap();
    let kept_name = kept.to_str().unwrap();
    refuses(
        &[damaged, "--export", "big", "--to", kept_name],
        "the file is damaged at byte 8192, in the tables",
    );
    assert_eq!(fs::read(&kept).unwrap(), b"an export");
    assert!(!exported(damaged, "plane", "plane.npy").is_empty());
    shown(&[&file, "--export", "blob", "--to", kept_name]);
    assert_eq!(numpy(&fs::read(&kept).unwrap()).1, 2, "replaced by another");
}

/// All other components are dropped by their names, and the one to export was dropped as well.
#[test]
fn name_that_two_components_have_is_an_error() {
    let folder = folder("twice");
    let (file, _) = foreign(&folder);
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(4).rposition(|window| window == b"blob").unwrap();
    bytes[at..at + 4].copy_from_slice(b"fuel");
    Checkpoint::mend(&mut bytes);
    fs::write(&file, &bytes).unwrap();
    let to = folder.join("rows.csv");
    let message = "fuel has version 2 in the file and 1 in the schema";
    refuses(&[&file, "--export", "fuel", "--to", to.to_str().unwrap()], message);
}

/// Components that the program lacks are kept by their bytes, which nobody has found to be values of their layouts.
#[test]
fn bytes_that_are_no_value_are_refused() {
    let folder = folder("values");
    let (file, [one, ..]) = foreign(&folder);
    let mut bytes = fs::read(&file).unwrap();
    // The gear of the first plane, and that it is armed, before its cells.
    let gear = [5, 1, 1, 2, 3, 4, 5, 6];
    let at = bytes.windows(8).position(|window| window == gear).unwrap();
    bytes[at + 1] = 2;
    Checkpoint::mend(&mut bytes);
    fs::write(&file, &bytes).unwrap();
    let message = format!("\"plane\" of entity {one:?} are no value of its layout");
    for name in ["rows.csv", "rows.npy"] {
        let to = folder.join(name);
        refuses(&[&file, "--export", "plane", "--to", to.to_str().unwrap()], &message);
        assert!(!to.exists());
    }
}
