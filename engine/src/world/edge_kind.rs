//! The kinds of edges that are known by a type: inserting, removing or exchanging a bundle, and gaining or
//! losing a link of the hierarchy.

use std::marker::PhantomData;

use crate::storage::component::Component;

use super::bundle::Bundle;

/// What goes and what comes along an edge. An edge is found by the type that implements this, so whoever
/// finds one knows which components its target has beside those of its source.
pub(crate) trait EdgeKind: 'static {
    /// The components that go.
    type Removed: Bundle;

    /// The components that come, or replace those that are there.
    type Inserted: Bundle;

    /// Whether the components are links, which no bundle of a user may have.
    const LINKS: bool = false;
}

/// An insertion of `B`.
pub(crate) struct Inserting<B>(PhantomData<B>);

impl<B: Bundle> EdgeKind for Inserting<B> {
    type Removed = ();
    type Inserted = B;
}

/// A removal of `B`.
pub(crate) struct Removing<B>(PhantomData<B>);

impl<B: Bundle> EdgeKind for Removing<B> {
    type Removed = B;
    type Inserted = ();
}

/// A removal of `R` and an insertion of `I` in one move.
pub(crate) struct Exchanging<R, I>(PhantomData<(R, I)>);

impl<R: Bundle, I: Bundle> EdgeKind for Exchanging<R, I> {
    type Removed = R;
    type Inserted = I;
}

/// The link `T` comes.
pub(crate) struct Linking<T>(PhantomData<T>);

impl<T: Component> EdgeKind for Linking<T> {
    type Removed = ();
    type Inserted = (T,);
    const LINKS: bool = true;
}

/// The link `T` goes.
pub(crate) struct Unlinking<T>(PhantomData<T>);

impl<T: Component> EdgeKind for Unlinking<T> {
    type Removed = (T,);
    type Inserted = ();
    const LINKS: bool = true;
}
