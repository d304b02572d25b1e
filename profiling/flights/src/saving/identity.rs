//! [`Identity`]: all that a run has to have in common with the one that it resumes.

use std::fmt;

use serde_json::{Value, json};

use crate::analysis::Checksum;
use crate::scenario::ScenarioConfig;
use crate::traffic::Timetable;

/// The name of the identity in a checkpoint.
pub const IDENTITY: &str = "run";

/// The input and the settings on which the results of a run depend, as one JSON object.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity(Value);

/// Why a checkpoint does not go with the arguments. The message is one line.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum IdentityError {
    /// The checkpoint is not of a run.
    Missing,
    /// A setting is another one.
    Different {
        /// What it is, by its argument.
        what: &'static str,
        /// As it was saved.
        saved: String,
        /// As it is.
        given: String,
    },
}

impl fmt::Display for IdentityError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("it is no checkpoint of this job"),
            Self::Different { what, saved, given } => {
                write!(formatter, "it was saved with {what} {saved}, and not {given}")
            }
        }
    }
}

impl std::error::Error for IdentityError {}

/// The settings in the order in which they are compared, and the arguments that they follow from.
const SETTINGS: [(&str, &str); 4] = [
    ("flights", "--flights and --airports of the checksum"),
    ("frame_s", "the --time-scale of these seconds in a frame:"),
    ("seed", "--seed"),
    ("threads", "--threads"),
];

impl Identity {
    /// That of a run.
    pub fn new(timetable: &Timetable, config: &ScenarioConfig) -> Self {
        let mut flights = Checksum::new(0);
        for flight in timetable.flights() {
            flights.add_u32(u32::from(flight.route.origin.0));
            flights.add_u32(u32::from(flight.route.destination.0));
            flights.add_f32(flight.route.distance_nm);
            flights.add_u32(flight.schedule.departure_s.cast_unsigned());
            flights.add_u32(flight.schedule.arrival_s.cast_unsigned());
            flights.add_u32(flight.delay.delay_s.cast_unsigned());
        }
        Self(json!({
            "flights": format!("{:016x}", flights.value()),
            "frame_s": config.frame_s,
            "seed": config.seed,
            // Without threads modules land at once, and not three frames later.
            "threads": if config.threads > 0 { "1 or more" } else { "0" },
        }))
    }

    /// The bytes that go with a checkpoint.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }

    /// Checks that a checkpoint with these bytes is of such a run.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn check(&self, bytes: Option<&[u8]>) -> Result<(), IdentityError> {
        let saved: Value = bytes
            .and_then(|bytes| serde_json::from_slice(bytes).ok())
            .ok_or(IdentityError::Missing)?;
        for (key, what) in SETTINGS {
            let (saved, given) = (&saved[key], &self.0[key]);
            if saved.is_null() {
                return Err(IdentityError::Missing);
            }
            if saved != given {
                let (saved, given) = (saved.to_string(), given.to_string());
                return Err(IdentityError::Different { what, saved, given });
            }
        }
        Ok(())
    }
}
