//! What `process` asks for, in the kernel's terms.
//!
//! OCI runtime specification, "Process" and "Linux Process".

pub mod affinity;
pub mod env;
pub mod memory_policy;
pub mod personality;
pub mod rlimit;
pub mod scheduling;
