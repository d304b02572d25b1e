//! Numbers of variable length, and a reader that takes bytes apart which nobody should trust.
//!
//! A *number* has seven bits a byte, the lowest first, and the highest bit of each byte says whether another
//! follows.

use std::ops::Range;

/// Writes a number.
#[inline]
pub(crate) fn put_number(buffer: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        buffer.push(number as u8 | 0x80);
        number >>= 7;
    }
    buffer.push(number as u8);
}

/// Writes bytes after their number.
pub(crate) fn put_piece(buffer: &mut Vec<u8>, piece: &[u8]) {
    put_number(buffer, piece.len() as u64);
    buffer.extend_from_slice(piece);
}

/// A part of bytes that are read, which errors name.
pub(crate) trait Part: Copy {
    /// An error that names it.
    type Error;

    /// The bytes of this part say nothing that can be.
    fn malformed(self) -> Self::Error;
}

/// Reads bytes, one piece after the other.
pub(crate) struct Reader<'a, P> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
    /// The part that is read.
    pub(crate) part: P,
}

impl<'a, P: Part> Reader<'a, P> {
    #[cold]
    pub(crate) fn malformed<T>(&self) -> Result<T, P::Error> {
        Err(self.part.malformed())
    }

    /// The place of the next `count` bytes.
    #[inline]
    pub(crate) fn skip(&mut self, count: u64) -> Result<Range<usize>, P::Error> {
        let left = (self.bytes.len() - self.at) as u64;
        if count > left {
            return self.malformed();
        }
        let range = self.at..self.at + count as usize;
        self.at = range.end;
        Ok(range)
    }

    /// Bytes as [`put_piece`] writes them.
    pub(crate) fn piece(&mut self) -> Result<&'a [u8], P::Error> {
        let length = self.number()?;
        let piece = self.skip(length)?;
        Ok(&self.bytes[piece])
    }

    /// A text as [`put_piece`] writes its bytes.
    pub(crate) fn text(&mut self) -> Result<&'a str, P::Error> {
        let piece = self.piece()?;
        std::str::from_utf8(piece).or_else(|_| self.malformed())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], P::Error> {
        let range = self.skip(N as u64)?;
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[range]);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, P::Error> {
        Ok(self.array::<1>()?[0])
    }

    /// A byte that is 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, P::Error> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => self.malformed(),
        }
    }

    pub(crate) fn u32(&mut self) -> Result<u32, P::Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, P::Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A number as [`put_number`] writes it.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<u64, P::Error> {
        // Most have one byte.
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(byte.into())
            }
            _ => self.long_number(),
        }
    }

    #[inline(never)]
    fn long_number(&mut self) -> Result<u64, P::Error> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.bytes.get(self.at) else { return self.malformed() };
            self.at += 1;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        self.malformed()
    }

    /// A number below 2^32.
    #[inline]
    pub(crate) fn short(&mut self) -> Result<u32, P::Error> {
        let number = self.number()?;
        u32::try_from(number).or_else(|_| self.malformed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    struct Any;

    impl Part for Any {
        type Error = ();

        fn malformed(self) {}
    }

    #[test]
    fn numbers_of_every_length_come_back() {
        let numbers =
            (0..64).flat_map(|shift| [1_u64 << shift, (1 << shift) - 1]).chain([u64::MAX]);
        let numbers: Vec<_> = numbers.collect();
        let mut bytes = Vec::new();
        numbers.iter().for_each(|&number| put_number(&mut bytes, number));
        let mut reader = Reader { bytes: &bytes, at: 0, part: Any };
        assert!(numbers.iter().all(|&number| reader.number() == Ok(number)));
        assert!(reader.number().is_err(), "there is no other");
        let mut reader = Reader { bytes: &[0xff; 12], at: 0, part: Any };
        assert!(reader.number().is_err(), "longer than any");
    }
}
