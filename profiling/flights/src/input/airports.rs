//! The airports that flights refer to.
//!
//! Airports keep the order of the file. A table over all 26³ codes finds the index of one in a
//! single load, which is what makes millions of flights cheap to read.

use super::code::{AirportCode, AirportIndex};
use super::error::LoadError;
use super::header::{Layout, Names};
use super::problem::{Fragment, LoadOptions, Loaded, RowProblem};
use super::records::Records;
use super::source::Source;
use crate::geodesy::{Coordinates, GreatCircle};

/// The header of a list of airports.
pub const AIRPORTS_HEADER: &str = "iata,name,city,state,country,latitude,longitude";

/// Marks a code that no airport has. There are fewer codes than that.
const NO_AIRPORT: u16 = u16::MAX;

/// One airport.
#[derive(Debug, Clone, PartialEq)]
pub struct Airport {
    /// Its code of three letters.
    pub code: AirportCode,
    /// Its name; bytes that are not UTF-8 are replaced.
    pub name: Box<str>,
    /// Where it is.
    pub coordinates: Coordinates,
}

/// A list of airports with a quick way from code to index.
#[derive(Debug, Clone)]
pub struct Airports {
    airports: Vec<Airport>,
    index_of_rank: Box<[u16]>,
}

impl Airports {
    fn new() -> Self {
        Self {
            airports: Vec::new(),
            index_of_rank: vec![NO_AIRPORT; AirportCode::COUNT].into_boxed_slice(),
        }
    }

    /// All airports, in the order of the file.
    pub fn as_slice(&self) -> &[Airport] {
        &self.airports
    }

    /// How many there are; never zero.
    #[expect(clippy::len_without_is_empty, reason = "a loaded list is never empty")]
    pub fn len(&self) -> usize {
        self.airports.len()
    }

    /// The airport at `index`, or `None` if the list is shorter.
    pub fn get(&self, index: AirportIndex) -> Option<&Airport> {
        self.airports.get(index.position())
    }

    /// The index of the airport with this `code`. Costs one load from a table.
    pub fn find(&self, code: AirportCode) -> Option<AirportIndex> {
        let index = self.index_of_rank[code.rank()];
        (index != NO_AIRPORT).then_some(AirportIndex(index))
    }

    /// The way from one airport to another, or `None` if the list has not got both.
    pub fn way(&self, origin: AirportIndex, destination: AirportIndex) -> Option<GreatCircle> {
        let (origin, destination) = (self.get(origin)?, self.get(destination)?);
        Some(GreatCircle::between(origin.coordinates, destination.coordinates))
    }

    fn add(&mut self, fields: [&[u8]; 7]) -> Result<(), RowProblem> {
        let [code_field, name, _city, _state, _country, latitude, longitude] = fields;
        let code =
            AirportCode::parse(code_field).ok_or(RowProblem::Code(Fragment::of(code_field)))?;
        if self.find(code).is_some() {
            return Err(RowProblem::DuplicateCode(Fragment::of(code_field)));
        }
        let coordinates = Coordinates {
            latitude_deg: degrees(latitude, 90.0)
                .ok_or(RowProblem::Latitude(Fragment::of(latitude)))?,
            longitude_deg: degrees(longitude, 180.0)
                .ok_or(RowProblem::Longitude(Fragment::of(longitude)))?,
        };
        // Codes are unique and there are fewer than `NO_AIRPORT` of them, so the index fits.
        self.index_of_rank[code.rank()] = self.airports.len() as u16;
        let name = String::from_utf8_lossy(name).into();
        self.airports.push(Airport { code, name, coordinates });
        Ok(())
    }
}

/// Loads a list of airports.
///
/// Skipped are rows with a wrong number of columns, a code that is not three capital letters, a
/// code that has appeared before, or a position that is off the Earth.
///
/// # Errors
///
/// [`LoadError`] if the file cannot be read, is not such a list, or has no usable row; if
/// `options.strict`, also at the first row that would be skipped.
///
/// # Example
///
/// ```
/// use profiling::input::{AirportCode, EMBEDDED_AIRPORTS, LoadOptions, load_airports};
///
/// let airports = load_airports(&EMBEDDED_AIRPORTS, LoadOptions { strict: true })?.data;
/// let code = AirportCode::parse(b"ORD").expect("three letters");
/// assert!(airports.find(code).is_some());
/// # Ok::<(), profiling::input::LoadError>(())
/// ```
pub fn load_airports(
    source: &Source<'_>,
    options: LoadOptions,
) -> Result<Loaded<Airports>, LoadError> {
    let recognise = |names: &Names<'_>| Layout::exact(names, AIRPORTS_HEADER);
    let (mut records, layout) = Records::open(source, options, AIRPORTS_HEADER, recognise)?;
    let mut airports = Airports::new();
    records.for_each(layout, |fields| airports.add(fields))?;
    let (path, rows, skipped) = records.finish();
    if airports.airports.is_empty() {
        return Err(LoadError::Empty { path, skipped, cancelled: 0 });
    }
    Ok(Loaded { data: airports, rows, skipped })
}

/// The number in `field`, if its magnitude is at most `limit_deg`.
fn degrees(field: &[u8], limit_deg: f64) -> Option<f64> {
    let degrees: f64 = std::str::from_utf8(field).ok()?.parse().ok()?;
    (degrees.abs() <= limit_deg).then_some(degrees)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::super::embedded::EMBEDDED_AIRPORTS;
    use super::*;

    fn load(text: &str) -> Result<Loaded<Airports>, LoadError> {
        let text = format!("{AIRPORTS_HEADER}\n{text}");
        let source = Source::Bytes { name: "test", bytes: text.as_bytes() };
        load_airports(&source, LoadOptions::default())
    }

    #[test]
    fn embedded_airports_are_all_usable() {
        let loaded = load_airports(&EMBEDDED_AIRPORTS, LoadOptions { strict: true }).unwrap();
        assert_eq!((loaded.data.len(), loaded.rows, loaded.skipped.count), (229, 229, 0));
        for (position, airport) in loaded.data.as_slice().iter().enumerate() {
            assert_eq!(loaded.data.find(airport.code).unwrap().position(), position);
        }
    }

    #[test]
    fn quoted_name_may_hold_a_comma() {
        let loaded = load("AAA,\"Field, Big \"\"A\"\"\",C,S,USA,1,2\n").unwrap();
        assert_eq!(&*loaded.data.as_slice()[0].name, "Field, Big \"A\"");
    }

    #[test]
    fn unusable_airports_are_skipped_with_their_reason() {
        let loaded = load(concat!(
            "AAA,n,c,s,USA,1,2\n",
            "AAA,n,c,s,USA,1,2\n",
            "aab,n,c,s,USA,1,2\n",
            "AAC,n,c,s,USA,90.1,2\n",
            "AAD,n,c,s,USA,NaN,2\n",
            "AAE,n,c,s,USA,1,inf\n",
            "AAF,n,c,s,USA,1\n",
        ))
        .unwrap();
        let first: Vec<String> = loaded.skipped.first.iter().map(ToString::to_string).collect();
        assert_eq!((loaded.data.len(), loaded.skipped.count), (1, 6));
        assert_eq!(
            first,
            [
                "line 3: second airport with the code `AAA`",
                "line 4: invalid airport code `aab`",
                "line 5: invalid latitude `90.1`",
                "line 6: invalid latitude `NaN`",
                "line 7: invalid longitude `inf`",
            ]
        );
    }

    #[test]
    fn list_without_airports_is_an_error() {
        for (rows, count) in [("", 0), ("x\n", 1)] {
            match load(rows) {
                Err(LoadError::Empty { skipped, .. }) => assert_eq!(skipped.count, count),
                other => panic!("{other:?}"),
            }
        }
    }
}
