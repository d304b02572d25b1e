//! Room in lists: what they keep when they get shorter, and give back when asked to.

/// The room that a list may have beyond twice its length: small lists are left alone.
const LIST_SLACK: usize = 8;

/// Gives back the room of a list that has far more than it needs, and returns its bytes. A list
/// that grows and shrinks by less than half keeps its room.
pub(crate) fn shrink_list<T>(list: &mut Vec<T>) -> usize {
    let held = list.capacity();
    if held > 2 * list.len() + LIST_SLACK {
        list.shrink_to(list.len() + list.len() / 2);
    }
    (held - list.capacity()) * size_of::<T>()
}
