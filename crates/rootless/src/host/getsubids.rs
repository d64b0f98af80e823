//! Runs a short program with a time limit.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rootling_sys::poll::wait_readable;

/// A directory service that takes longer is treated as giving no answer.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// More bytes than this are not a list of ranges.
const MOST: u64 = 64 * 1024;

/// Returns what `program` prints on standard output, if it exits successfully within `limit`.
pub(super) fn run(program: &Path, args: &[&str], limit: Duration) -> io::Result<String> {
    let deadline = Instant::now() + limit;
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let result = read_all(&mut child, deadline).and_then(|text| wait(&mut child, deadline).map(|()| text));
    if result.is_err() {
        // Reaped in any case, so that no zombie is left for a parent that lives on.
        let _ = child.kill();
        let _ = child.wait();
    }
    result
}

fn read_all(child: &mut Child, deadline: Instant) -> io::Result<String> {
    let Some(mut stdout) = child.stdout.take() else { return Ok(String::new()) };
    let mut bytes = Vec::new();
    let mut buffer = [0_u8; 4096];
    loop {
        if !wait_readable(stdout.as_fd(), deadline.saturating_duration_since(Instant::now()))? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match stdout.read(&mut buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            read => bytes.extend_from_slice(&buffer[..read?]),
        }
        if bytes.len() as u64 > MOST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// The program has closed its output, so it is about to exit: polling every millisecond is good enough.
fn wait(child: &mut Child, deadline: Instant) -> io::Result<()> {
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(io::Error::other(status.to_string())),
            None if Instant::now() >= deadline => return Err(io::ErrorKind::TimedOut.into()),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> io::Result<String> {
        run(Path::new("/bin/sh"), &["-c", script], limit)
    }

    #[test]
    fn output_of_a_good_run_is_returned() {
        assert_eq!(sh("echo '0: alice 100000 65536'", LIMIT).unwrap(), "0: alice 100000 65536\n");
    }

    #[test]
    fn a_failing_program_has_no_answer() {
        assert!(sh("echo 1; exit 3", LIMIT).is_err());
    }

    #[test]
    fn a_hanging_program_is_ended_at_the_limit() {
        let limit = Duration::from_millis(50);
        for script in ["exec sleep 60", "exec >&-; exec sleep 60"] {
            let error = sh(script, limit).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{script}");
        }
    }

    #[test]
    fn endless_output_is_not_collected() {
        assert!(sh("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", LIMIT).is_err());
    }
}
