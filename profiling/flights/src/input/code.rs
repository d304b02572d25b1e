//! Names of airports: the code that people use and the index that the simulation uses.

use std::fmt;

use bytemuck::{Pod, Zeroable};

/// Capital letters in the alphabet.
const LETTERS: usize = 26;

/// A code of three capital letters, as the International Air Transport Association assigns them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AirportCode([u8; 3]);

impl AirportCode {
    /// How many codes there are: 26³, which an [`AirportIndex`] can count.
    pub(super) const COUNT: usize = LETTERS * LETTERS * LETTERS;

    /// The code in `field`, or `None` if it is not three capital letters.
    pub fn parse(field: &[u8]) -> Option<Self> {
        let letters: [u8; 3] = field.try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }

    /// Position among all codes, below [`AirportCode::COUNT`].
    pub(super) fn rank(self) -> usize {
        self.0.iter().fold(0, |rank, letter| rank * LETTERS + usize::from(letter - b'A'))
    }
}

impl fmt::Display for AirportCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for AirportCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Position of an airport in [`Airports`](super::Airports).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
#[repr(transparent)]
pub struct AirportIndex(pub u16);

impl AirportIndex {
    /// The index as a position in a slice.
    #[inline]
    pub fn position(self) -> usize {
        usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn only_three_capital_letters_are_a_code() {
        for field in ["", "AB", "ABCD", "abc", "A1C", "A C", "Ä"] {
            assert_eq!(AirportCode::parse(field.as_bytes()), None, "{field}");
        }
        assert_eq!(AirportCode::parse(b"JFK").unwrap().to_string(), "JFK");
    }

    #[test]
    fn ranks_fill_the_range() {
        assert_eq!(AirportCode::parse(b"AAA").unwrap().rank(), 0);
        assert_eq!(AirportCode::parse(b"ZZZ").unwrap().rank(), AirportCode::COUNT - 1);
        assert!(AirportCode::COUNT <= usize::from(u16::MAX));
    }
}
