//! Tests for writable rows, on a column by itself.

#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use convoy_pool::ArenaConfig;

use super::*;
use crate::storage::component::ChunkShape;

fn column<T: Component>(rows_max: usize) -> (Column, Memory) {
    let info = ComponentInfo::unregistered::<T>(ChunkShape { bytes_max: 4096, rows_max });
    (Column::new(ComponentId::ENTITY, &info), Memory::new(ArenaConfig::default()))
}

fn capture(column: &mut Column, rows: usize, memory: &mut Memory) {
    column.capture(rows, &memory.begin_capture());
}

#[test]
fn rows_that_a_snapshot_sees_are_not_writable() {
    let (mut column, mut memory) = column::<u32>(8);
    column.append_row(0, &mut memory).unwrap().write(7_u32);
    assert!(column.writable_row(0, memory.now()).is_some());
    assert!(column.writable_row(100, memory.now()).is_none(), "there is no such row");
    capture(&mut column, 1, &mut memory);
    assert!(column.writable_row(0, memory.now()).is_none());
    assert!(column.writable_run(0..2, memory.now()).is_none());
    assert!(column.writable_row(1, memory.now()).is_none(), "no append was prepared since");
    column.append_row(1, &mut memory).unwrap().write(8_u32);
    assert!(column.writable_row(0, memory.now()).is_none());
    *column.writable_value::<u32>(1, memory.now()).unwrap() += 1;
    assert_eq!((column.get::<u32>(0), column.get::<u32>(1)), (&7, &9));
}

#[test]
fn rows_that_are_appended_again_are_not_writable_where_a_snapshot_sees_them() {
    let (mut column, mut memory) = column::<u32>(8);
    for row in 0..4 {
        column.append_row(row, &mut memory).unwrap().write(row as u32);
    }
    capture(&mut column, 4, &mut memory);
    assert_eq!(column.prepare_append(4, &mut memory).unwrap().start, 4);
    assert!(column.writable_row(4, memory.now()).is_some());
    assert!(column.writable_row(3, memory.now()).is_none());
    // Two rows are gone now, and come again in memory that the snapshot does not see.
    assert_eq!(column.prepare_append(2, &mut memory).unwrap(), 0..8);
    assert!(column.writable_run(0..8, memory.now()).is_some());
}

#[test]
fn a_value_stays_one_whichever_rows_the_caller_takes_to_be_live() {
    let (mut column, mut memory) = column::<char>(1024);
    column.append_row(0, &mut memory).unwrap().write('a');
    let small = column.capacity();
    column.append_row(small - 1, &mut memory).unwrap().write('z');
    column.reserve(1024, 0, &mut memory).unwrap();
    assert!(column.capacity() > small, "the chunk has grown");
    assert_eq!((column.get::<char>(0), column.get::<char>(small - 1)), (&'a', &'z'));
}
