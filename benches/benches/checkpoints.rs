//! Checkpoints of a million entities of 96 bytes: all of it, 1 % of the chunks, reading it back, and mapping it.
//!
//! Files are in the page cache, and nothing is flushed to the disk: how long that takes is its affair. `pwrite +
//! hash` writes as many bytes in pieces of 16 KiB, each hashed before, and `pread + hash` reads them into one buffer,
//! or, in `new memory`, into as much memory as they are, which has huge pages in `new huge pages`, as worlds have.

#![allow(unsafe_code, reason = "vouches for files that nobody else has")]

mod common;

use std::env::temp_dir;
use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process;

use convoy_engine::checkpoint::{Checkpoint, Medium};
use convoy_engine::schema::{Schema, TypeEntry};
use convoy_engine::{ComponentMask, Entity, SnapshotPool, View, World, WorldConfig};
use memmap2::{Mmap, MmapMut};
use rapidhash::v3::rapidhash_v3;

use common::components::{Health, Mass, Position, Rotation, Transform};
use common::timing::{Group, bench_prepared, criterion};

const ENTITIES: usize = 1_000_000;
/// Bytes of a row, its handle, and its slot.
const ROW_BYTES: usize = 96 + 8 + 12;
const PIECE_BYTES: usize = 16 * 1024;
/// Rows that one chunk has at the most.
const CHUNK_ROWS: usize = 4_096;
const ALL: ComponentMask = ComponentMask::ALL;

fn main() {
    let mut criterion = criterion();
    let mut group = criterion.benchmark_group("checkpoints");
    write(&mut group);
    read(&mut group);
    map(&mut group);
    group.finish();
    criterion.final_summary();
}

/// A file that is never flushed, and that ends with its name.
struct CachedFile {
    file: File,
    path: PathBuf,
}

impl CachedFile {
    fn new(name: &str) -> Self {
        let path = temp_dir().join(format!("convoy-bench-{}-{name}", process::id()));
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        Self { file: file.expect("the folder for temporary files can be written"), path }
    }
}

impl Drop for CachedFile {
    fn drop(&mut self) {
        remove_file(&self.path).expect("the file is there");
    }
}

impl Medium for CachedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, at)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    fn write_pieces_at(&mut self, at: u64, mut pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        while !pieces.is_empty() {
            let written = self.file.write_vectored(pieces)?;
            IoSlice::advance_slices(&mut pieces, written);
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn schema() -> Schema {
    let builder = Schema::builder()
        .component(TypeEntry::<Transform>::new().named("transform", 1))
        .component(TypeEntry::<Position>::new().named("position", 1))
        .component(TypeEntry::<Rotation>::new().named("rotation", 1))
        .component(TypeEntry::<Health>::new().named("health", 1))
        .component(TypeEntry::<Mass>::new().named("mass", 1));
    builder.build().expect("no two types have one name")
}

/// A world, and views of it.
struct Source {
    world: World,
    pool: SnapshotPool,
    entities: Vec<Entity>,
    frame: usize,
}

impl Source {
    fn new() -> Self {
        let mut world = World::with_schema(&schema());
        let rows = (0..ENTITIES).map(|number| {
            let place = [number as f32, 0.5, 2.0];
            let transform = Transform([number as f32; 16]);
            (transform, Position(place), Rotation(place), Health(1.0), Mass(number as f32))
        });
        let entities = world.spawn_batch(rows).expect("there is memory").collect();
        Self { world, pool: SnapshotPool::default(), entities, frame: 0 }
    }

    fn view(&mut self) -> View {
        self.world.capture(ALL, &self.pool)
    }

    /// Writes a row in one of a hundred chunks of each column.
    fn step(&mut self) {
        self.frame += 1;
        let value = self.frame as f32;
        for row in (self.frame % 100..ENTITIES / CHUNK_ROWS).step_by(100) {
            let entity = self.entities[row * CHUNK_ROWS];
            self.world.get_mut::<Health>(entity).expect("it has one").0 = value;
            self.world.get_mut::<Mass>(entity).expect("it has one").0 = value;
        }
        for row in (self.frame % 100..ENTITIES / 1_024).step_by(100) {
            let entity = self.entities[row * 1_024];
            self.world.get_mut::<Position>(entity).expect("it has one").0[0] = value;
            self.world.get_mut::<Rotation>(entity).expect("it has one").0[0] = value;
        }
        for row in (self.frame % 100..ENTITIES / 256).step_by(100) {
            let entity = self.entities[row * 256];
            self.world.get_mut::<Transform>(entity).expect("it has one").0[0] = value;
        }
    }
}

/// A file with the world.
fn saved(name: &str) -> CachedFile {
    let mut checkpoint = Checkpoint::on(CachedFile::new(name)).expect("the file is empty");
    checkpoint.write(&Source::new().view()).expect("there is room on the disk");
    checkpoint.into_medium()
}

/// As many bytes as the world has.
fn plain() -> Vec<u8> {
    (0..ENTITIES * ROW_BYTES).map(|number| number as u8).collect()
}

fn write(group: &mut Group<'_>) {
    bench_prepared(
        group,
        ("pwrite + hash", "write_1m"),
        plain,
        |_| CachedFile::new("raw"),
        |bytes, file| {
            let (mut at, mut hash) = (0, 0);
            for piece in bytes.chunks(PIECE_BYTES) {
                hash ^= rapidhash_v3(piece);
                file.write_at(at, piece).expect("there is room on the disk");
                at += piece.len() as u64;
            }
            hash
        },
    );
    bench_prepared(
        group,
        ("convoy", "write_1m"),
        Source::new,
        |source| {
            let checkpoint = Checkpoint::on(CachedFile::new("full"));
            (source.view(), checkpoint.expect("the file is empty"))
        },
        |_, (view, checkpoint)| {
            checkpoint.write(view).expect("there is room on the disk").bytes_written
        },
    );
    bench_prepared(
        group,
        ("convoy", "write_1%_of_chunks"),
        || {
            let mut source = Source::new();
            let mut checkpoint =
                Checkpoint::on(CachedFile::new("part")).expect("the file is empty");
            checkpoint.write(&source.view()).expect("there is room on the disk");
            (source, checkpoint)
        },
        |(source, _)| {
            source.step();
            source.view()
        },
        |(_, checkpoint), view| {
            checkpoint.write(view).expect("there is room on the disk").bytes_written
        },
    );
}

fn read(group: &mut Group<'_>) {
    let file = || {
        let mut file = CachedFile::new("plain");
        file.write_at(0, &plain()).expect("there is room on the disk");
        file
    };
    bench_prepared(
        group,
        ("pread + hash", "read_1m"),
        || (file(), vec![1; PIECE_BYTES]),
        |_| (),
        |(file, buffer), ()| {
            let mut hash = 0;
            for at in (0..ENTITIES * ROW_BYTES).step_by(PIECE_BYTES) {
                let bytes = PIECE_BYTES.min(ENTITIES * ROW_BYTES - at);
                file.read_at(at as u64, &mut buffer[..bytes]).expect("the file has them");
                hash ^= rapidhash_v3(&buffer[..bytes]);
            }
            hash
        },
    );
    bench_prepared(
        group,
        ("pread + hash, new memory", "read_1m"),
        file,
        |_| (),
        |file, ()| {
            let mut bytes = vec![0; ENTITIES * ROW_BYTES];
            let (mut at, mut hash) = (0, 0);
            for piece in bytes.chunks_mut(PIECE_BYTES) {
                file.read_at(at, piece).expect("the file has them");
                hash ^= rapidhash_v3(piece);
                at += piece.len() as u64;
            }
            (bytes, hash)
        },
    );
    bench_prepared(
        group,
        ("pread + hash, new huge pages", "read_1m"),
        file,
        |_| (),
        |file, ()| {
            let mut bytes = MmapMut::map_anon(ENTITIES * ROW_BYTES).expect("there is memory");
            #[cfg(target_os = "linux")]
            let _declined = bytes.advise(memmap2::Advice::HugePage);
            let (mut at, mut hash) = (0, 0);
            for piece in bytes.chunks_mut(PIECE_BYTES) {
                file.read_at(at, piece).expect("the file has them");
                hash ^= rapidhash_v3(piece);
                at += piece.len() as u64;
            }
            (bytes, hash)
        },
    );
    bench_prepared(
        group,
        ("convoy", "read_1m"),
        || saved("read"),
        |_| (),
        |file, ()| {
            let config = WorldConfig::default().schema(schema());
            Checkpoint::read_from(file, config).expect("it was just written")
        },
    );
}

/// `hash` maps as many bytes and hashes them: those of one column, or all. All of them were read before. `hash + sum`
/// adds up as many numbers afterwards as the query does, one after the other.
fn map(group: &mut Group<'_>) {
    let config = || WorldConfig::default().schema(schema());
    let open = |file: &CachedFile| {
        // SAFETY: nobody else has the file.
        unsafe { Checkpoint::map(&file.path, config()) }.expect("it was just written")
    };
    let sum = |view: &View| view.query::<&Position>().iter().map(|each| each.0[0]).sum::<f32>();
    for (name, bytes) in [("map_one_column_of_1m", 12 * ENTITIES), ("map_1m", ROW_BYTES * ENTITIES)]
    {
        bench_prepared(
            group,
            ("hash", name),
            || {
                let mut file = CachedFile::new("hashed");
                file.write_at(0, &plain()).expect("there is room on the disk");
                file
            },
            |_| (),
            |file, ()| {
                // SAFETY: nobody else has the file.
                let map = unsafe { Mmap::map(&file.file) }.expect("the system maps files");
                map[..bytes].chunks(PIECE_BYTES).fold(0, |hash, piece| hash ^ rapidhash_v3(piece))
            },
        );
    }
    bench_prepared(
        group,
        ("hash + sum", "map_one_column_of_1m"),
        || {
            let mut file = CachedFile::new("summed");
            file.write_at(0, &plain()).expect("there is room on the disk");
            file
        },
        |_| (),
        |file, ()| {
            // SAFETY: nobody else has the file.
            let map = unsafe { Mmap::map(&file.file) }.expect("the system maps files");
            let bytes = &map[..12 * ENTITIES];
            let hash = bytes.chunks(PIECE_BYTES).fold(0, |hash, piece| hash ^ rapidhash_v3(piece));
            let rows: &[[f32; 3]] = bytemuck::cast_slice(bytes);
            (hash, rows.iter().map(|row| row[0]).sum::<f32>())
        },
    );
    bench_prepared(
        group,
        ("convoy", "map_one_column_of_1m"),
        || saved("column"),
        |_| (),
        |file, ()| {
            let mapped = open(file);
            sum(&mapped.view(mapped.mask_of::<(Position,)>()).expect("it is not damaged"))
        },
    );
    bench_prepared(
        group,
        ("convoy open", "map_one_column_of_1m"),
        || saved("open"),
        |_| (),
        |file, ()| open(file),
    );
    bench_prepared(
        group,
        ("convoy", "map_1m"),
        || saved("all"),
        |_| (),
        |file, ()| open(file).verify().expect("it is not damaged"),
    );
    bench_prepared(
        group,
        ("live view", "iterate_mapped_1m"),
        Source::new,
        Source::view,
        |_, view| sum(view),
    );
    bench_prepared(
        group,
        ("convoy", "iterate_mapped_1m"),
        || {
            let file = saved("iterated");
            let view = open(&file).verify().expect("it is not damaged");
            (file, view)
        },
        |_| (),
        |(_, view), ()| sum(view),
    );
}
