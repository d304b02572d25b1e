//! [`RowSize`]: the usual sizes of rows, by which copies of a row become a few moves.

/// How many bytes a row has, if that is one of the usual numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RowSize {
    Zero,
    One,
    Two,
    Four,
    Eight,
    Twelve,
    Sixteen,
    TwentyFour,
    ThirtyTwo,
    FortyEight,
    SixtyFour,
    Other,
}

impl RowSize {
    pub(crate) fn of(bytes: u32) -> Self {
        match bytes {
            0 => Self::Zero,
            1 => Self::One,
            2 => Self::Two,
            4 => Self::Four,
            8 => Self::Eight,
            12 => Self::Twelve,
            16 => Self::Sixteen,
            24 => Self::TwentyFour,
            32 => Self::ThirtyTwo,
            48 => Self::FortyEight,
            64 => Self::SixtyFour,
            _ => Self::Other,
        }
    }
}

/// Does something with the size of a column's rows as `$bytes`, a constant where it is a usual one. Does
/// nothing where rows have no bytes.
macro_rules! with_row_size {
    ($column:expr, |$bytes:ident| $work:expr) => {
        with_row_size!(@ $column, $bytes, $work,
            One 1 Two 2 Four 4 Eight 8 Twelve 12 Sixteen 16 TwentyFour 24 ThirtyTwo 32 FortyEight 48
            SixtyFour 64)
    };
    (@ $column:expr, $bytes:ident, $work:expr, $($name:ident $literal:literal)+) => {
        match $column.row_size() {
            RowSize::Zero => (),
            $(RowSize::$name => {
                let $bytes: usize = $literal;
                $work
            })+
            RowSize::Other => {
                let $bytes: usize = $column.size();
                $work
            }
        }
    };
}

pub(crate) use with_row_size;
