//! A world of entities of 96 bytes in four components, whose chunks are written by shares.

use bytemuck::{Pod, Zeroable};
use convoy_engine::{Component, ComponentMask, Entity, SnapshotPool, View, World};

use super::components::{Position, Transform, Velocity};

/// 8 bytes, which make 96 with the others.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Charge(pub(crate) [f32; 2]);

pub(crate) type Row = (Transform, Position, Velocity, Charge);

/// The row of number `number`.
pub(crate) fn row(number: usize) -> Row {
    let value = number as f32;
    let vector = [value, value + 1.0, value + 2.0];
    (Transform([value; 16]), Position(vector), Velocity(vector), Charge([value; 2]))
}

/// The simulation, and which of its entities are written.
pub(crate) struct Simulation {
    pub(crate) world: World,
    pub(crate) entities: Vec<Entity>,
}

impl Simulation {
    pub(crate) fn new(entities: usize) -> Self {
        let mut world = World::new();
        let entities = (0..entities).map(|number| world.spawn(row(number))).collect();
        Self { world, entities }
    }

    pub(crate) fn capture(&mut self) -> View {
        self.world.capture(ComponentMask::ALL, &SnapshotPool::default())
    }

    /// Writes all rows of one chunk in `share`, component by component.
    pub(crate) fn write(&mut self, share: usize) {
        self.write_component(share, |Transform(value)| value[7] += 1.0);
        self.write_component(share, |Position(value)| value[1] += 1.0);
        self.write_component(share, |Velocity(value)| value[2] += 1.0);
        self.write_component(share, |Charge(value)| value[0] += 1.0);
    }

    fn write_component<T: Component>(&mut self, share: usize, write: impl Fn(&mut T)) {
        let id = self.world.register::<T>().expect("it is registered");
        let rows = self.world.component_info(id).expect("the world has registered it").chunk_rows();
        // In the order of spawning, which is that of the rows.
        for chunk in self.entities.chunks(rows).step_by(share) {
            for &entity in chunk {
                write(self.world.get_mut(entity).expect("nobody despawns"));
            }
        }
    }
}
