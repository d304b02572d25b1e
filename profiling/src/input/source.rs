//! Where a data set comes from, and whether it is compressed.
//!
//! Compression is recognised by the two magic bytes of gzip (RFC 1952), never by a file's name. The
//! bytes are read one after the other and not sought, so a pipe serves as well as a file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::error::LoadError;

/// First bytes of every gzip member.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Unpacked bytes held at a time: many lines for each call of the decoder.
const BUFFER_BYTES: usize = 256 * 1024;

/// A data set as bytes in memory or as a file.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Bytes in memory.
    Bytes {
        /// What messages call them.
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
        match *self {
            Self::Bytes { bytes, .. } => self.unpack(Box::new(bytes)),
            Self::File(path) => match File::open(path) {
                Ok(file) => self.unpack(Box::new(file)),
                Err(source) => Err(LoadError::Open { path: self.path(), source }),
            },
        }
    }

    fn unpack(&self, mut bytes: Box<dyn Read + 'a>) -> Result<Opened<'a>, LoadError> {
        let mut magic = Vec::with_capacity(GZIP_MAGIC.len());
        bytes
            .by_ref()
            .take(GZIP_MAGIC.len() as u64)
            .read_to_end(&mut magic)
            .map_err(|source| LoadError::Read { path: self.path(), source })?;
        let compressed = magic == GZIP_MAGIC;
        let whole = io::Cursor::new(magic).chain(bytes);
        let text: Box<dyn BufRead + 'a> = if compressed {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(whole)))
        } else {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, whole))
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
