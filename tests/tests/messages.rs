//! The messages of refusals: the thing by its public name, the place in the
//! user's own code, and the remedy.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::cell::RefCell;
use std::fmt::Display;
use std::panic::{self, AssertUnwindSafe, catch_unwind};

use convoy_engine::commands::Commands;
use convoy_engine::component::RegisterError;
use convoy_engine::events::EventCursor;
use convoy_engine::hierarchy::{ChildOf, Children};
use convoy_engine::host::Rate;
use convoy_engine::memory::ArenaConfig;
use convoy_engine::query::{Added, Changed, PreparedQuery};
use convoy_engine::snapshot::diff;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, With, World, WorldConfig};

/// A pair of handles, as a component that is not the engine's own and holds types that are.
type Pair = [Entity; 2];

/// A view of a world with an entity that reads `B` only.
fn view_of<B: convoy_engine::Bundle>() -> (World, Entity, View) {
    let mut world = World::new();
    let entity = world.spawn((1_u32, Pair::default()));
    let mask = world.mask_of::<B>().unwrap();
    let view = world.capture(mask, &SnapshotPool::for_world(&world));
    (world, entity, view)
}

/// Checks the name of a type of the engine in a message.
#[track_caller]
fn check_names(error: impl Display, name: &str) {
    let message = error.to_string();
    assert!(message.contains(name), "{message}");
    assert!(!message.contains("::storage::"), "a private path: {message}");
}

/// A new user who forgot the handles read that `convoy_engine::storage::entity::Entity` was not
/// captured: a path that the documentation does not know, of something that doesn't look like a
/// component.
#[test]
fn types_of_the_engine_go_by_their_public_names() {
    let (mut world, entity, view) = view_of::<(u32,)>();
    let refused = [
        view.try_query::<(Entity, &u32)>().err().unwrap().to_string(),
        view.get::<u32>(entity).unwrap_err().to_string(),
        view.try_contains(entity).unwrap_err().to_string(),
        view.reader::<u32>().err().unwrap().to_string(),
        view.query::<&u32>().get(entity).unwrap_err().to_string(),
        view.query::<&u32>().try_filter::<Added<u32>>().err().unwrap().to_string(),
        PreparedQuery::<Entity>::new().try_query(&view).err().unwrap().to_string(),
        diff(&view, &view).err().unwrap().to_string(),
    ];
    for message in refused {
        check_names(&message, "convoy_engine::Entity");
        assert!(message.contains("add Entity to"), "{message}");
    }
    let pair = "[convoy_engine::Entity; 2]";
    check_names(view.try_query::<&Pair>().err().unwrap(), pair);
    check_names(view.query::<&u32>().try_filter::<Changed<Pair>>().err().unwrap(), pair);
    check_names(world.remove::<(Pair, u8)>(entity).unwrap_err(), "u8");
    check_names(world.spawn_columns((&[1_u8][..], &[][..] as &[Pair])).err().unwrap(), pair);
    check_names(world.try_spawn((Pair::default(), Pair::default())).unwrap_err(), pair);
    check_names(world.get::<[Entity; 3]>(entity).unwrap_err(), "[convoy_engine::Entity; 3]");
    check_names(world.resource::<Pair>().unwrap_err(), pair);
    check_names(world.enable::<Pair>(entity).unwrap_err(), pair);
    check_names(world.register_toggle::<Pair>().unwrap_err(), pair);
    check_names(world.get_mut::<ChildOf>(entity).unwrap_err(), "convoy_engine::hierarchy::ChildOf");
    check_names(world.get::<Children>(entity).unwrap_err(), "convoy_engine::hierarchy::Children");
    check_names(world.try_query_mut::<(&Pair, &mut Pair)>().err().unwrap(), pair);
    let other = World::new().capture(ComponentMask::NONE, &SnapshotPool::default());
    check_names(world.restore(&view).unwrap_err(), "convoy_engine::Entity");
    check_names(world.restore(&other).unwrap_err(), "another world");
    let id = world.component_id::<Pair>().unwrap();
    assert_eq!(world.component_info(id).unwrap().name(), pair);
    assert_eq!(world.component_id_by_name(pair), Some(id));
    let cursor = format!("{:?}", EventCursor::<Pair>::default());
    check_names(cursor, pair);
}

/// `TooLarge` named the size of a type, and not the limit; and for a slab of a size that no
/// system has, the message was about chunks.
#[test]
fn what_is_too_large_is_told_with_its_limit() {
    type Huge = [[[u8; 1 << 10]; 1 << 10]; 512];
    let error = World::new().register::<Huge>().unwrap_err();
    let limit_bytes = convoy_pool::SizeClass::MAX.bytes();
    let component = std::any::type_name::<Huge>();
    assert_eq!(error, RegisterError::TooLarge { component, bytes: 512 << 20, limit_bytes });
    assert!(error.to_string().contains(&limit_bytes.to_string()), "{error}");
    let mut world = World::new();
    let error = world.reserve_bytes(usize::MAX).unwrap_err().to_string();
    assert!(error.contains(&usize::MAX.to_string()) && error.contains("address space"), "{error}");
}

#[test]
fn ids_of_another_world_are_answered_and_not_a_panic() {
    let mut world = World::new();
    let id = world.register::<u32>().unwrap();
    assert_eq!(world.component_info(id).unwrap().size(), 4);
    assert!(World::new().component_info(id).is_none());
}

thread_local! {
    /// Where the last panic of the thread was, as its hook saw it.
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A row that fills a chunk of its own.
type Large = [u64; 512];
/// The one row of its kind, to be written.
type One<'a> = (&'a mut Large, &'a u8);

/// A world that has a chunk to copy, and no memory left to do so.
fn out_of_memory() -> (World, View) {
    let config = WorldConfig::default()
        .memory(ArenaConfig::default().limit_bytes(64 * 1024).first_slab_bytes(64 * 1024));
    let mut world = World::with_config(config);
    world.spawn(([1_u64; 512], 1_u8));
    while world.try_spawn(([2_u64; 512],)).is_ok() {}
    while world.try_spawn(([3_u64; 512], 3_u16)).is_ok() {}
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::for_world(&world));
    assert!(world.query_mut::<One<'_>>().try_for_each(|_| ()).is_err());
    (world, view)
}

/// A partial replica, which has no `u64` to read.
fn partial() -> World {
    let mut source = World::new();
    source.spawn((1_u32, 2_u64));
    source.register_toggle::<f32>().unwrap();
    let mask = source.mask_of::<(u32,)>().unwrap();
    let mut replica = World::new();
    replica.sync_from(&source, mask).unwrap();
    replica
}

/// A world all of whose slots are reserved.
fn with_every_slot_reserved<R>(run: impl FnOnce(&World) -> R) -> R {
    let world = World::new();
    let count = (1..).map(|spared| u32::MAX as usize - spared).take(100);
    let reserved = count.filter_map(|count| world.reserve_entities(count).ok()).next().unwrap();
    while world.try_reserve_entity().is_ok() {}
    let result = run(&world);
    std::mem::forget(reserved);
    result
}

/// A public function by its name, called so that it panics.
type Mistake = (&'static str, Box<dyn FnOnce()>);

/// Every public function that panics for a mistake of its caller, making one.
fn mistakes() -> Vec<Mistake> {
    fn case(name: &'static str, run: impl FnOnce() + 'static) -> Mistake {
        (name, Box::new(run))
    }
    vec![
        case("World::spawn", || _ = World::new().spawn((1_u8, 2_u8))),
        case("World::query", || _ = partial().query::<&u64>().count()),
        case("World::query_mut", || _ = World::new().query_mut::<(&u8, &mut u8)>().count()),
        case("World::send_event", || {
            let config = WorldConfig::default().memory_limit_bytes(0);
            World::with_config(config).send_event(1_u8);
        }),
        case("World::reserve_entity", || {
            with_every_slot_reserved(|world| _ = world.reserve_entity());
        }),
        case("World::play_back", || {
            let mut commands = Commands::new(&mut World::new());
            World::new().play_back(&mut commands);
        }),
        case("Query::filter", || {
            let replica = partial();
            _ = replica.query::<&u32>().filter::<Changed<u64>>().count();
        }),
        case("QueryMut::filter", || {
            let mut replica = partial();
            _ = replica.query_mut::<&u32>().filter::<Changed<u64>>().count();
        }),
        case("SharedQuery::filter", || {
            let mut replica = partial();
            _ = replica.share().query::<&u32>().filter::<With<f32>>().count();
        }),
        case("SharedWorld::query", || _ = World::new().share().query::<(&u8, &mut u8)>().count()),
        case("PreparedQuery::query", || {
            _ = PreparedQuery::<&u64>::new().query(&partial()).count();
        }),
        case("PreparedQuery::query_mut", || {
            _ = PreparedQuery::<(&u8, &mut u8)>::new().query_mut(&mut World::new()).count();
        }),
        case("QueryMut::for_each", || {
            let (world, ..) = &mut out_of_memory();
            world.query_mut::<One<'_>>().for_each(|_| ());
        }),
        case("QueryMut::par_for_each", || {
            let (world, ..) = &mut out_of_memory();
            world.query_mut::<One<'_>>().par_for_each(|_| ());
        }),
        case("QueryMut::iter", || {
            let (world, ..) = &mut out_of_memory();
            for _ in world.query_mut::<One<'_>>() {}
        }),
        case("QueryMut::single", || {
            let (world, ..) = &mut out_of_memory();
            _ = world.query_mut::<One<'_>>().single();
        }),
        case("QueryMut::sorted_by_key", || {
            let (world, ..) = &mut out_of_memory();
            _ = world.query_mut::<One<'_>>().sorted_by_key(|(row, _)| row[0]).len();
        }),
        case("SharedQuery::for_each", || {
            let (world, ..) = &mut out_of_memory();
            world.share().query::<One<'_>>().for_each(|_| ());
        }),
        case("PreparedMut::for_each", || {
            let (world, ..) = &mut out_of_memory();
            PreparedQuery::<One<'_>>::new().query_mut(world).for_each(|_| ());
        }),
        case("PreparedMut::iter", || {
            let (world, ..) = &mut out_of_memory();
            for _ in PreparedQuery::<One<'_>>::new().query_mut(world).iter() {}
        }),
        case("PreparedMut::single", || {
            let (world, ..) = &mut out_of_memory();
            _ = PreparedQuery::<One<'_>>::new().query_mut(world).single();
        }),
        case("PreparedMut::sorted_by_key", || {
            let (world, ..) = &mut out_of_memory();
            let mut query = PreparedQuery::<One<'_>>::new();
            _ = query.query_mut(world).sorted_by_key(|(row, _)| row[0]).len();
        }),
        case("DescribedRun::column", || {
            let mut world = World::new();
            world.spawn((1_u8,));
            let ids = [world.component_id::<u8>().unwrap()];
            let query = world.query_described(&ids, &[]).unwrap();
            _ = query.iter().next().unwrap().column(1).len();
        }),
        case("Rate::hz", || _ = Rate::hz(0)),
        case("Rate::millihertz", || _ = Rate::millihertz(0)),
        case("Rate::every_frames", || _ = Rate::every_frames(0)),
        case("Scratch::get", || {
            let slice = convoy_pool::Scratch::new().store(b"other");
            _ = convoy_pool::Scratch::new().get(slice).len();
        }),
    ]
}

/// Panics for mistakes of the caller pointed into the library, where there was nothing to see.
#[test]
fn panics_for_a_mistake_of_the_caller_are_located_in_its_code() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        let location = panicked.location().map(ToString::to_string).unwrap_or_default();
        PANICKED_AT.with(|at| at.replace(location));
        before(panicked);
    }));
    let mut elsewhere = Vec::new();
    for (name, run) in mistakes() {
        PANICKED_AT.take();
        let ended = catch_unwind(AssertUnwindSafe(run));
        let location = PANICKED_AT.take();
        if ended.is_ok() || !location.starts_with(file!()) {
            elsewhere.push(format!("{name}: {location}"));
        }
    }
    assert_eq!(elsewhere, Vec::<String>::new(), "panics at other places, or none");
}
