//! Detects whether CRIU is still making progress.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long CRIU may do nothing that is visible. Its own limits are shorter: 10 s for freezing; criu(8), `--timeout`.
const SILENCE: Duration = Duration::from_mins(2);

/// Observes what CRIU writes to its log, which is in one of these directories, and to its images.
pub(crate) struct Progress {
    dirs: Vec<PathBuf>,
    silence: Duration,
    last: (u64, Instant),
}

impl Progress {
    /// Observes these directories; without any, only CRIU's answers count as progress.
    pub(crate) fn new<'a>(dirs: impl IntoIterator<Item = &'a Path>) -> Self {
        Self::within(SILENCE, dirs)
    }

    /// Like [`Progress::new`], with another limit.
    pub(crate) fn within<'a>(silence: Duration, dirs: impl IntoIterator<Item = &'a Path>) -> Self {
        let dirs: Vec<_> = dirs.into_iter().map(Path::to_owned).collect();
        Self { last: (written(&dirs), Instant::now()), dirs, silence }
    }

    /// How long to wait before checking again.
    pub(crate) fn interval(&self) -> Duration {
        self.silence / 10
    }

    /// For how long nothing has been written, if that exceeds the limit.
    pub(crate) fn stalled(&mut self) -> Option<Duration> {
        let now = written(&self.dirs);
        if now != self.last.0 {
            self.last = (now, Instant::now());
        }
        Some(self.last.1.elapsed()).filter(|silent| *silent >= self.silence)
    }
}

/// The total size in bytes of the files in these directories. What cannot be read does not count.
fn written(dirs: &[PathBuf]) -> u64 {
    let files = dirs.iter().flat_map(|dir| {
        let entries = rootling_sys::directory::entries(dir).unwrap_or_default();
        entries.into_iter().map(|entry| dir.join(entry.name))
    });
    files.filter_map(|path| path.symlink_metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_ends_the_silence() {
        let dir = tempfile::tempdir().unwrap();
        let mut progress = Progress::within(Duration::ZERO, [dir.path()]);
        assert!(progress.stalled().is_some());
        progress.silence = Duration::from_hours(1);
        progress.last.1 -= Duration::from_secs(4000);
        std::fs::write(dir.path().join("dump.log"), "(00.04) pie: 1\n").unwrap();
        assert_eq!(progress.stalled(), None);
        progress.last.1 -= Duration::from_secs(4000);
        assert!(progress.stalled().is_some());
    }
}
