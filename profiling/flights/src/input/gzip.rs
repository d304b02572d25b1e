//! Bytes of a source, and the text in the gzip members that they may be.
//!
//! A gzip file is one member after another (RFC 1952), and their texts are one text. Zero bytes
//! behind a member are padding, as tapes and block devices need it, and are passed over. Anything
//! else behind a member is no part of the text, and an error: the text may be cut there.

use std::error::Error;
use std::fmt;
use std::io::{self, BufRead, ErrorKind, Read};

use flate2::bufread::GzDecoder;

use super::problem::Fragment;

/// First bytes of every gzip member.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes held at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// The bytes of a source, with a position and a way to look ahead.
pub(super) struct Input<'a> {
    reader: Box<dyn Read + 'a>,
    buffer: Box<[u8]>,
    /// The bytes of `buffer` that are still to be consumed.
    start: usize,
    end: usize,
    /// Bytes consumed.
    offset: u64,
}

impl<'a> Input<'a> {
    pub(super) fn new(reader: Box<dyn Read + 'a>) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self { reader, buffer, start: 0, end: 0, offset: 0 }
    }

    /// An input without bytes, which allocates nothing.
    fn empty() -> Self {
        let (reader, buffer) = (Box::new(io::empty()), Box::default());
        Self { reader, buffer, start: 0, end: 0, offset: 0 }
    }

    /// Whether a gzip member begins here. A single byte at the end may be one that is cut short.
    pub(super) fn is_at_gzip(&mut self) -> io::Result<bool> {
        let next = self.peek(GZIP_MAGIC.len())?;
        Ok(!next.is_empty() && GZIP_MAGIC.starts_with(next))
    }

    /// The next bytes without consuming them: `length` of them, or fewer at the end.
    fn peek(&mut self, length: usize) -> io::Result<&[u8]> {
        if self.end - self.start < length {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        while self.end < length {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&self.buffer[self.start..self.end.min(self.start + length)])
    }

    /// Consumes zero bytes. Returns whether anything follows.
    fn skip_zeros(&mut self) -> io::Result<bool> {
        loop {
            let next = self.fill_buf()?;
            let zeros = next.iter().take_while(|byte| **byte == 0).count();
            let (is_end, goes_on) = (next.is_empty(), zeros < next.len());
            self.consume(zeros);
            if is_end || goes_on {
                return Ok(goes_on);
            }
        }
    }
}

impl Read for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end && !self.buffer.is_empty() {
            (self.start, self.end) = (0, 0);
            self.end = self.reader.read(&mut self.buffer)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }
}

/// The text of all gzip members of an input.
pub(super) struct Members<'a> {
    decoder: GzDecoder<Input<'a>>,
    ended: bool,
}

impl<'a> Members<'a> {
    /// The members of `input`; the first begins here.
    pub(super) fn new(input: Input<'a>) -> Self {
        Self { decoder: GzDecoder::new(input), ended: false }
    }

    /// Begins with the next member, if there is one.
    fn advance(&mut self) -> io::Result<()> {
        let input = self.decoder.get_mut();
        if !input.skip_zeros()? {
            self.ended = true;
            return Ok(());
        }
        if !input.is_at_gzip()? {
            let found = Fragment::of(input.peek(Fragment::BYTES_MAX + 1)?);
            let trailing = TrailingBytes { offset: input.offset, found };
            return Err(io::Error::new(ErrorKind::InvalidData, trailing));
        }
        let input = std::mem::replace(input, Input::empty());
        self.decoder.reset(input);
        Ok(())
    }
}

impl Read for Members<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.ended {
            let read = self.decoder.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            self.advance()?;
        }
        Ok(0)
    }
}

/// Something that isn't gzip stands behind a gzip member.
#[derive(Debug)]
pub(super) struct TrailingBytes {
    /// Where it begins, in bytes of the file.
    pub(super) offset: u64,
    /// How it begins.
    pub(super) found: Fragment,
}

impl fmt::Display for TrailingBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, found } = self;
        write!(formatter, "trailing garbage `{found}` at byte {offset}")
    }
}

impl Error for TrailingBytes {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn member(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// A source that gives one byte at a time and is interrupted before each.
    struct Trickle<'a>(&'a [u8], bool);

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(ErrorKind::Interrupted.into());
            }
            let length = into.len().min(1);
            self.0.read(&mut into[..length])
        }
    }

    fn unpack(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let read = |reader: Box<dyn Read + '_>| {
            let mut text = Vec::new();
            Members::new(Input::new(reader)).read_to_end(&mut text).map(|_| text)
        };
        let (whole, trickled) = (read(Box::new(bytes)), read(Box::new(Trickle(bytes, false))));
        match (&whole, &trickled) {
            (Ok(whole), Ok(trickled)) => assert_eq!(whole, trickled),
            (Err(whole), Err(trickled)) => assert_eq!(whole.to_string(), trickled.to_string()),
            other => panic!("the size of reads shows: {other:?}"),
        }
        whole
    }

    #[test]
    fn members_and_zeros_between_and_behind_them_are_one_text() {
        for zeros in [0, 1, 7, BUFFER_BYTES - 1, BUFFER_BYTES, 3 * BUFFER_BYTES] {
            let mut bytes = member(b"one ");
            bytes.extend(vec![0; zeros]);
            bytes.extend(member(b""));
            bytes.extend(member(b"two"));
            bytes.extend(vec![0; zeros]);
            assert_eq!(unpack(&bytes).unwrap(), b"one two", "{zeros}");
        }
    }

    #[test]
    fn text_behind_the_last_member_is_named_with_its_place() {
        let whole = member(b"text");
        for (garbage, shown) in [
            ("hello", "hello"),
            ("\n", "\\n"),
            ("\x1fx", "\\x1fx"),
            ("0123456789012345678901234567", "0123456789012345678901…"),
        ] {
            for zeros in [0, 3] {
                let mut bytes = whole.clone();
                bytes.extend(vec![0; zeros]);
                bytes.extend(garbage.as_bytes());
                let offset = whole.len() + zeros;
                let expected = format!("trailing garbage `{shown}` at byte {offset}");
                assert_eq!(unpack(&bytes).unwrap_err().to_string(), expected);
            }
        }
    }

    #[test]
    fn member_that_is_cut_short_is_an_error_wherever_it_is() {
        let whole = member(b"text");
        for before in [Vec::new(), whole.clone(), [whole.clone(), vec![0; 5]].concat()] {
            for kept in 1..whole.len() {
                let error = unpack(&[&before, &whole[..kept]].concat()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{kept}");
            }
        }
    }

    #[test]
    fn as_many_members_as_there_are_bytes_for_are_read() {
        assert_eq!(unpack(&member(b"").repeat(20_000)).unwrap(), b"");
    }
}
