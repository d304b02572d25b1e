//! Writes what a manifest says of a snapshot.

use std::any::TypeId;

use crate::storage::component::{Kind, Registry};
use crate::storage::encoding::{put_number, put_piece};
use crate::storage::frozen::Frozen;
use crate::storage::links::ChildOf;
use crate::storage::rows::Rows;
use crate::storage::schema::put_layout;

use super::manifest::{CHILD_OF, CHILDREN, LAYOUT, LIST, STABLE};

/// Writes all but the lists of blocks and of texts, with which a manifest begins, and the attachments, which are last.
pub(super) fn describe(frozen: &Frozen, buffer: &mut Vec<u8>) {
    let catalog = frozen.catalog();
    let registry = &catalog.registry;
    let shape = registry.shape();
    put_number(buffer, shape.bytes_max as u64);
    put_number(buffer, shape.rows_max as u64);
    describe_types(registry, buffer);
    put_number(buffer, frozen.table_count() as u64);
    for archetype in &catalog.archetypes()[..frozen.table_count()] {
        put_number(buffer, archetype.mask().len() as u64);
        archetype.mask().iter().for_each(|id| put_number(buffer, id.index() as u64));
    }
    for (table, archetype) in catalog.archetypes().iter().enumerate().take(frozen.table_count()) {
        let rows = frozen.table(table).0;
        put_number(buffer, rows as u64);
        if rows > 0 {
            let columns = archetype.mask().iter().filter_map(|id| frozen.column(table, id));
            let columns = columns.filter(|column| column.size() > 0);
            buffer.extend(columns.map(|column| column.rows_log2()));
        }
    }
    let slots = frozen.index().unwrap_or(Rows::EMPTY);
    put_number(buffer, slots.len() as u64);
    buffer.push(slots.rows_log2());
    frozen.index_state().encode(buffer);
    for id in registry.ids_of(Kind::Event) {
        let (rows, first, forks) = frozen.log(id).expect("everything was captured");
        put_number(buffer, first);
        put_number(buffer, rows.len() as u64);
        forks.encode(buffer);
        buffer.push(rows.rows_log2());
    }
    for id in registry.ids_of(Kind::Resource) {
        buffer.push(u8::from(frozen.resource(id).is_some_and(|rows| rows.len() > 0)));
    }
    for (id, shape) in registry.lists() {
        put_number(buffer, frozen.heap(id).len() as u64);
        for (class, blocks) in frozen.heap(id).iter().enumerate() {
            let elements = frozen.elements(blocks, shape.block_bytes(class));
            put_number(buffer, elements.len() as u64);
            if elements.len() > 0 {
                buffer.extend([elements.rows_log2(), frozen.owners(blocks).rows_log2()]);
            }
        }
    }
}

/// Writes what goes with the checkpoint, by its names.
pub(super) fn describe_attachments(attachments: &[(&str, &[u8])], buffer: &mut Vec<u8>) {
    put_number(buffer, attachments.len() as u64);
    for (name, bytes) in attachments {
        put_piece(buffer, name.as_bytes());
        put_piece(buffer, bytes);
    }
}

fn describe_types(registry: &Registry, buffer: &mut Vec<u8>) {
    put_number(buffer, registry.len() as u64);
    for id in registry.ids().iter() {
        let info = registry.info(id);
        buffer.push(info.kind() as u8);
        let list = if info.list().is_some() { LIST } else { 0 };
        let layout = if info.layout().is_some() { LAYOUT } else { 0 };
        let link = match info.type_id().filter(|_| info.is_link()) {
            Some(link) if link == TypeId::of::<ChildOf>() => CHILD_OF,
            Some(_) => CHILDREN,
            None => 0,
        };
        let stable = if info.is_stable() { STABLE } else { 0 };
        buffer.push(stable | list | layout | link);
        put_piece(buffer, info.name().as_bytes());
        put_number(buffer, u64::from(info.version()));
        put_number(buffer, info.size() as u64);
        put_number(buffer, info.align() as u64);
        if let Some(list) = info.list() {
            put_number(buffer, list.size as u64);
            put_number(buffer, list.align as u64);
        }
        if info.kind() == Kind::Toggle {
            let components = registry.ids_of(Kind::Component);
            let mut switched = components.filter(|&each| registry.info(each).toggle() == Some(id));
            put_number(buffer, switched.next().map_or(0, |id| id.index() as u64));
        }
        if let Some(layout) = info.layout() {
            let start = buffer.len();
            buffer.extend([0; 4]);
            put_layout(buffer, layout);
            let length = (buffer.len() - start - 4) as u32;
            buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        }
    }
}
