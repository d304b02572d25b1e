//! The states of modules as bytes, for [`Module::save`](convoy_engine::host::Module::save) and its counterpart.

use convoy_engine::host::LoadError;

/// Puts a state together: numbers, little-endian, and pieces with their lengths before them.
#[derive(Debug, Default)]
pub(super) struct StateWriter(Vec<u8>);

impl StateWriter {
    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn piece(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes a state apart.
#[derive(Debug)]
pub(super) struct StateReader<'a>(&'a [u8]);

impl<'a> StateReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn number(&mut self) -> Result<u64, LoadError> {
        let (number, rest) = self.0.split_first_chunk().ok_or("the state is cut off")?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*number))
    }

    pub(super) fn piece(&mut self) -> Result<&'a [u8], LoadError> {
        let length = usize::try_from(self.number()?)?;
        let (piece, rest) = self.0.split_at_checked(length).ok_or("the state is cut off")?;
        self.0 = rest;
        Ok(piece)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing may follow.
    pub(super) fn end(self) -> Result<(), LoadError> {
        if self.0.is_empty() { Ok(()) } else { Err("the state is too long".into()) }
    }
}
