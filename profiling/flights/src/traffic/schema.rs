//! The schema of a world with traffic: names, versions and layouts that last, for files and their readers.

use std::mem::offset_of;

use convoy_engine::schema::{FieldLayout, Layout, LayoutKind, Schema, TypeEntry, TypeLayout};

use super::components::{
    Active, Alert, AlertSwitched, Delay, FlightDeparted, FlightLanded, FlightPath, Position, Route,
    Schedule,
};
use super::progress::Progress;
use crate::geodesy::{GreatCircle, UnitVector};
use crate::input::AirportIndex;

/// All types of a world with traffic, each in version 1 and with its layout.
///
/// A checkpoint of such a world is read with this schema. Where a type changes, its version here does as well.
///
/// # Panics
///
/// Never: two types of one name would be a mistake in this function.
pub fn schema() -> Schema {
    let builder = Schema::builder()
        .component(TypeEntry::<Route>::new().named("route", 1).with_layout())
        .component(TypeEntry::<Schedule>::new().named("schedule", 1).with_layout())
        .component(TypeEntry::<Delay>::new().named("delay", 1).with_layout())
        .component(TypeEntry::<Active>::new().named("active", 1).with_layout())
        .component(TypeEntry::<FlightPath>::new().named("flight_path", 1).with_layout())
        .component(TypeEntry::<Position>::new().named("position", 1).with_layout())
        .component(TypeEntry::<Alert>::new().named("alert", 1).with_layout())
        .event(TypeEntry::<AlertSwitched>::new().named("alert_switched", 1).with_layout())
        .event(TypeEntry::<FlightDeparted>::new().named("flight_departed", 1).with_layout())
        .event(TypeEntry::<FlightLanded>::new().named("flight_landed", 1).with_layout())
        .resource(TypeEntry::<Progress>::new().named("progress", 1).with_layout());
    builder.build().expect("the names differ")
}

// The layers below know nothing of the engine, so the layouts of their types stand here.

impl TypeLayout for AirportIndex {
    const LAYOUT: Layout = Layout::of::<Self>("AirportIndex", u16::LAYOUT.kind());
}

impl TypeLayout for UnitVector {
    const LAYOUT: Layout = Layout::of::<Self>("UnitVector", <[f32; 3]>::LAYOUT.kind());
}

impl TypeLayout for GreatCircle {
    const LAYOUT: Layout = Layout::of::<Self>(
        "GreatCircle",
        LayoutKind::Struct(&[
            FieldLayout {
                name: "origin",
                offset: offset_of!(Self, origin),
                layout: &UnitVector::LAYOUT,
            },
            FieldLayout {
                name: "departure",
                offset: offset_of!(Self, departure),
                layout: &UnitVector::LAYOUT,
            },
            FieldLayout {
                name: "angle_rad",
                offset: offset_of!(Self, angle_rad),
                layout: &f32::LAYOUT,
            },
        ]),
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;
    use convoy_engine::World;

    #[test]
    fn every_type_has_a_name_a_version_and_a_layout() {
        let mut world = World::with_schema(&schema());
        assert!(schema().is_stable());
        let ids = [
            world.register::<Route>(),
            world.register::<Schedule>(),
            world.register::<Delay>(),
            world.register::<Active>(),
            world.register::<FlightPath>(),
            world.register::<Position>(),
            world.register::<Alert>(),
            world.register_event::<AlertSwitched>(),
            world.register_event::<FlightDeparted>(),
            world.register_event::<FlightLanded>(),
        ];
        for id in ids {
            let info = world.component_info(id.unwrap()).unwrap();
            assert_eq!(info.version(), 1, "{}", info.name());
            let layout = info.layout().unwrap();
            assert_eq!((layout.size(), layout.align()), (info.size(), info.align()));
            assert!(!info.name().contains("::"), "{} is the compiler's name", info.name());
        }
    }

    #[test]
    fn layouts_of_wrapped_numbers_are_those_of_the_numbers() {
        let path = FlightPath::LAYOUT.value(&[0; 32]).unwrap();
        assert_eq!(
            format!("{path:?}"),
            "FlightPath { way: GreatCircle { origin: [0.0, 0.0, 0.0], departure: [0.0, 0.0, 0.0], \
             angle_rad: 0.0 }, cruise_ft: 0.0 }"
        );
        let route = Route::LAYOUT.value(&[1, 0, 2, 0, 0, 0, 128, 63]).unwrap();
        assert_eq!(format!("{route:?}"), "Route { origin: 1, destination: 2, distance_nm: 1.0 }");
    }
}
