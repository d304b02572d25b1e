//! Every kind of query has the same methods, and they agree: on worlds and views, by a scan or
//! prepared, on an exclusive world or one that is shared out, with chunks that a snapshot shares and
//! without.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
#![allow(redundant_semicolons, reason = "some kinds of queries need no preparation")]

use std::collections::BTreeMap;
use std::sync::Mutex;

use convoy_engine::query::{Changed, GetError, PreparedQuery, QueryError, Readable};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, With, Without, World, WorldConfig};

const ALL: ComponentMask = ComponentMask::ALL;

type Rows = BTreeMap<Entity, (u64, Option<u32>)>;
type Terms<'a> = (Entity, &'a u64, Option<&'a u32>);
type TermsMut<'a> = (Entity, &'a mut u64, Option<&'a mut u32>);

/// Tables of several lengths and chunks of few rows, with and without the optional component, some of
/// it switched off, and what a query finds there by the filter `With<u8>`.
fn scene() -> (World, Rows) {
    let mut world = World::with_config(WorldConfig::default().chunk_rows_max(16));
    world.register_toggle::<u32>().unwrap();
    let mut rows = Rows::new();
    for number in 0..40_u64 {
        let entity = world.spawn((number, 1_u8));
        rows.insert(entity, (number, None));
    }
    for number in 0..77_u32 {
        let entity = world.spawn((u64::from(number) << 8, number, 1_u8));
        let is_on = number % 5 != 1 && !(30..50).contains(&number);
        if !is_on {
            world.disable::<u32>(entity).unwrap();
        }
        rows.insert(entity, (u64::from(number) << 8, is_on.then_some(number)));
    }
    let lone = world.spawn((9_u64, 1_u8, 0.5_f32));
    rows.insert(lone, (9, None));
    world.spawn((5_u64, 6_u32));
    (world, rows)
}

fn step(row: &mut (u64, Option<u32>)) {
    row.0 = row.0 * 3 + 1;
    row.1 = row.1.map(|value| value + 7);
}

fn step_item((_, wide, narrow): TermsMut<'_>) {
    *wide = *wide * 3 + 1;
    narrow.into_iter().for_each(|value| *value += 7);
}

fn found(readable: &impl Readable) -> Rows {
    let query = readable.query::<Terms<'_>>().filter::<With<u8>>();
    query.iter().map(|(entity, wide, narrow)| (entity, (*wide, narrow.copied()))).collect()
}

/// Calls every method of a query that reads, made by `$make`, and compares with `$rows`.
macro_rules! assert_reads {
    ($make:expr, $lone:expr, $rows:expr) => {{
        let rows: &Rows = $rows;
        let copied = |(entity, wide, narrow): Terms<'_>| (entity, (*wide, narrow.copied()));
        assert_eq!($make.count(), rows.len());
        assert_eq!($make.iter().len(), rows.len());
        assert_eq!(&$make.iter().map(copied).collect::<Rows>(), rows);
        assert_eq!(&$make.into_iter().map(copied).collect::<Rows>(), rows);
        let mut visited = Rows::new();
        $make.for_each(|item| _ = visited.extend([copied(item)]));
        assert_eq!(&visited, rows);
        let mut visited = Rows::new();
        $make.for_each_run(|(entities, wides, narrows)| {
            for (index, (entity, wide)) in entities.iter().zip(wides).enumerate() {
                visited.insert(*entity, (*wide, narrows.map(|narrows| narrows[index])));
            }
        });
        assert_eq!(&visited, rows);
        let visited = Mutex::new(Rows::new());
        $make.par_for_each(|item| visited.lock().unwrap().extend([copied(item)]));
        assert_eq!(&visited.into_inner().unwrap(), rows);
        let visited = Mutex::new(0);
        $make.par_for_each_run(|(entities, wides, _)| {
            assert_eq!(entities.len(), wides.len());
            *visited.lock().unwrap() += entities.len();
        });
        assert_eq!(visited.into_inner().unwrap(), rows.len());
        let sorted = $make.sorted_by_key(|(entity, ..)| *entity);
        assert!(
            sorted.into_iter().map(copied).eq(rows.iter().map(|(entity, row)| (*entity, *row)))
        );
        for (&entity, row) in rows {
            assert_eq!(copied($make.get(entity).unwrap()).1, *row);
        }
        let entities: Vec<_> = rows.keys().copied().collect();
        let items = $make.get_many([entities[3], entities[90], entities[3]]).unwrap();
        assert_eq!(
            items.map(|item| copied(item).1),
            [3, 90, 3].map(|index| rows[&entities[index]])
        );
        assert!(matches!($make.get(Entity::NONE), Err(GetError::NotAlive { .. })));
        assert!($make.single().is_none());
        assert_eq!($lone.single().map(|(_, wide, _)| *wide), Some(9));
        assert_eq!($make.filter::<Without<f32>>().count(), rows.len() - 1);
    }};
}

/// Calls every method of a query that writes, made by `$make`. Each steps all rows, of which there are
/// 118, or a few.
macro_rules! for_each_writer {
    ($world:ident, $prepare:stmt, $make:expr, $lone:expr) => {{
        let every = |rows: &mut Rows| rows.values_mut().for_each(step);
        let cases: [(&str, &mut dyn FnMut(&mut World, &mut Rows)); 10] = [
            ("for_each", &mut |$world, rows| {
                $prepare;
                $make.for_each(step_item);
                every(rows);
            }),
            ("try_for_each", &mut |$world, rows| {
                $prepare;
                $make.try_for_each(step_item).unwrap();
                every(rows);
            }),
            ("for_each_run", &mut |$world, rows| {
                $prepare;
                $make.for_each_run(|(entities, wides, mut narrows)| {
                    for (index, (&entity, wide)) in entities.iter().zip(wides).enumerate() {
                        let narrow = narrows.as_mut().map(|narrows| &mut narrows[index]);
                        step_item((entity, wide, narrow));
                    }
                });
                every(rows);
            }),
            ("iter", &mut |$world, rows| {
                $prepare;
                let mut query = $make;
                let items: Vec<_> = query.iter().collect();
                items.into_iter().for_each(step_item);
                every(rows);
            }),
            ("par_for_each", &mut |$world, rows| {
                $prepare;
                $make.par_for_each(step_item);
                every(rows);
            }),
            ("par_for_each_run", &mut |$world, rows| {
                $prepare;
                $make.par_for_each_run(|(entities, wides, mut narrows)| {
                    for (index, (&entity, wide)) in entities.iter().zip(wides).enumerate() {
                        let narrow = narrows.as_mut().map(|narrows| &mut narrows[index]);
                        step_item((entity, wide, narrow));
                    }
                });
                every(rows);
            }),
            ("sorted_by_key", &mut |$world, rows| {
                $prepare;
                let mut query = $make;
                query.sorted_by_key(|(entity, ..)| *entity).into_iter().for_each(step_item);
                every(rows);
            }),
            ("get", &mut |$world, rows| {
                $prepare;
                let mut query = $make;
                for (&entity, row) in &mut *rows {
                    step_item(query.get(entity).unwrap());
                    step(row);
                }
            }),
            ("get_many", &mut |$world, rows| {
                $prepare;
                let mut query = $make;
                let entities: Vec<_> = rows.keys().copied().collect();
                let error = query.get_many([entities[5], entities[5]]).map(|_| ()).unwrap_err();
                assert!(matches!(error, GetError::Duplicate { entity } if entity == entities[5]));
                query.get_many([entities[2], entities[100]]).unwrap().into_iter().for_each(step_item);
                for index in [2, 100] {
                    step(rows.get_mut(&entities[index]).unwrap());
                }
            }),
            ("single and count", &mut |$world, rows| {
                $prepare;
                assert_eq!($make.count(), rows.len());
                assert!($make.single().is_none());
                let mut lone = $lone;
                let item = lone.single().unwrap();
                let entity = item.0;
                step_item(item);
                step(rows.get_mut(&entity).unwrap());
            }),
        ];
        for (name, call) in cases {
            for is_shared in [false, true] {
                let (mut world, mut rows) = scene();
                let view = world.capture(ALL, &SnapshotPool::default());
                let before = rows.clone();
                let view = is_shared.then_some(view);
                call(&mut world, &mut rows);
                assert_eq!(found(&world), rows, "{name}, {is_shared}");
                assert_eq!(world.query::<&u64>().filter::<Without<u8>>().single(), Some(&5));
                if let Some(view) = view {
                    assert_eq!(found(&view), before, "{name}");
                }
                // Once more, with chunks that are the world's own now.
                call(&mut world, &mut rows);
                assert_eq!(found(&world), rows, "{name}, {is_shared}");
            }
        }
    }};
}

#[test]
fn queries_that_read_have_all_methods() {
    let (mut world, rows) = scene();
    let view = world.capture(ALL, &SnapshotPool::default());
    let branch = World::branch(&view).unwrap();
    let mut replica = World::new();
    replica.sync_from(&world, ALL).unwrap();
    fn check(readable: &impl Readable, rows: &Rows) {
        let scan = || readable.query::<Terms<'_>>().filter::<With<u8>>();
        assert_reads!(scan(), scan().filter::<With<f32>>(), rows);
        let mut prepared = PreparedQuery::<Terms<'static>, With<u8>>::new();
        let mut lone = PreparedQuery::<Terms<'static>, (With<u8>, With<f32>)>::new();
        assert_reads!(prepared.query(readable), lone.query(readable), rows);
    }
    check(&world, &rows);
    check(&view, &rows);
    check(&branch, &rows);
    check(&replica, &rows);
}

#[test]
fn queries_that_write_have_all_methods() {
    for_each_writer!(
        world,
        (),
        world.query_mut::<TermsMut<'_>>().filter::<With<u8>>(),
        world.query_mut::<TermsMut<'_>>().filter::<(With<u8>, With<f32>)>()
    );
}

#[test]
fn prepared_queries_that_write_have_all_methods() {
    let mut prepared = PreparedQuery::<TermsMut<'static>, With<u8>>::new();
    let prepared = std::cell::RefCell::new(&mut prepared);
    for_each_writer!(
        world,
        let mut query = prepared.borrow_mut(),
        query.query_mut(world),
        query.query_mut(world).filter::<With<f32>>()
    );
}

#[test]
fn queries_of_a_shared_world_have_all_methods() {
    for_each_writer!(
        world,
        let shared = world.share(),
        shared.query::<TermsMut<'_>>().filter::<With<u8>>(),
        shared.query::<TermsMut<'_>>().filter::<(With<u8>, With<f32>)>()
    );
}

/// Two queries of a shared world copy shared chunks in parallel, each on the threads of a pool.
#[test]
fn parallel_passes_of_a_shared_world_meet() {
    let mut world = World::with_config(WorldConfig::default().chunk_rows_max(64));
    let values: Vec<u64> = (0..10_000).collect();
    let narrow: Vec<u32> = (0..10_000).collect();
    world.spawn_columns((&values[..], &narrow[..])).unwrap();
    for _ in 0..3 {
        let view = world.capture(ALL, &SnapshotPool::default());
        let before: (u64, u64) = sums(&view);
        let shared = world.share();
        std::thread::scope(|scope| {
            scope.spawn(|| shared.query::<&mut u64>().par_for_each(|value| *value += 1));
            scope.spawn(|| {
                shared.query::<&mut u32>().par_for_each_run(|run| {
                    run.iter_mut().for_each(|value| *value += 2);
                })
            });
        });
        assert_eq!(sums(&view), before);
        assert_eq!(sums(&world), (before.0 + 10_000, before.1 + 20_000));
    }
}

fn sums(readable: &impl Readable) -> (u64, u64) {
    let narrow = readable.query::<&u32>().iter().map(|value| u64::from(*value)).sum();
    (readable.query::<&u64>().iter().sum(), narrow)
}

/// An optional term that writes takes the component as any term that writes does.
#[test]
fn optional_terms_that_write_claim_their_component() {
    let mut world = World::new();
    world.spawn((1_u32,));
    let conflict = Some(QueryError::Conflict { component: "u32" });
    assert_eq!(world.try_query_mut::<(Option<&mut u32>, &u32)>().err(), conflict);
    assert_eq!(world.try_query_mut::<(Option<&mut u32>, Option<&u32>)>().err(), conflict);
    assert_eq!(world.try_query_mut::<Option<&mut Entity>>().err(), Some(QueryError::WritesEntity));
    let shared = world.share();
    let mut writes = shared.query::<Option<&mut u32>>();
    let borrowed = Some(QueryError::Borrowed { component: "u32" });
    assert_eq!(shared.try_query::<&u32>().err(), borrowed);
    writes.for_each(|value| *value.unwrap() += 1);
    assert_eq!(writes.count(), 1);
}

/// Filters that are added to a prepared query are asked of tables that it has kept, and a mark counts.
#[test]
fn prepared_queries_take_filters_and_marks() {
    let (mut world, rows) = scene();
    let mut prepared = PreparedQuery::<&u64>::new();
    assert_eq!(prepared.query(&world).count(), rows.len() + 1);
    assert_eq!(prepared.query(&world).filter::<With<u8>>().iter().len(), rows.len());
    let missing = prepared.query(&world).filter::<With<f64>>().get(*rows.keys().next().unwrap());
    assert!(matches!(missing, Err(GetError::Filtered { .. })));
    let mark = world.change_mark();
    assert_eq!(prepared.query(&world).filter::<Changed<u64>>().since(mark).count(), 0);
    *world.get_mut::<u64>(*rows.keys().next().unwrap()).unwrap() = 7;
    assert_eq!(prepared.query(&world).filter::<Changed<u64>>().since(mark).count(), 16);
    let other = World::new().change_mark();
    assert_eq!(prepared.query(&world).try_since(other).err(), Some(QueryError::ForeignMark));
    let narrowed: View =
        world.capture(world.component_id::<u32>().into_iter().collect(), &SnapshotPool::default());
    let error = QueryError::NotReadable { component: "u64" };
    assert_eq!(prepared.try_query(&narrowed).err(), Some(error));
}
