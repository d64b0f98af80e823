//! Runs last: no process, mount, cgroup, state or directory of any test is left.

use rootling_tests::{Account, Who, leaks, skip};

#[test]
fn nothing_is_left_of_the_whole_run() {
    let in_set = |name| std::env::var_os(name).is_some();
    if in_set("NEXTEST") && !in_set("ROOTLING_TEST_RUN") {
        return skip("nextest runs tests side by side; `make test` runs this one last");
    }
    let accounts: Vec<_> =
        [Who::User, Who::Root].into_iter().filter_map(|who| Account::of(who).ok()).collect();
    let left = leaks::find_of_run(&accounts);
    assert!(left.is_empty(), "left behind:\n{}", left.join("\n"));
}
