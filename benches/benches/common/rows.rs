//! Rows that every engine can store.

use bevy_ecs::bundle::NoBundleEffect;
use flecs_ecs::core::EntityView;

use super::columns::{Columns, Small, Wide, WideColumns};
use super::components::{Health, Position, Rotation, Transform, Velocity};

/// A row that every engine can store.
pub(crate) trait Row:
    Copy
    + convoy_engine::Bundle
    + hecs::Bundle
    + hecs::DynamicBundle
    + bevy_ecs::bundle::Bundle<Effect: NoBundleEffect>
    + shipyard::sparse_set::TupleAddComponent
    + sparsey::component::ComponentSet
{
    /// The hand-written columns of such rows.
    type Columns: Columns<Row = Self>;

    /// The row of number `number`.
    fn numbered(number: usize) -> Self;

    /// Gives the components to an entity of flecs, which has no bundles.
    fn set(self, entity: EntityView<'_>);

    /// Makes the components known to sparsey, which asks for it.
    fn declare(world: &mut sparsey::World);
}

impl Row for Small {
    type Columns = Vec<Self>;

    fn numbered(number: usize) -> Self {
        (Health(number as f32),)
    }

    #[inline]
    fn set(self, entity: EntityView<'_>) {
        entity.set(self.0);
    }

    fn declare(world: &mut sparsey::World) {
        world.register::<Health>();
    }
}

impl Row for Wide {
    type Columns = WideColumns;

    fn numbered(number: usize) -> Self {
        let value = number as f32;
        let vector = [value, value + 1.0, value + 2.0];
        (Transform([value; 16]), Position(vector), Rotation(vector), Velocity([1.0; 3]))
    }

    #[inline]
    fn set(self, entity: EntityView<'_>) {
        entity.set(self.0).set(self.1).set(self.2).set(self.3);
    }

    fn declare(world: &mut sparsey::World) {
        world.register::<Transform>();
        world.register::<Position>();
        world.register::<Rotation>();
        world.register::<Velocity>();
    }
}
