//! Faults: each system call of the runtime and of its helpers fails once, with each error that is plausible for it.
//!
//! A command is recorded first, which gives the calls that its processes make. Each case is then one more of these
//! commands, in which one of the calls fails without having been made, and what comes of it is judged.

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
