//! Where a data set comes from, and whether it is compressed.
//!
//! Compression is recognised by the two magic bytes of gzip (RFC 1952), never by a file's name. The
//! bytes are read one after the other and not sought, so a pipe serves as well as a file.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::error::LoadError;
use super::gzip::{Input, Members};

/// Unpacked bytes held at a time: many lines for each call of the decoder.
const BUFFER_BYTES: usize = 256 * 1024;

/// A data set as bytes in memory or as a file.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Bytes in memory.
    Bytes {
        /// Their name in messages.
        name: &'a str,
        /// CSV text or gzip.
        bytes: &'a [u8],
    },
    /// A file, read as the load proceeds.
    File(&'a Path),
}

impl<'a> Source<'a> {
    /// The path or name that errors show.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Bytes { name, .. } => PathBuf::from(name),
            Self::File(path) => path.to_path_buf(),
        }
    }

    /// Opens the source and unpacks it if need be.
    ///
    /// # Errors
    ///
    /// [`LoadError::Open`] or [`LoadError::Read`] if there is no such file or it cannot be read.
    pub(super) fn open(&self) -> Result<Opened<'a>, LoadError> {
        let reader: Box<dyn Read + 'a> = match *self {
            Self::Bytes { bytes, .. } => Box::new(bytes),
            Self::File(path) => match File::open(path) {
                Ok(file) => Box::new(file),
                Err(source) => return Err(LoadError::Open { path: self.path(), source }),
            },
        };
        let mut input = Input::new(reader);
        let compressed =
            input.is_at_gzip().map_err(|source| LoadError::Read { path: self.path(), source })?;
        let text: Box<dyn BufRead + 'a> = if compressed {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, Members::new(input)))
        } else {
            Box::new(input)
        };
        Ok(Opened { text, compressed })
    }
}

/// A source that is being read.
pub(super) struct Opened<'a> {
    /// The unpacked text.
    pub(super) text: Box<dyn BufRead + 'a>,
    /// Whether it is unpacked on the way.
    pub(super) compressed: bool,
}
