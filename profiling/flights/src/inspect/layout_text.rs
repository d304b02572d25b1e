//! Layouts for people, as Rust would write them without names of types.

use std::fmt;

use convoy_engine::schema::{Layout, LayoutKind, NumberKind};

/// Prints a layout: `{departure_s: i32, spots: [u16; 2]}`, `u8 enum {Idle, Busy = 4}`.
pub(super) struct LayoutText(pub(super) &'static Layout);

impl fmt::Display for LayoutText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            LayoutKind::Number(kind) => formatter.write_str(number_name(kind)),
            LayoutKind::Bool => formatter.write_str("bool"),
            LayoutKind::Char => formatter.write_str("char"),
            LayoutKind::Entity => formatter.write_str("Entity"),
            LayoutKind::Text => formatter.write_str("Text"),
            LayoutKind::Array { element, count } => {
                write!(formatter, "[{}; {count}]", LayoutText(element))
            }
            LayoutKind::Struct(fields) => {
                formatter.write_str("{")?;
                for (number, field) in fields.iter().enumerate() {
                    let comma = if number > 0 { ", " } else { "" };
                    let name = field.name.escape_debug();
                    write!(formatter, "{comma}{name}: {}", LayoutText(field.layout))?;
                }
                formatter.write_str("}")
            }
            LayoutKind::Enum { tag, variants } => {
                write!(formatter, "{} enum {{", number_name(tag))?;
                let mut next = 0;
                for (number, variant) in variants.iter().enumerate() {
                    let comma = if number > 0 { ", " } else { "" };
                    write!(formatter, "{comma}{}", variant.name.escape_debug())?;
                    if variant.value != next {
                        write!(formatter, " = {}", variant.value)?;
                    }
                    next = variant.value.wrapping_add(1);
                }
                formatter.write_str("}")
            }
            // A kind of a later engine.
            _ => write!(formatter, "{} bytes", self.0.size()),
        }
    }
}

/// Rust's name of a kind of numbers.
pub(super) fn number_name(kind: NumberKind) -> &'static str {
    match kind {
        NumberKind::U8 => "u8",
        NumberKind::U16 => "u16",
        NumberKind::U32 => "u32",
        NumberKind::U64 => "u64",
        NumberKind::U128 => "u128",
        NumberKind::I8 => "i8",
        NumberKind::I16 => "i16",
        NumberKind::I32 => "i32",
        NumberKind::I64 => "i64",
        NumberKind::I128 => "i128",
        NumberKind::F32 => "f32",
        NumberKind::F64 => "f64",
        _ => "number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use convoy_engine::schema::TypeLayout;

    #[derive(Clone, Copy, TypeLayout)]
    #[repr(i16)]
    enum Mode {
        Idle,
        Busy = 4,
        Done,
        Lost = -1,
    }

    #[derive(Clone, Copy, TypeLayout)]
    #[repr(C)]
    struct Plane {
        mode: Mode,
        ways: [(); 2],
        spots: [[f32; 2]; 3],
    }

    #[test]
    fn layouts_read_as_rust() {
        assert_eq!(
            LayoutText(&Plane::LAYOUT).to_string(),
            "{mode: i16 enum {Idle, Busy = 4, Done, Lost = -1}, ways: [{}; 2], spots: [[f32; 2]; 3]}"
        );
        assert_eq!(LayoutText(&<[u8; 3]>::LAYOUT).to_string(), "[u8; 3]");
    }
}
