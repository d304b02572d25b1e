//! The rarer things that random programs do to one entity, its links, a resource, or the memory.

use std::time::Duration;

use convoy_engine::Entity;
use convoy_engine::component::ComponentId;
use convoy_engine::hierarchy::HierarchyError;
use convoy_engine::world::{ComponentError, ResourceError, SpawnError};
use convoy_tests::{
    Byte, Hundred, KINDS, Model, RESOURCES, SHAPES, Shape, Triple, Value, Wide, Word, step,
};
use proptest::prelude::*;

use crate::pair::{Pair, with_kind};

/// Handles that are reserved at the same time.
const RESERVED_MAX: usize = 8;

/// An operation on one entity, resource, or none.
#[derive(Clone, Debug)]
pub(crate) enum One {
    SpawnBytes { shape: usize, seed: u64 },
    InsertBytes { pick: u16, shape: usize, seed: u64 },
    RemoveIds { pick: u16, shape: usize },
    SetBytes { pick: u16, kind: usize, seed: u64 },
    Exchange { pick: u16, which: u8, seed: u64 },
    Reserve,
    ReserveTooMany,
    SpawnReserved { which: usize, shape: usize, seed: u64 },
    SpawnChosen { index: u32, generation: u32, shape: usize, seed: u64 },
    Unreserve { which: usize },
    SetParent { child: u16, parent: u16 },
    SetParentAt { child: u16, parent: u16, position: usize },
    SetParentBefore { child: u16, sibling: u16 },
    RemoveParent { child: u16 },
    DespawnTree { pick: u16 },
    InsertResource { which: usize, seed: u64 },
    WriteResource { which: usize, factor: u64 },
    RemoveResource { which: usize },
    Compact,
    Trim,
    Detach { at_once: bool },
}

pub(crate) fn one() -> impl Strategy<Value = One> {
    let (pick, seed) = (|| any::<u16>(), || any::<u64>());
    let (shape, which) = (|| 0..SHAPES.len() - 2, || 0..RESERVED_MAX);
    let bytes = prop_oneof![
        (shape(), seed()).prop_map(|(shape, seed)| One::SpawnBytes { shape, seed }),
        (pick(), shape(), seed()).prop_map(|(pick, shape, seed)| One::InsertBytes {
            pick,
            shape,
            seed
        }),
        (pick(), shape()).prop_map(|(pick, shape)| One::RemoveIds { pick, shape }),
        (pick(), 0..KINDS, seed()).prop_map(|(pick, kind, seed)| One::SetBytes {
            pick,
            kind,
            seed
        }),
        (pick(), 0..3_u8, seed()).prop_map(|(pick, which, seed)| One::Exchange {
            pick,
            which,
            seed
        }),
    ];
    let handles = prop_oneof![
        2 => Just(One::Reserve),
        1 => Just(One::ReserveTooMany),
        2 => (which(), shape(), seed())
            .prop_map(|(which, shape, seed)| One::SpawnReserved { which, shape, seed }),
        2 => (0..CHOSEN_MAX, 0..4_u32, 0..SHAPES.len(), seed()).prop_map(
            |(index, generation, shape, seed)| One::SpawnChosen { index, generation, shape, seed }
        ),
        1 => which().prop_map(|which| One::Unreserve { which }),
    ];
    let links = prop_oneof![
        4 => (pick(), pick()).prop_map(|(child, parent)| One::SetParent { child, parent }),
        2 => (pick(), pick(), 0..5_usize)
            .prop_map(|(child, parent, position)| One::SetParentAt { child, parent, position }),
        2 => (pick(), pick())
            .prop_map(|(child, sibling)| One::SetParentBefore { child, sibling }),
        2 => pick().prop_map(|child| One::RemoveParent { child }),
        1 => pick().prop_map(|pick| One::DespawnTree { pick }),
    ];
    let resource = || 0..RESOURCES;
    let resources = prop_oneof![
        2 => (resource(), seed()).prop_map(|(which, seed)| One::InsertResource { which, seed }),
        3 => (resource(), seed())
            .prop_map(|(which, factor)| One::WriteResource { which, factor }),
        1 => resource().prop_map(|which| One::RemoveResource { which }),
    ];
    let detach = prop_oneof![2 => Just(false), 1 => Just(true)];
    let detach = detach.prop_map(|at_once| One::Detach { at_once });
    let memory = prop_oneof![Just(One::Compact), Just(One::Trim), detach];
    prop_oneof![4 => bytes, 3 => handles, 5 => links, 3 => resources, 1 => memory]
}

/// Indices that are chosen: about as many as a program has entities.
const CHOSEN_MAX: u32 = 400;

/// The bytes of a component of number `kind`.
fn bytes(kind: usize, seed: u64) -> Vec<u8> {
    with_kind!(kind, T => bytemuck::bytes_of(&T::from_seed(seed)).to_vec())
}

/// Bytes that are no value of the component, where there are any.
fn no_value(kind: usize, seed: u64) -> Option<Vec<u8>> {
    let place = match kind {
        Byte::KIND => 0,
        Triple::KIND => 8 + seed as usize % 2,
        _ => return None,
    };
    let mut bytes = bytes(kind, seed);
    bytes[place] = 2 + (seed >> 32) as u8 % 7;
    Some(bytes)
}

impl Pair {
    pub(crate) fn run_one(&mut self, one: &One) {
        let entity = |pick: u16| self.model.pick(pick);
        match *one {
            One::SpawnBytes { shape, seed } => self.spawn_bytes(&SHAPES[shape], seed),
            One::InsertBytes { pick, shape, seed } => {
                let Some(entity) = entity(pick) else { return };
                self.insert_bytes(entity, &SHAPES[shape], seed);
            }
            One::RemoveIds { pick, shape } => {
                let Some(entity) = entity(pick) else { return };
                self.remove_ids(entity, &SHAPES[shape]);
            }
            One::SetBytes { pick, kind, seed } => {
                let Some(entity) = entity(pick) else { return };
                self.set_bytes(entity, kind, seed);
            }
            One::Exchange { pick, which, seed } => {
                let Some(entity) = entity(pick) else { return };
                self.exchange(entity, which, seed);
            }
            One::Reserve => self.reserve(),
            One::ReserveTooMany => self.reserve_too_many(),
            One::SpawnChosen { index, generation, shape, seed } => {
                let handle = Entity::from_bits(u64::from(generation) << 32 | u64::from(index));
                self.spawn_chosen(handle, &SHAPES[shape], seed);
            }
            One::SpawnReserved { which, shape, seed } => {
                self.spawn_reserved(which, &SHAPES[shape], seed);
            }
            One::Unreserve { which } => self.unreserve(which),
            One::InsertResource { which, seed } => self.insert_resource(which, seed),
            One::WriteResource { which, factor } => self.write_resource(which, factor),
            One::RemoveResource { which } => self.remove_resource(which),
            One::Compact => drop(self.world.compact(Duration::MAX)),
            One::Trim => drop(self.world.trim(Duration::MAX)),
            One::Detach { at_once } => self.detach(at_once),
            _ => self.run_link(one),
        }
    }

    /// Copies chunks of the worlds that this one comes from: one, or all.
    fn detach(&mut self, at_once: bool) {
        let (shared, copies) = (self.world.memory().foreign_chunks, self.world.copy_statistics());
        match self.world.detach(if at_once { Duration::MAX } else { Duration::ZERO }) {
            Ok(report) => {
                assert_eq!(report.chunks + report.chunks_left, shared);
                assert_eq!(report.chunks_left, self.world.memory().foreign_chunks);
                assert!(report.chunks > 0 || shared == 0);
                if report.complete && self.views.is_empty() {
                    self.ties.cut();
                }
            }
            Err(_) => self.assert_memory(true),
        }
        assert_eq!(self.world.copy_statistics(), copies);
    }

    fn described(&mut self, shape: &Shape, seed: u64) -> Vec<(ComponentId, Vec<u8>, usize, u64)> {
        let ids = Model::register(&mut self.world);
        let parts = (shape.seeds)(seed).into_iter();
        parts.map(|(kind, seed)| (ids[kind], bytes(kind, seed), kind, seed)).collect()
    }

    fn spawn_bytes(&mut self, shape: &Shape, seed: u64) {
        if !self.room_for(shape) {
            return;
        }
        let parts = self.described(shape, seed);
        let values: Vec<_> = parts.iter().map(|(id, bytes, ..)| (*id, &bytes[..])).collect();
        match self.world.spawn_described(&values) {
            Ok(entity) => {
                assert!(self.is_whole());
                self.model.spawn(entity, shape, seed);
            }
            Err(SpawnError::PartialReplica) => assert!(!self.is_whole()),
            Err(error) => self.assert_memory(matches!(error, SpawnError::Memory(_))),
        }
    }

    fn insert_bytes(&mut self, entity: Entity, shape: &Shape, seed: u64) {
        let parts = self.described(shape, seed);
        let values: Vec<_> = parts.iter().map(|(id, bytes, ..)| (*id, &bytes[..])).collect();
        match self.world.insert_described(entity, &values) {
            Ok(()) => {
                assert!(self.is_alive(entity) && self.is_whole());
                self.model.insert(entity, shape, seed);
            }
            Err(error) => self.assert_entity_error(entity, false, &error),
        }
    }

    fn remove_ids(&mut self, entity: Entity, shape: &Shape) {
        let parts = self.described(shape, 0);
        let ids: Vec<_> = parts.iter().map(|(id, ..)| *id).collect();
        let has = self.model.has(entity, shape);
        match self.world.remove_described(entity, &ids) {
            Ok(()) => {
                assert!(self.is_alive(entity) && has && self.is_whole());
                self.model.remove(entity, shape);
            }
            Err(error) => self.assert_entity_error(entity, !has, &error),
        }
    }

    fn set_bytes(&mut self, entity: Entity, kind: usize, seed: u64) {
        let id = Model::register(&mut self.world)[kind];
        if let Some(bytes) = no_value(kind, seed) {
            let error = self.world.set_bytes(entity, id, &bytes).unwrap_err();
            assert!(
                !self.is_alive(entity)
                    || matches!(&error, ComponentError::Bundle(refused)
                if matches!(refused, SpawnError::Value { entity: Some(of), .. } if *of == entity))
            );
            let error = self.world.insert_described(entity, &[(id, &bytes)]).unwrap_err();
            let known = self.is_alive(entity) && self.is_whole();
            assert!(!known || matches!(error, ComponentError::Bundle(SpawnError::Value { .. })));
            let error = self.world.spawn_described(&[(id, &bytes)]).unwrap_err();
            assert!(!self.is_whole() || matches!(error, SpawnError::Value { entity: None, .. }));
        }
        let seed = with_kind!(kind, T => T::truncate(seed));
        let has = self.has(entity, kind);
        match self.world.set_bytes(entity, id, &bytes(kind, seed)) {
            Ok(()) => {
                assert!(has && self.readable.component(kind));
                let seed = if kind == 0 { 0 } else { seed };
                self.model.entities.get_mut(&entity).unwrap()[kind] = Some(seed);
            }
            Err(ComponentError::NotReadable { .. }) => assert!(!self.readable.component(kind)),
            Err(error) => self.assert_entity_error(entity, !has, &error),
        }
    }

    /// An operation on an entity failed: it is stale, lacks something, can't be moved, or memory
    /// ran out.
    fn assert_entity_error(&self, entity: Entity, lacks: bool, error: &ComponentError) {
        match error {
            ComponentError::NotAlive { .. } => assert!(!self.is_alive(entity)),
            ComponentError::PartialReplica => assert!(!self.is_whole()),
            ComponentError::Missing { .. } => assert!(lacks),
            error => self.assert_component_error(error),
        }
    }

    fn exchange(&mut self, entity: Entity, which: u8, seed: u64) {
        let kind = [Byte::KIND, Word::KIND, Hundred::KIND][usize::from(which)];
        let (word, wide, triple) = (
            Word::from_seed(step(seed, 0)),
            Wide::from_seed(step(seed, 1)),
            Triple::from_seed(step(seed, 2)),
        );
        let world = &mut self.world;
        let taken = match which {
            0 => world.exchange::<(Byte,), _>(entity, (word, triple)).map(|(byte,)| byte.seed()),
            1 => world.exchange::<(Word,), _>(entity, (word, wide)).map(|(word,)| word.seed()),
            _ => world.exchange::<(Hundred,), _>(entity, ()).map(|(hundred,)| hundred.seed()),
        };
        let has = self.has(entity, kind);
        match taken {
            Ok(taken) => {
                assert!(has && self.is_whole());
                let row = self.model.entities.get_mut(&entity).unwrap();
                assert_eq!(row[kind].take(), Some(taken));
                if which < 2 {
                    row[Word::KIND] = Some(word.seed());
                    let (kind, seed) = [(Triple::KIND, triple.seed()), (Wide::KIND, wide.seed())]
                        [usize::from(which)];
                    row[kind] = Some(seed);
                }
            }
            Err(error) => self.assert_entity_error(entity, !has, &error),
        }
    }

    fn reserve(&mut self) {
        if self.reserved.len() < RESERVED_MAX && self.is_whole() {
            let handle = self.world.try_reserve_entity().unwrap();
            assert!(!self.world.contains(handle) && !self.model.entities.contains_key(&handle));
            self.reserved_max = self.reserved_max.max(handle.index() as usize);
            self.reserved.push(handle);
            self.is_unsettled = true;
        }
    }

    /// A reservation that fails is none.
    fn reserve_too_many(&mut self) {
        let before = self.world.state_hash();
        assert!(self.world.reserve_entities(u32::MAX as usize).is_err());
        assert_eq!(self.world.state_hash(), before);
    }

    fn spawn_reserved(&mut self, which: usize, shape: &Shape, seed: u64) {
        if which >= self.reserved.len() || !self.room_for(shape) {
            return;
        }
        let handle = self.reserved[which];
        match (shape.spawn_at)(&mut self.world, handle, seed) {
            Ok(()) => {
                assert!(self.is_whole());
                self.reserved.swap_remove(which);
                self.model.spawn(handle, shape, seed);
            }
            Err(SpawnError::PartialReplica) => assert!(!self.is_whole()),
            Err(error) => self.assert_memory(matches!(error, SpawnError::Memory(_))),
        }
    }

    /// A handle that comes from elsewhere: free, fresh, taken, or nobody's ever.
    fn spawn_chosen(&mut self, handle: Entity, shape: &Shape, seed: u64) {
        if !self.room_for(shape) {
            return;
        }
        let index = handle.index();
        let is_held = self.model.entities.keys().any(|entity| entity.index() == index);
        let kept = self.reserved.iter().position(|reserved| reserved.index() == index);
        let is_kept = kept.is_some_and(|kept| self.reserved[kept] != handle);
        match (shape.spawn_at)(&mut self.world, handle, seed) {
            Ok(()) => {
                assert!(self.is_whole() && !is_held && !is_kept && handle.generation() > 0);
                kept.into_iter().for_each(|kept| _ = self.reserved.swap_remove(kept));
                // Its slot may come to their generations again.
                self.model.stale.retain(|stale| stale.index() != index);
                self.reserved_max = self.reserved_max.max(index as usize);
                self.model.spawn(handle, shape, seed);
            }
            Err(SpawnError::PartialReplica) => assert!(!self.is_whole()),
            // Command buffers keep some, too.
            Err(SpawnError::Taken { entity }) => {
                assert!(entity == handle && kept.is_none_or(|_| is_kept))
            }
            Err(error) => self.assert_memory(matches!(error, SpawnError::Memory(_))),
        }
    }

    fn unreserve(&mut self, which: usize) {
        if which < self.reserved.len() {
            let handle = self.reserved[which];
            match self.world.unreserve_entity(handle) {
                Ok(()) => {
                    self.reserved.swap_remove(which);
                    self.model.stale.push(handle);
                }
                Err(SpawnError::PartialReplica) => assert!(!self.is_whole()),
                Err(error) => self.assert_memory(matches!(error, SpawnError::Memory(_))),
            }
        }
    }

    fn run_link(&mut self, one: &One) {
        let pick = |pick: u16| self.model.pick(pick);
        match *one {
            One::SetParent { child, parent } => {
                let (Some(child), Some(parent)) = (pick(child), pick(parent)) else { return };
                let result = self.world.set_parent(child, parent);
                self.note_parent(child, parent, usize::MAX, result);
            }
            One::SetParentAt { child, parent, position } => {
                let (Some(child), Some(parent)) = (pick(child), pick(parent)) else { return };
                let result = self.world.set_parent_at(child, parent, position);
                self.note_parent(child, parent, position, result);
            }
            One::SetParentBefore { child, sibling } => {
                let (Some(child), Some(sibling)) = (pick(child), pick(sibling)) else { return };
                let result = self.world.set_parent_before(child, sibling);
                self.note_before(child, sibling, result);
            }
            One::RemoveParent { child } => {
                let Some(child) = pick(child) else { return };
                match self.world.remove_parent(child) {
                    Ok(parent) => {
                        assert!(self.is_alive(child) && self.is_whole());
                        assert_eq!(parent, self.model.orphan(child));
                    }
                    Err(error) => self.assert_link_error(&error),
                }
            }
            One::DespawnTree { pick: root } => {
                let Some(root) = pick(root) else { return };
                match self.world.despawn_tree(root) {
                    Ok(count) => {
                        assert!(self.is_alive(root) && self.is_whole());
                        let tree = self.model.tree(root);
                        assert_eq!(count, tree.len());
                        tree.into_iter().for_each(|entity| self.model.despawn(entity));
                    }
                    Err(error) => self.assert_link_error(&error),
                }
            }
            _ => unreachable!("an operation on links"),
        }
    }

    /// Puts a child before the child at `position` of those that the parent has besides.
    pub(crate) fn note_parent(
        &mut self,
        child: Entity,
        parent: Entity,
        position: usize,
        result: Result<(), HierarchyError>,
    ) {
        let both = self.is_alive(child) && self.is_alive(parent);
        let others = self.model.children_of(parent).iter().filter(|&&other| other != child).count();
        match result {
            Ok(()) => {
                assert!(both && self.is_whole() && !self.model.tree(child).contains(&parent));
                assert!(position == usize::MAX || position <= others);
                self.model.orphan(child);
                self.model.adopt(child, parent, position.min(others));
            }
            Err(HierarchyError::Cycle { .. }) => {
                assert!(self.model.tree(child).contains(&parent));
            }
            Err(HierarchyError::Position { children, .. }) => {
                assert!(children == others && position > others);
            }
            Err(error) => self.assert_link_error(&error),
        }
    }

    fn note_before(&mut self, child: Entity, sibling: Entity, result: Result<(), HierarchyError>) {
        let parent = self.model.parents.get(&sibling).copied();
        match result {
            Ok(()) if child == sibling => assert!(parent.is_some()),
            Ok(()) => {
                let parent = parent.unwrap();
                assert!(self.is_whole() && !self.model.tree(child).contains(&parent));
                self.model.orphan(child);
                let siblings = self.model.children_of(parent);
                let position = siblings.iter().position(|&each| each == sibling).unwrap();
                self.model.adopt(child, parent, position);
            }
            Err(HierarchyError::NoParent { .. }) => assert!(parent.is_none() || !self.is_whole()),
            Err(HierarchyError::Cycle { .. }) => {
                assert!(self.model.tree(child).contains(&parent.unwrap()));
            }
            Err(error) => self.assert_link_error(&error),
        }
    }

    fn assert_link_error(&self, error: &HierarchyError) {
        match *error {
            HierarchyError::NotAlive { entity } => assert!(!self.is_alive(entity)),
            HierarchyError::PartialReplica => assert!(!self.is_whole()),
            HierarchyError::Memory(_) => self.assert_memory(true),
            ref error => panic!("{error}"),
        }
    }

    fn insert_resource(&mut self, which: usize, seed: u64) {
        let before = match which {
            0 => self.world.insert_resource(Wide::from_seed(seed)).map(|it| it.map(|it| it.seed())),
            _ => self
                .world
                .insert_resource(Hundred::from_seed(seed))
                .map(|it| it.map(|it| it.seed())),
        };
        match before {
            Ok(before) => assert_eq!(self.model.resources[which].replace(seed), before),
            Err(error) => self.assert_resource_error(which, &error),
        }
    }

    fn write_resource(&mut self, which: usize, factor: u64) {
        let next = |seed: u64| step(seed, factor);
        let written = match which {
            0 => self.world.resource_mut::<Wide>().map(|it| *it = Wide::from_seed(next(it.seed()))),
            _ => self
                .world
                .resource_mut::<Hundred>()
                .map(|it| *it = Hundred::from_seed(next(it.seed()))),
        };
        match written {
            Ok(()) => {
                let seed = self.model.resources[which].as_mut().unwrap();
                *seed = next(*seed);
            }
            Err(error) => self.assert_resource_error(which, &error),
        }
    }

    fn remove_resource(&mut self, which: usize) {
        let taken = match which {
            0 => self.world.remove_resource::<Wide>().map(|value| value.seed()),
            _ => self.world.remove_resource::<Hundred>().map(|value| value.seed()),
        };
        match taken {
            Ok(taken) => assert_eq!(self.model.resources[which].take(), Some(taken)),
            Err(error) => self.assert_resource_error(which, &error),
        }
    }

    fn assert_resource_error(&self, which: usize, error: &ResourceError) {
        match error {
            ResourceError::Missing { .. } => assert!(self.model.resources[which].is_none()),
            ResourceError::NotReadable { .. } => assert!(!self.readable.resources()),
            error => self.assert_memory(matches!(error, ResourceError::Memory(_))),
        }
    }
}
