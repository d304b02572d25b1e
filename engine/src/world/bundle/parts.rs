//! Bundles: components that are spawned, inserted and removed together.
//!
//! A bundle has *fields*, a tuple of *parts*, and a part is a component or a bundle in turn. A
//! derived bundle only says how to get from itself to its fields and back. Everything else is done
//! here, on tuples, so no implementation outside of this file can put a value into the column of
//! another type.

#![allow(unsafe_code, reason = "implements the unsafe trait of bundles for tuples")]

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

use bytemuck::bytes_of;

use crate::storage::column::access::RunMut;
use crate::storage::component::{Component, Kind, Registry, RowsPass};
use crate::storage::list::{List, ListHandle};
use crate::storage::recorded::RecordedValue;
use crate::storage::table::rows_mut::Append;
use crate::storage::{ComponentId, RegisterError};
use crate::tuples::for_tuples;

/// Components that are spawned, inserted and removed together: a tuple of up to sixteen different
/// [components](crate::Component), `()` included, or a struct that derives `Bundle`. One component
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
///
/// # Derive
///
/// Structs with named fields, tuple structs and unit structs derive it, generic ones as well. Each
/// field is a component, a struct that derives `Bundle`, or a tuple of such fields, and a derived
/// bundle is a member of tuples, too. So bundles nest as deep as you like, as long as all of it has
/// no more than sixteen components and none twice. Nesting costs nothing at run time: the entity has
/// the components, and nothing tells later by which bundle they came.
///
/// ```
/// use convoy_engine::{Bundle, World};
///
/// # #[derive(Clone, Copy, PartialEq, Debug, bytemuck::Pod, bytemuck::Zeroable)]
/// # #[repr(transparent)]
/// # struct Position([f32; 3]);
/// # #[derive(Clone, Copy, PartialEq, Debug, bytemuck::Pod, bytemuck::Zeroable)]
/// # #[repr(transparent)]
/// # struct Velocity([f32; 3]);
/// # #[derive(Clone, Copy, PartialEq, Debug, bytemuck::Pod, bytemuck::Zeroable)]
/// # #[repr(transparent)]
/// # struct Fuel(f32);
/// #[derive(Bundle)]
/// struct Motion {
///     position: Position,
///     velocity: Velocity,
/// }
///
/// #[derive(Bundle)]
/// struct Ship {
///     motion: Motion,
///     fuel: Fuel,
/// }
///
/// let mut world = World::new();
/// let motion = Motion { position: Position([0.0; 3]), velocity: Velocity([1.0; 3]) };
/// let ship = world.spawn((Ship { motion, fuel: Fuel(0.5) }, 7_u32));
/// assert_eq!(*world.get::<Velocity>(ship).unwrap(), Velocity([1.0; 3]));
/// let removed = world.remove::<Motion>(ship).unwrap();
/// assert_eq!(removed.velocity, Velocity([1.0; 3]));
/// assert_eq!(*world.get::<Fuel>(ship).unwrap(), Fuel(0.5));
/// ```
///
/// A type is a component or a bundle, never both: a struct that is `Pod` can't derive `Bundle`. A
/// tuple can't be a member of a tuple, but a field of a derived bundle.
///
/// # Safety
///
/// Derive it: then there is nothing to uphold. The fields are asked for while an entity is half made, and
/// rows count as written afterwards. So `fields` and `into_fields` give the fields of the bundle as they
/// are, and neither panic nor do anything else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a bundle: a tuple of components, or a struct that derives `Bundle`",
    label = "neither a tuple of up to sixteen components nor a derived bundle",
    note = "a single component is a tuple as well, with a comma: `(position,)`, \
            `remove::<(Position,)>`, `reads::<(Position,)>`"
)]
pub unsafe trait Bundle: Send + Sync + Sized + 'static {
    /// The fields, as a tuple: the bundle itself where it is one.
    type Fields: BundleFields;

    /// The fields, lent one by one.
    fn fields(&self) -> <Self::Fields as BundleFields>::Refs<'_>;

    /// The fields.
    fn into_fields(self) -> Self::Fields;

    /// The bundle of these fields.
    fn from_fields(fields: Self::Fields) -> Self;
}

/// A member of a bundle: a component, or a bundle that derives [`Bundle`].
pub trait BundlePart: Send + Sync + Sized + 'static {
    /// [`IsComponent`] or [`IsBundle`].
    type Kind: PartKind<Self>;
}

impl<T: Component> BundlePart for T {
    type Kind = IsComponent;
}

/// The [`BundlePart::Kind`] of components.
#[derive(Debug)]
pub enum IsComponent {}

/// The [`BundlePart::Kind`] of bundles that are members of others.
#[derive(Debug)]
pub enum IsBundle {}

/// The fields of a [`Bundle`]: a tuple of up to sixteen members. Sealed: only tuples implement it.
pub trait BundleFields: sealed::Sealed + Send + Sync + Sized + 'static {
    /// A tuple of references to the members.
    type Refs<'a>;

    /// A tuple of the runs that [`BundleFields::write`] writes to.
    #[doc(hidden)]
    type Runs<'c>;

    /// How many components the members have.
    #[doc(hidden)]
    const LEN: usize;

    #[doc(hidden)]
    fn register(registry: &mut Registry, rows_pass: RowsPass<'_>) -> Result<(), RegisterError>;

    #[doc(hidden)]
    fn find(registry: &Registry, found: &mut dyn FnMut(Option<ComponentId>));

    /// Puts the components; the first one has position `first` in its bundle.
    #[doc(hidden)]
    fn put(fields: Self::Refs<'_>, first: usize, sink: &mut impl ComponentSink);

    /// The places for `count` new rows, which lie in one chunk of each column. `rows` are in the order
    /// of the components; they are taken from `first` on.
    #[doc(hidden)]
    fn runs<'c>(rows: &mut [Option<RunMut<'c>>], first: usize, count: usize) -> Self::Runs<'c>;

    /// Fills the place `at` of the runs.
    #[doc(hidden)]
    fn write(self, runs: &mut Self::Runs<'_>, at: usize);

    /// Passes recorded components on, without making values of them. Advances `bytes`.
    ///
    /// # Safety
    ///
    /// `bytes` begins with those that were recorded of `Self`.
    #[doc(hidden)]
    unsafe fn put_recorded(bytes: &mut &[u8], first: usize, sink: &mut impl RecordedSink);

    #[doc(hidden)]
    fn take(source: &mut impl ComponentSource) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

/// [`BundleFields`] of one member.
pub trait PartKind<P> {
    type Runs<'c>;

    const LEN: usize;

    fn register(registry: &mut Registry, rows_pass: RowsPass<'_>) -> Result<(), RegisterError>;

    fn find(registry: &Registry, found: &mut dyn FnMut(Option<ComponentId>));

    fn put(part: &P, first: usize, sink: &mut impl ComponentSink);

    fn runs<'c>(rows: &mut [Option<RunMut<'c>>], first: usize, count: usize) -> Self::Runs<'c>;

    fn write(part: P, runs: &mut Self::Runs<'_>, at: usize);

    /// [`BundleFields::put_recorded`].
    ///
    /// # Safety
    ///
    /// `bytes` begins with those that were recorded of `P`.
    unsafe fn put_recorded(bytes: &mut &[u8], first: usize, sink: &mut impl RecordedSink);

    fn take(source: &mut impl ComponentSource) -> P;
}

impl<T: Component> PartKind<T> for IsComponent {
    type Runs<'c> = &'c mut [MaybeUninit<T>];

    const LEN: usize = 1;

    fn register(registry: &mut Registry, rows_pass: RowsPass<'_>) -> Result<(), RegisterError> {
        registry.register::<T>(Kind::Component, rows_pass).map(|_| ())
    }

    fn find(registry: &Registry, found: &mut dyn FnMut(Option<ComponentId>)) {
        found(registry.id_of::<T>(Kind::Component));
    }

    // Always: a bundle that is lent has to be in memory.
    #[inline(always)]
    fn put(part: &T, first: usize, sink: &mut impl ComponentSink) {
        sink.put(first, part);
    }

    #[inline(always)]
    fn runs<'c>(rows: &mut [Option<RunMut<'c>>], first: usize, count: usize) -> Self::Runs<'c> {
        let rows = rows[first].take().expect("each component has a column of its own");
        &mut rows.into_places::<T>()[..count]
    }

    #[inline(always)]
    fn write(part: T, runs: &mut Self::Runs<'_>, at: usize) {
        runs[at] = MaybeUninit::new(part);
    }

    #[inline(always)]
    unsafe fn put_recorded(bytes: &mut &[u8], first: usize, sink: &mut impl RecordedSink) {
        let (value, rest) = bytes.split_at(size_of::<T>());
        // SAFETY: the caller's contract.
        sink.put_recorded(first, unsafe { RecordedValue::<T>::new(value) });
        *bytes = rest;
    }

    #[inline(always)]
    fn take(source: &mut impl ComponentSource) -> T {
        source.take()
    }
}

impl<T: Component> BundlePart for List<T> {
    type Kind = IsList;
}

/// The [`BundlePart::Kind`] of lists.
#[derive(Debug)]
pub enum IsList {}

/// Places for the handles of lists, which nobody else can name.
#[derive(Debug)]
pub struct ListPlaces<'c, T>(&'c mut [MaybeUninit<ListHandle<T>>]);

/// A list comes into a row without elements, whatever row it came from.
impl<T: Component> PartKind<List<T>> for IsList {
    type Runs<'c> = ListPlaces<'c, T>;

    const LEN: usize = 1;

    fn register(registry: &mut Registry, _: RowsPass<'_>) -> Result<(), RegisterError> {
        registry.register_list::<T>().map(drop)
    }

    fn find(registry: &Registry, found: &mut dyn FnMut(Option<ComponentId>)) {
        found(registry.list_of::<T>());
    }

    #[inline(always)]
    fn put(_: &List<T>, first: usize, sink: &mut impl ComponentSink) {
        sink.put(first, &ListHandle::<T>::EMPTY);
    }

    #[inline(always)]
    fn runs<'c>(rows: &mut [Option<RunMut<'c>>], first: usize, count: usize) -> Self::Runs<'c> {
        ListPlaces(<IsComponent as PartKind<ListHandle<T>>>::runs(rows, first, count))
    }

    #[inline(always)]
    fn write(_: List<T>, runs: &mut Self::Runs<'_>, at: usize) {
        runs.0[at] = MaybeUninit::new(ListHandle::EMPTY);
    }

    #[inline(always)]
    unsafe fn put_recorded(bytes: &mut &[u8], first: usize, sink: &mut impl RecordedSink) {
        // SAFETY: the caller's contract; a list is recorded as its empty handle.
        unsafe { <IsComponent as PartKind<ListHandle<T>>>::put_recorded(bytes, first, sink) };
    }

    #[inline(always)]
    fn take(source: &mut impl ComponentSource) -> List<T> {
        _ = source.take::<ListHandle<T>>();
        List::new()
    }
}

impl<B: Bundle> PartKind<B> for IsBundle {
    type Runs<'c> = <B::Fields as BundleFields>::Runs<'c>;

    const LEN: usize = B::Fields::LEN;

    fn register(registry: &mut Registry, rows_pass: RowsPass<'_>) -> Result<(), RegisterError> {
        B::Fields::register(registry, rows_pass)
    }

    fn find(registry: &Registry, found: &mut dyn FnMut(Option<ComponentId>)) {
        B::Fields::find(registry, found);
    }

    #[inline(always)]
    fn put(part: &B, first: usize, sink: &mut impl ComponentSink) {
        B::Fields::put(part.fields(), first, sink);
    }

    #[inline(always)]
    fn runs<'c>(rows: &mut [Option<RunMut<'c>>], first: usize, count: usize) -> Self::Runs<'c> {
        B::Fields::runs(rows, first, count)
    }

    #[inline(always)]
    fn write(part: B, runs: &mut Self::Runs<'_>, at: usize) {
        part.into_fields().write(runs, at);
    }

    #[inline(always)]
    unsafe fn put_recorded(bytes: &mut &[u8], first: usize, sink: &mut impl RecordedSink) {
        // SAFETY: the caller's contract; a bundle is recorded by its fields.
        unsafe { B::Fields::put_recorded(bytes, first, sink) };
    }

    #[inline(always)]
    fn take(source: &mut impl ComponentSource) -> B {
        B::from_fields(B::Fields::take(source))
    }
}

/// A bundle as a list of its components, nested ones included.
///
/// ```compile_fail,E0080
/// use convoy_engine::{Bundle, World};
///
/// #[derive(Bundle)]
/// struct Nine(i8, i16, i32, i64, u8, u16, u32, u64, f32);
/// #[derive(Bundle)]
/// struct Eight(bool, char, f64, [u8; 2], [u8; 3], [u8; 4], [u8; 5], [u8; 6]);
///
/// // "a bundle has at most sixteen components, nested ones included"
/// World::new().remove::<(Nine, Eight)>(convoy_engine::Entity::NONE);
/// ```
pub(crate) trait Flat: Bundle {
    /// How many components the bundle has.
    const LEN: usize = {
        let len = <Self::Fields as BundleFields>::LEN;
        assert!(len <= BUNDLE_MAX, "a bundle has at most sixteen components, nested ones included");
        len
    };

    fn register(registry: &mut Registry, rows_pass: RowsPass<'_>) -> Result<(), RegisterError> {
        Self::Fields::register(registry, rows_pass)
    }

    fn find(registry: &Registry, found: &mut dyn FnMut(Option<ComponentId>)) {
        Self::Fields::find(registry, found);
    }

    #[inline(always)]
    fn put(&self, sink: &mut impl ComponentSink) {
        Self::Fields::put(self.fields(), 0, sink);
    }

    /// Puts bundles into some of the appended rows, by their numbers, which lie in one chunk of each
    /// column, as long as there are any. Returns how many there were.
    #[inline]
    fn put_run(
        bundles: &mut impl Iterator<Item = Self>,
        append: &mut Append<'_>,
        positions: &ColumnPositions,
        rows: Range<usize>,
    ) -> usize {
        let mut ordered = [const { None }; BUNDLE_MAX];
        let len = rows.len();
        append.runs_mut(&positions[..Self::LEN], rows, &mut ordered);
        let mut runs = Self::Fields::runs(&mut ordered, 0, len);
        for at in 0..len {
            let Some(bundle) = bundles.next() else { return at };
            bundle.into_fields().write(&mut runs, at);
        }
        len
    }

    /// Passes the components of a recorded bundle on.
    #[inline]
    fn put_recorded(recorded: &Recorded<'_, Self>, sink: &mut impl RecordedSink) {
        let mut bytes = recorded.bytes;
        // SAFETY: they were recorded of the bundle, which is recorded by its fields.
        unsafe { Self::Fields::put_recorded(&mut bytes, 0, sink) };
    }

    #[inline]
    fn take(source: &mut impl ComponentSource) -> Self {
        Self::from_fields(Self::Fields::take(source))
    }
}

impl<B: Bundle> Flat for B {}

/// Takes the components of a bundle, in their order in it: lent, as they may be too large for
/// more than one place on the stack.
#[doc(hidden)]
pub trait ComponentSink {
    fn put<T: Component>(&mut self, position: usize, value: &T);
}

/// Takes the components of a recorded bundle, in their order in it.
#[doc(hidden)]
pub trait RecordedSink {
    fn put_recorded<T: Component>(&mut self, position: usize, value: RecordedValue<'_, T>);
}

/// The bytes of a bundle, one component after the other.
pub(crate) struct Recorded<'a, B> {
    bytes: &'a [u8],
    bundle: PhantomData<B>,
}

impl<'a, B: Bundle> Recorded<'a, B> {
    /// Appends the components of `bundle` to `bytes`.
    #[inline]
    pub(crate) fn record(bundle: &B, bytes: &mut Vec<u8>) {
        bundle.put(&mut ByteSink { bytes });
    }

    /// The bundle that was recorded.
    ///
    /// # Safety
    ///
    /// [`Recorded::record`] of a `B` appended these bytes, and no others.
    #[inline]
    pub(crate) unsafe fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, bundle: PhantomData }
    }
}

impl<'a, T: Component> Recorded<'a, (T,)> {
    /// The only component.
    #[inline]
    pub(crate) fn value(&self) -> RecordedValue<'a, T> {
        // SAFETY: the bytes were recorded of a bundle that has just this component.
        unsafe { RecordedValue::new(self.bytes) }
    }
}

/// Writes the components of a bundle one after the other.
struct ByteSink<'a> {
    bytes: &'a mut Vec<u8>,
}

impl ComponentSink for ByteSink<'_> {
    #[inline]
    fn put<T: Component>(&mut self, _position: usize, value: &T) {
        self.bytes.extend_from_slice(bytes_of(value));
    }
}

/// Gives the components of a bundle, in their order in it.
#[doc(hidden)]
pub trait ComponentSource {
    fn take<T: Component>(&mut self) -> T;
}

macro_rules! tuple_bundle {
    ($($name:ident $index:tt),*) => {
        #[allow(clippy::unused_unit, reason = "the empty tuple has no members")]
        // SAFETY: the fields are the parts of the tuple.
        unsafe impl<$($name: BundlePart),*> Bundle for ($($name,)*) {
            type Fields = Self;

            #[inline(always)]
            fn fields(&self) -> ($(&$name,)*) {
                ($(&self.$index,)*)
            }

            #[inline(always)]
            fn into_fields(self) -> Self {
                self
            }

            #[inline(always)]
            fn from_fields(fields: Self) -> Self {
                fields
            }
        }

        impl<$($name: BundlePart),*> sealed::Sealed for ($($name,)*) {}

        #[allow(
            unused_variables,
            unused_assignments,
            unused_mut,
            clippy::unused_unit,
            reason = "the empty tuple has no members, and no one comes after the last"
        )]
        impl<$($name: BundlePart),*> BundleFields for ($($name,)*) {
            type Refs<'a> = ($(&'a $name,)*);

            type Runs<'c> = ($(<$name::Kind as PartKind<$name>>::Runs<'c>,)*);

            const LEN: usize = 0 $(+ <$name::Kind as PartKind<$name>>::LEN)*;

            fn register(
                registry: &mut Registry,
                rows_pass: RowsPass<'_>,
            ) -> Result<(), RegisterError> {
                $(<$name::Kind as PartKind<$name>>::register(registry, rows_pass)?;)*
                Ok(())
            }

            fn find(registry: &Registry, found: &mut dyn FnMut(Option<ComponentId>)) {
                $(<$name::Kind as PartKind<$name>>::find(registry, found);)*
            }

            #[inline(always)]
            fn put(fields: Self::Refs<'_>, first: usize, sink: &mut impl ComponentSink) {
                $(
                    <$name::Kind as PartKind<$name>>::put(fields.$index, first, sink);
                    let first = first + <$name::Kind as PartKind<$name>>::LEN;
                )*
            }

            #[inline(always)]
            fn runs<'c>(
                rows: &mut [Option<RunMut<'c>>],
                first: usize,
                count: usize,
            ) -> Self::Runs<'c> {
                let mut next = first;
                ($({
                    let first = next;
                    next += <$name::Kind as PartKind<$name>>::LEN;
                    <$name::Kind as PartKind<$name>>::runs(rows, first, count)
                },)*)
            }

            #[inline(always)]
            fn write(self, runs: &mut Self::Runs<'_>, at: usize) {
                $(<$name::Kind as PartKind<$name>>::write(self.$index, &mut runs.$index, at);)*
            }

            #[inline(always)]
            unsafe fn put_recorded(bytes: &mut &[u8], first: usize, sink: &mut impl RecordedSink) {
                $(
                    // SAFETY: the caller's contract: the parts are recorded one after the other.
                    unsafe { <$name::Kind as PartKind<$name>>::put_recorded(bytes, first, sink) };
                    let first = first + <$name::Kind as PartKind<$name>>::LEN;
                )*
            }

            #[inline(always)]
            fn take(source: &mut impl ComponentSource) -> Self {
                ($(<$name::Kind as PartKind<$name>>::take(source),)*)
            }
        }
    };
}

tuple_bundle!();
for_tuples!(tuple_bundle);

/// The most components that a bundle has.
pub(crate) const BUNDLE_MAX: usize = 16;

/// The column of each component of a bundle, in the order of the bundle.
pub(crate) type ColumnPositions = [u16; BUNDLE_MAX];
