//! The registry: which types a world knows, and under which ids.

use std::any::TypeId;

use convoy_pool::{CHUNK_ALIGN, SizeClass};

use crate::storage::component_id::{COMPONENTS_MAX, ComponentId};
use crate::storage::entity::Entity;
use crate::storage::hash::{hash_bytes, join};
use crate::storage::links::engine_owns;
use crate::storage::list::{ListHandle, ListShape};
use crate::storage::mask::ComponentMask;
use crate::storage::names::{intern, name_of};
use crate::storage::stamp::Stamp;
use crate::storage::type_map::{NearIds, TypeMap};

use super::error::RegisterError;
use super::types::{
    Check, ChunkShape, Component, ComponentDescription, ComponentInfo, DISABLED, ENABLED, Kind,
    RowsPass, TypeShape,
};

pub(crate) mod adopt;
mod forget;

/// All types that a world knows, in the order of their registration.
#[derive(Clone)]
pub struct Registry {
    shape: ChunkShape,
    infos: Vec<ComponentInfo>,
    near: NearIds,
    components: TypeMap<ComponentId>,
    events: TypeMap<ComponentId>,
    resources: TypeMap<ComponentId>,
    stamp: Stamp,
    /// The components that can be switched off, and the columns that tell where they are.
    toggled: ComponentMask,
    toggles: ComponentMask,
    /// Whether there are any: one byte to look at where queries ask for each row.
    has_toggles: bool,
    /// Whether there are types with bytes that are no value.
    has_checks: bool,
    /// The descriptions that types took over, in the order in which they did.
    taken_over: Vec<(ComponentId, TypeShape)>,
}

/// Bytes that are a value of a type: only [`Registry::value`] makes them.
#[derive(Clone, Copy)]
pub(crate) struct ValueBytes<'a> {
    component: ComponentId,
    bytes: &'a [u8],
}

impl<'a> ValueBytes<'a> {
    pub(crate) fn component(&self) -> ComponentId {
        self.component
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Bytes that are values of a type, one after the other: only [`Registry::values`] makes them.
#[derive(Clone, Copy)]
pub(crate) struct ValuesBytes<'a> {
    component: ComponentId,
    bytes: &'a [u8],
}

impl<'a> ValuesBytes<'a> {
    pub(crate) fn component(&self) -> ComponentId {
        self.component
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl Registry {
    pub(crate) fn new(shape: ChunkShape) -> Self {
        let mut registry = Self::empty(shape);
        let entity = registry.register::<Entity>(Kind::Component, &|_, _| true);
        assert_eq!(entity, Ok(ComponentId::ENTITY), "the entity column comes first");
        registry
    }

    /// A registry that lacks even the handles of entities.
    fn empty(shape: ChunkShape) -> Self {
        Self {
            shape,
            infos: Vec::new(),
            near: NearIds::new(),
            components: TypeMap::default(),
            events: TypeMap::default(),
            resources: TypeMap::default(),
            stamp: Stamp::next(),
            toggled: ComponentMask::NONE,
            toggles: ComponentMask::NONE,
            has_toggles: false,
            has_checks: false,
            taken_over: Vec::new(),
        }
    }

    /// Whether there are types with bytes that are no value.
    pub(crate) fn has_checks(&self) -> bool {
        self.has_checks
    }

    /// The id of `T`, if it is registered.
    #[inline]
    pub(crate) fn id_of<T: Component>(&self, kind: Kind) -> Option<ComponentId> {
        self.map(kind).get(TypeId::of::<T>()).copied()
    }

    /// The id of the component `T`, if it is registered, or else of the description that it would take
    /// over.
    pub(crate) fn id_or_described<T: Component>(&self) -> Option<ComponentId> {
        let described = || self.find_described(&TypeShape::of::<T>()).ok().flatten();
        self.id_of::<T>(Kind::Component).or_else(described)
    }

    /// The id of the component `T`, if it is registered: [`Registry::id_of`] for look-ups that
    /// count instructions.
    #[inline]
    pub(crate) fn component_of<T: Component>(&self) -> Option<ComponentId> {
        match self.near.get(TypeId::of::<T>()) {
            Some(id) => Some(id),
            None => self.far_component(TypeId::of::<T>()),
        }
    }

    /// [`Registry::component_by_type`] apart from the paths that rarely need it, so that these save no
    /// registers for it.
    #[cold]
    #[inline(never)]
    fn far_component(&self, component: TypeId) -> Option<ComponentId> {
        self.component_by_type(component)
    }

    /// The id of the component of this type, if one is registered.
    #[inline]
    pub(crate) fn component_by_type(&self, component: TypeId) -> Option<ComponentId> {
        self.components.get(component).copied()
    }

    /// The id of `T`, registered now if it is new.
    pub(crate) fn register<T: Component>(
        &mut self,
        kind: Kind,
        rows_pass: RowsPass<'_>,
    ) -> Result<ComponentId, RegisterError> {
        if let Some(id) = self.id_of::<T>(kind) {
            return Ok(id);
        }
        self.register_shape(&TypeShape::of::<T>(), kind, rows_pass)
    }

    /// The id of the lists of `T`, if they are registered.
    #[inline]
    pub(crate) fn list_of<T: Component>(&self) -> Option<ComponentId> {
        self.id_of::<ListHandle<T>>(Kind::Component)
    }

    /// The id of the lists of `T`, registered now if they are new.
    pub(crate) fn register_list<T: Component>(&mut self) -> Result<ComponentId, RegisterError> {
        match self.list_of::<T>() {
            Some(id) => Ok(id),
            None => self.register_shape(&TypeShape::of_list::<T>(), Kind::Component, &|_, _| true),
        }
    }

    /// The lists, with the shapes of their elements.
    pub(crate) fn lists(&self) -> impl Iterator<Item = (ComponentId, ListShape)> {
        let list = |id| Some((id, self.info(id).list()?));
        self.ids_of(Kind::Component).filter_map(list)
    }

    /// The id of a type, or of a description, registered now if it is new.
    pub(crate) fn register_shape(
        &mut self,
        shape: &TypeShape,
        kind: Kind,
        rows_pass: RowsPass<'_>,
    ) -> Result<ComponentId, RegisterError> {
        let Some(type_id) = shape.type_id else { return self.register_bytes(shape) };
        if let Some(&id) = self.map(kind).get(type_id) {
            self.take_name(id, shape);
            return Ok(id);
        }
        let described = match kind {
            // A description by the name of a link has no say in the hierarchy, nor one by that of a list.
            Kind::Component if !engine_owns(type_id) && shape.list.is_none() => {
                self.find_described(shape)?
            }
            _ => None,
        };
        let id = match described {
            Some(id) if !rows_pass(id, shape.check) => {
                return Err(RegisterError::Values { component: shape.name });
            }
            Some(id) => {
                let known = &mut self.infos[id.index()].shape;
                self.taken_over.push((id, *known));
                // The schema's description of the component stays.
                let (is_stable, version) = (known.is_stable, known.version);
                let layout = known.layout.or(shape.layout);
                *known = TypeShape { is_stable, version, layout, ..*shape };
                self.stamp = Stamp::next();
                id
            }
            None => self.add(*shape, kind)?,
        };
        self.has_checks |= !shape.check.is_none();
        match kind {
            Kind::Component => {
                self.near.insert(type_id, id);
                self.components.insert(type_id, id);
            }
            Kind::Event => self.events.insert(type_id, id),
            Kind::Resource => self.resources.insert(type_id, id),
            Kind::Toggle => unreachable!("no type stands for a toggle"),
        };
        Ok(id)
    }

    /// Calls a type as `shape` does, if that name was chosen and the one it has was not, and no other
    /// type has it. Two names that were chosen stay as they are.
    fn take_name(&mut self, id: ComponentId, shape: &TypeShape) {
        let known = &self.infos[id.index()];
        let is_free = || self.id_of_name(shape.name, known.kind).is_none_or(|other| other == id);
        if shape.is_stable && !known.is_stable() && is_free() {
            let (kind, layout) = (known.kind, known.layout().or(shape.layout));
            let key = self.key_of(shape, kind);
            let info = &mut self.infos[id.index()];
            (info.shape, info.key) = (TypeShape { layout, ..*shape }, key);
            self.stamp = Stamp::next();
        }
    }

    /// Makes `T`, which is registered now if it is new, a component that can be switched off.
    /// `in_use` tells whether an archetype has a component.
    pub(crate) fn register_toggle<T: Component>(
        &mut self,
        in_use: impl FnOnce(ComponentId) -> bool,
        rows_pass: RowsPass<'_>,
    ) -> Result<ComponentId, RegisterError> {
        let known = self.id_or_described::<T>();
        if known.is_some_and(|id| self.info(id).toggle.is_some()) {
            return Ok(known.expect("it was just looked at"));
        }
        let component = name_of::<T>();
        if engine_owns(TypeId::of::<T>()) {
            return Err(RegisterError::EngineOwned { component });
        }
        if known.is_some_and(in_use) {
            return Err(RegisterError::InUse { component });
        }
        if self.infos.len() + 1 + usize::from(known.is_none()) > COMPONENTS_MAX {
            return Err(RegisterError::TooManyTypes { component });
        }
        let id = self.register::<T>(Kind::Component, rows_pass)?;
        self.add_toggle(id)?;
        Ok(id)
    }

    /// Gives a component that has none a column that tells where it is switched off.
    pub(crate) fn add_toggle(&mut self, id: ComponentId) -> Result<ComponentId, RegisterError> {
        let TypeShape { name, is_stable, version, .. } = self.info(id).shape;
        let name = intern(&format!("{name} (toggle)"));
        let shape = TypeShape { name, is_stable, version, ..TypeShape::of::<u8>() };
        let toggle = self.add(TypeShape { type_id: None, ..shape }, Kind::Toggle)?;
        self.infos[id.index()].toggle = Some(toggle);
        self.toggled.insert(id);
        self.toggles.insert(toggle);
        self.has_toggles = true;
        Ok(toggle)
    }

    /// The columns that tell which rows have a component switched off.
    pub(crate) fn toggles(&self) -> &ComponentMask {
        &self.toggles
    }

    /// Whether there are components that can be switched off.
    #[inline]
    pub(crate) fn has_toggles(&self) -> bool {
        self.has_toggles
    }

    /// The mask with the toggles of its components: they are never parted.
    #[inline]
    pub(crate) fn with_toggles(&self, mask: &ComponentMask) -> ComponentMask {
        if self.has_toggles && !mask.is_all() { self.add_toggles(mask) } else { *mask }
    }

    fn add_toggles(&self, mask: &ComponentMask) -> ComponentMask {
        let mut closed = mask.difference(&self.toggles);
        for id in mask.intersection(&self.toggled).iter() {
            closed.insert(self.info(id).toggle.expect("the component has a toggle"));
        }
        closed
    }

    /// The id of a component that is described by name, size and alignment: registered now if it
    /// is new, else the one of this name, which must have the same shape.
    pub(crate) fn register_described(
        &mut self,
        description: &ComponentDescription<'_>,
    ) -> Result<ComponentId, RegisterError> {
        self.register_bytes(&TypeShape::described(description))
    }

    fn register_bytes(&mut self, shape: &TypeShape) -> Result<ComponentId, RegisterError> {
        let TypeShape { name: component, size, align, .. } = *shape;
        if size == 0 {
            return Err(RegisterError::ZeroSize { component });
        }
        if !align.is_power_of_two() {
            return Err(RegisterError::NotPowerOfTwo { component, align });
        }
        if !size.is_multiple_of(align) {
            return Err(RegisterError::Stride { component, bytes: size, align });
        }
        let mut known = None;
        for id in self.named(component) {
            let info = self.info(id);
            // What only the engine writes is nothing that bytes from elsewhere may stand for.
            if (info.size(), info.align()) == (size, align) && !info.is_engine_owned() {
                return Ok(id);
            }
            known = Some(id);
        }
        match known {
            Some(_) => Err(RegisterError::Shape { component }),
            None => self.add(*shape, Kind::Component),
        }
    }

    /// The first component of this name. Types may share one; descriptions don't.
    pub(crate) fn id_by_name(&self, name: &str) -> Option<ComponentId> {
        self.id_of_name(name, Kind::Component)
    }

    /// The first type of this name among those of `kind`.
    pub(crate) fn id_of_name(&self, name: &str, kind: Kind) -> Option<ComponentId> {
        self.ids_of(kind).find(|id| self.info(*id).name() == name)
    }

    fn named(&self, name: &str) -> impl Iterator<Item = ComponentId> {
        self.ids_of(Kind::Component).filter(move |id| self.info(*id).name() == name)
    }

    /// The component that was described with the name, size and alignment of a type.
    fn find_described(&self, shape: &TypeShape) -> Result<Option<ComponentId>, RegisterError> {
        let described = self.named(shape.name).find(|id| self.info(*id).is_described());
        let Some(id) = described else { return Ok(None) };
        let info = self.info(id);
        if (info.size(), info.align()) == (shape.size, shape.align) {
            Ok(Some(id))
        } else {
            Err(RegisterError::Shape { component: shape.name })
        }
    }

    /// Adds a shape that is new.
    fn add(&mut self, shape: TypeShape, kind: Kind) -> Result<ComponentId, RegisterError> {
        let TypeShape { name, size, align, list, .. } = shape;
        let align = list.map_or(align, |list| list.align.max(align));
        let size = list.map_or(size, |list| list.size.max(size));
        if self.infos.len() == COMPONENTS_MAX {
            return Err(RegisterError::TooManyTypes { component: name });
        }
        if align > CHUNK_ALIGN {
            return Err(RegisterError::Alignment { component: name, align });
        }
        if SizeClass::for_bytes(size).is_err() {
            let limit_bytes = SizeClass::MAX.bytes();
            return Err(RegisterError::TooLarge { component: name, bytes: size, limit_bytes });
        }
        let id = ComponentId::new(self.infos.len());
        let rows_log2 = self.shape.rows_log2(shape.size);
        let toggle = None;
        let key = self.key_of(&shape, kind);
        self.infos.push(ComponentInfo { shape, kind, toggle, rows_log2, key });
        self.stamp = Stamp::next();
        Ok(id)
    }

    fn key_of(&self, shape: &TypeShape, kind: Kind) -> u64 {
        let name = hash_bytes(shape.name.as_bytes());
        let (size, align) =
            shape.list.map_or((shape.size, shape.align), |list| (list.size, list.align));
        let mut key = join(name, join(join(size as u64, align as u64), kind as u64));
        while self.infos.iter().any(|info| info.key == key) {
            key = join(key, 0);
        }
        key
    }

    /// Two registries of one stamp know the same types under the same ids.
    #[inline]
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The shape of all chunks.
    pub(crate) fn shape(&self) -> ChunkShape {
        self.shape
    }

    pub(crate) fn info(&self, id: ComponentId) -> &ComponentInfo {
        &self.infos[id.index()]
    }

    /// The type of this id; `None` when none of this world has it.
    pub(crate) fn get(&self, id: ComponentId) -> Option<&ComponentInfo> {
        self.infos.get(id.index())
    }

    /// `bytes` as a value of the type of this id, if they are one.
    pub(crate) fn value<'a>(&self, id: ComponentId, bytes: &'a [u8]) -> Option<ValueBytes<'a>> {
        self.get(id)?.is_value(bytes).then_some(ValueBytes { component: id, bytes })
    }

    /// `bytes` as values of the type of this id, if there are only such in them.
    pub(crate) fn values<'a>(&self, id: ComponentId, bytes: &'a [u8]) -> Option<ValuesBytes<'a>> {
        let info = self.get(id)?;
        let are_values = match (info.check(), info.kind()) {
            (_, Kind::Toggle) => bytes.iter().all(|&byte| byte == ENABLED || byte == DISABLED),
            (Check::None, _) => bytes.len().is_multiple_of(info.size().max(1)),
            // Values without bytes have nothing to check.
            (Check::Bytes(_), _) if info.size() == 0 => bytes.is_empty(),
            (Check::Bytes(check), _) => {
                let values = bytes.chunks_exact(info.size());
                values.remainder().is_empty() && values.into_iter().all(check)
            }
        };
        are_values.then_some(ValuesBytes { component: id, bytes })
    }

    /// The component of this id; `None` when no component of this world has it.
    pub(crate) fn component(&self, id: ComponentId) -> Option<&ComponentInfo> {
        self.get(id).filter(|info| info.kind == Kind::Component)
    }

    /// All ids that are registered.
    pub(crate) fn ids(&self) -> ComponentMask {
        ComponentMask::first(self.infos.len())
    }

    /// The ids of the types of `kind`, in the order of their registration.
    pub(crate) fn ids_of(&self, kind: Kind) -> impl Iterator<Item = ComponentId> {
        let ids = (0..self.infos.len()).map(ComponentId::new);
        ids.filter(move |id| self.info(*id).kind == kind)
    }

    /// Whether `self` knows the same types under the same ids as the first ones of `other`, which
    /// may know a type where `self` has only its description.
    pub(crate) fn is_prefix_of(&self, other: &Self) -> bool {
        self.shape == other.shape
            && self.infos.len() <= other.infos.len()
            && self.infos.iter().zip(&other.infos).all(|(mine, theirs)| mine.is_part_of(theirs))
    }

    fn map(&self, kind: Kind) -> &TypeMap<ComponentId> {
        match kind {
            Kind::Component => &self.components,
            Kind::Event => &self.events,
            Kind::Resource => &self.resources,
            Kind::Toggle => unreachable!("no type stands for a toggle"),
        }
    }
}
