//! [`Window`]: the lines of a text, some of them held at a time.
//!
//! Lines are numbered from 1 and end with a line feed or with the text. Of a line that is too long
//! only the beginning is held, so a window has a bounded size whatever the text. Its rest is passed
//! over when the next line is asked for, not before: it may have no end.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

/// Longest line: far above any row of either data set, and a bound for the bytes held of a file that
/// is not text.
pub(super) const LINE_BYTES_MAX: usize = 4_096;

/// Bytes held of a line that is too long: enough to tell the format of a file that isn't text.
const LONG_LINE_BYTES: usize = 8;

/// Lines in a row of text, the first of them at its beginning.
pub(super) struct Window<'a> {
    text: Box<dyn BufRead + 'a>,
    /// The held lines, each with a line feed at its end.
    bytes: Vec<u8>,
    lines: VecDeque<Line>,
    /// Number of the first held line, or of the next one if none is held.
    number: u64,
    /// Whether the rest of a line that is too long is still to be passed over.
    is_within_line: bool,
}

/// A held line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Where the line ends among the held bytes.
    pub(super) end: usize,
    /// Whether the whole line is held, and not just the beginning of one that is too long.
    pub(super) fits: bool,
}

impl<'a> Window<'a> {
    pub(super) fn new(text: Box<dyn BufRead + 'a>) -> Self {
        Self {
            text,
            // The longest line, its end and one byte that tells that it goes on.
            bytes: Vec::with_capacity(LINE_BYTES_MAX + 2),
            lines: VecDeque::new(),
            number: 1,
            is_within_line: false,
        }
    }

    /// The number of the first held line.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The number of the line that is being read when reading fails.
    pub(super) fn number_of_last(&self) -> u64 {
        self.number + self.lines.len() as u64 - u64::from(self.is_within_line)
    }

    /// The line at `index` among the held ones, which is read if it's the next one; `None` if the
    /// text has ended before it.
    pub(super) fn line(&mut self, index: usize) -> io::Result<Option<Line>> {
        assert!(index <= self.lines.len(), "lines are held in order");
        if self.lines.len() == index && !self.read_line()? {
            return Ok(None);
        }
        Ok(self.lines.get(index).copied())
    }

    /// The bytes of all held lines.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Drops the first `count` lines, which must be held.
    pub(super) fn pass(&mut self, count: usize) {
        self.number += count as u64;
        if count == self.lines.len() {
            self.lines.clear();
            self.bytes.clear();
            return;
        }
        let bytes = self.lines.drain(..count).next_back().map_or(0, |line| line.end);
        self.bytes.drain(..bytes);
        for line in &mut self.lines {
            line.end -= bytes;
        }
    }

    /// Reads one more line. Returns `false` at the end of the text.
    fn read_line(&mut self) -> io::Result<bool> {
        if self.is_within_line {
            self.text.skip_until(b'\n')?;
            self.is_within_line = false;
        }
        let start = self.bytes.len();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = (&mut self.text).take(limit).read_until(b'\n', &mut self.bytes)?;
        if read == 0 {
            return Ok(false);
        }
        let ends = self.bytes.ends_with(b"\n");
        let fits = ends || read <= LINE_BYTES_MAX;
        if !fits {
            self.bytes.truncate(start + LONG_LINE_BYTES);
            self.is_within_line = true;
        } else if !ends {
            self.bytes.push(b'\n');
        }
        self.lines.push_back(Line { end: self.bytes.len(), fits });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;

    #[test]
    fn lines_are_held_and_let_go_in_order() {
        let long = "x".repeat(LINE_BYTES_MAX + 1);
        let text = format!("one\ntwo\n{long}\n\nfive");
        let mut window = Window::new(Box::new(text.as_bytes()));
        assert!(window.line(0).unwrap().is_some());
        let ends = |window: &mut Window<'_>| {
            let lines = (0..3).map(|index| window.line(index).unwrap().unwrap());
            lines.map(|line| (line.end, line.fits)).collect::<Vec<_>>()
        };
        window.pass(1);
        assert_eq!(ends(&mut window), [(4, true), (12, false), (13, true)]);
        assert_eq!((window.number(), window.bytes()), (2, &b"two\nxxxxxxxx\n"[..]));
        window.pass(2);
        assert!(window.line(0).unwrap().is_some() && window.line(1).unwrap().is_some());
        assert_eq!((window.number(), window.bytes()), (4, &b"\nfive\n"[..]));
        window.pass(2);
        assert!(window.line(0).unwrap().is_none());
        assert_eq!(window.number(), 6);
    }
}
