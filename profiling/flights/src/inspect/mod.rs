//! `airtraffic inspect`: looks into any checkpoint file, also of other programs.
//!
//! All that is told of types is in the file: names, versions and layouts. So nothing here knows of flights.
//!
//! | file | has |
//! |---|---|
//! | `arguments` | the command line |
//! | `command` | opens the file, and prints or exports |
//! | `table`, `json` | the contents for people and for programs |
//! | `layout_text` | layouts for people |
//! | `export` | the file that a component is exported to, as a whole or not at all |
//! | `rows` | the values of one component, in the order of tables and rows |
//! | `csv`, `npy` | their formats |
//! | `leaves` | the numbers that a value is of |

mod arguments;
mod command;
mod csv;
mod error;
mod export;
mod json;
mod layout_text;
mod leaves;
mod npy;
mod rows;
mod table;

pub use arguments::InspectArguments;
pub use command::inspect;
pub use error::InspectError;
