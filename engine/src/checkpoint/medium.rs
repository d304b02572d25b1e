//! [`Medium`]: the bytes of a checkpoint, on a disk or elsewhere.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::CheckpointError;

/// The bytes that a checkpoint is written to and read from: a [`DiskFile`], or a list of bytes for worlds that are sent
/// elsewhere. Tests implement it to lose power.
///
/// ```
/// use convoy_engine::checkpoint::Checkpoint;
/// use convoy_engine::{ComponentMask, SnapshotPool, World, WorldConfig};
///
/// let mut world = World::new();
/// let ship = world.spawn((7_u32,));
/// let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
///
/// let mut checkpoint = Checkpoint::on(Vec::new()).unwrap();
/// checkpoint.write(&view).unwrap();
/// let bytes = checkpoint.into_medium();
///
/// let mut loaded = Checkpoint::read_from(&bytes, WorldConfig::default()).unwrap();
/// loaded.register::<u32>().unwrap();
/// assert_eq!(loaded.get::<u32>(ship), Ok(&7));
/// ```
pub trait Medium {
    /// How many bytes there are.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    fn len(&self) -> io::Result<u64>;

    /// Whether there is no byte.
    ///
    /// # Errors
    ///
    /// As [`Medium::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` with the bytes from `at` on.
    ///
    /// # Errors
    ///
    /// When there are fewer bytes, or they can't be read.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` from `at` on. Bytes between the end and `at` become zero.
    ///
    /// # Errors
    ///
    /// When not all could be written. Some may have been.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Writes all of `pieces`, one behind the other, from `at` on. A file takes them in one call of the system.
    ///
    /// # Errors
    ///
    /// As [`Medium::write_at`].
    fn write_pieces_at(&mut self, mut at: u64, pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        for piece in pieces {
            self.write_at(at, piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Makes all that was written last: when this returns, no loss of power takes it away.
    ///
    /// # Errors
    ///
    /// When the system can't vouch for it.
    fn sync(&mut self) -> io::Result<()>;
}

/// A medium that another one can take the place of, for [`Checkpoint::compact`](super::Checkpoint::compact).
pub trait Replaceable: Medium + Sized {
    /// An empty medium beside this one.
    ///
    /// # Errors
    ///
    /// When there can be none.
    fn sibling(&self) -> Result<Self, CheckpointError>;

    /// Takes the place of `old`, in one step and for good: whatever happens, there is one or the other.
    ///
    /// # Errors
    ///
    /// When the system can't vouch for it.
    fn take_place_of(&mut self, old: &Self) -> Result<(), CheckpointError>;
}

impl Replaceable for Vec<u8> {
    fn sibling(&self) -> Result<Self, CheckpointError> {
        Ok(Self::new())
    }

    fn take_place_of(&mut self, _: &Self) -> Result<(), CheckpointError> {
        Ok(())
    }
}

impl Medium for Vec<u8> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.as_slice().len() as u64)
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(at).ok();
        let bytes = start.and_then(|start| self.get(start..)?.get(..buffer.len()));
        let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(at).ok();
        let end = start.and_then(|start| start.checked_add(bytes.len()));
        let (start, end) = start.zip(end).ok_or(io::ErrorKind::FileTooLarge)?;
        if end > self.as_slice().len() {
            self.try_reserve(end - self.as_slice().len())?;
            self.resize(end, 0);
        }
        self[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file with a checkpoint, locked against a second writer while it is written to.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    path: PathBuf,
}

impl DiskFile {
    /// Makes an empty file, which must not be there yet, and locks it.
    pub(super) fn create(path: &Path) -> Result<Self, CheckpointError> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        let file = Self { file, path: fs::canonicalize(path)? }.locked()?;
        sync_folder(&file.path)?;
        Ok(file)
    }

    /// Opens a file to write to, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let file = Self { file, path: fs::canonicalize(path)? }.locked()?;
        // Its last writer may have put another file in its place before it let go of this one.
        if file.has_name()? { Ok(file) } else { Err(CheckpointError::Locked) }
    }

    /// Whether the path still names this file.
    fn has_name(&self) -> io::Result<bool> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
            match fs::metadata(&self.path) {
                Ok(named) => Ok(id(named) == id(self.file.metadata()?)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            }
        }
        // Elsewhere nobody renames a file that is open.
        #[cfg(not(unix))]
        Ok(true)
    }

    /// Opens a file to read from. A writer may be at work in it: all that a reader needs stays as it is.
    pub(super) fn open_to_read(path: &Path) -> Result<Self, CheckpointError> {
        Ok(Self { file: File::open(path)?, path: path.to_owned() })
    }

    fn locked(self) -> Result<Self, CheckpointError> {
        match self.file.try_lock() {
            Ok(()) => Ok(self),
            Err(TryLockError::WouldBlock) => Err(CheckpointError::Locked),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// The file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The path of the file, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Replaceable for DiskFile {
    /// An empty file whose name has `.compacting` at the end. One that a crash has left there is replaced.
    fn sibling(&self) -> Result<Self, CheckpointError> {
        let mut name = self.path.file_name().map_or_else(OsString::new, OsString::from);
        name.push(".compacting");
        let path = self.path.with_file_name(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Self::create(&path),
        }
    }

    fn take_place_of(&mut self, old: &Self) -> Result<(), CheckpointError> {
        if !old.has_name()? {
            return Err(CheckpointError::Moved);
        }
        fs::rename(&self.path, &old.path)?;
        self.path.clone_from(&old.path);
        sync_folder(&self.path)?;
        Ok(())
    }
}

/// Makes the names in a file's folder last.
fn sync_folder(path: &Path) -> io::Result<()> {
    // Windows opens no folders, and keeps names by itself.
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

impl Medium for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, at)
    }

    #[cfg(not(unix))]
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        use io::Read;
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(buffer)
    }

    #[cfg(unix)]
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, at)
    }

    #[cfg(not(unix))]
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)
    }

    fn write_pieces_at(&mut self, at: u64, mut pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at))?;
        while !pieces.is_empty() {
            match file.write_vectored(pieces) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut pieces, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
