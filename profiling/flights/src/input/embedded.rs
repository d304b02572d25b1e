//! The data sets that the main job carries inside its executable.
//!
//! Their origin is described in `data/README.md`.

use super::source::Source;

/// 113,493 domestic flights of the United States in the first week of 2001, gzip-compressed.
pub const EMBEDDED_FLIGHTS: Source<'static> = Source::Bytes {
    name: "embedded/flights-2001-week1.csv.gz",
    bytes: include_bytes!("../../data/flights-2001-week1.csv.gz"),
};

/// 229 airports of the United States.
pub const EMBEDDED_AIRPORTS: Source<'static> = Source::Bytes {
    name: "embedded/airports.csv",
    bytes: include_bytes!("../../data/airports.csv"),
};
