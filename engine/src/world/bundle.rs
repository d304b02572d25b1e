//! Bundles: tuples of components that are spawned, inserted and removed together.

use std::any::TypeId;
use std::mem::MaybeUninit;
use std::ops::Range;

use crate::storage::archetype::ArchetypeId;
use crate::storage::column::Column;
use crate::storage::component::{Component, Kind, Registry, RowsPass};
use crate::storage::type_map::TypeMap;
use crate::storage::{ComponentId, ComponentMask, RegisterError};

use super::error::SpawnError;

/// A tuple of up to sixteen different [components](crate::Component), `()` included. One component
/// is a tuple as well: `(position,)`.
///
/// ```
/// # use convoy_engine::World;
/// let mut world = World::new();
/// let entity = world.spawn((1.5_f32, [0_u64; 4]));
/// assert_eq!(*world.get::<f32>(entity).unwrap(), 1.5);
/// ```
///
/// ```compile_fail,E0277
/// # use convoy_engine::World;
/// World::new().spawn(1.5_f32); // "`f32` is not a bundle"
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a bundle: a tuple of components",
    label = "not a tuple of up to sixteen components",
    note = "a single component is a tuple as well, with a comma: `(position,)`, \
            `remove::<(Position,)>`, `reads::<(Position,)>`"
)]
pub trait Bundle: sealed::Sealed + Send + Sync + 'static {}

impl<B: sealed::Sealed + Send + Sync + 'static> Bundle for B {}

pub(crate) mod sealed {
    use super::{
        Column, ComponentId, ComponentSink, ComponentSource, Positions, Range, RecordedSink,
        RegisterError, Registry, RowsPass,
    };

    /// What the engine needs of a bundle. Sealed: only tuples implement it.
    pub trait Sealed: Copy {
        /// How many components the bundle has.
        #[doc(hidden)]
        const LEN: usize;

        #[doc(hidden)]
        fn register(registry: &mut Registry, rows_pass: RowsPass<'_>) -> Result<(), RegisterError>;

        #[doc(hidden)]
        fn find(registry: &Registry, found: &mut dyn FnMut(Option<ComponentId>));

        #[doc(hidden)]
        fn put(&self, sink: &mut impl ComponentSink);

        /// Puts bundles into the rows of `rows`, which lie in one chunk of each column and must be
        /// writable there, as long as there are any. Returns how many there were.
        #[doc(hidden)]
        fn put_run(
            bundles: &mut impl Iterator<Item = Self>,
            columns: &mut [Column],
            positions: &Positions,
            rows: Range<usize>,
        ) -> usize
        where
            Self: Sized;

        /// Passes recorded components on that nobody has made a bundle of.
        #[doc(hidden)]
        fn put_recorded(bytes: &[u8], sink: &mut impl RecordedSink);

        #[doc(hidden)]
        fn take(source: &mut impl ComponentSource) -> Self;
    }
}

/// Takes the components of a bundle, in the order of the tuple: lent, as they may be too large for
/// more than one place on the stack.
#[doc(hidden)]
pub trait ComponentSink {
    fn put<T: Component>(&mut self, position: usize, value: &T);
}

/// Takes the bytes of the components of a bundle, in the order of the tuple.
#[doc(hidden)]
pub trait RecordedSink {
    fn put_recorded<T: Component>(&mut self, position: usize, bytes: &[u8]);
}

/// Gives the components of a bundle, in the order of the tuple.
#[doc(hidden)]
pub trait ComponentSource {
    fn take<T: Component>(&mut self) -> T;
}

macro_rules! tuple_bundle {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Component),*> sealed::Sealed for ($($name,)*) {
            const LEN: usize = 0 $(+ { let _ = $index; 1 })*;

            #[allow(unused_variables, reason = "the empty tuple has nothing to register")]
            fn register(
                registry: &mut Registry,
                rows_pass: RowsPass<'_>,
            ) -> Result<(), RegisterError> {
                $(registry.register::<$name>(Kind::Component, rows_pass)?;)*
                Ok(())
            }

            #[allow(unused_variables, reason = "the empty tuple has nothing to find")]
            fn find(
                registry: &Registry,
                found: &mut dyn FnMut(Option<ComponentId>),
            ) {
                $(found(registry.id_of::<$name>(Kind::Component));)*
            }

            // Always: a bundle that is lent has to be in memory.
            #[inline(always)]
            #[allow(unused_variables, reason = "the empty tuple has nothing to put")]
            fn put(&self, sink: &mut impl ComponentSink) {
                $(sink.put($index, &self.$index);)*
            }

            #[inline]
            #[allow(unused_variables, non_snake_case, reason = "the empty tuple, and one name for both")]
            fn put_run(
                bundles: &mut impl Iterator<Item = Self>,
                columns: &mut [Column],
                positions: &Positions,
                rows: Range<usize>,
            ) -> usize {
                let places: [usize; 0 $(+ { let _ = $index; 1 })*] =
                    [$(usize::from(positions[$index])),*];
                let columns = columns.get_disjoint_mut(places);
                let [$($name),*] = columns.expect("each component has a column of its own");
                let len = rows.len();
                $(let $name = &mut $name.spare_run::<$name>(rows.clone())[..len];)*
                for at in 0..len {
                    let Some(bundle) = bundles.next() else { return at };
                    $($name[at] = MaybeUninit::new(bundle.$index);)*
                }
                len
            }

            #[inline]
            #[allow(unused_variables, reason = "the empty tuple has nothing to put")]
            fn put_recorded(bytes: &[u8], sink: &mut impl RecordedSink) {
                $(
                    let (value, bytes) = bytes.split_at(size_of::<$name>());
                    sink.put_recorded::<$name>($index, value);
                )*
            }

            #[inline]
            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple")]
            fn take(source: &mut impl ComponentSource) -> Self {
                ($(source.take::<$name>(),)*)
            }
        }
    };
}

tuple_bundle!();
tuple_bundle!(A 0);
tuple_bundle!(A 0, B 1);
tuple_bundle!(A 0, B 1, C 2);
tuple_bundle!(A 0, B 1, C 2, D 3);
tuple_bundle!(A 0, B 1, C 2, D 3, E 4);
tuple_bundle!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_bundle!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_bundle!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple_bundle!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple_bundle!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple_bundle!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple_bundle!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
tuple_bundle!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
tuple_bundle!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
tuple_bundle!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
tuple_bundle!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);

/// The most components that a bundle has.
pub(crate) const BUNDLE_MAX: usize = 16;

/// A bundle type as one world knows it.
#[derive(Clone, Copy)]
pub(crate) struct BundleInfo {
    /// The components, with the toggles of those that can be switched off.
    pub(crate) mask: ComponentMask,
    /// The archetype of exactly this bundle, once an entity was spawned with it.
    pub(crate) archetype: Option<ArchetypeId>,
    ids: [ComponentId; BUNDLE_MAX],
    positions: Positions,
    len: u8,
}

impl BundleInfo {
    /// The bundle without components.
    pub(crate) const NONE: Self = Self {
        mask: ComponentMask::NONE,
        archetype: None,
        ids: [ComponentId::ENTITY; BUNDLE_MAX],
        positions: [0; BUNDLE_MAX],
        len: 0,
    };

    /// Checks that the components of `B`, which are registered, differ and may be used.
    pub(crate) fn new<B: Bundle>(registry: &Registry) -> Result<Self, SpawnError> {
        let mut info = Self::NONE;
        let mut duplicate = None;
        let mut reserved = false;
        B::find(registry, &mut |id| {
            let id = id.expect("the components of a bundle are registered first");
            info.ids[usize::from(info.len)] = id;
            info.len += 1;
            reserved |= id == ComponentId::ENTITY;
            if !info.mask.insert(id) {
                duplicate = Some(id);
            }
        });
        if let Some(id) = duplicate {
            return Err(SpawnError::Duplicate { component: registry.info(id).name() });
        }
        if reserved {
            return Err(SpawnError::Reserved);
        }
        info.mask = registry.closed(&info.mask);
        let owned = info.ids().iter().map(|&id| registry.info(id)).find(|id| id.is_engine_owned());
        if let Some(owned) = owned {
            return Err(SpawnError::EngineOwned { component: owned.name() });
        }
        Ok(info)
    }

    /// The bundle of the components in `mask`, unchecked. Only those in `ids` have positions.
    pub(crate) fn of(mask: ComponentMask, ids: &[ComponentId]) -> Self {
        let mut info = Self { mask, ..Self::NONE };
        info.ids[..ids.len()].copy_from_slice(ids);
        info.len = ids.len() as u8;
        info
    }

    /// The component ids in the order of the tuple.
    pub(crate) fn ids(&self) -> &[ComponentId] {
        &self.ids[..usize::from(self.len)]
    }

    /// Notes the archetype of exactly this bundle.
    pub(crate) fn set_archetype(&mut self, archetype: ArchetypeId, mask: &ComponentMask) {
        self.archetype = Some(archetype);
        self.positions = self.positions(mask);
    }

    /// [`BundleInfo::positions`] in the archetype of exactly this bundle.
    pub(crate) fn own_positions(&self) -> &Positions {
        &self.positions
    }

    /// Where each component of the tuple stands among the columns of an archetype with `mask`.
    pub(crate) fn positions(&self, mask: &ComponentMask) -> Positions {
        let mut positions = [0; BUNDLE_MAX];
        for (position, &id) in positions.iter_mut().zip(self.ids()) {
            *position = mask.rank(id) as u16;
        }
        positions
    }
}

/// All bundle types that a world has met.
pub(crate) struct Bundles {
    infos: Vec<BundleInfo>,
    numbers: TypeMap<usize>,
    /// The type that was asked for last: loops spawn one bundle many times.
    recent: (TypeId, usize),
}

impl Bundles {
    pub(crate) fn new() -> Self {
        // No bundle has the type of this; the number is never used.
        let recent = (TypeId::of::<Self>(), usize::MAX);
        Self { infos: Vec::new(), numbers: TypeMap::default(), recent }
    }

    /// The number of a bundle type, if it is known.
    #[inline]
    pub(crate) fn find(&mut self, bundle: TypeId) -> Option<usize> {
        if self.recent.0 == bundle {
            return Some(self.recent.1);
        }
        let number = *self.numbers.get(bundle)?;
        self.recent = (bundle, number);
        Some(number)
    }

    pub(crate) fn add(&mut self, bundle: TypeId, info: BundleInfo) -> usize {
        self.infos.push(info);
        self.numbers.insert(bundle, self.infos.len() - 1);
        self.infos.len() - 1
    }

    #[inline]
    pub(crate) fn get(&self, number: usize) -> &BundleInfo {
        &self.infos[number]
    }

    /// Adds the toggles that components have got since.
    pub(crate) fn close(&mut self, registry: &Registry) {
        for info in &mut self.infos {
            info.mask = registry.closed(&info.mask);
        }
    }

    pub(crate) fn get_mut(&mut self, number: usize) -> &mut BundleInfo {
        &mut self.infos[number]
    }
}

/// The column of each component of a bundle, in the order of the tuple.
pub(crate) type Positions = [u16; BUNDLE_MAX];

/// Writes a bundle into one row of a table, whose chunks are writable there.
pub(crate) struct RowSink<'a> {
    pub(crate) columns: &'a mut [Column],
    pub(crate) positions: &'a Positions,
    pub(crate) row: usize,
}

impl ComponentSink for RowSink<'_> {
    #[inline(always)]
    fn put<T: Component>(&mut self, position: usize, value: &T) {
        self.columns[usize::from(self.positions[position])].write_copy(self.row, value);
    }
}

impl RecordedSink for RowSink<'_> {
    #[inline]
    fn put_recorded<T: Component>(&mut self, position: usize, bytes: &[u8]) {
        self.columns[usize::from(self.positions[position])].write_recorded::<T>(self.row, bytes);
    }
}

/// What a row is filled with: the components of `B`.
pub(crate) trait Values<B: Bundle> {
    fn put_row(&self, sink: &mut RowSink<'_>);
}

impl<B: Bundle> Values<B> for B {
    #[inline(always)]
    fn put_row(&self, sink: &mut RowSink<'_>) {
        self.put(sink);
    }
}

/// The bytes of a bundle, one component after the other.
pub(crate) struct Recorded<'a>(pub(crate) &'a [u8]);

impl<B: Bundle> Values<B> for Recorded<'_> {
    #[inline]
    fn put_row(&self, sink: &mut RowSink<'_>) {
        B::put_recorded(self.0, sink);
    }
}
