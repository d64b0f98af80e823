//! The progress of a transfer or of unpacking: a bar on a terminal, otherwise a line for each blob.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::limits::size;

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// A bar on a terminal, lines otherwise.
    #[default]
    Auto,
    /// Nothing.
    Nothing,
}

impl Show {
    /// Prints a line about what happens meanwhile.
    pub(crate) fn note(self, text: &str) {
        if self == Self::Auto {
            eprintln!("rootling: {text}");
        }
    }
}

/// Counts bytes up to a total.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
    ended: AtomicBool,
}

impl Progress {
    /// Starts to count. `what` says what is being done with the bytes.
    pub(crate) fn start(show: Show, what: &'static str, bytes: u64) -> Arc<Self> {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = (show == Show::Auto && is_terminal).then(|| {
            let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
            let template = "{prefix} {msg} [{bar:24}] {bytes}/{total_bytes} {binary_bytes_per_sec} ETA {eta}";
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_prefix(what);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Arc::new(Self { bar, lines: show == Show::Auto && !is_terminal, ended: AtomicBool::new(false) })
    }

    pub(crate) fn add(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// Sets the layer that is being processed.
    pub(crate) fn begin(&self, number: usize, of: usize) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("layer {number}/{of}"));
        }
    }

    /// Reports that a layer is done. Announcing it beforehand would add a line to that of an error.
    pub(crate) fn done(&self, verb: &str, number: usize, of: usize, name: &str, bytes: u64) {
        if self.lines {
            eprintln!("rootling: {verb} layer {number}/{of} {name} {}", size(bytes));
        }
    }

    /// Erases the bar.
    pub(crate) fn end(&self) {
        if let Some(bar) = self.bar.as_ref().filter(|_| !self.ended.swap(true, Ordering::Relaxed)) {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
