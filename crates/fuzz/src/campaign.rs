//! Runs all chunks on all processors.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::check::start_of;
use crate::chunk::{Chunk, Finding, Runner, SIZE, Totals};
use crate::targets::Target;

/// The most processor time that an input of up to a megabyte may take.
pub const LIMIT: Duration = Duration::from_secs(2);

/// After this time an input is considered to hang.
const HANGS: Duration = Duration::from_mins(2);

/// How often progress is reported.
const PROGRESS: Duration = Duration::from_secs(30);

/// The stack size of main threads, so that recursion which is too deep there is too deep here as well.
const STACK: usize = 8 << 20;

/// What to run.
pub struct Campaign {
    /// The targets to run.
    pub targets: Vec<&'static Target>,
    /// The total number of inputs.
    pub inputs: u64,
    /// The seed, which determines all inputs.
    pub seed: u64,
    /// How many inputs to run at the same time.
    pub jobs: usize,
    /// The directory for inputs that failed, and for the current input of each thread.
    pub directory: PathBuf,
}

/// The results by target.
pub type Table = BTreeMap<&'static str, Totals>;

/// What the threads share.
struct Work {
    chunks: Vec<Chunk>,
    next: AtomicUsize,
    inputs: AtomicU64,
    over: AtomicBool,
    table: Mutex<Table>,
}

/// The current input of one thread.
struct Place {
    path: PathBuf,
    file: File,
    /// When the input was started, in seconds since the beginning.
    since: AtomicU64,
}

impl Campaign {
    /// Runs the corpus and then all inputs; returns the results.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn run(&self) -> std::io::Result<Table> {
        fs::create_dir_all(&self.directory)?;
        let work = Work {
            chunks: self.chunks(),
            next: AtomicUsize::new(0),
            inputs: AtomicU64::new(0),
            over: AtomicBool::new(false),
            table: Mutex::new(Table::new()),
        };
        let place = |path: PathBuf| Ok(Place { file: File::create(&path)?, path, since: AtomicU64::new(0) });
        let paths = (0..self.jobs).map(|n| self.directory.join(format!("running-{n}")));
        let places: Vec<Place> = paths.map(place).collect::<std::io::Result<_>>()?;
        let begin = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| self.watch(&work, &places, begin));
            let worker = |place| {
                let work = &work;
                let run = move || self.work(work, place, begin);
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run)
            };
            let workers: std::io::Result<Vec<_>> = places.iter().map(worker).collect();
            let ended = workers.map(|workers| workers.into_iter().filter_map(|one| one.join().err()).count());
            work.over.store(true, Ordering::Relaxed);
            match ended? {
                0 => Ok(()),
                _ => Err(std::io::Error::other("a thread of the fuzzer has panicked")),
            }
        })?;
        for place in &places {
            let _ = fs::remove_file(&place.path);
        }
        Ok(work.table.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// The inputs of each target, divided into chunks. Chunks of the targets alternate, so that a run which is
    /// stopped has covered all targets.
    fn chunks(&self) -> Vec<Chunk> {
        let shares: u64 = self.targets.iter().map(|target| target.share).sum();
        let mut all = Vec::new();
        for &target in &self.targets {
            let mut left = (self.inputs * target.share).div_ceil(shares.max(1));
            let count = left.div_ceil(SIZE).max(1);
            for number in 0..count {
                let inputs = left.min(SIZE);
                left -= inputs;
                all.push((number * 1000 / count, Chunk { target, seed: self.seed, number, inputs }));
            }
        }
        all.sort_by_key(|(at, _)| *at);
        all.into_iter().map(|(_, chunk)| chunk).collect()
    }

    fn work(&self, work: &Work, place: &Place, begin: Instant) {
        loop {
            let Some(chunk) = work.chunks.get(work.next.fetch_add(1, Ordering::Relaxed)) else { return };
            let mut totals = if chunk.number == 0 { corpus_of(chunk.target) } else { Totals::default() };
            totals.add(chunk.run(Some(LIMIT), &mut |_, input| {
                place.since.store(begin.elapsed().as_secs() + 1, Ordering::Relaxed);
                work.inputs.fetch_add(1, Ordering::Relaxed);
                // If something ends the process, such as a stack overflow, the input remains there.
                place
                    .file
                    .write_all_at(input, 0)
                    .and_then(|()| place.file.set_len(input.len() as u64))
                    .unwrap_or_else(|e| panic!("{}: {e}", place.path.display()));
            }));
            place.since.store(0, Ordering::Relaxed);
            self.keep(work, chunk.target, totals);
        }
    }

    /// Reports new findings, writes their inputs, and adds the other results to the table.
    fn keep(&self, work: &Work, target: &'static Target, mut totals: Totals) {
        let mut table = work.table.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let all = table.entry(target.name).or_default();
        let found = std::mem::take(&mut totals.findings);
        for finding in found {
            if all.findings.iter().all(|known| known.key() != finding.key()) {
                tell(&finding, &self.directory);
                all.findings.push(finding);
            }
        }
        all.add(totals);
    }

    /// Reports progress, and ends the process if an input hangs.
    fn watch(&self, work: &Work, places: &[Place], begin: Instant) {
        let mut told = begin;
        while !work.over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(200));
            let now = begin.elapsed().as_secs();
            for place in places {
                let since = place.since.load(Ordering::Relaxed);
                if since > 0 && now.saturating_sub(since) > HANGS.as_secs() {
                    eprintln!("an input has no end; it is in {}", place.path.display());
                    std::process::exit(3);
                }
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                let done = work.inputs.load(Ordering::Relaxed);
                println!("{now:>6} s: {done} of {} inputs", self.inputs);
            }
        }
    }
}

fn corpus_of(target: &'static Target) -> Totals {
    let mut runner = Runner::new(target, Some(LIMIT));
    runner.corpus();
    runner.totals()
}

/// Prints a finding with the command that repeats it, and stores its input.
pub fn tell(finding: &Finding, directory: &Path) {
    let path = directory.join(finding.at.replace([':', '/'], "-"));
    println!("FOUND {}: {}", finding.at, start_of(&finding.problem));
    match fs::write(&path, &finding.input) {
        Ok(()) => println!("      input: {}; again: make fuzz FUZZ_REPEAT={}", path.display(), finding.at),
        Err(e) => println!("      {}: {e}", path.display()),
    }
}
