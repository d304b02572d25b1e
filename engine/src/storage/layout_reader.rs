//! Layouts from bytes, as files have them.
//!
//! A [`Layout`] is a constant of the program, and those of a file are kept as names are: once for each that differs,
//! for as long as the process runs. Files are not trusted: parts lie in their type and apart from each other, and
//! arrays are as large as their elements.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use super::encoding::{Part, Reader};
use super::entity::Entity;
use super::layout::{FieldLayout, Layout, LayoutKind, NumberKind, TypeLayout, VariantLayout};
use super::names::intern;
use super::text::Text;

/// Types inside of types, far more than anybody writes.
const DEPTH_MAX: usize = 64;

/// The kinds of numbers, by their bytes.
const NUMBERS: [NumberKind; 12] = [
    NumberKind::U8,
    NumberKind::U16,
    NumberKind::U32,
    NumberKind::U64,
    NumberKind::U128,
    NumberKind::I8,
    NumberKind::I16,
    NumberKind::I32,
    NumberKind::I64,
    NumberKind::I128,
    NumberKind::F32,
    NumberKind::F64,
];

/// The layout that the bytes of `reader` describe, all of them, for the type `name` of so many bytes and this
/// alignment.
///
/// Names of types inside are not in the bytes: structs are called `struct` and enums `enum`. Nor are their
/// alignments: structs have that of their fields, as far as places and sizes agree with it.
pub(crate) fn read_layout<P: Part>(
    reader: &mut Reader<'_, P>,
    name: &str,
    (size, align): (usize, usize),
) -> Result<&'static Layout, P::Error> {
    let layout = take_layout(reader, 0)?;
    if layout.size() != size || reader.at != reader.bytes.len() {
        return reader.malformed();
    }
    Ok(keep(&KEPT_LAYOUTS, &[layout.renamed(intern(name), align)]).first().expect("one was kept"))
}

fn take_layout<P: Part>(reader: &mut Reader<'_, P>, depth: usize) -> Result<Layout, P::Error> {
    let size = take_count(reader)?;
    let layout = match reader.u8()? {
        1 => number_layout(take_number_kind(reader)?),
        2 => bool::LAYOUT,
        3 => char::LAYOUT,
        4 => Entity::LAYOUT,
        8 => Text::LAYOUT,
        5..=6 if depth == DEPTH_MAX => return reader.malformed(),
        5 => {
            let count = take_count(reader)?;
            let element = take_layout(reader, depth + 1)?;
            if element.size().checked_mul(count) != Some(size) {
                return reader.malformed();
            }
            let [element] = keep(&KEPT_LAYOUTS, &[element]) else { unreachable!("one was kept") };
            Layout::described("[T]", (size, element.align()), LayoutKind::Array { element, count })
        }
        6 => take_struct(reader, size, depth)?,
        7 => {
            let tag = take_number_kind(reader)?;
            let mut variants = Vec::new();
            for _ in 0..reader.u64()? {
                let (name, value) = (take_name(reader)?, take_value(reader)?);
                variants.push(VariantLayout { name, value });
            }
            let variants = keep(&KEPT_VARIANTS, &variants);
            let number = number_layout(tag);
            let kind = LayoutKind::Enum { tag, variants };
            Layout::described("enum", (number.size(), number.align()), kind)
        }
        _ => return reader.malformed(),
    };
    if layout.size() == size { Ok(layout) } else { reader.malformed() }
}

/// A struct of `size` bytes.
fn take_struct<P: Part>(
    reader: &mut Reader<'_, P>,
    size: usize,
    depth: usize,
) -> Result<Layout, P::Error> {
    let mut fields: Vec<FieldLayout> = Vec::new();
    let (mut names, mut places) = (HashSet::new(), Vec::new());
    let mut align = 1;
    for _ in 0..reader.u64()? {
        let (name, offset) = (take_name(reader)?, take_count(reader)?);
        let layout = take_layout(reader, depth + 1)?;
        let end = offset.checked_add(layout.size()).filter(|&end| end <= size);
        let Some(end) = end.filter(|_| names.insert(name)) else { return reader.malformed() };
        let field = layout.align();
        if offset.is_multiple_of(field) && size.is_multiple_of(field) {
            align = align.max(field);
        }
        places.extend((end > offset).then_some(offset..end));
        let [layout] = keep(&KEPT_LAYOUTS, &[layout]) else { unreachable!("one was kept") };
        fields.push(FieldLayout { name, offset, layout });
    }
    places.sort_by_key(|place| place.start);
    if places.windows(2).any(|pair| pair[0].end > pair[1].start) {
        return reader.malformed();
    }
    let kind = LayoutKind::Struct(keep(&KEPT_FIELDS, &fields));
    Ok(Layout::described("struct", (size, align), kind))
}

fn take_number_kind<P: Part>(reader: &mut Reader<'_, P>) -> Result<NumberKind, P::Error> {
    let kind = NUMBERS.get(usize::from(reader.u8()?));
    kind.map_or_else(|| reader.malformed(), |&kind| Ok(kind))
}

/// A number of 8 bytes that counts something in memory.
fn take_count<P: Part>(reader: &mut Reader<'_, P>) -> Result<usize, P::Error> {
    let count = reader.u64()?;
    usize::try_from(count).or_else(|_| reader.malformed())
}

/// The name of a field or a variant, which has letters.
fn take_name<P: Part>(reader: &mut Reader<'_, P>) -> Result<&'static str, P::Error> {
    let length = reader.u64()?;
    let name = reader.skip(length)?;
    match std::str::from_utf8(&reader.bytes[name]) {
        Ok(name) if !name.is_empty() => Ok(intern(name)),
        _ => reader.malformed(),
    }
}

/// The number of a variant.
fn take_value<P: Part>(reader: &mut Reader<'_, P>) -> Result<i128, P::Error> {
    let (low, high) = (reader.u64()?, reader.u64()?);
    Ok((u128::from(high) << 64 | u128::from(low)) as i128)
}

fn number_layout(kind: NumberKind) -> Layout {
    match kind {
        NumberKind::U8 => u8::LAYOUT,
        NumberKind::U16 => u16::LAYOUT,
        NumberKind::U32 => u32::LAYOUT,
        NumberKind::U64 => u64::LAYOUT,
        NumberKind::U128 => u128::LAYOUT,
        NumberKind::I8 => i8::LAYOUT,
        NumberKind::I16 => i16::LAYOUT,
        NumberKind::I32 => i32::LAYOUT,
        NumberKind::I64 => i64::LAYOUT,
        NumberKind::I128 => i128::LAYOUT,
        NumberKind::F32 => f32::LAYOUT,
        NumberKind::F64 => f64::LAYOUT,
    }
}

/// Slices that are kept, each once.
type Kept<T> = Mutex<Option<HashSet<&'static [T]>>>;

static KEPT_LAYOUTS: Kept<Layout> = Mutex::new(None);
static KEPT_FIELDS: Kept<FieldLayout> = Mutex::new(None);
static KEPT_VARIANTS: Kept<VariantLayout> = Mutex::new(None);

/// The one copy of a slice in this process.
fn keep<T: Hash + Eq + Copy>(kept: &Kept<T>, items: &[T]) -> &'static [T] {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = kept.get_or_insert_default();
    if let Some(known) = kept.get(items) {
        return known;
    }
    let new: &'static [T] = Box::leak(Box::from(items));
    kept.insert(new);
    new
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::super::schema::put_layout;
    use super::*;

    #[derive(Clone, Copy)]
    struct Any;

    impl Part for Any {
        type Error = ();

        fn malformed(self) {}
    }

    fn read(bytes: &[u8], size: usize) -> Result<&'static Layout, ()> {
        read_layout(&mut Reader { bytes, at: 0, part: Any }, "type", (size, 1))
    }

    fn bytes_of(layout: &Layout) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_layout(&mut bytes, layout);
        bytes
    }

    fn field(name: &'static str, offset: usize, layout: &'static Layout) -> FieldLayout {
        FieldLayout { name, offset, layout }
    }

    /// A struct of `size` bytes with two fields.
    fn pair(size: usize, fields: [FieldLayout; 2]) -> Vec<u8> {
        let kind = LayoutKind::Struct(Box::leak(Box::new(fields)));
        bytes_of(&Layout::described("pair", (size, 1), kind))
    }

    #[test]
    fn layouts_of_every_kind_come_back() {
        const MODES: &[VariantLayout] = &[
            VariantLayout { name: "Idle", value: 0 },
            VariantLayout { name: "Lost", value: -170_141_183_460_469_231_731 },
        ];
        const MODE: Layout = Layout::described(
            "Mode",
            (16, align_of::<i128>()),
            LayoutKind::Enum { tag: NumberKind::I128, variants: MODES },
        );
        let numbers = NUMBERS.map(number_layout);
        let others = [
            bool::LAYOUT,
            char::LAYOUT,
            Entity::LAYOUT,
            Text::LAYOUT,
            <()>::LAYOUT,
            <[[u16; 3]; 2]>::LAYOUT,
            <[u64; 0]>::LAYOUT,
            MODE,
        ];
        for layout in numbers.iter().chain(&others) {
            let bytes = bytes_of(layout);
            let found = read(&bytes, layout.size()).unwrap();
            assert_eq!((bytes_of(found), found.name()), (bytes.clone(), "type"));
            assert!(std::ptr::eq(found, read(&bytes, layout.size()).unwrap()), "kept once");
            assert!(read(&bytes, layout.size() + 1).is_err(), "{layout:?} of another size");
            assert!(read(&[&bytes[..], &[0]].concat(), layout.size()).is_err(), "a byte too many");
            (0..bytes.len()).for_each(|end| assert!(read(&bytes[..end], layout.size()).is_err()));
        }
    }

    #[test]
    fn struct_keeps_names_places_and_padding() {
        let bytes = pair(12, [field("mark", 8, &u8::LAYOUT), field("fuel", 0, &f64::LAYOUT)]);
        let layout = read(&bytes, 12).unwrap();
        let LayoutKind::Struct(fields) = layout.kind() else { panic!("{layout:?}") };
        assert_eq!(fields, [field("mark", 8, &u8::LAYOUT), field("fuel", 0, &f64::LAYOUT)]);
        let value = layout.value(&[0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 7, 9, 9, 9]).unwrap();
        assert_eq!(format!("{value:?}"), "type { mark: 7, fuel: 1.0 }");
    }

    #[test]
    fn parts_that_can_be_of_no_type_are_refused() {
        let (byte, word) = (&u8::LAYOUT, &u32::LAYOUT);
        assert!(read(&pair(8, [field("a", 0, word), field("b", 4, word)]), 8).is_ok());
        for (what, fields) in [
            ("that overlap", [field("a", 0, word), field("b", 3, word)]),
            ("beyond the end", [field("a", 0, word), field("b", 5, word)]),
            ("beyond all numbers", [field("a", 0, word), field("b", usize::MAX, word)]),
            ("of one name", [field("a", 0, byte), field("a", 4, byte)]),
            ("without a name", [field("", 0, byte), field("b", 4, byte)]),
        ] {
            assert!(read(&pair(8, fields), 8).is_err(), "fields {what}");
        }
        let array = |size, count| {
            let kind = LayoutKind::Array { element: &u16::LAYOUT, count };
            bytes_of(&Layout::described("[T]", (size, 2), kind))
        };
        assert!(read(&array(6, 3), 6).is_ok());
        assert!(read(&array(6, 4), 6).is_err());
        assert!(read(&array(0, 1 << 63), 0).is_err(), "the product has 65 bits");
    }

    #[test]
    fn types_inside_of_types_have_a_limit() {
        let nested = |depth: usize| {
            let head = [1_u64.to_le_bytes().as_slice(), &[5], &1_u64.to_le_bytes()].concat();
            [head.repeat(depth), bytes_of(&u8::LAYOUT)].concat()
        };
        assert!(read(&nested(DEPTH_MAX), 1).is_ok());
        assert!(read(&nested(DEPTH_MAX + 1), 1).is_err());
        assert!(read(&nested(100_000), 1).is_err());
    }
}
