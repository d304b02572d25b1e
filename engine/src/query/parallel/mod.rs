//! Parallel iteration on rayon's threads, behind the feature `rayon`.
//!
//! The threads of the current pool take *tasks* from one counter until none is left: a task is one
//! large run, or several small ones, also of several tables. So a slow task delays no thread, tasks
//! cost one atomic exchange each, and nothing is allocated for them.
//!
//! Writing takes two steps. First the world's thread makes all chunks writable: it allocates a
//! spare chunk for every one that a snapshot shares, which may run out of memory and changes
//! nothing, and then puts them in place and lists the runs (`sole-writer`). Then the threads visit
//! the listed runs; where a chunk was replaced, they read each row from the old one and store it
//! to the new one. Each run is one thread's alone, and runs have no row in common.

pub(crate) mod listed;
pub(crate) mod read;
pub(crate) mod tasks;
