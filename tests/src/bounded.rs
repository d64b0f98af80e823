//! Commands that are certain to end: by themselves, when their time is up, or with the program that started them.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::wait::holds_within;

/// The exit code of a command whose time was up, as in timeout(1).
pub const TIME_IS_OVER: i32 = 124;

/// How long a command may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(10);

/// The signal that has asked this program to end; 0 if none has.
fn asked() -> &'static Arc<AtomicUsize> {
    static ASKED: OnceLock<Arc<AtomicUsize>> = OnceLock::new();
    ASKED.get_or_init(Arc::default)
}

/// From now on SIGHUP, SIGINT and SIGTERM end the running command, and let the program clean up after it.
pub fn end_orderly() -> std::io::Result<()> {
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register_usize(signal, asked().clone(), signal as usize)?;
    }
    Ok(())
}

/// The exit code for a program that was asked to end; `None` if it was not.
pub fn interrupted() -> Option<u8> {
    match asked().load(Ordering::SeqCst) {
        0 => None,
        signal => Some(128 + signal as u8),
    }
}

/// The exit code of a program of the tests: 0 if everything was well, 1 if something was not, 2 if it could not be
/// determined.
pub fn main(name: &str, work: impl FnOnce() -> Result<bool, String>) -> ExitCode {
    let result = end_orderly().map_err(|error| error.to_string()).and_then(|()| work());
    if let Some(code) = interrupted() {
        return ExitCode::from(code);
    }
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{name}: {why}");
            ExitCode::from(2)
        }
    }
}

/// Runs a command, which is ended when its time is up. Returns its exit code or [`TIME_IS_OVER`], or an error if it
/// cannot be started or this program was asked to end.
pub fn run(command: &mut Command, limit: Duration) -> Result<i32, String> {
    finish(start(command)?, limit, || interrupted().is_some())
}

/// The same for a command that must run to its end even if this program is about to end.
pub fn clean_up(command: &mut Command, limit: Duration) -> Result<i32, String> {
    finish(start(command)?, limit, || false)
}

/// Starts a command in a process group of its own, so that all its processes can be ended.
pub(crate) fn start(command: &mut Command) -> Result<Child, String> {
    let name = command.get_program().display().to_string();
    command.process_group(0).spawn().map_err(|error| format!("start {name}: {error}"))
}

/// Waits for a command that [`start`] has started, as [`run`] does.
pub(crate) fn finish(mut child: Child, limit: Duration, give_up: impl Fn() -> bool) -> Result<i32, String> {
    let mut status = None;
    let mut stopped = false;
    holds_within(limit, || {
        status = child.try_wait().ok().flatten();
        stopped = status.is_none() && give_up();
        status.is_some() || stopped
    });
    if let Some(status) = status {
        return Ok(code(status));
    }
    end(&mut child);
    if stopped { Err("interrupted".to_owned()) } else { Ok(TIME_IS_OVER) }
}

/// Ends a process group, by force if necessary.
fn end(child: &mut Child) {
    let group = Pid::from_raw(child.id() as i32);
    let _ = killpg(group, Signal::SIGTERM);
    if !holds_within(GRACE, || !matches!(child.try_wait(), Ok(None))) {
        let _ = killpg(group, Signal::SIGKILL);
        let _ = child.wait();
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        command
    }

    #[test]
    fn a_command_has_its_exit_code_or_that_of_its_signal() {
        let limit = Duration::from_mins(1);
        assert_eq!(run(&mut shell("exit 7"), limit), Ok(7));
        assert_eq!(run(&mut shell("kill -KILL $$"), limit), Ok(137));
        assert!(run(&mut Command::new("/no/such"), limit).unwrap_err().contains("start /no/such"));
    }

    #[test]
    fn a_command_whose_time_is_over_is_ended_with_its_processes() {
        let pid = std::env::temp_dir().join(format!("rootling-bounded-{}", std::process::id()));
        let line = format!("trap '' TERM; sleep 1000 & echo $! >{}; wait", pid.display());
        assert_eq!(run(&mut shell(&line), Duration::from_secs(1)), Ok(TIME_IS_OVER));
        let child = std::fs::read_to_string(&pid).expect("the process");
        std::fs::remove_file(&pid).expect("remove a file");
        let alive = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        assert!(
            holds_within(Duration::from_secs(20), || alive().map_or(true, |stat| stat.contains(") Z "))),
            "it lives"
        );
    }
}
