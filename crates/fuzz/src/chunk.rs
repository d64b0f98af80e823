//! Some thousand inputs from one seed: what runs on one processor at a time, and what can be repeated alone.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::check::{self, Answer};
use crate::corpus;
use crate::mutate::{Mutator, Seed};
use crate::panics;
use crate::targets::{Run, Target};

/// How many inputs a chunk has at most.
pub const SIZE: u64 = 10_000;

/// Inputs with new answers that are kept for mutation, and how long each may be, in bytes.
const KEPT: usize = 2_000;
const KEPT_LENGTH: usize = 64 << 10;

/// An input beyond this, in bytes, may take as long as it does.
const LARGE: usize = 1 << 20;

/// Where an input comes from; with it, it is made again.
#[derive(Clone, Copy)]
pub struct Chunk {
    /// What reads the inputs.
    pub target: &'static Target,
    /// The seed of the campaign.
    pub seed: u64,
    /// Which of the target's chunks it is.
    pub number: u64,
    /// How many inputs to run.
    pub inputs: u64,
}

/// Something that must not be.
#[derive(Clone, Debug)]
pub struct Finding {
    /// `TARGET:SEED:CHUNK:INPUT`, or the file in the corpus.
    pub at: String,
    /// What is wrong.
    pub problem: String,
    /// With which input.
    pub input: Vec<u8>,
}

impl Finding {
    /// Findings that begin with the same text, figures and values aside, are one defect.
    pub fn key(&self) -> String {
        let begin: String = self.problem.chars().take(60).collect();
        check::shape_of(&begin)
    }
}

/// What came of a number of inputs.
#[derive(Default)]
pub struct Totals {
    /// How many there were.
    pub inputs: u64,
    /// How many were taken.
    pub accepted: u64,
    /// How many were not.
    pub refused: u64,
    /// The answers that differ by more than figures and quoted values, and how often each came.
    pub answers: BTreeMap<String, u64>,
    /// The processor time of the slowest, which it is, and the input itself.
    pub slowest: (Duration, String, Vec<u8>),
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Totals {
    /// Adds those of another chunk.
    pub fn add(&mut self, other: Self) {
        self.inputs += other.inputs;
        self.accepted += other.accepted;
        self.refused += other.refused;
        for (answer, times) in other.answers {
            *self.answers.entry(answer).or_default() += times;
        }
        self.slowest = std::mem::take(&mut self.slowest).max(other.slowest);
        self.findings.extend(other.findings);
    }
}

/// What runs inputs and keeps count.
pub struct Runner {
    target: &'static Target,
    run: Run,
    /// The most processor time that an input may take.
    limit: Option<Duration>,
    totals: Totals,
}

impl Runner {
    /// One for a target; without a limit, time is only measured.
    pub fn new(target: &'static Target, limit: Option<Duration>) -> Self {
        panics::catch();
        Self { target, run: (target.start)(), limit, totals: Totals::default() }
    }

    /// What came of all inputs until now.
    pub fn totals(self) -> Totals {
        self.totals
    }

    /// Runs one input; whether its answer is a new one.
    pub fn input(&mut self, input: &[u8], at: impl Fn() -> String) -> bool {
        let begin = processor_time();
        let outcome = panics::caught(|| (self.run)(input));
        let time = processor_time().saturating_sub(begin);
        self.totals.inputs += 1;
        if time > self.totals.slowest.0 {
            self.totals.slowest = (time, at(), input.to_owned());
        }
        let (problem, new) = match outcome {
            Err(panic) => {
                // Whatever it was in the middle of.
                self.run = (self.target.start)();
                (Some(panic), false)
            }
            Ok(Err(broken)) => (Some(broken), false),
            Ok(Ok(answer)) => {
                match answer {
                    Answer::Accepted(_) => self.totals.accepted += 1,
                    Answer::Refused(_) => self.totals.refused += 1,
                }
                let times = self.totals.answers.entry(check::shape(&answer)).or_default();
                *times += 1;
                let new = *times == 1;
                let problem = check::answer(&answer, input).err();
                (problem.or_else(|| if new { self.another_answer(input, &answer) } else { None }), new)
            }
        };
        let slow = || self.limit.is_some_and(|limit| time > limit && input.len() <= LARGE);
        let problem = problem.or_else(|| slow().then(|| format!("slow: {time:?} for {} bytes", input.len())));
        if let Some(problem) = problem {
            self.totals.findings.push(Finding { at: at(), problem, input: input.to_owned() });
        }
        new
    }

    /// What is wrong if the same input has another answer the second time. Which inputs are kept for mutation follows from
    /// the answers, and so do all further ones.
    fn another_answer(&mut self, input: &[u8], first: &Answer) -> Option<String> {
        let second = panics::caught(|| (self.run)(input)).unwrap_or_else(Err);
        if second.as_ref() == Ok(first) {
            return None;
        }
        Some(format!("answered differently: first {first:?}, then {second:?}"))
    }

    /// Runs all of the corpus.
    pub fn corpus(&mut self) {
        for (name, input) in corpus::load(self.target.name) {
            self.input(&input, || format!("corpus/{}/{name}", self.target.name));
        }
    }
}

impl Chunk {
    /// Runs the inputs; `before` sees each before it is run, with its number.
    pub fn run(&self, limit: Option<Duration>, before: &mut dyn FnMut(u64, &[u8])) -> Totals {
        let new = |bytes| Seed::new(self.target.format, bytes);
        let mut pool: Vec<Seed> = corpus::load(self.target.name).into_iter().map(|(_, b)| new(b)).collect();
        let kept = pool.len();
        let mut mutator = Mutator::new(self.rng_seed(), &pool);
        let mut runner = Runner::new(self.target, limit);
        for number in 0..self.inputs {
            let input = mutator.next(&pool, kept);
            before(number, &input);
            let at = || format!("{}:{}:{}:{number}", self.target.name, self.seed, self.number);
            let answered_anew = runner.input(&input, at);
            if answered_anew && pool.len() < KEPT && input.len() <= KEPT_LENGTH {
                pool.push(new(input));
            }
        }
        runner.totals()
    }

    /// The same on every machine: `DefaultHasher::new` has no random key.
    fn rng_seed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.target.name, self.seed, self.number).hash(&mut hasher);
        hasher.finish()
    }
}

/// The processor time of this thread: other load on the machine does not count.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
