//! The derive macros of `convoy_engine`, which re-exports them.
#![deny(unsafe_code)]

mod bundle;
mod layout;

use syn::{DeriveInput, parse_macro_input};

/// Derives `convoy_engine::Bundle` for a struct whose fields are components, derived bundles, or
/// tuples of these.
///
/// ```
/// use convoy_engine::{Bundle, World};
///
/// #[derive(Bundle)]
/// struct Named<T> {
///     name: [u8; 8],
///     more: T,
/// }
///
/// #[derive(Bundle)]
/// struct Moving(f32, [f32; 3]);
///
/// let mut world = World::new();
/// let entity = world.spawn(Named { name: *b"Aurora  ", more: Moving(1.5, [0.0; 3]) });
/// assert_eq!(*world.get::<f32>(entity).unwrap(), 1.5);
/// ```
#[proc_macro_derive(Bundle)]
pub fn derive_bundle(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    bundle::implement(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Derives `convoy_engine::schema::TypeLayout` for a struct whose fields all have a layout, or for an enum
/// without fields whose representation is a number, such as `#[repr(u8)]`.
///
/// ```
/// use bytemuck::{CheckedBitPattern, NoUninit};
/// use convoy_engine::Entity;
/// use convoy_engine::schema::TypeLayout;
///
/// #[derive(Clone, Copy, NoUninit, CheckedBitPattern, TypeLayout)]
/// #[repr(u32)]
/// enum Order {
///     Hold,
///     Follow,
/// }
///
/// #[derive(Clone, Copy, NoUninit, CheckedBitPattern, TypeLayout)]
/// #[repr(C)]
/// struct Pilot {
///     order: Order,
///     leader: Entity,
/// }
///
/// let layout = <Pilot as TypeLayout>::LAYOUT;
/// let leader = layout.field("leader").unwrap();
/// assert_eq!((leader.offset, leader.layout.name()), (4, "Entity"));
/// ```
#[proc_macro_derive(TypeLayout)]
pub fn derive_type_layout(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    layout::implement(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
