//! Layouts: the meaning of a type's bytes, down to numbers.
//!
//! Rust does not tell at run time how a type is laid out. So types that take part in inspection,
//! files and other languages describe themselves, by a derive.

use std::fmt;

use super::entity::Entity;
use super::text::Text;

/// A type whose bytes are described: numbers, `bool`, `char`, [`Entity`], arrays of them, and types
/// that derive it.
///
/// The derive is for structs whose fields all have a layout, and for enums without fields whose
/// representation is a number. A layout describes; nothing is read or written by it that the
/// type itself would not allow.
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use convoy_engine::schema::TypeLayout;
/// use convoy_engine::{Entity, World};
///
/// #[derive(Clone, Copy, Pod, Zeroable, TypeLayout)]
/// #[repr(C)]
/// struct Turret {
///     target: Entity,
///     angle: f32,
///     rounds: [u16; 2],
/// }
///
/// let turret = Turret { target: Entity::NONE, angle: 0.5, rounds: [20, 7] };
/// let value = Turret::LAYOUT.value(bytemuck::bytes_of(&turret)).unwrap();
/// assert_eq!(format!("{value:?}"), "Turret { target: 0v0, angle: 0.5, rounds: [20, 7] }");
/// assert_eq!(value.field("angle").unwrap().scalar(), Some(convoy_engine::schema::Scalar::Float(0.5)));
/// ```
#[diagnostic::on_unimplemented(
    message = "the layout of `{Self}` is not known",
    note = "`#[derive(convoy_engine::schema::TypeLayout)]` describes structs of numbers, arrays and `Entity`, \
            and enums such as `#[repr(u8)]`"
)]
pub trait TypeLayout: Copy + 'static {
    /// The meaning of a value's bytes.
    const LAYOUT: Layout;
}

/// The meaning of a type's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Layout {
    name: &'static str,
    size: usize,
    align: usize,
    kind: LayoutKind,
}

/// The structure of a [`Layout`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum LayoutKind {
    /// A number, little-endian in files and as the machine has it in memory.
    Number(NumberKind),
    /// A byte that is 0 or 1.
    Bool,
    /// A Unicode scalar value in 4 bytes.
    Char,
    /// A handle.
    Entity,
    /// A [`Text`].
    Text,
    /// Values side by side.
    Array {
        /// The layout of each of them.
        element: &'static Layout,
        /// How many there are.
        count: usize,
    },
    /// Fields in the order of their declaration.
    Struct(&'static [FieldLayout]),
    /// A number that stands for one of the variants.
    Enum {
        /// Which kind of number.
        tag: NumberKind,
        /// In the order of their declaration.
        variants: &'static [VariantLayout],
    },
}

/// The kind of a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "Rust's own names")]
pub enum NumberKind {
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
}

impl NumberKind {
    /// The kind of a `usize` on this machine.
    pub const USIZE: Self = if size_of::<usize>() == 8 { Self::U64 } else { Self::U32 };
    /// The kind of an `isize` on this machine.
    pub const ISIZE: Self = if size_of::<isize>() == 8 { Self::I64 } else { Self::I32 };

    /// Bytes of a number.
    pub const fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::U128 | Self::I128 => 16,
        }
    }
}

/// One field of a [`LayoutKind::Struct`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FieldLayout {
    /// Its name, or its number in a tuple struct.
    pub name: &'static str,
    /// Where it begins, in bytes from the start of the struct.
    pub offset: usize,
    /// Its layout.
    pub layout: &'static Layout,
}

/// One variant of a [`LayoutKind::Enum`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct VariantLayout {
    /// Its name.
    pub name: &'static str,
    /// The number that stands for it.
    pub value: i128,
}

impl Layout {
    /// The layout of `T`, called `name`. The derive calls this.
    ///
    /// # Panics
    ///
    /// When a field or the number of a variant does not lie in a `T`.
    #[track_caller]
    pub const fn of<T>(name: &'static str, kind: LayoutKind) -> Self {
        let size = size_of::<T>();
        match kind {
            LayoutKind::Struct(fields) => {
                let mut number = 0;
                while number < fields.len() {
                    let FieldLayout { offset, layout, .. } = fields[number];
                    assert!(
                        offset <= size && layout.size <= size - offset,
                        "fields lie in the type"
                    );
                    number += 1;
                }
            }
            LayoutKind::Array { element, count } => {
                assert!(size == element.size * count, "an array is as large as its elements");
            }
            LayoutKind::Number(kind) | LayoutKind::Enum { tag: kind, .. } => {
                assert!(size == kind.size(), "the number fills the type");
            }
            LayoutKind::Bool => assert!(size == 1, "a `bool` is a byte"),
            LayoutKind::Char => assert!(size == 4, "a `char` has 4 bytes"),
            LayoutKind::Entity => assert!(size == size_of::<Entity>(), "a handle has 8 bytes"),
            LayoutKind::Text => assert!(size == size_of::<Text>(), "a text has 8 bytes"),
        }
        Self { name, size, align: align_of::<T>(), kind }
    }

    /// A layout of a type that this program lacks. Parts were found to lie in it.
    pub(super) const fn described(
        name: &'static str,
        (size, align): (usize, usize),
        kind: LayoutKind,
    ) -> Self {
        Self { name, size, align, kind }
    }

    /// The layout under the name of a type, with its alignment.
    pub(super) const fn renamed(self, name: &'static str, align: usize) -> Self {
        Self { name, align, ..self }
    }

    /// The name of the type, without its path; `[T]` for an array.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Bytes of a value.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The alignment of a value in bytes.
    pub const fn align(&self) -> usize {
        self.align
    }

    /// Its structure.
    pub const fn kind(&self) -> LayoutKind {
        self.kind
    }

    /// The field of this name, if it is a struct that has one.
    pub fn field(&self, name: &str) -> Option<FieldLayout> {
        let LayoutKind::Struct(fields) = self.kind else { return None };
        fields.iter().find(|field| field.name == name).copied()
    }

    /// A value of this layout, to read by its parts; `None` where `bytes` are not as many as one has.
    pub fn value<'a>(&'static self, bytes: &'a [u8]) -> Option<Value<'a>> {
        (bytes.len() == self.size).then_some(Value { layout: Some(self), bytes })
    }
}

macro_rules! numbers {
    ($($number:ident $kind:ident)+) => {
        $(impl TypeLayout for $number {
            const LAYOUT: Layout =
                Layout::of::<Self>(stringify!($number), LayoutKind::Number(NumberKind::$kind));
        })+
    };
}

numbers! { u8 U8 u16 U16 u32 U32 u64 U64 u128 U128 usize USIZE }
numbers! { i8 I8 i16 I16 i32 I32 i64 I64 i128 I128 isize ISIZE f32 F32 f64 F64 }

impl TypeLayout for bool {
    const LAYOUT: Layout = Layout::of::<Self>("bool", LayoutKind::Bool);
}

impl TypeLayout for char {
    const LAYOUT: Layout = Layout::of::<Self>("char", LayoutKind::Char);
}

impl TypeLayout for Entity {
    const LAYOUT: Layout = Layout::of::<Self>("Entity", LayoutKind::Entity);
}

impl TypeLayout for Text {
    const LAYOUT: Layout = Layout::of::<Self>("Text", LayoutKind::Text);
}

impl TypeLayout for () {
    const LAYOUT: Layout = Layout::of::<Self>("()", LayoutKind::Struct(&[]));
}

impl<T: TypeLayout, const COUNT: usize> TypeLayout for [T; COUNT] {
    const LAYOUT: Layout =
        Layout::of::<Self>("[T]", LayoutKind::Array { element: &T::LAYOUT, count: COUNT });
}

/// One value, or a part of one, with the meaning of its bytes. `{:?}` prints it as Rust would.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    layout: Option<&'static Layout>,
    bytes: &'a [u8],
}

/// A value without parts.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub enum Scalar {
    /// An unsigned number.
    Unsigned(u128),
    /// A signed number.
    Signed(i128),
    /// A number with a fraction.
    Float(f64),
    /// A `bool`.
    Bool(bool),
    /// A `char`.
    Char(char),
    /// A handle.
    Entity(Entity),
    /// A text, whose content a world or a view may know.
    Text(Text),
    /// A variant of an enum.
    Variant(&'static str),
}

impl<'a> Value<'a> {
    /// A value whose layout is not known.
    pub(crate) fn new(layout: Option<&'static Layout>, bytes: &'a [u8]) -> Self {
        debug_assert!(layout.is_none_or(|layout| layout.size == bytes.len()));
        Self { layout, bytes }
    }

    /// The meaning of the bytes, where it is known.
    pub fn layout(&self) -> Option<&'static Layout> {
        self.layout
    }

    /// The bytes as the machine has them.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn part(&self, layout: &'static Layout, offset: usize) -> Self {
        Self { layout: Some(layout), bytes: &self.bytes[offset..offset + layout.size] }
    }

    /// The fields of a struct with their names, or nothing where it is none.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, Self)> + use<'a> {
        let (value, kind) = (*self, self.layout.map(|layout| layout.kind));
        let fields = if let Some(LayoutKind::Struct(fields)) = kind { fields } else { &[] };
        fields.iter().map(move |field| (field.name, value.part(field.layout, field.offset)))
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<Self> {
        self.fields().find(|(other, _)| *other == name).map(|(_, field)| field)
    }

    /// The elements of an array, or nothing where it is none.
    pub fn elements(&self) -> impl Iterator<Item = Self> + use<'a> {
        let (value, kind) = (*self, self.layout.map(|layout| layout.kind));
        let array = match kind {
            Some(LayoutKind::Array { element, count }) => Some((element, count)),
            _ => None,
        };
        array.into_iter().flat_map(move |(element, count)| {
            (0..count).map(move |number| value.part(element, number * element.size))
        })
    }

    /// The value as a number, `bool`, `char`, handle or variant; `None` where it is none of these,
    /// or where the bytes are none.
    pub fn scalar(&self) -> Option<Scalar> {
        match self.layout?.kind {
            LayoutKind::Number(kind) => Some(number(kind, self.bytes)),
            LayoutKind::Bool => match self.bytes {
                [0] => Some(Scalar::Bool(false)),
                [1] => Some(Scalar::Bool(true)),
                _ => None,
            },
            LayoutKind::Char => {
                let code = bytemuck::try_pod_read_unaligned(self.bytes).ok()?;
                char::from_u32(code).map(Scalar::Char)
            }
            LayoutKind::Entity => {
                bytemuck::try_pod_read_unaligned(self.bytes).ok().map(Scalar::Entity)
            }
            LayoutKind::Text => bytemuck::try_pod_read_unaligned(self.bytes).ok().map(Scalar::Text),
            LayoutKind::Enum { tag, variants } => {
                let value = match number(tag, self.bytes) {
                    Scalar::Signed(value) => value,
                    // As the cast of a variant to `i128` does with the largest of `u128`.
                    Scalar::Unsigned(value) => value as i128,
                    _ => return None,
                };
                let variant = variants.iter().find(|variant| variant.value == value)?;
                Some(Scalar::Variant(variant.name))
            }
            LayoutKind::Array { .. } | LayoutKind::Struct(_) => None,
        }
    }
}

/// Reads a number that fills `bytes`.
fn number(kind: NumberKind, bytes: &[u8]) -> Scalar {
    macro_rules! read {
        ($($kind:ident $number:ident $scalar:ident)+) => {
            match kind {
                $(NumberKind::$kind => {
                    Scalar::$scalar(bytemuck::pod_read_unaligned::<$number>(bytes).into())
                })+
            }
        };
    }
    read! {
        U8 u8 Unsigned U16 u16 Unsigned U32 u32 Unsigned U64 u64 Unsigned U128 u128 Unsigned
        I8 i8 Signed I16 i16 Signed I32 i32 Signed I64 i64 Signed I128 i128 Signed
        F32 f32 Float F64 f64 Float
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(layout) = self.layout else {
            return formatter.debug_list().entries(self.bytes).finish();
        };
        match layout.kind {
            LayoutKind::Array { .. } => formatter.debug_list().entries(self.elements()).finish(),
            LayoutKind::Struct([]) => formatter.write_str(layout.name),
            LayoutKind::Struct([first, ..]) if first.name == "0" => {
                let mut tuple = formatter.debug_tuple(layout.name);
                self.fields().for_each(|(_, field)| _ = tuple.field(&field));
                tuple.finish()
            }
            LayoutKind::Struct(_) => {
                let mut fields = formatter.debug_struct(layout.name);
                self.fields().for_each(|(name, field)| _ = fields.field(name, &field));
                fields.finish()
            }
            _ => match self.scalar() {
                Some(scalar) => scalar.fmt_value(layout, formatter),
                // Bytes that are no value of the type, as a file or another language may bring.
                None => write!(formatter, "{}({:?})", layout.name, self.bytes),
            },
        }
    }
}

impl Scalar {
    /// Prints as the value that it was read from.
    fn fmt_value(&self, layout: &Layout, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(number) => fmt::Debug::fmt(number, formatter),
            Self::Signed(number) => fmt::Debug::fmt(number, formatter),
            // An `f32` has fewer digits than the same number as an `f64`.
            Self::Float(number) if layout.size == 4 => {
                fmt::Debug::fmt(&(*number as f32), formatter)
            }
            Self::Float(number) => fmt::Debug::fmt(number, formatter),
            Self::Bool(value) => fmt::Debug::fmt(value, formatter),
            Self::Char(value) => fmt::Debug::fmt(value, formatter),
            Self::Entity(entity) => fmt::Debug::fmt(entity, formatter),
            Self::Text(text) => fmt::Debug::fmt(text, formatter),
            Self::Variant(name) => formatter.write_str(name),
        }
    }
}
