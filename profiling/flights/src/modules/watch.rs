//! [`Watch`]: the declarations of a module of the main job, in one place.

use convoy_engine::component::RegisterError;
use convoy_engine::host::{Module, ModuleSpec, Rate};
use convoy_engine::{Bundle, ComponentMask, World};

use crate::traffic::{AlertSwitched, FlightDeparted, FlightLanded};

/// Which events a module reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventsRead {
    /// [`FlightDeparted`].
    pub departed: bool,
    /// [`FlightLanded`].
    pub landed: bool,
    /// [`AlertSwitched`], as a trigger.
    pub alerts: bool,
}

/// A module of the main job, with its declaration.
pub trait Watch: Module {
    /// Its name in reports.
    const NAME: &'static str;

    /// How often it runs: in every frame as a Fast module, or at a rate of its own, which may be never, but for its
    /// triggers.
    const RATE: Option<Rate>;

    /// The components that it reads.
    type Reads: Bundle;

    /// The events that it reads.
    const EVENTS: EventsRead = EventsRead { departed: false, landed: false, alerts: false };
}

/// The declaration of `W` for a host.
pub(crate) fn declare<W: Watch>() -> ModuleSpec {
    let spec = match W::RATE {
        Some(rate) => ModuleSpec::slow(W::NAME, rate),
        None => ModuleSpec::fast(W::NAME),
    };
    let mut spec = spec.reads::<W::Reads>();
    if W::EVENTS.departed {
        spec = spec.reads_events::<FlightDeparted>();
    }
    if W::EVENTS.landed {
        spec = spec.reads_events::<FlightLanded>();
    }
    if W::EVENTS.alerts {
        spec = spec.on_event::<AlertSwitched>();
    }
    spec
}

/// The types that `W` reads, as a mask of `world`: the same that its declaration gives the host.
///
/// # Errors
///
/// When the world has no room for another type.
pub fn mask_of<W: Watch>(world: &mut World) -> Result<ComponentMask, RegisterError> {
    let mut mask = world.mask_of::<W::Reads>()?;
    if W::EVENTS.departed {
        mask.insert(world.register_event::<FlightDeparted>()?);
    }
    if W::EVENTS.landed {
        mask.insert(world.register_event::<FlightLanded>()?);
    }
    if W::EVENTS.alerts {
        mask.insert(world.register_event::<AlertSwitched>()?);
    }
    Ok(mask)
}
