//! rootling.
fn main() {}
