//! The components that all subjects store.

/// Defines components for every engine that is built, at once.
macro_rules! components {
    ($($(#[$doc:meta])* $name:ident($value:ty);)+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
            #[cfg_attr(feature = "peers", derive(bevy_ecs::component::Component))]
            #[cfg_attr(feature = "peers", derive(flecs_ecs::macros::Component))]
            #[cfg_attr(feature = "peers", derive(shipyard::Component))]
            #[repr(transparent)]
            pub(crate) struct $name(pub(crate) $value);
        )+
    };
}

/// Defines components without a value for every engine that is built, at once.
macro_rules! tags {
    ($($name:ident)+) => {
        $(
            /// A component without a value.
            #[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
            #[cfg_attr(feature = "peers", derive(bevy_ecs::component::Component))]
            #[cfg_attr(feature = "peers", derive(flecs_ecs::macros::Component))]
            #[cfg_attr(feature = "peers", derive(shipyard::Component))]
            #[repr(C)]
            pub(crate) struct $name;
        )+
    };
}

components! {
    /// 12 bytes.
    Position([f32; 3]);
    /// 12 bytes.
    Velocity([f32; 3]);
    /// 12 bytes.
    Rotation([f32; 3]);
    /// 64 bytes.
    Transform([f32; 16]);
    /// 12 bytes.
    Target([f32; 3]);
    /// 4 bytes.
    Health(f32);
    /// 4 bytes.
    Mass(f32);
    /// 4 bytes, inserted and removed.
    Marker(u32);
}

pub(crate) use {components, tags};
