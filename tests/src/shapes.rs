//! Bundles that the model spawns, inserts and removes.

use convoy_engine::commands::Commands;
use convoy_engine::memory::ListReport;
use convoy_engine::world::{ComponentError, SpawnError};
use convoy_engine::{Bundle, Entity, World};

use crate::values::{Byte, Huge, Hundred, Tag, Triple, Value, Wide, Word, step};

/// The parts of a bundle: the number of each component's type, and the number that it is made of.
pub type Parted = Vec<(usize, u64)>;

/// A bundle that the model knows: its components, and the operations on it.
#[derive(Clone, Copy)]
pub struct Shape {
    /// The numbers of the components, in the order of the tuple.
    pub kinds: &'static [usize],
    /// The numbers that the components get from the bundle's one.
    pub seeds: fn(u64) -> Parted,
    /// [`World::try_spawn`].
    pub spawn: fn(&mut World, u64) -> Result<Entity, SpawnError>,
    /// [`World::insert`].
    pub insert: fn(&mut World, Entity, u64) -> Result<(), ComponentError>,
    /// [`World::remove`], and the numbers of the components that it returns.
    pub remove: fn(&mut World, Entity) -> Result<Parted, ComponentError>,
    /// [`World::spawn_batch`], one entity for each number.
    pub spawn_batch: fn(&mut World, &[u64]) -> Result<Vec<Entity>, SpawnError>,
    /// [`World::spawn_at`].
    pub spawn_at: fn(&mut World, Entity, u64) -> Result<(), SpawnError>,
    /// [`World::insert_many`].
    pub insert_many: fn(&mut World, &[Entity], u64) -> Result<ListReport, ComponentError>,
    /// [`World::remove_many`].
    pub remove_many: fn(&mut World, &[Entity]) -> Result<ListReport, ComponentError>,
    /// [`Commands::spawn`].
    pub record_spawn: fn(&mut Commands, u64) -> Entity,
    /// [`Commands::insert`].
    pub record_insert: fn(&mut Commands, Entity, u64),
    /// [`Commands::remove`].
    pub record_remove: fn(&mut Commands, Entity),
}

/// A tuple as [`Shape`] uses it.
trait Parts: Bundle {
    const KINDS: &'static [usize];
    fn from_seed(seed: u64) -> Self;
    fn seeds(&self) -> Parted;
}

macro_rules! parts {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Value),*> Parts for ($($name,)*) {
            const KINDS: &'static [usize] = &[$($name::KIND),*];

            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple")]
            fn from_seed(seed: u64) -> Self {
                ($($name::from_seed(step(seed, $index)),)*)
            }

            fn seeds(&self) -> Parted {
                vec![$(($name::KIND, self.$index.seed())),*]
            }
        }
    };
}

parts!();
parts!(A 0);
parts!(A 0, B 1);
parts!(A 0, B 1, C 2);
parts!(A 0, B 1, C 2, D 3);
parts!(A 0, B 1, C 2, D 3, E 4);

const fn shape<P: Parts>() -> Shape {
    Shape {
        kinds: P::KINDS,
        seeds: |seed| P::from_seed(seed).seeds(),
        spawn: |world, seed| world.try_spawn(P::from_seed(seed)),
        insert: |world, entity, seed| world.insert(entity, P::from_seed(seed)),
        remove: |world, entity| world.remove::<P>(entity).map(|bundle| bundle.seeds()),
        spawn_batch: |world, seeds| {
            let bundles = seeds.iter().map(|&seed| P::from_seed(seed));
            // An iterator that does not tell its length, for every other length.
            let spawned = match seeds.len() % 2 {
                0 => world.spawn_batch(bundles),
                _ => world.spawn_batch(bundles.filter(|_| true)),
            };
            Ok(spawned?.collect())
        },
        spawn_at: |world, entity, seed| world.spawn_at(entity, P::from_seed(seed)),
        insert_many: |world, list, seed| world.insert_many(list, P::from_seed(seed)),
        remove_many: |world, list| world.remove_many::<P>(list),
        record_spawn: |commands, seed| commands.spawn(P::from_seed(seed)),
        record_insert: |commands, entity, seed| commands.insert(entity, P::from_seed(seed)),
        record_remove: |commands, entity| commands.remove::<P>(entity),
    }
}

/// All bundles of the model. They overlap, so that insertions replace and extend at once. The
/// last two hold the value that is larger than a chunk.
pub const SHAPES: [Shape; 16] = [
    shape::<()>(),
    shape::<(Tag,)>(),
    shape::<(Byte,)>(),
    shape::<(Word,)>(),
    shape::<(Wide,)>(),
    shape::<(Triple,)>(),
    shape::<(Hundred,)>(),
    shape::<(Word, Wide)>(),
    shape::<(Wide, Word)>(),
    shape::<(Triple, Tag, Byte)>(),
    shape::<(Hundred, Word)>(),
    shape::<(Word, Wide, Triple, Byte)>(),
    shape::<(Byte, Word, Wide, Triple, Hundred)>(),
    shape::<(Tag, Hundred)>(),
    shape::<(Huge,)>(),
    shape::<(Huge, Word)>(),
];
