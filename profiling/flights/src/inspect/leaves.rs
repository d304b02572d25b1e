//! Leaves: the parts of a value that have no parts themselves.
//!
//! Parts without bytes have no leaves, so a value has at most as many as it has bytes, whatever its layout claims.

use convoy_engine::schema::{Layout, LayoutKind, Value};

/// How many leaves a value has.
pub(super) fn count_leaves(layout: &Layout) -> usize {
    match layout.kind() {
        _ if layout.size() == 0 => 0,
        LayoutKind::Array { element, count } => count_leaves(element).saturating_mul(count),
        LayoutKind::Struct(fields) => {
            let fields = fields.iter().map(|field| count_leaves(field.layout));
            fields.fold(0, usize::saturating_add)
        }
        _ => 1,
    }
}

/// Calls `visit` with the name of each leaf: fields after a dot, elements by their numbers in brackets.
pub(super) fn for_each_name(name: &str, layout: &Layout, visit: &mut impl FnMut(&str)) {
    match layout.kind() {
        _ if layout.size() == 0 => {}
        LayoutKind::Array { element, count } => {
            (0..count)
                .for_each(|number| for_each_name(&format!("{name}[{number}]"), element, visit));
        }
        LayoutKind::Struct(fields) => {
            for field in fields {
                for_each_name(&format!("{name}.{}", field.name), field.layout, visit);
            }
        }
        _ => visit(name),
    }
}

/// Calls `visit` with each leaf of a value, in the order of [`for_each_name`], until it fails.
pub(super) fn try_for_each_leaf<E>(
    value: Value<'_>,
    visit: &mut impl FnMut(Value<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let Some(layout) = value.layout().filter(|layout| layout.size() > 0) else { return Ok(()) };
    match layout.kind() {
        LayoutKind::Array { .. } => {
            value.elements().try_for_each(|element| try_for_each_leaf(element, visit))
        }
        LayoutKind::Struct(_) => {
            value.fields().try_for_each(|(_, field)| try_for_each_leaf(field, visit))
        }
        _ => visit(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use convoy_engine::schema::TypeLayout;

    #[derive(Clone, Copy, TypeLayout)]
    #[repr(C)]
    struct Plane {
        spots: [[u16; 2]; 2],
        nothing: [(); usize::MAX],
        mark: u32,
    }

    #[test]
    fn leaves_have_names_in_the_order_of_their_values() {
        let mut names = Vec::new();
        for_each_name("plane", &Plane::LAYOUT, &mut |name| names.push(name.to_owned()));
        assert_eq!(
            names,
            [
                "plane.spots[0][0]",
                "plane.spots[0][1]",
                "plane.spots[1][0]",
                "plane.spots[1][1]",
                "plane.mark"
            ]
        );
        assert_eq!(count_leaves(&Plane::LAYOUT), names.len());
        let value = Plane::LAYOUT.value(&[1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 0, 0]);
        let mut leaves = Vec::new();
        let visited = value.map(|value| {
            try_for_each_leaf(value, &mut |leaf| {
                leaves.push(format!("{leaf:?}"));
                Ok::<(), ()>(())
            })
        });
        assert_eq!((visited, leaves.join(" ").as_str()), (Some(Ok(())), "1 2 3 4 5"));
    }
}
