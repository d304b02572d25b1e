//! Mapped deltas: a world with entities of its own follows another one, under handles of its own.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::collections::HashMap;

use convoy_engine::commands::Commands;
use convoy_engine::delta::{Delta, DeltaError, EntityMap};
use convoy_engine::list::List;
use convoy_engine::text::Text;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use convoy_tests::{Engine, Marked, Mixer, Mode, Order, Place, delta_config, mutate};

const ALL: ComponentMask = ComponentMask::ALL;

/// A world that follows a source by a map, beside entities of its own.
struct Mapped {
    source: World,
    world: World,
    map: EntityMap,
    pool: SnapshotPool,
    last: Option<View>,
    bytes: Vec<u8>,
}

impl Mapped {
    fn new() -> Self {
        // Other chunks, and entities that shift all handles.
        let mut world = World::with_config(delta_config(16));
        (0..7).for_each(|_| _ = world.spawn((0.5_f64,)));
        Self {
            source: World::with_config(delta_config(4)),
            world,
            map: EntityMap::new(delta_config(4)),
            pool: SnapshotPool::default(),
            last: None,
            bytes: Vec::new(),
        }
    }

    fn encode(&mut self) -> View {
        let view = self.source.capture(ALL, &self.pool);
        Delta::encode(self.last.as_ref(), &view, &mut self.bytes).unwrap();
        view
    }

    fn send(&mut self) {
        let view = self.encode();
        self.world.apply_mapped(&Delta::parse(&self.bytes).unwrap(), &mut self.map).unwrap();
        self.last = Some(view);
        self.assert_follows();
    }

    /// Compares everything that entities have, by the map.
    fn assert_follows(&self) {
        let alive: Vec<Entity> = self.source.query::<Entity>().iter().collect();
        let own: HashMap<Entity, Entity> = self.map.iter().collect();
        assert_eq!(own.len(), alive.len(), "those that are alive, and no others");
        assert_eq!(self.world.entity_count(), alive.len() + 7);
        assert_eq!(self.world.query::<&f64>().count(), 7);
        let translated = |theirs: Entity| own.get(&theirs).copied().unwrap_or(Entity::NONE);
        for theirs in alive {
            let entity = own[&theirs];
            let (source, world) = (&self.source, &self.world);
            assert_eq!(source.get::<Place>(theirs).ok(), world.get::<Place>(entity).ok());
            assert_eq!(source.get::<Mode>(theirs).ok(), world.get::<Mode>(entity).ok());
            assert_eq!(source.get::<Engine>(theirs).ok(), world.get::<Engine>(entity).ok());
            assert_eq!(source.get::<Marked>(theirs).ok(), world.get::<Marked>(entity).ok());
            assert_eq!(
                source.is_enabled::<Engine>(theirs).ok(),
                world.is_enabled::<Engine>(entity).ok()
            );
            let order = source.get::<Order>(theirs).ok();
            let found = world.get::<Order>(entity).ok();
            assert_eq!(order.map(|order| order.words), found.map(|order| order.words));
            if let Some(order) = found {
                assert_eq!(source.resolve(&order.words), world.resolve(&order.words));
            }
            assert_eq!(source.list::<Mode>(theirs).ok(), world.list::<Mode>(entity).ok());
            let words =
                |orders: &[Order]| orders.iter().map(|order| order.words).collect::<Vec<_>>();
            assert_eq!(
                source.list::<Order>(theirs).ok().map(words),
                world.list::<Order>(entity).ok().map(words)
            );
            let parent = source.parent(theirs).unwrap().map(translated);
            assert_eq!(world.parent(entity).unwrap(), parent);
            let children: Vec<_> = source.children(theirs).unwrap().map(translated).collect();
            assert_eq!(world.children(entity).unwrap().collect::<Vec<_>>(), children);
        }
    }
}

#[test]
fn handles_in_components_are_translated() {
    let mut mapped = Mapped::new();
    let ships: Vec<_> = (0..5).map(|n| mapped.source.spawn((Engine(n),))).collect();
    let words = Text::new("north");
    mapped.source.insert(ships[3], (Order { target: ships[1], words },)).unwrap();
    // One that comes with the delta and after the one that names it.
    let late = mapped.source.spawn(());
    mapped.source.insert(ships[0], (Order { target: late, words },)).unwrap();
    mapped.send();
    let own = |map: &EntityMap, theirs| map.get(theirs).unwrap();
    for (ship, target) in [(ships[3], ships[1]), (ships[0], late)] {
        let order = *mapped.world.get::<Order>(own(&mapped.map, ship)).unwrap();
        assert_eq!(order.target, own(&mapped.map, target));
    }
    mapped.source.insert(ships[2], (List::<Order>::new(),)).unwrap();
    let orders = [ships[0], Entity::NONE, late].map(|target| Order { target, words });
    mapped.source.list_mut::<Order>(ships[2]).unwrap().extend(orders);
    mapped.send();
    let found = mapped.world.list::<Order>(own(&mapped.map, ships[2])).unwrap();
    let targets = [own(&mapped.map, ships[0]), Entity::NONE, own(&mapped.map, late)];
    assert!(found.iter().map(|order| order.target).eq(targets));
    mapped.source.list_mut::<Order>(ships[2]).unwrap().truncate(1);
    mapped.source.get_mut::<Order>(ships[3]).unwrap().target = ships[4];
    mapped.source.despawn(late).unwrap();
    mapped.send();
    let order = *mapped.world.get::<Order>(own(&mapped.map, ships[3])).unwrap();
    assert_eq!(order.target, own(&mapped.map, ships[4]));
    assert_eq!(mapped.map.get(late), None);
}

#[test]
fn an_entity_that_is_there_already_can_stand_for_one() {
    let mut mapped = Mapped::new();
    let theirs = mapped.source.spawn((Engine(3),));
    let place = mapped.world.spawn((Place([1.0; 3]),));
    mapped.map.insert(theirs, place);
    let view = mapped.encode();
    mapped.world.apply_mapped(&Delta::parse(&mapped.bytes).unwrap(), &mut mapped.map).unwrap();
    mapped.last = Some(view);
    assert_eq!(mapped.world.get::<Engine>(place), Ok(&Engine(3)));
    assert_eq!(mapped.world.get::<Place>(place), Ok(&Place([1.0; 3])));
    // What this world has despawned stays away.
    mapped.world.despawn(place).unwrap();
    mapped.source.get_mut::<Engine>(theirs).unwrap().0 = 4;
    mapped.source.insert(theirs, (Marked,)).unwrap();
    mapped.encode();
    let report = mapped.world.apply_mapped(&Delta::parse(&mapped.bytes).unwrap(), &mut mapped.map);
    assert_eq!((report.unwrap().changed, mapped.world.contains(place)), (0, false));
}

#[test]
fn worlds_without_a_type_or_without_memory_are_unchanged() {
    let mut mapped = Mapped::new();
    (0..3_000).for_each(|n| _ = mapped.source.spawn((Engine(n), Place([1.0; 3]))));
    mapped.encode();
    let delta = Delta::parse(&mapped.bytes).unwrap();
    let refused = World::new().apply_mapped(&delta, &mut mapped.map);
    assert!(matches!(refused, Err(DeltaError::UnknownType { .. })), "{refused:?}");
    let mut refusals = 0;
    for kibibytes in [64, 96, 128, 192, 256, 4096] {
        let config = WorldConfig::default().schema(convoy_tests::delta_schema());
        let mut small = World::with_config(config.memory_limit_bytes(kibibytes * 1024));
        match small.apply_mapped(&delta, &mut mapped.map) {
            Err(error) => {
                refusals += 1;
                assert!(matches!(error, DeltaError::Memory(_)), "{error}");
                assert_eq!((small.entity_count(), mapped.map.iter().count()), (0, 0));
            }
            Ok(report) => {
                assert_eq!((report.spawned, small.entity_count()), (3_000, 3_000));
                break;
            }
        }
    }
    assert!(refusals > 2, "{refusals}");
}

#[test]
fn random_programs_are_followed_by_a_map() {
    for seed in 0..8 {
        let (mut mapped, mut mixer) = (Mapped::new(), Mixer::new(seed));
        let mut commands = Commands::new(&mut mapped.source);
        let mut kept = Vec::new();
        for round in 0..60 {
            (0..20).for_each(|_| mutate(&mut mapped.source, &mut mixer, &mut commands));
            mapped.send();
            kept.extend(mapped.last.clone());
            if round % 10 == 9 {
                let view = &kept[mixer.below(kept.len())];
                mapped.source.restore(view).unwrap();
            }
        }
    }
}
