//! A disk that loses power: it notes each write and each flush, and makes images of what may be left.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoy_engine::checkpoint::{CheckpointError, Medium, Replaceable};

use crate::values::Mixer;

/// Bytes that a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

/// A write, or a flush.
#[derive(Clone, Debug)]
enum Call {
    Write { at: u64, bytes: Vec<u8> },
    Sync,
}

#[derive(Debug, Default)]
struct Disk {
    now: Vec<u8>,
    /// What was there for good before the calls.
    kept: Vec<u8>,
    calls: Vec<Call>,
    /// How many calls go well before one fails, and how.
    failure: Option<(usize, io::ErrorKind)>,
}

/// A medium that notes what happens to it. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct CrashDisk(Arc<Mutex<Disk>>);

impl CrashDisk {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many writes and flushes there were since the last [`CrashDisk::settle`].
    pub fn calls(&self) -> usize {
        self.disk().calls.len()
    }

    /// Forgets all calls: everything is there for good, and no call fails any more.
    pub fn settle(&self) {
        let Disk { now, kept, calls, failure } = &mut *self.disk();
        kept.clone_from(now);
        calls.clear();
        *failure = None;
    }

    /// Lets all writes and flushes after the next `calls` fail.
    pub fn fail_after(&self, calls: usize, error: io::ErrorKind) {
        self.disk().failure = Some((calls, error));
    }

    /// The bytes as they are.
    pub fn bytes(&self) -> Vec<u8> {
        self.disk().now.clone()
    }

    /// What may be left where the power went away after the first `calls` calls: all that was flushed, and of
    /// later writes any sectors, whatever their order was.
    pub fn image(&self, calls: usize, mixer: &mut Mixer) -> Vec<u8> {
        let disk = self.disk();
        let mut image = disk.kept.clone();
        let done = &disk.calls[..calls];
        let flushed = done.iter().rposition(|call| matches!(call, Call::Sync)).unwrap_or(0);
        for (number, call) in done.iter().enumerate() {
            let Call::Write { at, bytes } = call else { continue };
            let fate = if number < flushed { 0 } else { mixer.below(4) };
            for (sector, piece) in bytes.chunks(SECTOR_BYTES).enumerate() {
                let is_there = match fate {
                    0 => true,
                    1 => false,
                    _ => mixer.below(2) == 0,
                };
                if is_there {
                    put(&mut image, *at as usize + sector * SECTOR_BYTES, piece);
                } else if mixer.below(2) == 0 {
                    // The file may have grown without it.
                    put(&mut image, *at as usize + bytes.len(), &[]);
                }
            }
        }
        image
    }
}

impl Disk {
    fn call(&mut self) -> io::Result<()> {
        match &mut self.failure {
            Some((0, error)) => Err((*error).into()),
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let end = bytes.len().max(at + piece.len());
    bytes.resize(end, 0);
    bytes[at..at + piece.len()].copy_from_slice(piece);
}

impl Medium for CrashDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk().now.len() as u64)
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.disk().now.read_at(at, buffer)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk();
        let called = disk.call();
        // A write that fails may have been done in part.
        let done = if called.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        disk.calls.push(Call::Write { at, bytes: done.to_vec() });
        put(&mut disk.now, at as usize, done);
        called
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.disk();
        disk.call()?;
        disk.calls.push(Call::Sync);
        Ok(())
    }
}

impl Replaceable for CrashDisk {
    /// A disk that fails as this one will.
    fn sibling(&self) -> Result<Self, CheckpointError> {
        let disk = Disk { failure: self.disk().failure, ..Disk::default() };
        Ok(Self(Arc::new(Mutex::new(disk))))
    }

    fn take_place_of(&mut self, old: &Self) -> Result<(), CheckpointError> {
        {
            let Disk { now, calls, .. } = &*self.disk();
            assert!(matches!(calls.last(), Some(Call::Sync)), "all of it is there for good");
            let mut old = old.disk();
            old.call()?;
            *old = Disk { now: now.clone(), kept: now.clone(), ..Disk::default() };
        }
        self.0 = Arc::clone(&old.0);
        Ok(())
    }
}
