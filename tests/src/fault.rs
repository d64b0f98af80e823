//! Faults: each system call of the runtime and of its helpers fails once with each plausible error.
//!
//! First a command is recorded, which gives the calls that its processes make. Each case then runs such a command
//! again, with one of the calls failing without being made, and checks the result.

mod cases;
mod errors;
mod finding;
mod judge;
pub mod report;
mod scene;
mod table;
mod trace;
mod verb;
mod work;

pub use cases::{Case, sample};
pub use errors::{CANNOT_FAIL, UNKNOWN};
pub use finding::{Crash, Finding};
pub use judge::Verdict;
pub use table::Table;
pub use trace::is_allowed;
pub use verb::Verb;
pub use work::{Plan, Progress, carry_out};
