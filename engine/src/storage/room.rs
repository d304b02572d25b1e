//! Room in lists: how much they keep when they get shorter, and give back when asked to.

/// The room that a list may have beyond twice its length: small lists are left alone.
const LIST_SLACK: usize = 8;

/// Adds to a list that grows by a quarter of its length, and not to twice of it: for lists of large
/// records that get longer only while a world is young.
pub(crate) fn push_tight<T>(list: &mut Vec<T>, value: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 4 + LIST_SLACK);
    }
    list.push(value);
}

/// Bytes of the room that a list has.
pub(crate) fn list_bytes<T>(list: &Vec<T>) -> usize {
    list.capacity() * size_of::<T>()
}

/// Gives back the room of a list that has far more than it needs, and returns its bytes. A list
/// that grows and shrinks by less than half keeps its room.
pub(crate) fn shrink_list<T>(list: &mut Vec<T>) -> usize {
    let held = list.capacity();
    if held > 2 * list.len() + LIST_SLACK {
        list.shrink_to(list.len() + list.len() / 2);
    }
    (held - list.capacity()) * size_of::<T>()
}
