//! Spans and events of `tracing`, behind the feature of that name. Without it they are nothing.

/// Opens a span that lasts until the end of the block.
macro_rules! span {
    ($name:literal $(, $field:ident = $value:expr)* $(,)?) => {
        #[cfg(feature = "tracing")]
        let _span = tracing::debug_span!(target: "convoy", $name $(, $field = $value)*).entered();
    };
}

/// Tells an event.
macro_rules! event {
    ($name:literal $(, $field:ident = $value:expr)* $(,)?) => {
        #[cfg(feature = "tracing")]
        tracing::trace!(name: $name, target: "convoy", $($field = $value,)* $name);
    };
}

pub(crate) use {event, span};
