//! Bags of items: lists that grow and shrink, are traded between entities, and are read from a snapshot.
//!
//! `cargo run -p convoy-engine --example item_bag`

use std::error::Error;

use bytemuck::{Pod, Zeroable};
use convoy_engine::list::List;
use convoy_engine::text::Text;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, World};

#[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
#[repr(C)]
struct Item {
    name: Text,
    count: u32,
    weight: f32,
}

type Bag = List<Item>;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
struct Strength(f32);

/// Puts an item into a bag: onto the pile of its kind, if there is one.
fn put(world: &mut World, bag: Entity, item: Item) -> Result<(), Box<dyn Error>> {
    let mut items = world.list_mut::<Item>(bag)?;
    match items.iter_mut().find(|held| held.name == item.name) {
        Some(held) => held.count += item.count,
        None => items.push(item),
    }
    Ok(())
}

/// Takes all of a kind out of a bag; `None` where there are none.
fn take(world: &mut World, bag: Entity, name: Text) -> Result<Option<Item>, Box<dyn Error>> {
    let mut items = world.list_mut::<Item>(bag)?;
    let place = items.iter().position(|held| held.name == name);
    Ok(place.map(|place| items.remove(place)))
}

fn weight(items: &[Item]) -> f32 {
    items.iter().map(|item| item.count as f32 * item.weight).sum()
}

/// Returns the lines that a screen shows.
pub(crate) fn run() -> Result<Vec<String>, Box<dyn Error>> {
    let mut world = World::new();
    let hero = world.spawn((Strength(20.0), Bag::new()));
    let chest = world.spawn((Bag::new(),));
    let potion = Item { name: world.text("potion of healing"), count: 3, weight: 0.5 };
    let anvil = Item { name: world.text("anvil"), count: 1, weight: 80.0 };
    for item in [potion, anvil, potion] {
        put(&mut world, chest, item)?;
    }
    for name in [potion.name, anvil.name, Text::new("sword")] {
        if let Some(item) = take(&mut world, chest, name)? {
            put(&mut world, hero, item)?;
        }
    }

    // A screen looks at the world as it was, while the game goes on.
    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());

    // Whoever carries too much drops the heaviest.
    world.query_mut::<(&Strength, &mut Bag)>().for_each(|(strength, mut items)| {
        while weight(&items) > strength.0 {
            items.sort_by(|one, other| one.weight.total_cmp(&other.weight));
            items.pop();
        }
    });
    world.despawn(chest)?;

    let mut lines = Vec::new();
    for items in [view.list::<Item>(hero)?, world.list::<Item>(hero)?] {
        for item in items {
            lines.push(format!("{} x {}", item.count, world.resolve(&item.name)?));
        }
        lines.push(format!("{} in all", weight(items)));
    }
    Ok(lines)
}

fn main() -> Result<(), Box<dyn Error>> {
    run()?.iter().for_each(|line| println!("{line}"));
    Ok(())
}
