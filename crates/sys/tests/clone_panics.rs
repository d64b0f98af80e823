//! A panic of a process that was cloned ends that process alone. musl's own abort(3) would send the signal to the one that
//! it is a copy of. This is no test of libtest's, whose threads a clone would not have.

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rootling_sys::clone::{CloneOptions, Cloned, EndOnPanic, clone};

rootling_sys::with_musl!();

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--list") {
        // As cargo nextest asks for it.
        if !arguments.iter().any(|argument| argument == "--ignored") {
            println!("panic_of_a_clone_ends_it_alone: test");
        }
        return;
    }
    match clone(CloneOptions::default()).expect("clone") {
        Cloned::Child => {
            let _end = EndOnPanic;
            panic!("as it should");
        }
        Cloned::Parent { pid, .. } => {
            let ended = waitpid(Pid::from_raw(pid), None).expect("wait for the clone");
            assert!(matches!(ended, WaitStatus::Signaled(_, Signal::SIGABRT, _)), "{ended:?}");
        }
    }
}
