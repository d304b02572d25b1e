//! Names: strings in components, resources and commands, and a look-up by name that a reader makes in its own time.
//!
//! `cargo run -p convoy-engine --example names`

use std::collections::BTreeMap;
use std::error::Error;
use std::thread;

use bytemuck::{Pod, Zeroable};
use convoy_engine::commands::Commands;
use convoy_engine::text::Text;
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(transparent)]
struct Name(Text);

/// The name of the fleet.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
struct Fleet(Text);

/// All names of a view, in alphabetical order.
fn directory(view: &View) -> Result<BTreeMap<String, Entity>, Box<dyn Error + Send + Sync>> {
    let mut names = BTreeMap::new();
    for (entity, name) in view.query::<(Entity, &Name)>() {
        names.insert(view.resolve(&name.0)?.to_owned(), entity);
    }
    Ok(names)
}

/// Returns the fleet, the first ship of the directory, and the one that was renamed meanwhile.
pub(crate) fn run() -> Result<[String; 3], Box<dyn Error + Send + Sync>> {
    let mut world = World::new();
    let fleet = Fleet(world.text("the northern fleet"));
    world.insert_resource(fleet)?;
    let ships = ["HMS Resolution", "Aurora", "HMS Convoy"].map(|name| {
        let name = Name(world.text(name));
        world.spawn((name,))
    });
    // Equal names are equal bytes, so a comparison needs no world.
    assert_eq!(*world.get::<Name>(ships[1])?, Name(Text::new("Aurora")));

    let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
    let reader = thread::spawn(move || directory(&view));

    // The words travel with the commands, from whatever thread records them.
    let mut commands = Commands::new(&mut world);
    let name = Name(commands.text("HMS Convoy the Second"));
    commands.insert(ships[2], (name,));
    world.play_back(&mut commands);

    let names = reader.join().map_err(|_| "the reader panicked")??;
    let first = names.keys().next().cloned().unwrap_or_default();
    assert!(names.contains_key("HMS Convoy"), "the directory is of the moment of its snapshot");
    let renamed = world.resolve(&world.get::<Name>(ships[2])?.0)?.to_owned();
    let fleet = world.resolve(&world.resource::<Fleet>()?.0)?.to_owned();
    Ok([fleet, first, renamed])
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let [fleet, first, renamed] = run()?;
    println!("{fleet}: {first} is the first of the list, {renamed} has a new name");
    Ok(())
}
