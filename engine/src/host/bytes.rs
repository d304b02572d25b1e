//! The pieces of a host's state as bytes: numbers, flags, texts and lists.

use std::time::Duration;

use crate::storage::encoding::{self, Part, put_number};

use super::time::nanoseconds;

/// Why bytes are no state of a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StateError {
    Malformed,
    /// They are of another version.
    Version(u8),
}

/// The only part that errors name.
#[derive(Clone, Copy)]
pub(super) struct HostState;

impl Part for HostState {
    type Error = StateError;

    fn malformed(self) -> StateError {
        StateError::Malformed
    }
}

pub(super) type Reader<'a> = encoding::Reader<'a, HostState>;

/// Writes a number of 128 bits.
pub(super) fn put_long(number: u128, buffer: &mut Vec<u8>) {
    put_number(buffer, (number >> 64) as u64);
    put_number(buffer, number as u64);
}

pub(super) fn put_flag(flag: bool, buffer: &mut Vec<u8>) {
    buffer.push(u8::from(flag));
}

/// Reads what [`put_long`] wrote.
pub(super) fn take_long(reader: &mut Reader<'_>) -> Result<u128, StateError> {
    Ok(u128::from(reader.number()?) << 64 | u128::from(reader.number()?))
}

pub(super) fn take_duration(reader: &mut Reader<'_>) -> Result<Duration, StateError> {
    let nanos = take_long(reader)?;
    if nanos > Duration::MAX.as_nanos() / 2 { reader.malformed() } else { Ok(nanoseconds(nanos)) }
}

/// Reads counts that can be added to for ever.
pub(super) fn take_counts<const N: usize>(reader: &mut Reader<'_>) -> Result<[u64; N], StateError> {
    let mut counts = [0; N];
    for count in &mut counts {
        *count = reader.number()?;
    }
    if counts.iter().any(|&count| count > u64::MAX / 4) { reader.malformed() } else { Ok(counts) }
}

/// Reads a list whose entries have a byte or more each.
pub(super) fn take_list<T>(
    reader: &mut Reader<'_>,
    mut take: impl FnMut(&mut Reader<'_>) -> Result<T, StateError>,
) -> Result<Vec<T>, StateError> {
    let count = reader.number()?;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(take(reader)?);
    }
    Ok(list)
}
