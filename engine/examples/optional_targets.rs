//! Optional targets: a handle that names an entity or none, and what becomes of it when the entity goes.
//!
//! `cargo run -p convoy-engine --example optional_targets`

use std::error::Error;

use bytemuck::{Pod, Zeroable};
use convoy_engine::{Entity, World};

#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(transparent)]
struct Place([f32; 2]);

/// The entity that a hunter is after, or [`Entity::NONE`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Pod, Zeroable)]
#[repr(transparent)]
struct Target(Entity);

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Prey;

fn distance(one: Place, other: Place) -> f32 {
    let [x, y] = [0, 1].map(|axis| one.0[axis] - other.0[axis]);
    x.hypot(y)
}

/// Gives each hunter without a target the nearest prey, as far as there is any.
fn choose(world: &mut World) {
    let hunters: Vec<(Entity, Place)> = world
        .query::<(Entity, &Target, &Place)>()
        .iter()
        // A handle may be of an entity that is gone: it names no other one, ever.
        .filter(|(_, target, _)| target.0.some().is_none_or(|target| !world.contains(target)))
        .map(|(hunter, _, place)| (hunter, *place))
        .collect();
    for (hunter, place) in hunters {
        let prey = world.query::<(Entity, &Prey, &Place)>();
        let nearest = prey.iter().min_by(|(_, _, one), (_, _, other)| {
            distance(**one, place).total_cmp(&distance(**other, place))
        });
        let target = nearest.map_or(Entity::NONE, |(prey, _, _)| prey);
        if let Ok(chosen) = world.get_mut::<Target>(hunter) {
            *chosen = Target(target);
        }
    }
}

/// Moves each hunter to its target, where it has one. Returns the prey that was caught.
fn hunt(world: &mut World) -> Vec<Entity> {
    let targets: Vec<(Entity, Entity)> = world
        .query::<(Entity, &Target)>()
        .iter()
        .filter_map(|(hunter, target)| Some((hunter, target.0.some()?)))
        .collect();
    let mut caught = Vec::new();
    for (hunter, target) in targets {
        let Ok(place) = world.get::<Place>(target).copied() else { continue };
        if world.get_mut::<Place>(hunter).map(|own| *own = place).is_ok()
            && world.despawn(target).is_ok()
        {
            caught.push(target);
        }
    }
    caught
}

/// How many were caught in each round, and the targets in the end.
type Hunt = (Vec<usize>, Vec<Option<Entity>>);

pub(crate) fn run() -> Result<Hunt, Box<dyn Error>> {
    let mut world = World::new();
    let hunters = [0.0, 10.0].map(|x| world.spawn((Place([x, 0.0]), Target::default())));
    for x in [1.0, 2.0, 9.0] {
        world.spawn((Place([x, 1.0]), Prey));
    }
    let mut rounds = Vec::new();
    for _ in 0..3 {
        choose(&mut world);
        rounds.push(hunt(&mut world).len());
    }
    choose(&mut world);
    let targets = hunters.iter().map(|&hunter| Ok(world.get::<Target>(hunter)?.0.some()));
    Ok((rounds, targets.collect::<Result<_, Box<dyn Error>>>()?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let (rounds, targets) = run()?;
    println!("caught in each round: {rounds:?}; targets in the end: {targets:?}");
    Ok(())
}
